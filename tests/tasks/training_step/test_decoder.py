"""The decoder: against transformers' Llama, its causality, and the sizes of the table."""

from __future__ import annotations

import pytest

from fixtures.decoder_lm import SIZES, DecoderModel

pytestmark = pytest.mark.backend("torch")

SHAPE = SIZES["tiny"]


@pytest.fixture(scope="module")
def llama():
    """(our tiny decoder, transformers' Llama with the same weights)."""
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    ours = DecoderModel("tiny").build()
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=SHAPE.vocabulary,
            hidden_size=SHAPE.d_model,
            intermediate_size=SHAPE.d_ff,
            num_hidden_layers=SHAPE.layers,
            num_attention_heads=SHAPE.heads,
            max_position_embeddings=SHAPE.context,
            rms_norm_eps=1e-6,
            tie_word_embeddings=False,
        )
    )
    names = {
        "embedding.": "model.embed_tokens.",
        "blocks.": "model.layers.",
        ".attention_norm.": ".input_layernorm.",
        ".mlp_norm.": ".post_attention_layernorm.",
        ".attention.query.": ".self_attn.q_proj.",
        ".attention.key.": ".self_attn.k_proj.",
        ".attention.value.": ".self_attn.v_proj.",
        ".attention.out.": ".self_attn.o_proj.",
        ".mlp.gate.": ".mlp.gate_proj.",
        ".mlp.up.": ".mlp.up_proj.",
        ".mlp.down.": ".mlp.down_proj.",
        "head.": "lm_head.",
    }
    state = {}
    for name, tensor in ours.state_dict().items():
        renamed = name if not name.startswith("norm.") else f"model.{name}"
        for old, new in names.items():
            renamed = renamed.replace(old, new)
        # Norms away from one, so that a norm in the wrong place shows.
        state[renamed] = tensor if "norm" not in name else torch.linspace(0.5, 1.5, len(tensor))
    theirs.load_state_dict(state)
    with torch.no_grad():
        for name, tensor in ours.named_parameters():
            if "norm" in name:
                tensor.copy_(torch.linspace(0.5, 1.5, len(tensor)))
    return ours.eval(), theirs.eval()


def test_equal_weights_give_the_logits_of_transformers_llama(llama):
    torch = pytest.importorskip("torch")
    ours, theirs = llama
    tokens = torch.randint(SHAPE.vocabulary, (3, SHAPE.context), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits, rtol=1e-4, atol=1e-5)


def test_a_token_is_not_seen_by_those_before_it(llama):
    torch = pytest.importorskip("torch")
    tokens = torch.zeros((1, 32), dtype=torch.long)
    changed = tokens.clone()
    changed[0, 20] = 7
    with torch.no_grad():
        before, after = llama[0](tokens)[0], llama[0](changed)[0]
    assert torch.equal(before[:20], after[:20])
    assert not torch.equal(before[20:], after[20:])


@pytest.mark.parametrize(
    ("size", "widths", "millions"),
    [
        ("s", (768, 3072, 12, 12), 128.6),
        ("m", (1024, 4096, 24, 16), 423.2),
        ("l", (1280, 5120, 36, 20), 969.4),
        ("xl", (1600, 6400, 48, 25), 1998.2),
    ],
)
def test_the_sizes_are_those_of_the_table(size, widths, millions):
    torch = pytest.importorskip("torch")
    from fixtures.decoder_module import Decoder

    shape = SIZES[size]
    assert (shape.d_model, shape.d_ff, shape.layers, shape.heads, shape.vocabulary) == (*widths, 10_000)
    with torch.device("meta"):
        parameters = sum(p.numel() for p in Decoder(shape).parameters())
    width, hidden, layers, _ = widths
    assert parameters == layers * (4 * width**2 + 3 * width * hidden + 2 * width) + width + 20_000 * width
    assert parameters / 1e6 == pytest.approx(millions, abs=0.1)
