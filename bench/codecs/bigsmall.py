"""bigsmall: a container for a safetensors file, from file to file; its `group_streams` gives the smallest."""

import os
import tempfile
from pathlib import Path

import numpy as np

from bench.codecs.base import Codec
from bench.corpus import Case

# It asks the network for a newer version when it is imported, and starts processes of its own, unless told not to.
os.environ["BIGSMALL_DISABLE_VERSION_CHECK"] = "1"
os.environ["BIGSMALL_WORKERS"] = "1"
os.environ["TQDM_DISABLE"] = "1"

WARM_UP_ELEMENTS = 4096


def compress(source: Path, target: Path) -> None:
    import bigsmall

    with np.errstate(all="ignore"):
        bigsmall.compress(source, target, workers=1, progress=False, group_streams=True)


def decompress(source: Path) -> dict[str, np.ndarray]:
    import bigsmall

    return bigsmall.decompress(source, progress=False)


class BigSmall(Codec):
    def setup(self, case: Case) -> None:
        super().setup(case)
        self.folder = tempfile.TemporaryDirectory(prefix="flyweight-bench-")
        self.packed = Path(self.folder.name) / "case.bs"
        self.output: dict[str, np.ndarray] = {}
        self._warm_up()

    def _warm_up(self) -> None:
        """A small tensor first: its kernels are compiled when they are first called."""
        import torch
        from safetensors.torch import save_file

        dtype = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}[self.case.dtype]
        small, packed = Path(self.folder.name) / "small.safetensors", Path(self.folder.name) / "small.bs"
        values = torch.randn(WARM_UP_ELEMENTS, generator=torch.Generator().manual_seed(1)).reshape(64, -1)
        save_file({"weight": values.to(dtype)}, small)
        compress(small, packed)
        decompress(packed)

    def encode(self) -> None:
        compress(self.case.path, self.packed)

    def encoded(self) -> list[bytes]:
        return [self.packed.read_bytes()]

    def before_decode(self) -> None:
        self.output = {}

    def decode(self) -> None:
        self.output = decompress(self.packed)

    def restored(self) -> np.ndarray:
        parts = [np.ascontiguousarray(self.output[tensor.name]).reshape(-1) for tensor in self.case.tensors]
        return np.concatenate([part.view(np.uint8) for part in parts])

    def describe(self) -> str:
        return "group_streams, one process, from file to file in the page cache, its container counted"


def make() -> BigSmall:
    return BigSmall()
