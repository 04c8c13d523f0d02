"""flyweight over a whole safetensors file in memory: what `flyweight compress` writes and what loading it decodes."""

import numpy as np

import flyweight
from bench.codecs.base import IntoBuffer
from bench.corpus import Case
from flyweight import _core


def archive_of(case: Case, thread_count: int) -> bytes:
    """The archive of the case's file; hashing included: SHA-256 of each tensor and of the file."""
    return _core.compress_file_to_bytes(memoryview(case.file), case.path.name.encode(), thread_count)


class FlyweightArchive(IntoBuffer):
    """With `sha256`, decoding checks the file's SHA-256 beside every chunk's XXH3, as `flyweight decompress` does.

    Without it every extent is decoded into its place, each chunk's XXH3 checked, as loading tensors does.
    """

    def __init__(self, sha256: bool) -> None:
        super().__init__()
        self.sha256 = sha256

    def setup(self, case: Case) -> None:
        super().setup(case)
        self.blob = b""

    def original(self) -> np.ndarray:
        return self.case.file

    def encode(self) -> None:
        self.blob = archive_of(self.case, 1)

    def encoded(self) -> list[bytes]:
        return [self.blob]

    def decode(self) -> None:
        if self.sha256:
            flyweight.decompress(self.blob, out=self.target, threads=1)
        else:
            decode_extents(self.blob, self.target, 1)

    def describe(self) -> str:
        return "balanced, whole file, XXH3 verified" + (", SHA-256 verified" if self.sha256 else "")


def decode_extents(archive_bytes: bytes, target: np.ndarray, thread_count: int) -> None:
    """Opens an archive and decodes all of its extents into `target`, which then holds the file."""
    archive = _core.Archive.from_bytes(memoryview(archive_bytes))
    view = memoryview(target)
    position = 0
    for number, (_, _, _, _, decoded_bytes, _) in enumerate(archive.extents()):
        if decoded_bytes:
            archive.decode_extent(number, 0, view[position : position + decoded_bytes], thread_count)
        position += decoded_bytes


def make(sha256: bool) -> FlyweightArchive:
    return FlyweightArchive(sha256)
