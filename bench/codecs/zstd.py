"""zstd over the payload in one frame, content checksum on."""

import numpy as np
import zstandard

from bench.codecs.base import Codec
from bench.corpus import Case


class Zstd(Codec):
    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level

    def setup(self, case: Case) -> None:
        super().setup(case)
        self.compressor = zstandard.ZstdCompressor(level=self.level, write_checksum=True, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()
        self.blob = b""
        self.output = b""

    def encode(self) -> None:
        self.blob = self.compressor.compress(self.case.payload)

    def encoded(self) -> list[bytes]:
        return [self.blob]

    def before_decode(self) -> None:
        self.output = b""

    def decode(self) -> None:
        self.output = self.decompressor.decompress(self.blob)

    def restored(self) -> np.ndarray:
        return np.frombuffer(self.output, dtype=np.uint8)

    def describe(self) -> str:
        return f"level {self.level}, one frame, content checksum"


def make(level: int) -> Zstd:
    return Zstd(level)
