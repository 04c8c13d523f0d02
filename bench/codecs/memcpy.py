"""A plain copy: what the memory of the machine allows."""

import numpy as np

from bench.codecs.base import IntoBuffer
from bench.corpus import Case


class Memcpy(IntoBuffer):
    def setup(self, case: Case) -> None:
        super().setup(case)
        self.copy = np.zeros_like(case.payload)

    def encode(self) -> None:
        np.copyto(self.copy, self.case.payload)

    def encoded(self) -> list[bytes]:
        return [self.copy.tobytes()]

    def decode(self) -> None:
        np.copyto(self.target, self.copy)

    def describe(self) -> str:
        return "copy into a warm buffer"


def make() -> Memcpy:
    return Memcpy()
