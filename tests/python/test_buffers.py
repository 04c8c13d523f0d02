"""compress and decompress on buffers of every kind."""

from __future__ import annotations

import array
import ctypes
import gc
import io
import mmap

import ml_dtypes
import numpy as np
import pytest

import flyweight
from conftest import NUMPY_DTYPES, any_bits, weights
from flyweight import _buffers, _core

TEXT = b"fourteen bytes"


def tensor_of(blob: bytes) -> tuple[str, tuple[int, ...]]:
    """Dtype and shape as the archive of one buffer tells them."""
    (extent,) = _core.Archive.from_bytes(memoryview(blob)).extents()
    return extent[2], extent[3]


@pytest.fixture
def mapped(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        yield view


@pytest.mark.parametrize(
    "buffer",
    [
        TEXT,
        bytearray(TEXT),
        memoryview(TEXT),
        memoryview(bytearray(TEXT)).toreadonly(),
        io.BytesIO(TEXT).getbuffer(),
        array.array("d", [1.0, 2.0]),
        (ctypes.c_float * 5)(1, 2, 3, 4, 5),
        (ctypes.c_int32 * 3 * 2)(),
        memoryview(TEXT).cast("H"),
        memoryview(bytes(24)).cast("B", (2, 3, 4)),
        b"",
        np.empty(0, np.float32),
        np.empty((3, 0, 2), np.float64),
        np.zeros((), np.int16),
        np.zeros((2, 2), [("a", "f4"), ("b", "i2")]),
        np.zeros(3, "datetime64[s]"),
        np.zeros(3, np.complex128),
        np.arange(4, dtype=">f4"),
        np.frombuffer(TEXT, np.uint8),
    ],
    ids=lambda buffer: type(buffer).__name__,
)
def test_round_trip_of_any_buffer(buffer):
    expected = buffer.tobytes() if isinstance(buffer, (np.ndarray, memoryview)) else bytes(memoryview(buffer).cast("B"))
    assert flyweight.decompress(flyweight.compress(buffer)) == expected


def test_round_trip_of_a_mapped_file(mapped):
    assert flyweight.decompress(flyweight.compress(mapped)) == TEXT


@pytest.mark.parametrize("name", NUMPY_DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (63,), (64,), (513,), (7, 300), (262_145,), (3, 200, 500)], ids=str)
def test_round_trip_of_every_dtype(name, shape):
    tensor = any_bits(name, shape)
    before = tensor.tobytes()
    blob = flyweight.compress(tensor)
    assert tensor_of(blob) == (name, shape or (1,))
    assert flyweight.decompress(blob) == before == tensor.tobytes()


@pytest.mark.parametrize("name", ["BF16", "F16", "F32", "F64"])
def test_weights_become_smaller(name):
    tensor = weights(name, (700, 512))
    blob = flyweight.compress(tensor)
    assert len(blob) < 0.97 * tensor.nbytes
    assert flyweight.decompress(blob) == tensor.tobytes()


@pytest.mark.parametrize(
    "spelling",
    ["BF16", "bf16", "bfloat16", "torch.bfloat16", ml_dtypes.bfloat16, np.dtype(ml_dtypes.bfloat16)],
    ids=str,
)
def test_dtype_takes_every_usual_spelling(spelling):
    assert tensor_of(flyweight.compress(bytes(8), dtype=spelling)) == ("BF16", (4,))


@pytest.mark.parametrize(
    ("spelling", "name"),
    [(np.float16, "F16"), ("f32", "F32"), (np.dtype("int64"), "I64"), ("f8_e4m3fn", "F8_E4M3"), (np.bool_, "BOOL")],
    ids=str,
)
def test_dtype_takes_numpy_types(spelling, name):
    assert tensor_of(flyweight.compress(bytes(8), dtype=spelling))[0] == name


@pytest.mark.parametrize(
    ("buffer", "expected"),
    [
        (TEXT, ("U8", (14,))),
        (array.array("f", [1, 2]), ("F32", (2,))),
        (array.array("h", [1, 2]), ("I16", (2,))),
        (array.array("L", [1, 2]), ("U64", (2,))),
        (memoryview(np.zeros(6, np.float16)), ("F16", (6,))),
        (memoryview(np.zeros((2, 3), np.complex64)), ("C64", (2, 3))),
        (memoryview(np.zeros((2, 3), "?")), ("BOOL", (2, 3))),
        (memoryview(np.zeros((2, 3), ">i4")), ("U8", (24,))),
        ((ctypes.c_double * 2)(), ("F64", (2,))),
        ((ctypes.c_uint32 * 3 * 2)(), ("U32", (2, 3))),
        (np.zeros((2, 3), ">f4"), ("U8", (24,))),
        (np.zeros((2, 3), "complex128"), ("U8", (96,))),
        (np.zeros((2, 3), ml_dtypes.float8_e4m3fn), ("F8_E4M3", (2, 3))),
        (np.zeros((2, 3), ml_dtypes.float8_e4m3), ("U8", (2, 3))),
    ],
    ids=str,
)
def test_dtype_and_shape_come_from_the_buffer(buffer, expected):
    assert tensor_of(flyweight.compress(buffer)) == expected


def test_an_explicit_dtype_of_the_same_width_keeps_the_shape():
    assert tensor_of(flyweight.compress(np.zeros((4, 6), np.uint16), dtype="bf16")) == ("BF16", (4, 6))
    assert tensor_of(flyweight.compress(np.zeros((4, 6), np.uint8), dtype="bf16")) == ("BF16", (12,))


