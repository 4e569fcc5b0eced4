"""Layers that a method of torch cannot take: left as they are and counted, or the cell is refused by name."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchgate.core import Unavailable, runtimes, schemes
from benchgate.report.notes import notes
from benchgate.results import Record

pytestmark = pytest.mark.backend("torch")
METHODS = ("int8-dynamic", "int8-weight-only", "int4-weight-only")
WIDTHS = st.integers(1, 70)


def session_of(module, scheme, folder):
    """The module built by the scheme and loaded again, as a cell has it."""
    model = SimpleNamespace(name="odd", version="1", task="any", build=lambda: module())
    folder.mkdir(exist_ok=True)
    runtimes["torch"].build(model, schemes[scheme], folder)
    return runtimes["torch"].load(folder, model, "cpu", 1)


def layers(*widths):
    import torch

    torch.manual_seed(0)
    pairs = itertools.pairwise(widths)
    return torch.nn.Sequential(*(torch.nn.Linear(inputs, outputs) for inputs, outputs in pairs))


@pytest.mark.parametrize("scheme", METHODS)
def test_layers_of_any_width_run_and_are_counted(scheme, tmp_path_factory):
    import numpy as np
    import torch

    folder = tmp_path_factory.mktemp(scheme)

    @settings(max_examples=10)
    @given(WIDTHS, WIDTHS)
    def check(inputs, outputs):
        def module():
            return torch.nn.Sequential(layers(inputs, outputs), torch.nn.Linear(outputs, 64), torch.nn.Linear(64, 32))

        session = session_of(module, scheme, folder)
        x = np.ones((3, inputs), dtype=np.float32)
        found, wanted = session(x), module().eval()(torch.from_numpy(x)).detach().numpy()
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 0.3
        left = session.kernel["left_in_float"]
        assert session.kernel["quantized"] == f"quantized {3 - len(left)} of 3 linear layers"
        weights = sum(p.numel() for p in module().parameters())
        assert session.kernel["bits_per_weight"] == pytest.approx(8 * session.weights_bytes / weights, abs=1e-3)
        if scheme == "int4-weight-only":
            odd = {"0.0": inputs % 32 or outputs % 16, "1": outputs % 32, "2": 0}
            assert left == [name for name, is_odd in odd.items() if is_odd]
            dense = 2 * (inputs * outputs * ("0.0" in left) + outputs * 64 * ("1" in left))
            assert session.weights_bytes > dense
        else:
            assert left == [name for name, width in (("0.0", inputs), ("1", outputs)) if width == 1]

    check()


def test_the_classifier_of_the_readme(tmp_path):
    session = session_of(lambda: layers(64, 256, 2), "int4-weight-only", tmp_path)
    assert session.kernel["quantized"] == "quantized 1 of 2 linear layers"
    assert session.kernel["left_in_float"] == ["1"]


@pytest.mark.parametrize(
    ("module", "scheme", "said"),
    [
        (lambda: layers(32, 2), "int4-weight-only", "0: 2 outputs are no multiple of 16"),
        (lambda: layers(33, 16), "int4-weight-only", "0: 33 inputs are no multiple of the group size 32"),
        (lambda: layers(1, 64), "int8-dynamic", "0: 1 input, at least 2 are needed"),
        (lambda: layers(3, 5, 7, 9, 11), "int4-weight-only", "; and 1 more"),
        (lambda: layers(4)[:0], "int8-dynamic", "none is linear"),
    ],
)
def test_a_model_without_a_layer_to_quantize_is_unavailable(module, scheme, said, tmp_path):
    with pytest.raises(Unavailable, match=f"{scheme} can quantize no layer of this model: ") as refused:
        session_of(module, scheme, tmp_path)
    assert said in str(refused.value)


def test_convolutions_and_tied_outputs_stay(tmp_path):
    import torch

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(16, 32)
            self.conv = torch.nn.Conv1d(32, 32, 1)
            self.inner = torch.nn.Linear(32, 32)
            self.head = torch.nn.Linear(32, 16, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x):
            hidden = self.conv(self.embedding(x).transpose(1, 2)).transpose(1, 2)
            return self.head(self.inner(hidden))

    session = session_of(Tied, "int8-weight-only", tmp_path)
    assert session(torch.ones(2, 3, dtype=torch.long)).shape == (2, 3, 16)
    assert session.kernel["quantized"] == "quantized 1 of 2 linear layers"
    assert session.kernel["left_in_float"] == ["head"]


def test_full_precision_has_nothing_to_count(tmp_path):
    assert "quantized" not in session_of(lambda: layers(4, 4), "bf16", tmp_path).kernel


def test_the_report_says_what_was_left():
    cell = {"model": "m", "scheme": "int4", "runtime": "torch", "device": "cpu"}
    names = [f"layer{number}" for number in range(7)]
    kernel = {"quantized": "quantized 8 of 15 linear layers", "left_in_float": names}
    one = Record("t", cell, "call", kernel=kernel, outcome="passed")
    assert list(notes([one, one])) == [
        "quantized 8 of 15 linear layers: m-int4-torch-cpu; in full precision: layer0, layer1, layer2, layer3, layer4 "
        "and 2 more"
    ]
    other = replace(one, cell={**cell, "scheme": "int8"})
    assert [line.split(";")[0] for line in notes([one, other])] == ["quantized 8 of 15 linear layers: 2 cells"]
    assert list(notes([Record("t", cell, "call", kernel={"left_in_float": 3}, outcome="passed")])) == []
