"""Text to token ids and back for text2text models: how a conversation becomes one source, and what is cut to fit."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

PAD, END, UNKNOWN, TURN = "<pad>", "</s>", "<unk>", "<turn>"
# In the order of their ids. T5 begins to decode with the padding token; so do all models here.
SPECIAL = (PAD, END, UNKNOWN, TURN)
UNLIKELY = -1e4
PRINTABLE = "".join(map(chr, range(33, 127)))
PAD_ID, END_ID = SPECIAL.index(PAD), SPECIAL.index(END)


@dataclass(frozen=True)
class Codec:
    """A tokenizer and the form of its source: opening, each turn and `joiner`, middle, query, closing.

    `to_tokens` and `to_text` know no special tokens: a query that spells `</s>` is text, not an end. `end` is the last
    token of targets; a model whose sources end with it too has it in `closing`. `head` tokens of the conversation's
    beginning, which names its topic, are kept where something must go.
    """

    to_tokens: Callable[[str], list[int]]
    to_text: Callable[[Sequence[int]], str]
    end: int
    opening: Sequence[int] = ()
    joiner: Sequence[int] = ()
    middle: Sequence[int] = ()
    closing: Sequence[int] = ()
    head: int = 0

    def source(self, context: Sequence[str], query: str, limit: int) -> list[int]:
        """At most `limit` token ids. The query stays whole if it can; the oldest tokens of the context go first, but
        for `head` of them."""
        room = limit - len(self.opening) - len(self.middle) - len(self.closing)
        tokens = self.to_tokens(query)[: max(room, 0)]
        turns = [token for turn in context for token in (*self.to_tokens(turn), *self.joiner)]
        left = max(room - len(tokens), 0)
        head = min(self.head, left)
        if len(turns) > left:
            turns = turns[:head] + turns[len(turns) - (left - head) :]
        return [*self.opening, *turns, *self.middle, *tokens, *self.closing]

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
        closing=(END_ID,),
    )


def train_unigram(texts: Iterable[str], size: int) -> Any:
    """A `tokenizers.Tokenizer` (unigram language model, Kudo 2018, https://arxiv.org/abs/1804.10959).

    `size` is the vocabulary with the special tokens; few texts give less. Space runs count as one, control characters
    as none. All printable ASCII is in the vocabulary; anything else that the texts lack becomes `<unk>`.

    SentencePiece trains it: the same texts give the same pieces in the same order, which `tokenizers`' own trainer
    does not do, and without which a model's weights mean nothing.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.Unigram(_pieces(texts, size), unk_id=SPECIAL.index(UNKNOWN)))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def _pieces(texts: Iterable[str], size: int) -> list[tuple[str, float]]:
    """Pieces of words with their log probabilities, special tokens first and so improbable that no text becomes one."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=size,
        hard_vocab_limit=False,
        pad_id=PAD_ID,
        eos_id=END_ID,
        unk_id=SPECIAL.index(UNKNOWN),
        bos_id=-1,
        control_symbols=TURN,
        character_coverage=1.0,
        required_chars=PRINTABLE,
        shuffle_input_sentence=False,
        num_threads=1,
        minloglevel=2,
    )
    found = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scored = [(found.id_to_piece(i), found.get_score(i)) for i in range(found.get_piece_size())]
    return [(name, UNLIKELY) for name in SPECIAL] + scored[len(SPECIAL) :]
