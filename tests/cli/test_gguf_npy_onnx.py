"""Models written by the packages gguf, numpy and onnx: the listing names what those packages say is in them."""

import hashlib
import json

import gguf
import ml_dtypes
import numpy as np
import onnx
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFEndian
from onnx import TensorProto, helper, numpy_helper

PLAIN_GGML_TYPES = {"F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"}

#: Types of which gguf and ggml disagree: gguf gives Q8_1 the two 32-bit scales that it had until 2023.
DISPUTED_GGML_TYPES = {"Q8_1"}


def digest_of(data):
    """The digest of a tensor that is one chunk at most (docs/format.md, 1.4)."""
    chunks = hashlib.sha256(data).digest() if data else b""
    return hashlib.sha256(chunks).hexdigest()


def row(name, dtype, shape, data):
    data = bytes(data)
    return name, dtype, list(shape), len(data), digest_of(data)


def listed(place, name, container_format):
    """The rows of what flyweight finds in the file, after it gave the file back byte for byte."""
    before = (place.path / name).read_bytes()
    assert place.run(name, "-f").code == 0
    assert place.run("-d", f"{name}.fly", "-o", "back", "-f").code == 0
    assert (place.path / "back").read_bytes() == before
    outcome = place.run("list", "--json", f"{name}.fly")
    assert outcome.code == 0, outcome.err
    description = json.loads(outcome.out)
    assert description["container_format"] == container_format
    return [
        (tensor["name"], tensor["dtype"], tensor["shape"], tensor["bytes"], tensor["digest"])
        for tensor in description["tensors"]
    ]


# GGUF -----------------------------------------------------------------------------------------------------------------


def random_bytes(count, seed):
    return np.random.default_rng(seed).integers(0, 256, count, dtype=np.uint8)


def add_ggml_tensor(writer, name, ggml_type, rows, blocks_a_row, seed):
    """A tensor of random blocks."""
    _, block_bytes = GGML_QUANT_SIZES[ggml_type]
    data = random_bytes(rows * blocks_a_row * block_bytes, seed).reshape(rows, -1)
    writer.add_tensor(name, data, raw_dtype=ggml_type)


def write_gguf(path, **options):
    writer = gguf.GGUFWriter(path, "llama", **options)
    writer.add_uint32("some.count", 7)
    writer.add_float64("some.number", 0.5)
    writer.add_bool("some.flag", True)
    writer.add_string("tokenizer.chat_template", "{{ messages }}\x1b[2J")
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "", "token with spaces", "\u00e9"])
    writer.add_array("some.numbers", [1, 2, 3])
    return writer


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def told_by_gguf(path, dtype_of):
    """What gguf reads, in the order of offsets. Shapes there are listed fastest dimension first."""
    tensors = sorted(gguf.GGUFReader(path).tensors, key=lambda tensor: tensor.data_offset)
    file = path.read_bytes()
    return [
        row(
            tensor.name,
            dtype_of(tensor.tensor_type.name),
            reversed([int(dimension) for dimension in tensor.shape]),
            file[tensor.data_offset : tensor.data_offset + tensor.n_bytes],
        )
        for tensor in tensors
    ]


def our_dtype(ggml_name):
    return ggml_name if ggml_name in PLAIN_GGML_TYPES else f"GGML_{ggml_name}"


@pytest.mark.parametrize("alignment", [None, 8, 64, 4096])
def test_gguf_of_every_type(place, alignment):
    path = place.path / "m.gguf"
    writer = write_gguf(path)
    if alignment:
        writer.add_custom_alignment(alignment)
    for number, ggml_type in enumerate(GGML_QUANT_SIZES):
        if ggml_type.name not in DISPUTED_GGML_TYPES:
            add_ggml_tensor(writer, f"blk.{number}.{ggml_type.name}", ggml_type, number % 3 + 1, 3, number)
    finish(writer)
    expected = told_by_gguf(path, our_dtype)
    assert len(expected) >= 30
    assert listed(place, "m.gguf", "gguf") == expected


