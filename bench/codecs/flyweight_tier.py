"""flyweight at one level: encoding is a call a tensor, size and decoding are those of the archive of the whole file."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import flyweight
from bench.codecs.base import IntoBuffer
from bench.codecs.flyweight_archive import decode_extents
from bench.corpus import Case


def archive_at(path: Path, level: str) -> bytes:
    """What the command makes of the file at `level`."""
    command = [str(Path(sys.executable).with_name("flyweight")), "compress", "-q", "-f", "-T1", f"--{level}"]
    with tempfile.TemporaryDirectory(prefix="flyweight-bench-") as folder:
        target = Path(folder) / "case.fly"
        subprocess.run([*command, str(path), "-o", str(target)], check=True)
        return target.read_bytes()


class FlyweightTier(IntoBuffer):
    def __init__(self, level: str) -> None:
        super().__init__()
        self.level = level

    def setup(self, case: Case) -> None:
        super().setup(case)
        self.blobs: list[bytes] = []
        self.archive = b""

    def original(self) -> np.ndarray:
        return self.case.file

    def encode(self) -> None:
        self.blobs = [
            flyweight.compress(tensor.data, dtype=tensor.dtype, shape=tensor.shape, level=self.level, threads=1)
            for tensor in self.case.tensors
        ]

    def encoded(self) -> list[bytes]:
        # The same for every call, so it is made, and the tensors' blobs are verified, once.
        if not self.archive:
            self.archive = archive_at(self.case.path, self.level)
            for blob, tensor in zip(self.blobs, self.case.tensors, strict=True):
                if flyweight.decompress(blob, threads=1) != tensor.data.tobytes():
                    raise ValueError(f"{tensor.name} comes back with other bytes")
        return [self.archive]

    def decode(self) -> None:
        decode_extents(self.archive, self.target, 1)

    def describe(self) -> str:
        return f"{self.level}, encoding a call a tensor, decoding the whole file, XXH3 verified"


def make(level: str) -> FlyweightTier:
    return FlyweightTier(level)