def test_an_explicit_shape_is_recorded():
    assert tensor_of(flyweight.compress(bytes(24), dtype="F16", shape=(3, 4))) == ("F16", (3, 4))
    assert tensor_of(flyweight.compress(bytes(3), dtype="F6_E2M3", shape=[4])) == ("F6_E2M3", (4,))


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"dtype": "F32"}, ValueError, "14 bytes are not a whole number of F32"),
        ({"dtype": "F16", "shape": (2, 3)}, ValueError, r"14 bytes are not a F16 tensor of shape \(2, 3\)"),
        ({"shape": (-2, -7)}, ValueError, "negative"),
        ({"dtype": "float33"}, ValueError, "unknown dtype 'float33'"),
        ({"level": "turbo"}, ValueError, "unknown level 'turbo'"),
        ({"threads": -1}, ValueError, "threads"),
    ],
)
def test_arguments_that_make_no_sense(arguments, error, says):
    with pytest.raises(error, match=says):
        flyweight.compress(TEXT, **arguments)


@pytest.mark.parametrize("buffer", ["text", 3, None, [1, 2], object()], ids=str)
def test_what_is_no_buffer_is_a_type_error(buffer):
    with pytest.raises(TypeError):
        flyweight.compress(buffer)
    with pytest.raises(TypeError):
        flyweight.decompress(buffer)
    with pytest.raises(TypeError):
        flyweight.decompress(flyweight.compress(b"1234"), out=buffer if buffer is not None else 0)


def test_arrays_of_objects_are_refused():
    with pytest.raises(TypeError, match="objects"):
        flyweight.compress(np.array([{}, []], dtype=object))


@pytest.mark.parametrize(
    "buffer",
    [np.zeros((4, 6))[:, ::2], np.zeros((4, 6)).T, np.zeros((4, 6))[::-1], memoryview(TEXT)[::2]],
    ids=["columns", "transposed", "reversed", "memoryview"],
)
def test_what_is_not_contiguous_is_a_clear_error(buffer):
    with pytest.raises(ValueError, match="not C-contiguous"):
        flyweight.compress(buffer)
    with pytest.raises(ValueError, match=r"not C-contiguous|read-only"):
        flyweight.decompress(flyweight.compress(bytes(buffer.nbytes)), out=buffer)


def test_a_read_only_buffer_is_compressed_and_not_written_to():
    tensor = weights("F32", (100, 100))
    tensor.flags.writeable = False
    blob = flyweight.compress(tensor)
    assert flyweight.decompress(blob) == tensor.tobytes()
    for out in (tensor, tensor.tobytes(), memoryview(tensor)):
        with pytest.raises(ValueError, match="read-only"):
            flyweight.decompress(blob, out=out)


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 0])
def test_the_archive_does_not_depend_on_the_threads(threads):
    tensor = weights("BF16", (1700, 513))
    blob = flyweight.compress(tensor, threads=threads)
    assert blob == flyweight.compress(tensor, threads=1)
    assert flyweight.decompress(blob, threads=threads) == tensor.tobytes()


def test_out_is_filled_and_returned():
    tensor = weights("BF16", (1000, 600))
    blob = flyweight.compress(tensor)
    for out in (
        np.empty((1000, 600), NUMPY_DTYPES["BF16"]),
        np.empty(tensor.nbytes, np.uint8),
        np.empty((600, 1000), np.float16),
        bytearray(tensor.nbytes),
        memoryview(bytearray(tensor.nbytes)),
        mmap.mmap(-1, tensor.nbytes),
        (ctypes.c_uint16 * tensor.size)(),
        array.array("h", bytes(tensor.nbytes)),
    ):
        assert flyweight.decompress(blob, out=out) is out
        content = out.tobytes() if isinstance(out, np.ndarray) else bytes(_buffers.read_view(out))
        assert content == tensor.tobytes()


def test_out_may_be_empty():
    out = np.empty((0, 4), np.float32)
    assert flyweight.decompress(flyweight.compress(b""), out=out) is out


@pytest.mark.parametrize("size", [0, 1, 13, 15, 1000])
def test_out_of_another_size_is_refused_and_left_alone(size):
    out = bytearray(b"\x55" * size)
    with pytest.raises(ValueError, match=f"out has {size} bytes, the archive holds 14"):
        flyweight.decompress(flyweight.compress(TEXT), out=out)
    assert out == b"\x55" * size


def test_a_bytearray_cannot_be_resized_under_the_decoder():
    # The view holds the buffer for as long as it lives, so no other thread can free the memory.
    out = bytearray(8)
    view = _buffers.write_view(out)
    with pytest.raises(BufferError):
        out.extend(b"more")
    del view
    out.extend(b"more")


def test_a_blob_may_be_any_buffer():
    blob = flyweight.compress(TEXT)
    for other in (bytearray(blob), memoryview(blob), np.frombuffer(blob, np.uint8)):
        assert flyweight.decompress(other) == TEXT


@pytest.mark.parametrize("buffer", [array.array("f", [1, 2]), (ctypes.c_float * 3)(1, 2, 3), (ctypes.c_float * 0)()])
def test_a_view_of_any_format_can_be_part_of_a_cycle(buffer):
    for source in (buffer, memoryview(buffer)):
        cycle = [_buffers.read_view(source), _buffers.write_view(source)]
        assert [bytes(view) for view in cycle] == [bytes(buffer)] * 2
        cycle.append(cycle)
        del cycle
        gc.collect()


def test_a_part_of_a_buffer_of_any_format_is_only_that_part():
    numbers = (ctypes.c_float * 4)(1, 2, 3, 4)
    assert bytes(_buffers.read_view(memoryview(numbers)[1:3])) == bytes(numbers)[4:12]
