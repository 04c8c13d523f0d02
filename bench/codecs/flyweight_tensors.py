"""flyweight over buffers: `flyweight.compress` and `flyweight.decompress(out=)` for each tensor, checksums verified."""

import flyweight
from bench.codecs.base import IntoBuffer
from bench.corpus import Case


class FlyweightTensors(IntoBuffer):
    def setup(self, case: Case) -> None:
        super().setup(case)
        self.targets = [self.target[begin:end] for begin, end in case.spans()]
        self.blobs: list[bytes] = []

    def encode(self) -> None:
        self.blobs = [
            flyweight.compress(tensor.data, dtype=tensor.dtype, shape=tensor.shape, threads=1)
            for tensor in self.case.tensors
        ]

    def encoded(self) -> list[bytes]:
        return self.blobs

    def decode(self) -> None:
        for blob, target in zip(self.blobs, self.targets, strict=True):
            flyweight.decompress(blob, out=target, threads=1)

    def describe(self) -> str:
        return "balanced, a call a tensor, XXH3 verified"


def make() -> FlyweightTensors:
    return FlyweightTensors()
