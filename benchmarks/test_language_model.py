"""What this repository promises of the small language model in every scheme that runs here."""

import pytest

MODEL = "smollm2-135m"
TORCH = ["torch"]
SCHEMES = ["fp32", "bf16", "int8-dynamic", "int8-weight-only", "int4-weight-only"]
# Share of the fp32 model's top-1 that a scheme must keep, measured in the same session on the same passages.
FLOORS = {"bf16": 0.98, "int8-dynamic": 0.95, "int8-weight-only": 0.95, "int4-weight-only": 0.75}


@pytest.mark.cells(model=MODEL, scheme=SCHEMES, runtime=TORCH)
def test_language_model(cell, passages):
    """Prefill speed, size, peak memory and last-word accuracy; a scheme may lose only so much of the latter."""
    result = cell.measure(data=passages)
    floor = FLOORS.get(cell.cell.scheme)
    if floor is not None:
        assert result["top1"] >= floor * cell.reference("fp32", data=passages)["top1"]


@pytest.mark.cells(model=MODEL, scheme=["fp32", "bf16"], runtime=TORCH)
@pytest.mark.cells(model=MODEL, scheme="fp32", runtime="torch-compile")
@pytest.mark.parametrize("context", [32, 512])
def test_prefill(cell, context):
    cell.measure("prefill", context=context, meters=())


@pytest.mark.cells(model=MODEL, scheme=SCHEMES, runtime=TORCH)
@pytest.mark.parametrize("batch", [1, 4])
def test_decode(cell, batch):
    cell.measure("decode", batch=batch, meters=())


@pytest.mark.cells(model=MODEL, scheme=["fp32", "bf16"], runtime=TORCH)
def test_generate(cell):
    """Time to first token and time per output token of a streamed generation."""
    cell.measure("generate", meters=())
