"""transformers' own `generate()` as a runtime, so that the cost of its loop is measured and not guessed."""

from __future__ import annotations

from benchgate.core import runtimes
from benchgate.runtimes.torch.runtime import TorchRuntime

# The modules of `torch`, eager, with the decoding loop of transformers: sessions of its own and no others.
runtimes.add(TorchRuntime("torch-generate", sessions_of="torch-generate"))
