"""A causal language model as a text2text model: a prompt makes it write the query anew.

The prompt is text, a template by name: part of what decides the answers, and of a fine-tuned model's recipe. Its last
token is the start token: everything before is the source.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError, unknown_name
from benchgate.tasks.file_models import FolderModel, quiet
from benchgate.tasks.text2text.codec import Codec
from benchgate.tasks.text2text.models import TASK, read_config

# Tokens of a conversation's beginning that are kept where it is cut: its topic.
HEAD = 16
PLAIN, CHAT = "plain", "chat"
INSTRUCTION = "Rewrite the last question so that it can be understood without the conversation. Answer with it alone."
# Arguments of a language model that masks, positions and caches of our own go through.
NEEDED = frozenset({"attention_mask", "position_ids", "past_key_values", "logits_to_keep"})
CONVERSATION, QUESTION = "{conversation}", "{question}"


@dataclass(frozen=True)
class Template:
    """Parts of a prompt around the turns of the conversation (`joiner` after each) and the query."""

    opening: str = ""
    joiner: str = "\n"
    middle: str = ""
    closing: str = "\nRewritten question:\n"


def _plain(tokenizer: Any) -> Template:
    return Template()


def _chat(tokenizer: Any) -> Template:
    """The model's own form of a conversation with its user. Raises DataError for a tokenizer that has none."""
    if not getattr(tokenizer, "chat_template", None):
        raise DataError(f"the tokenizer has no chat template; use the prompt {PLAIN!r}")
    asked = f"{INSTRUCTION}\n\n{CONVERSATION}Last question: {QUESTION}"
    messages = [{"role": "user", "content": asked}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    opening, _, rest = text.partition(CONVERSATION)
    middle, _, closing = rest.partition(QUESTION)
    return Template(opening, "\n", middle, closing)


# What a fine-tuned model learns to answer to; and what one that was only taught to follow instructions is asked.
PROMPTS: Mapping[str, Callable[[Any], Template]] = {PLAIN: _plain, CHAT: _chat}


@dataclass(frozen=True)
class Prompted(FolderModel):
    """The causal language model in the folder of `base`, asked by a prompt.

    Args:
        name: As in `@pytest.mark.cells(model=...)`.
        base: A model of a transformers folder, as `HubModel`, `GGUFFile` or `HubFolder` are.
        prompt: "plain" or "chat".
        max_source, max_target: In tokens.

    Raises:
        DataError: For an unknown prompt at once; when it is built or asked, for a folder that is none, a tokenizer
            without a chat template (prompt "chat") or end token, a model whose cache or positions cannot be given.

    Example::

        benchgate.model(Prompted("smollm2-asked", benchgate.HubModel("smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct")))
    """

    name: str
    base: Any
    prompt: str = CHAT
    max_source: int = 256
    max_target: int = 48
    task: str = TASK
    architecture: str = "decoder"

    def __post_init__(self) -> None:
        if self.prompt not in PROMPTS:
            raise DataError(unknown_name("prompt", self.prompt, list(PROMPTS)))

    @property
    def version(self) -> str:
        return str(self.base.version)

    def folder(self) -> Path:
        found: Path = self.base.folder()
        return found

    def content(self) -> Mapping[str, str]:
        """The digests of the base, and the prompt."""
        return {**self.base.content(), "prompt": self.prompt}

    def _load(self, folder: Path) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        from benchgate.tasks.text2text.decoder_only import DecoderSeq2Seq

        # `use_safetensors`: a pickled checkpoint could run code.
        lm = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        if lacking := sorted(NEEDED - inspect.signature(lm.forward).parameters.keys()):
            raise DataError(
                f"{self.name}: {type(lm).__name__} takes no {', '.join(lacking)}; a model whose cache and positions "
                "can be given is needed, as Llama, Qwen, GPT-2 and their like"
            )
        return DecoderSeq2Seq(lm).eval()

    def _empty(self, folder: Path) -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM

        from benchgate.tasks.text2text.decoder_only import DecoderSeq2Seq

        return DecoderSeq2Seq(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)))

    @property
    def start_token(self) -> int:
        return self._asking()[1]

    @property
    def end_token(self) -> int:
        return self._asking()[0].end

    @property
    def pad_token(self) -> int:
        """The end token: padding is masked, so that any will do, and not every tokenizer has one for it."""
        return self.end_token

    @property
    def vocabulary(self) -> int:
        """The width of the logits, which may be more than the tokenizer has."""
        found = read_config(self.folder()).get("vocab_size")
        if not isinstance(found, int):
            raise DataError(f"{self.folder() / 'config.json'}: vocab_size is {found!r}, a whole number is needed")
        return found

    def encode(self, context: Sequence[str], query: str) -> list[int]:
        return self._asking()[0].source(context, query, self.max_source)

    def encode_target(self, text: str) -> list[int]:
        return self._asking()[0].target(text, self.max_target)

    def decode(self, tokens: Sequence[int]) -> str:
        return self._asking()[0].to_text(tokens)

    def _asking(self) -> tuple[Codec, int]:
        return _asked(self)


@functools.cache
def _asked(model: Prompted) -> tuple[Codec, int]:
    """The codec and the start token, looked up once: to find the folder of a dequantised file takes 70 ms, and encoding
    a query is part of what is timed."""
    return _codec(model.folder(), model.prompt)


@functools.cache
def _codec(folder: Path, prompt: str) -> tuple[Codec, int]:
    """The codec and the start token. Raises DataError for a tokenizer that does not end."""
    from transformers import AutoTokenizer

    with quiet():
        # The text of others that spells a special token is text; in the template's own it is the token.
        plain = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
        marked = AutoTokenizer.from_pretrained(folder)
    if marked.eos_token_id is None:
        raise DataError(f"{folder}: its tokenizer has no end token, so that no answer would end")
    template = PROMPTS[prompt](marked)

    def to_tokens(text: str, tokenizer: Any = plain) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    parts = {part: to_tokens(text, marked) for part, text in vars(template).items()}
    *closing, start = parts.pop("closing")
    codec = Codec(
        to_tokens,
        lambda tokens: str(plain.decode(list(tokens), skip_special_tokens=True)).strip(),
        marked.eos_token_id,
        **parts,
        closing=closing,
        head=HEAD,
    )
    return codec, start