def test_gguf_of_numpy_arrays(place):
    path = place.path / "m.gguf"
    writer = write_gguf(path)
    for name, shape in {"one": (5,), "two": (3, 5), "three": (2, 3, 5), "four": (2, 1, 3, 5)}.items():
        writer.add_tensor(name, np.random.default_rng(1).normal(size=shape).astype(np.float32))
    writer.add_tensor("half", np.ones((3, 3), np.float16))
    writer.add_tensor("long", np.arange(7, dtype=np.int64))
    quantized = gguf.quants.quantize(np.ones((4, 64), np.float32), GGMLQuantizationType.Q5_1)
    writer.add_tensor("q", quantized, raw_dtype=GGMLQuantizationType.Q5_1)
    finish(writer)
    rows = listed(place, "m.gguf", "gguf")
    assert rows == told_by_gguf(path, our_dtype)
    assert [(name, shape) for name, _, shape, _, _ in rows][1] == ("two", [3, 5])
    assert rows[-1][:4] == ("q", "GGML_Q5_1", [4, 64], quantized.nbytes)


def test_big_endian_gguf_is_opaque(place):
    path = place.path / "m.gguf"
    writer = write_gguf(path, endianess=GGUFEndian.BIG)
    writer.add_tensor("a", np.arange(15, dtype=np.float32).reshape(3, 5))
    writer.add_tensor("bytes", np.arange(6, dtype=np.int8))
    finish(writer)
    expected = told_by_gguf(path, lambda name: "I8" if name == "I8" else "OPAQUE")
    assert listed(place, "m.gguf", "gguf") == expected


def test_gguf_without_tensors(place):
    finish(write_gguf(place.path / "m.gguf"))
    assert listed(place, "m.gguf", "gguf") == []


def test_names_of_gguf_tensors_do_not_reach_the_terminal(place):
    path = place.path / "m.gguf"
    writer = write_gguf(path)
    writer.add_tensor("\x1b[2Jname", np.ones(3, np.float32))
    finish(writer)
    assert place.run("m.gguf").code == 0
    outcome = place.run("list", "m.gguf.fly")
    assert outcome.code == 0 and "\x1b" not in outcome.out and "[2Jname" in outcome.out


# numpy ----------------------------------------------------------------------------------------------------------------

NUMPY_DTYPES = {
    "?": "BOOL",
    "u1": "U8",
    "i1": "I8",
    "<u2": "U16",
    "<i2": "I16",
    "<u4": "U32",
    "<i4": "I32",
    "<u8": "U64",
    "<i8": "I64",
    "<f2": "F16",
    "<f4": "F32",
    "<f8": "F64",
    "<c8": "C64",
    "<c16": "OPAQUE",
    ">f4": "OPAQUE",
    ">u2": "OPAQUE",
    "<U3": "OPAQUE",
    "S5": "OPAQUE",
    "V7": "OPAQUE",
    "<M8[ns]": "OPAQUE",
    "<m8[25s]": "OPAQUE",
}


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [(dtype, (3, 5)) for dtype in NUMPY_DTYPES] + [("<f4", ()), ("<U3", ()), ("<f4", (0, 4)), ("<f2", (2, 3, 4))],
)
def test_npy(place, dtype, shape):
    array = np.frombuffer(bytes(np.prod(shape, dtype=int) * np.dtype(dtype).itemsize), dtype).reshape(shape)
    np.save(place.path / "a.npy", array)
    assert listed(place, "a.npy", "npy") == [row("array", NUMPY_DTYPES[dtype], shape, array.tobytes())]


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_of_every_version(place, version):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    with open(place.path / "a.npy", "wb") as file:
        np.lib.format.write_array(file, array, version)
    assert listed(place, "a.npy", "npy") == [row("array", "F32", (3, 4), array.tobytes())]


def test_npy_in_fortran_order_is_the_transpose(place):
    array = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    np.save(place.path / "a.npy", array)
    assert listed(place, "a.npy", "npy") == [row("array", "F32", (4, 3), array.T.tobytes())]


def test_npy_of_bfloat16(place):
    array = np.arange(12, dtype=np.float32).astype(ml_dtypes.bfloat16)
    np.save(place.path / "a.npy", array)
    assert listed(place, "a.npy", "npy") == [row("array", "BF16", (12,), array.tobytes())]


