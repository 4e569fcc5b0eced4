"""A COCO instances file, read and checked field by field: whatever comes out can be scored without looking again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from benchgate.core import DataError
from benchgate.storage.reading import parse_object, read_bytes

# instances_train2017.json, the largest of COCO's own, has 448 MB.
MAX_BYTES = 1 << 29
AGAIN = "expected a COCO instances file"
SIZE_LIMIT = 1 << 16
ID_LIMIT = 1 << 62


def read_annotations(source: Path) -> dict[str, Any]:
    """Return the document of a COCO instances file. Raises DataError naming the file and the first wrong entry."""
    document = parse_object(read_bytes(source, AGAIN, MAX_BYTES), f"annotations {source}", AGAIN)
    for key, fields in FIELDS.items():
        if not isinstance(document.get(key), list):
            raise DataError(f"annotations {source}: no list {key!r}; {AGAIN}")
        for number, entry in enumerate(document[key]):
            if problem := _problem(entry, fields):
                raise DataError(f"annotations {source}: {key}[{number}] {problem}")
    for key in ("images", "categories"):
        seen: set[int] = set()
        for entry in document[key]:
            if entry["id"] in seen:
                raise DataError(f"annotations {source}: {key}: id {entry['id']} comes twice; each needs its own")
            seen.add(entry["id"])
    return document


def _problem(entry: Any, fields: Mapping[str, tuple[Callable[[Any], bool], str]]) -> str | None:
    if not isinstance(entry, dict):
        return f"is {type(entry).__name__}, not an object"
    if missing := fields.keys() - entry.keys():
        return f"lacks {', '.join(sorted(missing))}"
    if entry.get("iscrowd", 0) not in (0, 1):
        return "iscrowd: is neither 0 nor 1"
    wrong = next((name for name, (fits, _) in fields.items() if not fits(entry[name])), None)
    return None if wrong is None else f"{wrong}: {_short(entry[wrong])} is not {fields[wrong][1]}"


def _short(value: Any) -> str:
    # Python refuses to write an integer of thousands of digits.
    return repr(value)[:60] if not isinstance(value, int) or abs(value) < ID_LIMIT else "a huge number"


def is_number(value: Any) -> bool:
    """True for a finite number that a float holds; False for True, NaN and 10**400."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < ID_LIMIT if isinstance(value, int) else math.isfinite(value)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and is_number(value)


def _is_size(value: Any) -> bool:
    return _is_id(value) and 0 < value <= SIZE_LIMIT


def _is_inside(value: Any) -> bool:
    if not isinstance(value, str) or not value.isprintable():
        return False
    path = PurePosixPath(value.replace("\\", "/"))
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


ID = (_is_id, "a whole number")
FIELDS: Mapping[str, Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "images": {
        "id": ID,
        "file_name": (_is_inside, "the name of a file inside the image folder"),
        "width": (_is_size, f"a number of pixels from 1 to {SIZE_LIMIT:,}"),
        "height": (_is_size, f"a number of pixels from 1 to {SIZE_LIMIT:,}"),
    },
    "annotations": {
        "id": ID,
        "image_id": ID,
        "category_id": ID,
        # Four numbers or not decides whether its image is scored, see `load_coco`.
        "bbox": (lambda value: isinstance(value, list), "a list of four numbers"),
        "area": (is_number, "a number"),
    },
    "categories": {"id": ID},
}
