"""transformers' own `generate()` as a runtime, so that the cost of its loop is measured and not guessed."""

from __future__ import annotations

from dataclasses import dataclass

from benchgate.core import Model, Scheme, runtimes
from benchgate.runtimes.torch.runtime import TorchRuntime
from benchgate.tasks.text2text.stepped import no_t5


@dataclass(frozen=True)
class TorchGenerateRuntime(TorchRuntime):
    """The modules of `torch`, eager, with the decoding loop of transformers."""

    name: str = "torch-generate"
    session: str = "benchgate.runtimes.torch.text2text:TorchGenerateSession"

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        return no_t5(model, self.name) or super().refuses(model, scheme)


runtimes.add(TorchGenerateRuntime)