@pytest.mark.parametrize("array", [np.array([{}, 1]), np.zeros(3, "<f4, <i2")], ids=["objects", "structured"])
def test_npy_that_is_left_raw(place, array):
    np.save(place.path / "a.npy", array, allow_pickle=True)
    assert listed(place, "a.npy", "raw") == []


# ONNX -----------------------------------------------------------------------------------------------------------------


def raw_tensor(name, element_type, shape, item_bytes, seed=1):
    data = random_bytes(int(np.prod(shape, dtype=int)) * item_bytes, seed).tobytes()
    return helper.make_tensor(name, element_type, shape, data, raw=True)


def save_onnx(path, initializers, nodes=()):
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    nodes = [*nodes, helper.make_node("Identity", [initializers[0].name if initializers else "x"], ["y"])]
    onnx.save(helper.make_model(helper.make_graph(nodes, "main", [], [output], initializers)), path)


ONNX_TYPES = {
    "FLOAT": ("F32", 4),
    "UINT8": ("U8", 1),
    "INT8": ("I8", 1),
    "UINT16": ("U16", 2),
    "INT16": ("I16", 2),
    "INT32": ("I32", 4),
    "INT64": ("I64", 8),
    "BOOL": ("BOOL", 1),
    "FLOAT16": ("F16", 2),
    "DOUBLE": ("F64", 8),
    "UINT32": ("U32", 4),
    "UINT64": ("U64", 8),
    "COMPLEX64": ("C64", 8),
    "COMPLEX128": ("OPAQUE", 16),
    "BFLOAT16": ("BF16", 2),
    "FLOAT8E4M3FN": ("F8_E4M3", 1),
    "FLOAT8E4M3FNUZ": ("F8_E4M3FNUZ", 1),
    "FLOAT8E5M2": ("F8_E5M2", 1),
    "FLOAT8E5M2FNUZ": ("F8_E5M2FNUZ", 1),
}


def test_onnx_of_every_type(place):
    tensors = [
        raw_tensor(name, TensorProto.DataType.Value(name), (4, 40), item_bytes)
        for name, (_, item_bytes) in ONNX_TYPES.items()
    ]
    save_onnx(place.path / "m.onnx", tensors)
    assert listed(place, "m.onnx", "onnx") == [
        row(tensor.name, ONNX_TYPES[tensor.name][0], (4, 40), tensor.raw_data) for tensor in tensors
    ]


def test_onnx_with_tensors_in_other_places(place):
    floats = np.arange(300, dtype=np.float32)
    doubles = np.arange(200, dtype=np.float64)
    packed = helper.make_tensor("packed", TensorProto.FLOAT, floats.shape, floats)
    packed_doubles = helper.make_tensor("doubles", TensorProto.DOUBLE, doubles.shape, doubles)
    longs = helper.make_tensor("longs", TensorProto.INT64, [3], [1, -2, 3])
    assert packed.float_data and packed_doubles.double_data and longs.int64_data
    inner = raw_tensor("inner", TensorProto.FLOAT16, (30, 20), 2)
    branch = helper.make_graph([], "branch", [], [helper.make_tensor_value_info("inner", 10, None)], [inner])
    constant = numpy_helper.from_array(np.arange(400, dtype=np.int32).reshape(20, 20))
    nodes = [
        helper.make_node("Constant", [], ["constant"], value=constant),
        helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch),
    ]
    save_onnx(place.path / "m.onnx", [packed, packed_doubles, longs], nodes)
    assert sorted(listed(place, "m.onnx", "onnx")) == sorted(
        [
            row("packed", "F32", (300,), floats.tobytes()),
            row("doubles", "F64", (200,), doubles.tobytes()),
            row("constant", "I32", (20, 20), constant.raw_data),
            row("inner", "F16", (30, 20), inner.raw_data),
            row("inner", "F16", (30, 20), inner.raw_data),
        ]
    )


def test_onnx_with_data_in_another_file(place):
    tensor = numpy_helper.from_array(np.ones((64, 64), np.float32), "outside")
    model = helper.make_model(helper.make_graph([], "main", [], [], [tensor]))
    onnx.save(model, place.path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert listed(place, "m.onnx", "raw") == []
