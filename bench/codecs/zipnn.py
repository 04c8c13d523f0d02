"""ZipNN: byte groups, each coded with Huffman, in a thread of its own: only process CPU time is fair to it."""

import numpy as np
import zipnn

from bench.codecs.base import Codec
from bench.corpus import Case

# The few integers among the tensors are taken for floats of the case's dtype: still lossless.
DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


class ZipNN(Codec):
    """`per_tensor` compresses each tensor on its own, otherwise the whole payload at once."""

    def __init__(self, per_tensor: bool) -> None:
        super().__init__()
        self.per_tensor = per_tensor

    def setup(self, case: Case) -> None:
        super().setup(case)
        dtype = DTYPES[case.dtype]
        self.compressor = zipnn.ZipNN(input_format="byte", bytearray_dtype=dtype, threads=1)
        self.spans = (
            [span for span in case.spans() if span[1] > span[0]] if self.per_tensor else [(0, case.payload.nbytes)]
        )
        self.output: list = []
        self.inputs: list[memoryview] = []
        self.work = np.empty_like(case.payload)

    def before_encode(self) -> None:
        # ZipNN reorders the bits of its input in place, so it gets a fresh copy each time.
        np.copyto(self.work, self.case.payload)
        view = memoryview(self.work)
        self.inputs = [view[begin:end] for begin, end in self.spans]
        self.blobs: list[bytes] = []

    def encode(self) -> None:
        self.blobs = [self.compressor.compress(data) for data in self.inputs]

    def encoded(self) -> list[bytes]:
        return self.blobs

    def before_decode(self) -> None:
        self.output = []

    def decode(self) -> None:
        self.output = [self.compressor.decompress(blob) for blob in self.blobs]

    def restored(self) -> np.ndarray:
        return np.concatenate([np.frombuffer(part, dtype=np.uint8) for part in self.output])

    def describe(self) -> str:
        return "one thread, " + ("tensor by tensor" if self.per_tensor else "the whole payload at once")


def make(per_tensor: bool) -> ZipNN:
    return ZipNN(per_tensor)
