"""OpenZL with the graph that does best per dtype, in frames that start with a tensor.

Frames are of 256 Ki elements: its speed falls with larger ones. bf16: float deconstruction, sign and mantissa stored,
exponents entropy coded. fp16: byte planes, each entropy coded (its float deconstruction leaves fp16 larger). fp32: byte
planes with Huffman (fast), or deconstruction with FSE on every plane (small).
"""

import numpy as np
from openzl import ext as zl

from bench.codecs.base import IntoBuffer
from bench.corpus import Case

CHUNK_ELEMENTS = 1 << 18
NUMPY_DTYPES = {"BF16": np.uint16, "F16": np.uint16, "F32": np.uint32}


def _byte_planes(compressor: zl.Compressor, entropy: zl.graphs.Graph) -> zl.GraphID:
    planes = zl.nodes.TransposeSplit()(compressor, entropy)
    return zl.nodes.ConvertNumToStructLE()(compressor, planes)


def _graph(compressor: zl.Compressor, dtype: str, coder: str) -> zl.GraphID:
    entropy = zl.graphs.Fse() if coder == "fse" else zl.graphs.Huffman()
    if dtype == "BF16":
        return zl.nodes.BFloat16Deconstruct()(compressor, sign_frac=zl.graphs.Store(), exponent=entropy)
    if dtype == "F32" and coder == "fse":
        planes = zl.nodes.TransposeSplit()(compressor, entropy)
        return zl.nodes.Float32Deconstruct()(compressor, sign_frac=planes, exponent=entropy)
    return _byte_planes(compressor, entropy)


class OpenZL(IntoBuffer):
    def __init__(self, coder: str) -> None:
        super().__init__()
        self.coder = coder

    def setup(self, case: Case) -> None:
        super().setup(case)
        self.compressor = zl.Compressor()
        self.compressor.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
        self.compressor.select_starting_graph(_graph(self.compressor, case.dtype, self.coder))
        self.compress_context = zl.CCtx()
        self.compress_context.ref_compressor(self.compressor)
        self.compress_context.set_parameter(zl.CParam.StickyParameters, 1)
        self.decompress_context = zl.DCtx()
        self.sources, self.targets = self._chunks(case.payload), self._chunks(self.target)
        self.blobs: list[bytes] = []

    def encode(self) -> None:
        self.blobs = [self.compress_context.compress([zl.Input(zl.Type.Numeric, source)]) for source in self.sources]

    def encoded(self) -> list[bytes]:
        return self.blobs

    def decode(self) -> None:
        # The Python API has no output argument: a frame is decoded to a buffer that fits the cache, then copied.
        for blob, target in zip(self.blobs, self.targets, strict=True):
            np.copyto(target, self.decompress_context.decompress(blob)[0].content.as_nparray())

    def _chunks(self, payload: np.ndarray) -> list[np.ndarray]:
        # The few integers among the tensors are taken for floats: still lossless.
        numbers = payload.view(NUMPY_DTYPES[self.case.dtype])
        chunks = []
        for span in self.case.spans():
            begin, end = (offset // numbers.itemsize for offset in span)
            chunks += [numbers[at : min(at + CHUNK_ELEMENTS, end)] for at in range(begin, end, CHUNK_ELEMENTS)]
        return chunks

    def describe(self) -> str:
        graph = {
            ("BF16", "fse"): "bfloat16 deconstruct, store + FSE",
            ("BF16", "huffman"): "bfloat16 deconstruct, store + Huffman",
            ("F32", "fse"): "float32 deconstruct, planes + FSE",
        }.get((self.case.dtype, self.coder), f"byte planes + {'FSE' if self.coder == 'fse' else 'Huffman'}")
        return f"{graph}, frames of 256 Ki elements that start with a tensor"


def make(coder: str) -> OpenZL:
    return OpenZL(coder)
