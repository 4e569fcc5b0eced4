"""The model that `benchgate train` is to train: a registered model, or a new one from a base and files of rewrites."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, UnknownName, models
from benchgate.storage import cache
from benchgate.storage.whole import write_whole
from benchgate.tasks.text2text.conversations import split
from benchgate.tasks.text2text.rewrites import Rewrites, to_jsonl
from benchgate.trainer.finetuned import FineTuned
from benchgate.trainer.models import TrainedModel
from benchgate.trainer.recipe import PRECISIONS
from benchgate.trainer.train import Trainable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", metavar="MODEL", help="fine-tune this model (a name, folder or hub id) into MODEL")
    parser.add_argument(
        "--data", action="append", metavar="FILE", help="JSONL of rewrites, split by conversation; repeatable"
    )
    parser.add_argument("--lora", type=int, metavar="RANK", help="fine-tune by adapters of this rank (0: all weights)")
    parser.add_argument("--precision", choices=PRECISIONS, help="of the arithmetic of fine-tuning (default: bf16)")
    parser.add_argument(
        "--checkpointing", action="store_true", help="fine-tune in less memory, with activations computed twice"
    )


def names(arguments: argparse.Namespace) -> list[str]:
    """The models that were named and must be known; a new one is not yet."""
    named = (arguments.base or arguments.model, arguments.teacher)
    return [name for name in named if name is not None]


def trainable(arguments: argparse.Namespace) -> Trainable:
    """Raises BenchgateError for a model that is unknown, not trained here, or has data already."""
    name, base, files = arguments.model, arguments.base, arguments.data
    if base is None and files is None:
        return _known(name)
    if base is None or files is None:
        raise BenchgateError(f"{name}: --base MODEL and --data FILE belong together; name both")
    if name in models:
        raise BenchgateError(f"{name} is registered, with data of its own; choose another name for what --base makes")
    if "/" in name or Path(name).exists():
        raise BenchgateError(f"{name} names a place; choose a name for the new model, as my-rewriter")
    return FineTuned(name, _with_folder(base), data=functools.partial(split, tuple(map(str, files))))


def teacher(name: str) -> TrainedModel:
    """Raises BenchgateError for a model that is unknown, or not one of those that are trained here from nothing."""
    model = models[name]
    if isinstance(model, TrainedModel):
        return model
    raise _not_here(model.name, TrainedModel)


def held_out(model: Trainable) -> Rewrites | None:
    """The examples that a fine-tuned model will not have seen; None for others, whose data have a name.

    Asked before training. Raises DataError where there are none: an hour's model that nothing can be said of.
    """
    return model.data("test") if isinstance(model, FineTuned) and model.data is not None else None


def write_held_out(tested: Rewrites | None, out: Path) -> Iterator[Path]:
    """The path of a file with these examples, written beside the curve."""
    if tested is None:
        return
    path = out / "test.jsonl"
    with cache.explained(path):
        write_whole(path, to_jsonl(tested.items).decode())
    yield path


def _known(name: str) -> Trainable:
    model = models[name]
    if isinstance(model, (TrainedModel, FineTuned)):
        return model
    raise _not_here(model.name, (TrainedModel, FineTuned))


def _not_here(name: str, kinds: Any) -> BenchgateError:
    known = [found.name for found in models.values() if isinstance(found, kinds)]
    return BenchgateError(f"{name} is not trained here; models that are: {', '.join(known) or 'none'}")


def _with_folder(name: str) -> Any:
    try:
        base = models[name]
    except UnknownName as error:
        hub = "HuggingFaceTB/SmolLM2-135M"
        raise UnknownName(f"--base: {error}; a folder that is there or an id of the hub, as {hub}, will do") from None
    if not hasattr(base, "folder"):
        raise BenchgateError(f"--base {name} is no model of a transformers folder; name one, or the folder itself")
    return base
