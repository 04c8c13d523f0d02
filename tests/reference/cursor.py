"""What every part of the decoder reads bytes with."""

import numpy as np
import xxhash
import zstandard


class FormatError(Exception):
    """The archive is damaged, is no archive, or needs a newer decoder."""


def must(condition, what):
    if not condition:
        raise FormatError(what)


def xxh3(*parts):
    state = xxhash.xxh3_64(seed=0)
    for part in parts:
        state.update(part)
    return state.intdigest()


def zstd_frame(data, size, window_limit=None):
    """Exactly one zstd frame that gives `size` bytes. Where no limit is set for its window it must declare its size."""
    try:
        parameters = zstandard.get_frame_parameters(bytes(data))
        undeclared = window_limit is not None and parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN
        must(undeclared or parameters.content_size == size, "a zstd frame of another size")
        must(window_limit is None or parameters.window_size <= window_limit, "a zstd frame with too large a window")
        decompressor = zstandard.ZstdDecompressor()
        result = decompressor.decompress(bytes(data), max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"zstd: {error}") from error
    must(len(result) == size, "a zstd frame of another size")
    return result


class Cursor:
    """Reads little-endian fields front to back."""

    def __init__(self, data):
        self.data = memoryview(data)
        self.position = 0

    def left(self):
        return len(self.data) - self.position

    def take(self, count):
        must(count <= self.left(), f"{count} bytes wanted, {self.left()} are left")
        self.position += count
        return self.data[self.position - count : self.position]

    def uint(self, width):
        return int.from_bytes(self.take(width), "little")

    def bytes_array(self, count):
        return np.frombuffer(self.take(count), dtype=np.uint8)

    def zeros(self, count, what):
        must(not any(self.take(count)), f"{what}: a reserved byte is not 0")

    def end(self, what):
        must(self.left() == 0, f"{what}: {self.left()} bytes too many")
