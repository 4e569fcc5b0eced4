"""Attention heads and MLP channels of the architectures known here: where their weights are, and how they go.

A *part* is one attention or one MLP, made of units (heads, channels) that can be removed; a group of parts loses the
same units in all. An architecture is a row of a table: names of layers and of the attribute that has a head's width.
All of it works on tensors without values (device meta) too. Imports torch only inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Layers of Sequential between two linear ones that do to each channel the same, whatever the others are.
ELEMENTWISE = ("ReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "ELU", "LeakyReLU", "Hardswish", "Dropout", "Identity")


@dataclass(frozen=True)
class Side:
    """A weight of which unit i has `width` rows (of dimension 0) or columns (of dimension 1) in each of `blocks`.

    More than one block: layers that are one matrix, as keys and values in one projection.
    """

    layer: Any
    dimension: int
    width: int
    blocks: int = 1

    @property
    def units(self) -> int:
        return int(self.layer.weight.shape[self.dimension]) // (self.width * self.blocks)

    def energy(self) -> Any:
        """Sum of squares of each unit's weights, [units]."""
        weight = self.layer.weight.detach().transpose(0, self.dimension)
        return weight.reshape(self.blocks, self.units, self.width, -1).float().square().sum((0, 2, 3))

    def keep(self, units: Any) -> None:
        """Leave only these units in the layer, int64, in order."""
        import torch
        from torch import nn

        size = self.layer.weight.shape[self.dimension]
        places = torch.arange(size, device=units.device).view(self.blocks, self.units, self.width)
        chosen = places.index_select(1, units).flatten().to(self.layer.weight.device)
        self.layer.weight = nn.Parameter(self.layer.weight.detach().index_select(self.dimension, chosen).contiguous())
        if isinstance(self.layer, nn.Embedding):
            self.layer.embedding_dim = len(chosen)
        elif self.dimension == 1:
            self.layer.in_features = len(chosen)
        else:
            self.layer.out_features = len(chosen)
            if self.layer.bias is not None:
                self.layer.bias = nn.Parameter(self.layer.bias.detach().index_select(0, chosen))


@dataclass(frozen=True)
class Part:
    """One attention or MLP: `unit` is the word for its units, `module` what has attributes that say their number."""

    name: str
    unit: str
    module: Any
    sides: tuple[Side, ...]
    counts: Mapping[str, int]

    @property
    def units(self) -> int:
        return self.sides[0].units

    def energy(self) -> Any:
        """Sum of squares of each unit's weights in all sides, [units]."""
        return sum(side.energy() for side in self.sides)

    def keep(self, units: Any) -> None:
        """Leave only these units, and have the module's own counts say so."""
        for side in self.sides:
            side.keep(units)
        for attribute, each in self.counts.items():
            setattr(self.module, attribute, each * len(units))


