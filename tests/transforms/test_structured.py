"""Structured pruning: what goes, that what stays computes the same, and that every architecture still runs."""

from __future__ import annotations

import pytest

from benchgate.core import BenchgateError, DataError, schemes
from benchgate.core.transformed import for_build
from benchgate.registration import load_builtin
from benchgate.transforms.parts import parts_of
from benchgate.transforms.structured import Structured

load_builtin()


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def llama(heads=4, shared=2, channels=20):
    pytest.importorskip("transformers")
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=channels, num_hidden_layers=2, num_attention_heads=heads,
            num_key_value_heads=shared,
        )
    ).eval()  # fmt: skip


def silence(module, torch, unit):
    """Make one unit of every part of a module as small as nothing, so that it goes and changes nothing by going."""
    with torch.no_grad():
        for group in parts_of(module):
            for part in group:
                for side in part.sides:
                    weight = side.layer.weight.transpose(0, side.dimension)
                    places = torch.arange(len(weight)).view(side.blocks, -1, side.width)[:, unit].flatten()
                    weight[places] = 0
                    if side.dimension == 0 and side.layer.bias is not None:
                        side.layer.bias[places] = 0


def test_a_head_and_a_channel_of_nothing_go_and_the_answer_stays(torch):
    """Of 2 groups of heads and of 2 channels 40 % is one: the silent one. Queries go with the keys they share."""
    module = llama(channels=2)
    silence(module, torch, 1)
    tokens = torch.arange(6)[None]
    with torch.inference_mode():
        before = module(tokens).logits
    assert Structured().apply(module, 40.0) is module
    first = module.model.layers[0]
    assert first.self_attn.q_proj.weight.shape == (16, 32)
    assert first.self_attn.k_proj.weight.shape == (8, 32)
    assert first.self_attn.o_proj.weight.shape == (32, 16)
    assert first.mlp.down_proj.weight.shape == (32, 1)
    config = module.config
    assert (config.num_attention_heads, config.num_key_value_heads, config.intermediate_size) == (2, 1, 1)
    with torch.inference_mode():
        assert torch.allclose(module(tokens).logits, before, atol=1e-6)


def test_what_is_smallest_goes_and_what_stays_is_in_order(torch):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(5, 2))
    first, last = layers[0].weight.detach().clone(), layers[3].weight.detach().clone()
    bias = layers[0].bias.detach().clone()
    energy = first.square().sum(1) + last.square().sum(0)
    kept = energy.topk(3).indices.sort().values
    Structured().apply(layers, 40.0)
    assert torch.equal(layers[0].weight, first[kept])
    assert torch.equal(layers[0].bias, bias[kept])
    assert torch.equal(layers[3].weight, last[:, kept])
    assert (layers[0].out_features, layers[3].in_features) == (3, 3)


def test_layers_between_which_channels_meet_stay(torch):
    layers = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.LayerNorm(5), torch.nn.Linear(5, 2))
    with pytest.raises(DataError, match="structured: Sequential has no attention or MLP that is known here"):
        Structured().apply(layers, 40.0)


@pytest.mark.backend("torch")
@pytest.mark.parametrize("index", [0, 1, 3])
def test_a_silent_unit_is_what_goes_of_text_to_text_models(torch, index):
    """All keys, values, queries, biases and position biases of the unit: nothing else is touched, the answer stays."""
    from tests.tasks.text2text.tiny import MODELS

    module = MODELS[index].build()
    silence(module, torch, 1)
    source, mask = torch.arange(3, 10)[None], torch.ones(1, 7, dtype=torch.long)

    def answer():
        with torch.inference_mode():
            memory, cache = module.begin(source, mask)
            _, cache = module.step(source[:, 0], memory, cache)
            return module.step(source[:, 1], memory, cache)[0], cache[0].shape[1]

    before, heads = answer()
    for group in parts_of(module):
        units = [unit for unit in range(group[0].units) if unit != 1]
        for part in group:
            part.keep(torch.tensor(units))
    after, fewer = answer()
    assert fewer == heads - 1
    assert torch.allclose(before, after, atol=1e-4)


@pytest.mark.parametrize(
    ("heads", "channels", "amount", "error", "said"),
    [
        (4, 20, 80.0, BenchgateError, "structured-80 would leave none of the 2 heads of model.layers.0.self_attn: at "
                                      "most structured-74 leaves one"),
        (2, 20, 50.0, BenchgateError, "would leave none of the 1 heads of model.layers.0.self_attn: it has only one"),
        (4, 20, 1.0, DataError, "structured-1: rounds to no head and no channel anywhere; write a larger number"),
        (4, 20, 100.0, BenchgateError, "structured-100: a percentage between 0 and 100 is needed; write for example"),
        (4, 20, 0.0, BenchgateError, "structured-0: a percentage"),
        (4, 20, None, BenchgateError, "structured: a percentage"),
    ],
)  # fmt: skip
def test_what_cannot_be_pruned_says_why(torch, heads, channels, amount, error, said):
    module = llama(heads, heads // 2, channels)
    with pytest.raises(error, match=said):
        Structured().apply(module, amount)
    assert module.model.layers[1].mlp.up_proj.weight.shape == (channels, 32)


@pytest.mark.backend("torch")
def test_the_structure_is_known_without_weights(torch):
    from accelerate import init_empty_weights

    from tests.tasks.text2text.tiny import MODELS

    for model in (MODELS[1], MODELS[3]):
        for scheme in ("structured-50", "low-rank-50", "structured-50+low-rank-40"):
            changed = for_build(model, schemes[scheme])
            with init_empty_weights(include_buffers=False):
                empty = changed.structure()
            assert {parameter.device.type for parameter in empty.parameters()} == {"meta"}
            found = {name: tensor.shape for name, tensor in changed.build().state_dict().items()}
            assert {name: tensor.shape for name, tensor in empty.state_dict().items()} == found
    assert not hasattr(for_build(MODELS[1], schemes["low-rank-energy-50"]), "structure")
