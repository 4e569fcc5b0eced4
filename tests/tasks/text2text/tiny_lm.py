"""A folder with a random causal language model of a thousand weights, its tokenizer and chat template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TEXTS = ["the capital of france", "who is the mayor of paris", "about rome oslo bern kiel lima", "user assistant"]
CHAT = "{% for m in messages %}<user>{{ m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}<reply>{% endif %}"


@dataclass(frozen=True)
class Folder:
    """A base for `Prompted` and `FineTuned`."""

    path: Path
    name: str = "tiny-lm"
    version: str = "1"

    def folder(self) -> Path:
        return self.path

    def content(self) -> dict[str, str]:
        return {"folder": "tiny"}


def saved(folder: Path, **settings: Any) -> Folder:
    """The folder, with `settings` of LlamaConfig in place of the usual ones."""
    pytest.importorskip("sentencepiece", reason="pip install 'benchgate[train]'")
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from benchgate.tasks.text2text.codec import train_unigram

    tokenizer = train_unigram(TEXTS * 9, 160)
    tokenizer.add_special_tokens(["<user>", "<reply>"])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.chat_template = CHAT
    torch.manual_seed(3)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(
        **{"vocab_size": 176, **shape, "num_key_value_heads": 1, "eos_token_id": 1, "pad_token_id": 0, **settings}
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return Folder(folder)
