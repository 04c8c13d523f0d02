"""pcodec at its best setting per dtype: tensor by tensor, and bf16, which it has not, as 16-bit integers."""

import numpy as np
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, PagingSpec, standalone

from bench.codecs.base import IntoBuffer
from bench.corpus import Case

NUMPY_DTYPES = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32, "I64": np.int64}
PAGE_ELEMENTS = 1 << 18


class Pcodec(IntoBuffer):
    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level

    def setup(self, case: Case) -> None:
        super().setup(case)
        # Automatic modes find the quantised values in fp32; on 16 bits the classic mode gives the same bytes sooner.
        mode = ModeSpec.auto() if case.dtype == "F32" else ModeSpec.classic()
        self.config = ChunkConfig(
            compression_level=self.level,
            mode_spec=mode,
            delta_spec=DeltaSpec.auto(),
            paging_spec=PagingSpec.equal_pages_up_to(PAGE_ELEMENTS),
        )
        self.sources, self.targets = [], []
        for (begin, end), tensor in zip(case.spans(), case.tensors, strict=True):
            dtype = NUMPY_DTYPES[tensor.dtype]
            self.sources.append(tensor.data.view(dtype))
            self.targets.append(self.target[begin:end].view(dtype))
        self.blobs: list[bytes] = []

    def encode(self) -> None:
        self.blobs = [standalone.simple_compress(source, self.config) for source in self.sources]

    def encoded(self) -> list[bytes]:
        return self.blobs

    def decode(self) -> None:
        for blob, target in zip(self.blobs, self.targets, strict=True):
            standalone.simple_decompress_into(blob, target)

    def describe(self) -> str:
        mode = "automatic mode" if self.case.dtype == "F32" else "classic mode"
        dtype = np.dtype(NUMPY_DTYPES[self.case.dtype]).name
        return f"level {self.level}, tensor by tensor as {dtype}, {mode}, automatic delta, pages of 2^18"


def make(level: int) -> Pcodec:
    return Pcodec(level)
