"""An asset to fetch, with the right pins."""

from __future__ import annotations

import hashlib

from benchgate.storage.assets import Asset

CONTENT = bytes(range(256)) * 100
MEMBER = "spam_lm/model.bin"


def asset(source, content=CONTENT, **fields) -> Asset:
    pins = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    return Asset("spam", source, **{**pins, "licence": "MIT", **fields})