@dataclass(frozen=True)
class Attention:
    """Names in an attention module: `into` are projections to heads, with their number of blocks; `out` reads them.

    `shared` is the projection with the fewest heads, of which each is used by some of the others. The attributes
    `width` and `count` have the width and the number of heads, `inner` their product; "" where there is none, but of
    the first two there is one.
    """

    into: Mapping[str, int]
    out: str
    shared: str
    width: str = ""
    count: str = ""
    inner: str = ""

    @property
    def attributes(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.width, self.count, self.inner)))

    @property
    def layers(self) -> tuple[str, ...]:
        return (*self.into, self.out)

    def part(self, name: str, module: Any) -> Part:
        out = getattr(module, self.out)
        width = getattr(module, self.width) if self.width else out.in_features // getattr(module, self.count)
        units = Side(getattr(module, self.shared), 0, width, self.into[self.shared]).units
        sides = [
            Side(layer, 0, layer.out_features // (units * blocks), blocks)
            for layer, blocks in ((getattr(module, into), blocks) for into, blocks in self.into.items())
        ]
        sides.append(Side(out, 1, out.in_features // units))
        counts = {name: each for name, each in ((self.count, 1), (self.inner, width)) if name}
        return Part(name, "heads", module, tuple(sides), counts)


@dataclass(frozen=True)
class MLP:
    """Names in an MLP: each channel is a row of each of `into` and a column of `out`."""

    into: tuple[str, ...]
    out: str
    attributes: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        return (*self.into, self.out)

    def part(self, name: str, module: Any) -> Part:
        into = [getattr(module, layer) for layer in self.into]
        return _channels(name, into, getattr(module, self.out))


T5_ATTENTION = Attention({"q": 1, "k": 1, "v": 1}, "o", "k", "key_value_proj_dim", "n_heads", "inner_dim")
KNOWN: Sequence[Attention | MLP] = (
    # transformers: Llama and what is made like it (SmolLM2, Mistral, Qwen2, ...)
    Attention({"q_proj": 1, "k_proj": 1, "v_proj": 1}, "o_proj", "k_proj", width="head_dim"),
    MLP(("gate_proj", "up_proj"), "down_proj"),
    T5_ATTENTION,
    MLP(("wi_0", "wi_1"), "wo"),
    MLP(("wi",), "wo"),
    # fixtures/seq2seq/transformer.py and fixtures/decoder_module.py
    Attention({"query": 1, "key_value": 2}, "out", "key_value", count="heads"),
    Attention({"query": 1, "key": 1, "value": 1}, "out", "key", count="heads"),
    MLP(("gate", "up"), "down"),
)
# Attributes of a transformers configuration -> the layer they count, and the attribute of the width of one.
COUNTED = {
    "num_attention_heads": ("q_proj", "head_dim"),
    "num_key_value_heads": ("k_proj", "head_dim"),
    "intermediate_size": ("gate_proj", ""),
    "num_heads": ("q", "key_value_proj_dim"),
    "d_ff": ("wo", ""),
}


def parts_of(module: Any) -> list[list[Part]]:
    """Return the parts of the module, in groups that lose the same units."""
    groups: dict[str, list[Part]] = {}
    for name, inner in module.named_modules():
        for key, part in _parts_in(name, inner):
            groups.setdefault(key, []).append(part)
    return list(groups.values())


def _parts_in(name: str, module: Any) -> Iterator[tuple[str, Part]]:
    """(key of its group, part) of what is directly in `module`."""
    from torch import nn

    for known in KNOWN:
        linear = all(isinstance(getattr(module, layer, None), nn.Linear) for layer in known.layers)
        if linear and all(hasattr(module, attribute) for attribute in known.attributes):
            part = known.part(name, module)
            if known is T5_ATTENTION:
                yield from _of_t5(part)
            else:
                yield name, part
            return
    if isinstance(module, nn.Sequential):
        yield from _in_sequence(name, list(module))


def _of_t5(part: Part) -> Iterator[tuple[str, Part]]:
    """In a stack of T5 the first self-attention has the position bias of all: head i of each goes with column i."""
    stack, _, inside = part.name.partition(".block.")
    if not inside.endswith("SelfAttention"):
        yield part.name, part
        return
    table = getattr(part.module, "relative_attention_bias", None)
    yield stack, part
    if table is not None:
        yield stack, Part(part.name, part.unit, part.module, (Side(table, 1, 1),), {})


def _in_sequence(name: str, layers: Sequence[Any]) -> Iterator[tuple[str, Part]]:
    """Channels between two linear layers of a Sequential that have only elementwise layers between them."""
    from torch import nn

    elementwise = tuple(getattr(nn, kind) for kind in ELEMENTWISE)
    before = None
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.Linear):
            if before is not None:
                yield f"{name}.{place}", _channels(f"{name}.{place}".lstrip("."), [before], layer)
            before = layer
        elif not isinstance(layer, elementwise):
            before = None


def _channels(name: str, into: Sequence[Any], out: Any) -> Part:
    return Part(name, "channels", out, (*(Side(layer, 0, 1) for layer in into), Side(out, 1, 1)), {})


def tell(module: Any) -> None:
    """Have the module's configurations say its new counts: exporters to other formats read them there."""
    from torch import nn

    counts = {}
    for inner in module.modules():
        for attribute, (layer, width) in COUNTED.items():
            found = getattr(inner, layer, None)
            if isinstance(found, nn.Linear) and (not width or hasattr(inner, width)):
                size = found.in_features if layer == "wo" else found.out_features
                counts[attribute] = size // (getattr(inner, width) if width else 1)
    for config in (getattr(inner, "config", None) for inner in module.modules()):
        for attribute, count in counts.items():
            if hasattr(config, attribute):
                setattr(config, attribute, count)
