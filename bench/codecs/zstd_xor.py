"""zstd -1 over the XOR of two versions: what weights are sent with today."""

import numpy as np

from bench.codecs.base import IntoBuffer
from bench.codecs.flyweight_patch import base_of
from bench.corpus import Case


class ZstdXor(IntoBuffer):
    def setup(self, case: Case) -> None:
        import zstandard

        super().setup(case)
        self.base = base_of(case)
        self.compressor = zstandard.ZstdCompressor(level=1)
        self.decompressor = zstandard.ZstdDecompressor()
        self.blob = b""

    def encode(self) -> None:
        self.blob = self.compressor.compress(np.bitwise_xor(self.base.payload, self.case.payload))

    def encoded(self) -> list[bytes]:
        return [self.blob]

    def decode(self) -> None:
        xor = np.frombuffer(self.decompressor.decompress(self.blob), np.uint8)
        np.bitwise_xor(self.base.payload, xor, out=self.target)

    def describe(self) -> str:
        return "XOR of all bytes, zstd -1, unverified"


def make() -> ZstdXor:
    return ZstdXor()
