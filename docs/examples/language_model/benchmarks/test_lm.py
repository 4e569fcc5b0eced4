import os

import pytest

MODEL = os.environ.get("MODEL", "tiny")


@pytest.mark.cells(model=MODEL, scheme=["fp32", "int8-weight-only"], runtime="torch")
def test_decode(cell, passages):
    result = cell.measure("decode", data=passages)
    assert result["perplexity"] <= 1.05 * cell.reference("fp32", data=passages)["perplexity"]
