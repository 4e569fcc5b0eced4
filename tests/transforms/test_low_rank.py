"""Low-rank factorisation: the ranks, how close the product is, and what is refused."""

from __future__ import annotations

import pytest

from benchgate.core import BenchgateError, DataError, UnknownName, models, runtimes, schemes, support
from benchgate.registration import load_builtin
from benchgate.transforms.low_rank import LowRank, LowRankByEnergy, factorised, rank_for_energy

load_builtin()


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def of_singular_values(torch, values, out, inputs):
    """A weight [out, inputs] with these singular values."""
    left, _ = torch.linalg.qr(torch.randn(out, len(values)))
    right, _ = torch.linalg.qr(torch.randn(inputs, len(values)))
    return left * torch.tensor(values) @ right.T


def test_the_error_is_that_of_the_best_matrix_of_the_rank(torch):
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 6)
    with torch.no_grad():
        layer.weight.copy_(of_singular_values(torch, [5.0, 3.0, 1.0, 0.5], 6, 8))
    inputs = torch.randn(4, 8)
    found = factorised(layer, 2)
    error = torch.linalg.matrix_norm(layer.weight - found[1].weight @ found[0].weight)
    assert float(error.detach()) == pytest.approx(1.25**0.5)
    assert torch.allclose(factorised(layer, 4)(inputs), layer(inputs), atol=1e-5)
    assert found[1].bias is layer.bias
    assert found.weight is found[1].weight


@pytest.mark.parametrize(("share", "rank"), [(0.5, 1), (0.70, 1), (0.72, 2), (0.96, 2), (0.97, 3), (0.9999, 4)])
def test_the_rank_that_keeps_the_energy(torch, share, rank):
    torch.manual_seed(1)
    # Squares 25, 9, 1, 0.25: shares of 0.709, 0.965, 0.993, 1.
    weight = of_singular_values(torch, [5.0, 3.0, 1.0, 0.5], 6, 8)
    assert rank_for_energy(weight, share) == rank


@pytest.mark.parametrize(("percent", "rank"), [(50.0, 12), (25.0, 6), (4.2, 1)])
def test_the_rank_by_size(torch, percent, rank):
    layers = torch.nn.Sequential(torch.nn.Linear(48, 48))
    LowRank().apply(layers, percent)
    assert layers[0][0].weight.shape == (rank, 48)
    assert 2 * 48 * rank <= percent / 100 * 48 * 48


def test_by_energy_only_what_becomes_smaller_is_replaced(torch):
    torch.manual_seed(2)
    layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8))
    with torch.no_grad():
        layers[0].weight.copy_(of_singular_values(torch, [4.0, 0.1], 8, 8))
        layers[1].weight.copy_(torch.eye(8))
    second = layers[1]
    LowRankByEnergy().apply(layers, 95.0)
    assert layers[0][0].weight.shape == (1, 8)
    assert layers[1] is second


@pytest.mark.parametrize(
    ("transform", "amount", "error", "said"),
    [
        (LowRank, 2.0, DataError, r"low-rank-2: 0 \[48, 48\] would have rank 0; rank 1 takes 4.17 % of it: write a"),
        (LowRank, 100.0, BenchgateError, "low-rank-100: a percentage between 0 and 100 is needed; write for example"),
        (LowRank, None, BenchgateError, "low-rank: a percentage"),
        (LowRankByEnergy, 0.0, BenchgateError, "low-rank-energy-0: a percentage .* low-rank-energy-95"),
        (LowRankByEnergy, 99.9, DataError, "low-rank-energy-99.9: no layer of Sequential becomes smaller"),
    ],
)
def test_what_cannot_be_factorised_says_why(torch, transform, amount, error, said):
    layer = torch.nn.Linear(48, 48)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(48))
    with pytest.raises(error, match=said):
        transform().apply(torch.nn.Sequential(layer), amount)


def test_rank_0_is_no_rank(torch):
    with pytest.raises(BenchgateError, match="rank 0: must be 1 to 3, the smaller side of the layer"):
        factorised(torch.nn.Linear(5, 3), 0)


def test_a_layer_of_one_output_cannot_become_smaller(torch):
    with pytest.raises(DataError, match="rank 1 is no smaller than it is"):
        LowRank().apply(torch.nn.Sequential(torch.nn.Linear(5, 1)), 99.0)


def test_the_two_names_are_told_apart():
    assert schemes["low-rank-energy-95"].steps == ("low-rank-energy-95",)
    assert schemes["structured-30+low-rank-50+int8-dynamic"].bits == 8
    with pytest.raises(UnknownName):
        schemes["low-rank-power-95"]


class Named:
    name, version, task, architecture = "named-t5", "1", "text2text", "t5"

    def build(self):
        raise AssertionError("refusing needs no module")


@pytest.mark.parametrize("runtime", ["ggml", "ctranslate2"])
def test_runtimes_that_read_layers_by_name_refuse_other_layers(runtime):
    model = Named()
    with models.extended(model):
        said = support.refusal(model, schemes["low-rank-50"], runtimes[runtime])
        assert said == f"{runtime} reads layers by their names, low-rank-50 replaces some"
        assert support.refusal(model, schemes["structured-30"], runtimes[runtime]) is None
        assert support.refusal(model, schemes["low-rank-50"], runtimes["onnxruntime"]) is None
