"""Text to token ids and back for text2text models: how a conversation becomes one source, and what is cut to fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

PAD, END, UNKNOWN, TURN = "<pad>", "</s>", "<unk>", "<turn>"
# In the order of their ids. T5 begins to decode with the padding token; so do all models here.
SPECIAL = (PAD, END, UNKNOWN, TURN)
PAD_ID, END_ID = SPECIAL.index(PAD), SPECIAL.index(END)


@dataclass(frozen=True)
class Codec:
    """A tokenizer and the form of its source: opening, each turn and `joiner`, middle, query, closing, end token.

    `to_tokens` and `to_text` know no special tokens: a query that spells `</s>` is text, not an end.
    """

    to_tokens: Callable[[str], list[int]]
    to_text: Callable[[Sequence[int]], str]
    end: int
    opening: Sequence[int] = ()
    joiner: Sequence[int] = ()
    middle: Sequence[int] = ()
    closing: Sequence[int] = ()

    def source(self, context: Sequence[str], query: str, limit: int) -> list[int]:
        """At most `limit` token ids. The query stays whole if it can; the oldest tokens of the context go first."""
        fixed = [*self.middle], [*self.closing, self.end]
        room = limit - len(self.opening) - sum(map(len, fixed))
        tokens = self.to_tokens(query)[: max(room, 0)]
        turns = [token for turn in context for token in (*self.to_tokens(turn), *self.joiner)]
        turns = turns[max(0, len(turns) - (room - len(tokens))) :]
        return [*self.opening, *turns, *fixed[0], *tokens, *fixed[1]]

    def target(self, text: str, limit: int) -> list[int]:
        """At most `limit` token ids, end token last."""
        return [*self.to_tokens(text)[: limit - 1], self.end]


def unigram_codec(tokenizer: Any) -> Codec:
    """The codec of a tokenizer that `train_unigram` made: turns apart by their own token."""
    tokenizer.encode_special_tokens = True
    return Codec(
        to_tokens=lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids),
        to_text=lambda tokens: str(tokenizer.decode(list(tokens), skip_special_tokens=True)),
        end=END_ID,
        joiner=(tokenizer.token_to_id(TURN),),
    )


def train_unigram(texts: Iterable[str], size: int) -> Any:
    """A `tokenizers.Tokenizer` (unigram language model, Kudo 2018, https://arxiv.org/abs/1804.10959).

    `size` is the vocabulary with the special tokens; few texts give less. Space runs count as one, control characters
    as none. All printable ASCII is in the vocabulary; anything else that the texts lack becomes `<unk>`.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        unk_token=UNKNOWN,
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
