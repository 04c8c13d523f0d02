"""The native half of flyweight. Not a public interface: use the package."""



version: str = '0.1.0'

def compress(data: memoryview, dtype: str, shape: list[int], threads: int, level: int = 1) -> bytes:
    """An archive of one unnamed tensor. An empty shape means one dimension."""

def compress_file_to_bytes(file: memoryview, file_name: bytes, threads: int, level: int = 1) -> bytes:
    """An archive of a file that is in memory."""

def compress_file_to_descriptor(file: memoryview, file_name: bytes, descriptor: int, path: bytes, threads: int, level: int = 1) -> None:
    """
    Writes the archive of a file that is in memory to an open descriptor; path only names it in errors.
    """

def dtypes() -> list[tuple[str, int]]:
    """Name and bits of every dtype."""

def dtype_name(name: str) -> str | None:
    """The dtype's name for any of its aliases."""

def compress_paths(sources: list[bytes], target: bytes, bases: list[bytes], level: int, threads: int, overwrite: bool, lossy_delta: str = '') -> dict[str, int]:
    """
    Compresses files or directories into one archive; with bases, what changed against them.
    """

def list_archive(path: bytes) -> dict[str, object]:
    """
    What an archive's index says of it, of what it stands on and of its tensors.
    """

def decompress_path(source: bytes, target: bytes, bases: list[bytes], threads: int, overwrite: bool) -> dict[str, int]:
    """Restores what an archive holds."""

def apply_patches(base: bytes, patches: list[bytes], target: bytes, threads: int, overwrite: bool) -> dict[str, int]:
    """Restores what the last patch gives."""

def verify(path: bytes, threads: int, bases: list[bytes] = []) -> dict[str, int]:
    """Decodes an archive wholly and checks everything that can be checked."""

def identity(paths: list[bytes], threads: int) -> str:
    """The identity of a model, or of what patches on it give."""

def diff(base: bytes, variant: bytes, threads: int, tensors: list[bytes]) -> dict[str, object]:
    """What differs between two models."""

def scan(path: bytes, threads: int) -> dict[str, object]:
    """How small each level would make a file or a directory, and why."""

class Archive:
    """
    An archive in a file or in memory. Any number of threads may decode from it.
    """

    @staticmethod
    def from_path(path: bytes, bases: list[bytes] = []) -> Archive:
        """Opens an archive; a patch with the base and the patches it stands on."""

    @staticmethod
    def from_bytes(data: memoryview) -> Archive: ...

    @property
    def file_name(self) -> str: ...

    @property
    def container_format(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def is_tree(self) -> bool: ...

    @property
    def file_bytes(self) -> int: ...

    @property
    def archive_bytes(self) -> int: ...

    def damage(self) -> list[str]: ...

    def extents(self) -> list[tuple[bool, str, str, tuple[int, ...], int, int]]:
        """
        (is_tensor, name, dtype, shape, decoded bytes, stored bytes) of each extent, in file order.
        """

    def file_names(self) -> list[str]:
        """The names of the files; in a tree the paths of its entries."""

    def extent_files(self) -> list[int]:
        """The number of the file that each extent belongs to."""

    def extent_origins(self) -> list[tuple[str, str, str]]:
        """
        (kind, name in the base, digest) of each extent; kind is "", "same" or "patch".
        """

    @property
    def base(self) -> tuple[str, str, int] | None:
        """Name, identity and number of parts of what a patch stands on."""

    @property
    def identity(self) -> str: ...

    def decode_extent(self, extent_index: int, begin: int, target: memoryview, threads: int) -> None:
        """Fills target from byte `begin` of an extent."""

    def decode_into(self, target: memoryview, threads: int) -> None:
        """Fills target with the whole file."""

    def decode(self, threads: int) -> bytes:
        """The whole file."""

def xor_delta(current: memoryview, base: memoryview, level: int) -> bytes:
    """One zstd frame of current ^ base."""

def overwrite_delta(current: memoryview, base: memoryview, level: int) -> bytes:
    """One zstd frame of the bytes that changed, and where."""

def apply_xor(frame: memoryview, target: memoryview) -> None:
    """
    target ^= the frame's content. Doing it again undoes it; after an error target is as it was.
    """

class OverwriteUndo:
    """What undoes apply_overwrite."""

    def undo(self, target: memoryview) -> None: ...

def apply_overwrite(frame: memoryview, target: memoryview) -> OverwriteUndo:
    """
    Puts the changed bytes into target. After an error target is as it was.
    """

def equal(left: memoryview, right: memoryview) -> bool:
    """Whether both hold the same bytes."""

def wide_checksum(data: memoryview) -> bytes:
    """XXH3 with 128 bits, in the order of its text."""

def make_patch(tensors: list[tuple[bytes, str, tuple[int, ...], memoryview]], base: list[tuple[bytes, str, tuple[int, ...], memoryview]], name: bytes, base_name: bytes, threads: int, level: int) -> bytes:
    """
    The patch that makes tensors, (name, dtype, shape, bytes), from those of base.
    """

class TensorPatch:
    """A patch of tensors in memory."""

    def __init__(self, data: memoryview): ...

    @property
    def name(self) -> str: ...

    @property
    def base_name(self) -> str: ...

    def tensors(self) -> list[tuple[str, str, tuple[int, ...], int, int, bool, str, tuple[int, ...], int, bool]]:
        """
        (name, dtype, shape, bytes, stored bytes, needs base, base dtype, base shape, base bytes, can be done in place) of each tensor.
        """

    def apply(self, targets: list[tuple[bytes, str, tuple[int, ...], memoryview]], threads: int, idempotent: bool, check_first: bool, check_result: bool, only_targets: bool) -> tuple[int, int, int]:
        """
        Changes targets in place. Returns how many chunks there are, were written, were done before.
        """

    def decode(self, index: int, base: memoryview, target: memoryview, threads: int) -> None:
        """Fills target with a tensor, made from base."""
