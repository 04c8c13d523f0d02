"""Section 2 of docs/format.md: records, and which decoder of section 3 each payload takes."""

from block_codecs import block_fields, block_side
from chunk_codecs import WINDOW_LIMIT, differences, float_fields, float_side, planes
from class_codecs import class_side, in_classes
from cursor import Cursor, must, xxh3, zstd_frame
from dtypes import BLOCK_TYPES, DTYPES
from lossy_codecs import BLOCKS, blocks, halves, lossy_side
from lossy_patch_codec import LOSSY_PATCH, expected_chunk, lossy_patch, lossy_patch_side
from mixed_codec import mixed
from patch_codecs import patch_chunk, patch_dense, patch_side
from quantised_codecs import PALETTE, SCALED, quantised


class Record:
    """2: one record, whole in memory. `chunks()` gives the decoded chunks, those of a patch from the whole `base`."""

    def __init__(self, data, check, base=None):
        self.base = base
        must(len(data) >= 40, "a record without a head")
        must(bytes(data[:4]) == b"FWR1", "a record without its magic")
        head_bytes = int.from_bytes(data[4:8], "little")
        must(40 <= head_bytes <= min(1 << 21, len(data)), "a record's head of impossible size")
        head = data[:head_bytes]
        must(xxh3(head[:-8]) == int.from_bytes(head[-8:], "little"), "a record's head does not have its checksum")
        cursor = Cursor(head[8:-8])
        dtype, transform = cursor.uint(2), cursor.uint(1)
        must(dtype < len(DTYPES), f"dtype {dtype} is unknown")
        name, bits = DTYPES[dtype]
        self.element_bytes = max(bits // 8, 1)
        cursor.zeros(1, "record")
        chunk_elements = cursor.uint(4)
        self.chunk_bytes = chunk_elements * self.element_bytes
        must(1 <= self.chunk_bytes <= 4 << 20, "a record's chunks are empty or over 4 MiB")
        self.decoded_bytes = cursor.uint(8)
        must(self.decoded_bytes % self.element_bytes == 0, "a record that does not end with an element")
        cursor.zeros(8, "record")
        must(transform <= 6, f"transform {transform} is unknown")
        self.dtype_name = name
        self.lossy = lossy_side(cursor.take(cursor.left()), name, chunk_elements) if transform == 2 else None
        self.side = float_side(cursor.take(cursor.left()), name) if transform == 1 else None
        self.classes = class_side(cursor.take(cursor.left()), name) if transform == 4 else None
        self.blocks = block_side(cursor.take(cursor.left()), name, BLOCK_TYPES) if transform == 3 else None
        element_count = self.decoded_bytes // self.element_bytes
        self.patch = self.lossy_patch = None
        if transform in (5, 6):
            self.patch = patch_side(cursor, name, self.element_bytes, element_count, DTYPES)
        if transform == 5:
            patch_dense(cursor, self.patch, name)
        if transform == 6:
            self.lossy_patch = lossy_patch_side(cursor, name)
        must((self.patch is None) == (base is None), "a patch without a base, or a base of what is none")
        cursor.end("record head")
        chunk_count = -(-self.decoded_bytes // self.chunk_bytes)
        must(chunk_count * 36 <= len(data) - head_bytes, "a record too small for its chunks")
        table = data[len(data) - 12 * chunk_count :]
        must(xxh3(head, table) == check, "a record's head or chunk table is not the one the index names")
        self.table = [
            (int.from_bytes(table[i : i + 4], "little"), int.from_bytes(table[i + 4 : i + 12], "little"))
            for i in range(0, len(table), 12)
        ]
        must(
            head_bytes + sum(entry[0] for entry in self.table) + len(table) == len(data),
            "a record whose parts do not add up",
        )
        self.frames = Cursor(data[head_bytes : len(data) - len(table)])

    def chunks(self):
        for index, (frame_bytes, decoded_hash) in enumerate(self.table):
            offset = index * self.chunk_bytes
            chunk_bytes = min(self.chunk_bytes, self.decoded_bytes - offset)
            chunk = self.decode_frame(self.frames.take(frame_bytes), decoded_hash, chunk_bytes, offset)
            must(len(chunk) == chunk_bytes and xxh3(chunk) == decoded_hash, f"chunk {index} does not have its checksum")
            yield chunk

    def decode_frame(self, frame, decoded_hash, chunk_bytes, offset):
        """2.2 and the table of 3."""
        cursor = Cursor(frame)
        payload_bytes, codec = cursor.uint(4), cursor.uint(1)
        cursor.zeros(3, "frame")
        must(cursor.uint(8) == decoded_hash, "a frame and the chunk table disagree")
        encoded_hash = cursor.uint(8)
        payload = cursor.take(payload_bytes)
        cursor.end("frame")
        must(payload_bytes <= chunk_bytes + 64, "a payload over its bound")
        must(
            encoded_hash == xxh3(frame[:16], xxh3(payload).to_bytes(8, "little")), "a frame does not have its checksum"
        )
        if self.patch is not None:
            return self.decode_patch(codec, payload, chunk_bytes // self.element_bytes, offset // self.element_bytes)
        if self.lossy is not None:
            return self.decode_lossy(codec, payload, chunk_bytes // self.element_bytes, offset // self.element_bytes)
        if codec == 5:
            return in_classes(payload, self.classes, self.dtype_name, chunk_bytes, offset)
        if codec in (PALETTE, SCALED):
            return quantised(codec, payload, self.dtype_name, self.element_bytes, chunk_bytes)
        if codec == 10:
            return differences(payload, self.element_bytes, chunk_bytes)
        if codec == 9:
            must(self.blocks is not None, "block fields in a record that has no blocks")
            return block_fields(payload, self.blocks, chunk_bytes, offset)
        if codec == 6:
            return mixed(payload, self.dtype_name, chunk_bytes)
        return decode_payload(codec, payload, self.element_bytes, self.side, chunk_bytes, offset)

    def decode_patch(self, codec, payload, element_count, first_element):
        """3.14"""
        if codec <= 3:
            return decode_payload(codec, payload, self.element_bytes, None, element_count * self.element_bytes, 0)
        if self.lossy_patch is not None and codec == LOSSY_PATCH:
            cursor = Cursor(payload)
            expected = expected_chunk(cursor, self.patch, self.base, self.element_bytes, first_element, element_count)
            rest = cursor.take(cursor.left())
            return lossy_patch(rest, self.lossy_patch, self.dtype_name, expected, first_element)
        return patch_chunk(
            codec, payload, self.patch, self.dtype_name, self.element_bytes, self.base, first_element, element_count
        )

    def decode_lossy(self, codec, payload, element_count, first_element):
        """3.6"""
        if self.lossy.method == BLOCKS:
            must(codec == 136, f"codec {codec} among quantised blocks")
            return blocks(payload, self.lossy, self.dtype_name, element_count)
        must(128 <= codec <= 132, f"codec {codec} among halves")
        words = decode_payload(codec - 128, payload, 2, self.lossy.floats, 2 * element_count, 2 * first_element)
        must(len(words) == 2 * element_count, "halves that are not as many as the elements")
        return halves(words, self.lossy, self.dtype_name)


def decode_payload(codec, payload, element_bytes, side, chunk_bytes, offset):
    """The table of 3. `side` is that of float fields, where the record has them."""
    if codec == 0:
        return bytes(payload)
    if codec == 1:
        must(len(payload) == element_bytes, "a constant chunk must hold one element")
        return bytes(payload) * (chunk_bytes // element_bytes)
    if codec == 2:
        return zstd_frame(payload, chunk_bytes, WINDOW_LIMIT)
    if codec == 3:
        return planes(payload, element_bytes, chunk_bytes)
    must(codec == 4, f"codec {codec} is unknown")
    must(side is not None, "a float frame in a record without float fields")
    return float_fields(payload, side, chunk_bytes, offset)
