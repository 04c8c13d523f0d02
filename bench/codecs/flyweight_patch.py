"""flyweight's patches of tensors in memory, from the checkpoint at step 0 of the case's run."""

from __future__ import annotations

import numpy as np

import flyweight
from bench import corpus
from bench.codecs.base import IntoBuffer
from bench.corpus import Case
from flyweight import _core


def base_of(case: Case) -> Case:
    """The first checkpoint of the run whose later one `case` is."""
    dtype = case.name.rsplit(".", 1)[1]
    run = case.path.parent
    return corpus.load_case(run, f"0.{dtype}")


class FlyweightPatch(IntoBuffer):
    """Out of place each tensor is decoded from the base into the buffer; in place the buffer holds the base before."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place

    def setup(self, case: Case) -> None:
        super().setup(case)
        self.base = base_of(case)
        self.base_state = _state(self.base, self.base.payload)
        self.state = _state(case, case.payload)
        self.target_state = _state(case, self.target)
        self.blob = b""

    def encode(self) -> None:
        self.blob = flyweight.make_patch(self.state, self.base_state, threads=1)

    def encoded(self) -> list[bytes]:
        return [self.blob]

    def before_decode(self) -> None:
        if self.in_place:
            np.copyto(self.target, self.base.payload)
        else:
            super().before_decode()

    def decode(self) -> None:
        if self.in_place:
            flyweight.apply_patch_(self.target_state, self.blob, threads=1)
            return
        patch = _core.TensorPatch(memoryview(self.blob))
        for number, (name, _, _, _, _, needs_base, *_) in enumerate(patch.tensors()):
            base = memoryview(self.base_state[name].reshape(-1).view(np.uint8) if needs_base else b"")
            target = memoryview(self.target_state[name].reshape(-1).view(np.uint8))
            patch.decode(number, base, target, 1)

    def describe(self) -> str:
        return "balanced, XXH3 of base and result verified"


def _state(case: Case, payload: np.ndarray) -> dict[str, np.ndarray]:
    import ml_dtypes

    dtypes = {"BF16": ml_dtypes.bfloat16, "F16": np.float16, "F32": np.float32, "I64": np.int64}
    return {
        tensor.name: payload[begin:end].view(dtypes[tensor.dtype]).reshape(tensor.shape)
        for tensor, (begin, end) in zip(case.tensors, case.spans(), strict=True)
    }


def make(in_place: bool) -> FlyweightPatch:
    return FlyweightPatch(in_place)
