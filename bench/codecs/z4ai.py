"""z4ai over a whole safetensors file in memory, its default; what it has beyond that is below 2 MB/s."""

import numpy as np
import z4ai
from z4ai import safetensors

from bench.codecs.base import Codec
from bench.corpus import Case

WARM_UP_ELEMENTS = 1 << 18


class Z4ai(Codec):
    def setup(self, case: Case) -> None:
        super().setup(case)
        self.source = case.file.tobytes()
        # Its coder is compiled by gcc when it is first needed, which is for values of few exponents as weights have.
        values = np.random.default_rng(1).standard_normal(WARM_UP_ELEMENTS).astype(np.float32)
        z4ai.compress(values.tobytes(), dtype="fp32", threads=1)
        self.blob = b""
        self.output = b""

    def original(self) -> np.ndarray:
        return self.case.file

    def encode(self) -> None:
        self.blob = safetensors.compress_bytes(self.source, threads=1, workers=1)

    def encoded(self) -> list[bytes]:
        return [self.blob]

    def before_decode(self) -> None:
        self.output = b""

    def decode(self) -> None:
        self.output = safetensors.decompress_bytes(self.blob, workers=1)

    def restored(self) -> np.ndarray:
        return np.frombuffer(self.output, dtype=np.uint8)

    def describe(self) -> str:
        return "default effort, one thread, the whole file, no checksum"


def make() -> Z4ai:
    return Z4ai()
