"""Weight clustering and 2:4 pruning: the values that stay, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchgate.core import BenchgateError, DataError, UnknownName, schemes
from benchgate.registration import load_builtin
from benchgate.transforms.cluster import Cluster, clustered
from benchgate.transforms.prune_2_4 import Prune2To4

load_builtin()


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_the_clusters_are_those_of_a_library(torch):
    """scipy's Lloyd, from the same beginning."""
    vq = pytest.importorskip("scipy.cluster.vq")
    weight = torch.randn(40, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    numbers = weight.flatten().numpy()
    begin = np.linspace(numbers.min(), numbers.max(), 8)[:, None]
    centroids, codes = vq.kmeans2(numbers[:, None], begin, iter=50, minit="matrix")
    assert np.allclose(clustered(weight, 8).flatten().numpy(), centroids[codes, 0])


def test_a_layer_has_as_many_values_as_asked_and_its_packed_size_is_counted(torch):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.Conv1d(2, 3, 5))
    Cluster().apply(layers, 5.0)
    assert [len(layer.weight.unique()) for layer in layers] == [5, 5]
    # Five values take 3 bits each.
    packed = math.ceil(600 * 3 / 8) + 5 * 4 + 20 * 4 + math.ceil(30 * 3 / 8) + 5 * 4 + 3 * 4
    assert Cluster().figures(layers) == {"packed_bytes": packed}


def test_a_layer_of_fewer_values_keeps_them(torch):
    layer = torch.nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([-1.0, 0.0, 0.0, 2.0]).expand(4, 4))
    before = layer.weight.detach().clone()
    assert torch.equal(Cluster().apply(layer, 16.0).weight, before)
    assert Cluster().figures(layer) == {"packed_bytes": 4 + 3 * 4}


@pytest.mark.parametrize("amount", [1.0, 0.0, 2.5, 257.0, None])
def test_a_number_of_values_that_cannot_be_says_which_can(amount):
    with pytest.raises(BenchgateError, match="a whole number of values from 2 to 256 is needed; write for example"):
        Cluster().check(amount)


def test_clustering_to_one_value_is_refused_by_name():
    with pytest.raises(BenchgateError, match="cluster-1: a whole number of values from 2 to 256"):
        schemes["cluster-1"]


def test_two_of_each_four_are_zero_and_the_larger_ones_stay(torch):
    layer = torch.nn.Linear(8, 3)
    with torch.no_grad():
        layer.weight[0] = torch.tensor([1.0, -4.0, 3.0, 2.0, 5.0, 5.0, 5.0, 5.0])
    before = layer.weight.detach().clone()
    bias = layer.bias.detach().clone()
    assert Prune2To4().apply(layer, None) is layer
    blocks = layer.weight.view(3, 2, 4)
    assert ((blocks == 0).sum(2) == 2).all()
    assert layer.weight[0, :4].tolist() == [0.0, -4.0, 3.0, 0.0]
    assert torch.equal(layer.weight[layer.weight != 0], before[layer.weight != 0])
    assert torch.equal(layer.bias, bias)
    assert set(layer.state_dict()) == {"weight", "bias"}
    assert Prune2To4().figures(layer) == {"sparsity": 0.5}


def test_what_cannot_be_pruned_by_the_pattern_says_why(torch):
    with pytest.raises(DataError, match="prune-2-4: 0 has 6 inputs, no multiple of 4; prune-50 takes any number"):
        Prune2To4().apply(torch.nn.Sequential(torch.nn.Linear(6, 2)), None)
    with pytest.raises(DataError, match="prune-2-4: GRUCell has no linear"):
        Prune2To4().apply(torch.nn.GRUCell(4, 4), None)


def test_the_pattern_is_a_name_and_takes_no_number():
    assert schemes["prune-2-4+int8-dynamic"].steps == ("prune-2-4",)
    with pytest.raises(UnknownName):
        schemes["prune-2-5"]
    with pytest.raises(BenchgateError, match="prune-2-4-50: takes no number; write prune-2-4, or for example prune-50"):
        schemes["prune-2-4-50"]
