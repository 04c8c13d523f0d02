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

def verify(path: bytes, threads: int) -> None:
    """Decodes an archive wholly and checks everything that can be checked."""

def dtypes() -> list[tuple[str, int]]:
    """Name and bits of every dtype."""

def dtype_name(name: str) -> str | None:
    """The dtype's name for any of its aliases."""

def scan(path: bytes, threads: int) -> dict[str, object]:
    """How small each level would make a file or a directory, and why."""

class Archive:
    """
    An archive in a file or in memory. Any number of threads may decode from it.
    """

    @staticmethod
    def from_path(path: bytes) -> Archive: ...

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

    def decode_extent(self, extent_index: int, begin: int, target: memoryview, threads: int) -> None:
        """Fills target from byte `begin` of an extent."""

    def decode_into(self, target: memoryview, threads: int) -> None:
        """Fills target with the whole file."""

    def decode(self, threads: int) -> bytes:
        """The whole file."""
