"""Blosc2 over the payload: zstd after its shuffle of bytes or of bits."""

import blosc2
import numpy as np

from bench.codecs.base import IntoBuffer
from bench.corpus import Case

TYPE_BYTES = {"BF16": 2, "F16": 2, "F32": 4}
FILTERS = {"shuffle": blosc2.Filter.SHUFFLE, "bitshuffle": blosc2.Filter.BITSHUFFLE}


class Blosc2(IntoBuffer):
    def __init__(self, shuffle: str, level: int) -> None:
        super().__init__()
        self.shuffle, self.level = shuffle, level

    def setup(self, case: Case) -> None:
        super().setup(case)
        self.blob = b""

    def encode(self) -> None:
        self.blob = blosc2.compress2(
            self.case.payload,
            codec=blosc2.Codec.ZSTD,
            clevel=self.level,
            filters=[FILTERS[self.shuffle]],
            filters_meta=[0],
            typesize=TYPE_BYTES[self.case.dtype],
            nthreads=1,
        )

    def encoded(self) -> list[bytes]:
        return [self.blob]

    def decode(self) -> None:
        blosc2.decompress2(self.blob, dst=self.target, nthreads=1)

    def restored(self) -> np.ndarray:
        return self.target

    def describe(self) -> str:
        return f"zstd after {self.shuffle}, level {self.level}, one thread"


def make(shuffle: str, level: int) -> Blosc2:
    return Blosc2(shuffle, level)
