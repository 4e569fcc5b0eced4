"""A tiny random Llama with a byte tokenizer, for tests that need real weights but no real language."""

from __future__ import annotations

from typing import Any

VOCABULARY = 512


def byte_tokenizer() -> Any:
    """One token a byte, and no pad token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


class TinyLlama:
    """`build()` is the same model every time. `changes` are those of the configuration."""

    name, version, task = "tiny-llama", "1", "causal-lm"

    def __init__(self, **changes: Any) -> None:
        self.changes = changes

    def build(self) -> Any:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        defaults = {
            "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": VOCABULARY, "max_position_embeddings": 512,
            "tie_word_embeddings": True, "initializer_range": 0.05,
        }  # fmt: skip
        torch.manual_seed(0)
        return LlamaForCausalLM(LlamaConfig(**{**defaults, **self.changes})).eval()

    def tokenizer(self) -> Any:
        return byte_tokenizer()
