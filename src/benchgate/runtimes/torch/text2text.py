"""The text2text protocol on a `Seq2SeqModule`: eager, compiled or traced, they all have `begin` and `step`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from benchgate.core.arrays import np
from benchgate.runtimes.torch.runtime import TorchSession
from benchgate.tasks.text2text import decoding
from benchgate.tasks.text2text.task import State, Text2TextModel


class TorchDecoding:
    """One batch. Only tokens and logits leave the device."""

    def __init__(self, module: Any, device: str, memory: State, cache: State) -> None:
        self._module, self._device, self._memory, self._cache = module, device, memory, cache

    def step(self, tokens: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            ids = torch.from_numpy(tokens).to(self._device)
            logits, self._cache = self._module.step(ids, self._memory, self._cache)
            found: np.ndarray = logits.float().cpu().numpy()
            return found

    def reorder(self, rows: np.ndarray) -> None:
        import torch

        with torch.inference_mode():
            chosen = torch.from_numpy(rows).to(self._device)
            self._memory = tuple(part.index_select(0, chosen) for part in self._memory)
            self._cache = tuple(part.index_select(0, chosen) for part in self._cache)


class TorchStepper:
    """A module on a device, to be decoded with."""

    def __init__(self, module: Any, device: str) -> None:
        self.module, self.device = module, device

    def begin(self, source: np.ndarray, mask: np.ndarray) -> TorchDecoding:
        import torch

        with torch.inference_mode():
            parts = (torch.from_numpy(part).to(self.device) for part in (source, mask))
            return TorchDecoding(self.module, self.device, *self.module.begin(*parts))


class TorchText2TextSession(TorchSession):
    """Eager or compiled. Compiled, `kernel["graphs"]` counts the graphs that were compiled until now: a new length or
    batch may need another one, and a call that compiles takes seconds."""

    compiled_functions: ClassVar[Sequence[str]] = ("begin", "step")

    def __init__(self, module: Any, device: str, kernel: Mapping[str, Any], model: Text2TextModel) -> None:
        super().__init__(module, device, kernel, model)
        self.limits = decoding.FixedLimits.of(model)
        self.stepper = TorchStepper(module, device)

    def __call__(self, inputs: Sequence[Sequence[int]]) -> list[list[int]]:
        return self.generate(inputs, self.limits.max_target)

    def generate(self, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1) -> list[list[int]]:
        found = decoding.generate(self.stepper, self.limits, sources, max_new_tokens, beams)
        if self.kernel.get("compiled"):
            self.kernel["graphs"] = _graphs()
        return found

    def close(self) -> None:
        del self.stepper
        super().close()


def _graphs() -> int:
    """How many graphs torch.compile has made since its counters were cleared, at load."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


class TorchGenerateSession(TorchText2TextSession):
    """transformers' own `generate()`, with the same search, to measure what its loop costs over ours."""

    def generate(self, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1) -> list[list[int]]:
        import torch

        decoding.check(self.limits, sources, max_new_tokens, beams)
        if not sources:
            return []
        source, mask = (torch.from_numpy(part).to(self.device) for part in decoding.pad(sources, self.limits.pad_token))
        with torch.inference_mode():
            found = self.module.t5.generate(
                input_ids=source, attention_mask=mask, generation_config=self._config(max_new_tokens, beams)
            )
        return [self._answer(row) for row in found[:, 1:].tolist()]

    def _config(self, max_new_tokens: int, beams: int) -> Any:
        """The search that `benchgate.tasks.text2text.decoding` describes."""
        from transformers import GenerationConfig

        return GenerationConfig(
            max_new_tokens=max_new_tokens, num_beams=beams, do_sample=False, early_stopping=beams > 1,
            decoder_start_token_id=self.limits.start_token, eos_token_id=self.limits.end_token,
            pad_token_id=self.limits.pad_token,
        )  # fmt: skip

    def _answer(self, row: list[int]) -> list[int]:
        """Until the end token; padding follows it."""
        return row[: row.index(self.limits.end_token)] if self.limits.end_token in row else row
