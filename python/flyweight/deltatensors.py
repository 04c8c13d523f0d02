"""Near-lossless deltas between models, with the names and arguments of the package deltatensors, in archives.

A delta is a patch on a base (`flyweight.compress_file(..., base=...)`) whose tensors come a little off on purpose. Each
tensor comes back in its own dtype; tensors may be added, removed, resized and re-typed, base and tune be sharded in any
way. A wrong base, links in a wrong order and damage raise before anything is returned. State dicts are of numpy arrays
or torch tensors.

Strategies are "int4" (`outlier_fraction`, exact elements, 0.01 by itself), "sparse" (`sparsity`, the part that is left
out, 0.9), "quantized" or "one_bit" (signs, with a mean for each row), and "uniform" (`error`, 0.05), which loses least
for a size: `error` bounds ||result - tune|| / ||tune - base|| over the whole model. `tensor_error` (1) bounds the same
of each tensor; one that would lose more is stored exactly, as are tensors of other dtypes than F32, F16 and BF16.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flyweight import _core, _files, _frameworks, _serialize, _sources
from flyweight._buffers import check_threads
from flyweight._errors import BaseMismatchError
from flyweight._files import Path
from flyweight._state import readable

StateDict = Mapping[str, Any]

__all__ = [
    "hash_state_dict",
    "inspect",
    "inspect_chain",
    "load_delta",
    "load_delta_chain",
    "load_delta_from_paths",
    "save_delta",
    "save_delta_chain_from_paths",
    "save_delta_from_paths",
]

_STRATEGIES = {"delta": "uniform", "delta int4": "int4", "delta sparse": "sparse", "delta 1 bit": "quantized"}
_MODEL_NAME = "model.safetensors"


def save_delta(
    path: Path,
    finetuned: StateDict,
    base: StateDict,
    strategy: str = "sparse",
    use_gpu: bool = True,
    *,
    level: str | int = "balanced",
    threads: int = 0,
    **kwargs: Any,
) -> str:
    """Writes what `finetuned` is away from `base`, and returns the base's hash (hash_state_dict).

    `use_gpu` is accepted and makes no difference. Raises ValueError for a strategy or an argument that is not known.
    """
    option = _option(strategy, kwargs)
    with _written(finetuned) as tune, _written(base) as origin:
        _files.compress_file(tune, path, base=origin, level=level, overwrite=True, threads=threads, lossy_delta=option)
    return str(inspect(path)["parent_hash"])


def save_delta_from_paths(
    out_path: Path,
    finetuned_dir: Path,
    base_dir: Path,
    strategy: str = "sparse",
    prefetch: int = 2,
    use_gpu: bool = True,
    *,
    level: str | int = "balanced",
    threads: int = 0,
    **kwargs: Any,
) -> str:
    """As save_delta, of safetensors files: folders of them, or one file or archive. Holds a few chunks in memory.

    `prefetch` and `use_gpu` are accepted and make no difference.
    """
    option = _option(strategy, kwargs)
    _files.compress_file(
        _weights(finetuned_dir),
        out_path,
        base=_one_file(base_dir),
        level=level,
        overwrite=True,
        threads=threads,
        lossy_delta=option,
    )
    return str(inspect(out_path)["parent_hash"])


def save_delta_chain_from_paths(
    out_path: Path,
    finetuned_dir: Path,
    parent_delta_path: Path | Sequence[Path],
    base_dir: Path,
    strategy: str = "sparse",
    use_gpu: bool = True,
    *,
    level: str | int = "balanced",
    threads: int = 0,
    **kwargs: Any,
) -> str:
    """As save_delta_from_paths, against what the parent delta gives: what it lost is not lost again.

    `parent_delta_path` is all deltas from `base_dir` on, the oldest first, or the last of them, whose own parents are
    then looked for beside it. Returns the parent's hash.
    """
    option = _option(strategy, kwargs)
    origin = _one_file(base_dir)
    _files.compress_file(
        _weights(finetuned_dir),
        out_path,
        base=[origin, *_lineage(parent_delta_path, origin, threads)],
        level=level,
        overwrite=True,
        threads=threads,
        lossy_delta=option,
    )
    return str(inspect(out_path)["parent_hash"])


def load_delta(
    path: Path, base: StateDict, verify: bool = True, *, framework: str | None = None, threads: int = 0
) -> dict[str, Any]:
    """The state dict that a delta gives on `base`, of torch tensors where the base has them, else of numpy arrays.

    Raises BaseMismatchError for another base, with or without `verify`: what comes out is never a guess.
    """
    return load_delta_chain([path], base, verify, framework=framework, threads=threads)


def load_delta_from_paths(
    path: Path, base_dir: Path, verify: bool = True, *, framework: str | None = None, threads: int = 0
) -> dict[str, Any]:
    """As load_delta, with the base in a folder of safetensors files, a file or an archive.

    `framework` is "np", which is what it is by itself where numpy has the dtypes, or "pt".
    """
    return load_delta_chain([path], base_dir, verify, framework=framework, threads=threads)


def load_delta_chain(
    delta_paths: Sequence[Path],
    base: Path | StateDict,
    verify: bool = True,
    *,
    framework: str | None = None,
    threads: int = 0,
) -> dict[str, Any]:
    """The state dict that the last of `delta_paths` gives, the oldest first. None between is made.

    Raises ValueError for no deltas, BaseMismatchError for another base or order.
    """
    if not delta_paths:
        raise ValueError("delta_paths is empty; a chain has at least one delta")
    if isinstance(base, Mapping):
        with _written(base) as origin:
            return _load(delta_paths, origin, framework or _framework_of(base), threads)
    return _load(delta_paths, _one_file(base), framework, threads)


def inspect(path: Path) -> dict[str, Any]:
    """What a delta's index says: path, size_mb, parent_hash, strategy, n_tensors and tensors.

    Each tensor has its shape and dtype and, where it is lossy, max_error, rms_error and relative_error, which were
    measured when it was written. Reads no weights.
    """
    listing: dict[str, Any] = _core.list_archive(os.fsencode(path))
    methods = {row["lossy"] for row in listing["tensors"].values() if "lossy" in row}
    names = sorted(_STRATEGIES.get(method, method) for method in methods)
    return {
        "path": os.fspath(path),
        "size_mb": round(listing["archive_bytes"] / 1e6, 2),
        "parent_hash": listing["base_identity"],
        "hash": listing["identity"],
        "strategy": "+".join(names) or "lossless",
        "n_tensors": len(listing["tensors"]),
        "tensors": listing["tensors"],
    }


def inspect_chain(delta_paths: Sequence[Path]) -> list[dict[str, Any]]:
    """inspect() of each, with its place in the chain as `step`, from 0."""
    return [{**inspect(path), "step": step} for step, path in enumerate(delta_paths)]


def hash_state_dict(state_dict: StateDict) -> str:
    """Which model it is, over names, dtypes, shapes and bytes: what a delta has as its parent_hash."""
    with _written(state_dict) as path:
        return _files.identity(path)


def _number(kwargs: dict[str, Any], name: str, default: float) -> float:
    value = float(kwargs.pop(name, default))
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}, not a part from 0 to 1")
    return value


def _option(strategy: str, kwargs: dict[str, Any]) -> str:
    """What the library calls it."""
    left = dict(kwargs)
    if strategy == "int4":
        option = f"strategy=int4,outliers={_number(left, 'outlier_fraction', 0.01)!r}"
    elif strategy == "sparse":
        option = f"strategy=sparse,keep={1 - _number(left, 'sparsity', 0.9)!r}"
    elif strategy in ("quantized", "one_bit"):
        option = "strategy=one_bit"
    elif strategy == "uniform":
        option = f"error={_number(left, 'error', 0.05)!r}"
    else:
        raise ValueError(f"unknown strategy {strategy!r}; known are int4, sparse, quantized, one_bit, uniform")
    if "tensor_error" in left:
        option += f",tensor={_number(left, 'tensor_error', 1)!r}"
    if left:
        raise ValueError(f"strategy {strategy!r} takes no {', '.join(sorted(left))}")
    return option


def _is_torch(tensor: Any) -> bool:
    return type(tensor).__module__.split(".")[0] == "torch"


def _framework_of(state: StateDict) -> str:
    return "pt" if any(_is_torch(tensor) for tensor in state.values()) else "np"


def _tensor(name: str, tensor: Any) -> _serialize.Tensor:
    if _is_torch(tensor) or type(tensor).__module__.startswith("torch"):
        contiguous = tensor.detach().contiguous()
    else:
        import numpy as np

        contiguous = np.asarray(tensor, order="C")
    described = readable(name, contiguous)
    data = memoryview(described.data)
    return _serialize.Tensor(name, described.dtype, described.shape, data, data.nbytes, described.owner)


@contextlib.contextmanager
def _written(state: StateDict) -> Iterator[pathlib.Path]:
    """A temporary safetensors file of a state dict."""
    with tempfile.TemporaryDirectory(prefix="flyweight-delta-") as folder:
        path = pathlib.Path(folder) / _MODEL_NAME
        _serialize.lay_out_file([_tensor(name, tensor) for name, tensor in state.items()], None, path)
        yield path


def _weights(folder: Path) -> list[Path]:
    """The safetensors files of a folder, or the one file that it is."""
    path = pathlib.Path(folder)
    if not path.is_dir():
        return [path]
    found: list[Path] = [*sorted(path.glob("*.safetensors"))]
    if not found:
        raise FileNotFoundError(f"{path} has no safetensors files")
    return found


def _one_file(folder: Path) -> Path:
    """A folder's only safetensors file, so that nothing else in it is read; else the folder."""
    found = _weights(folder)
    return found[0] if len(found) == 1 else folder


def _lineage(parents: Path | Sequence[Path], base: Path, threads: int) -> list[Path]:
    """All deltas from the base on, the oldest first."""
    if not isinstance(parents, (str, bytes, os.PathLike)):
        return list(parents)
    origin = _files.identity(base, threads=threads)
    last = pathlib.Path(os.fsdecode(parents))
    others = {str(inspect(path)["hash"]): path for path in sorted(last.parent.glob("*")) if _is_delta(path)}
    found: list[Path] = [last]
    wanted = str(inspect(last)["parent_hash"])
    while wanted != origin:
        # Equal hashes on the way would go round for ever.
        parent = others.pop(wanted, None)
        if parent is None:
            raise BaseMismatchError(
                f"{last} stands on the model {wanted[:16]}, which is neither {base} nor beside it; "
                "pass all deltas as parent_delta_path, the oldest first"
            )
        found.insert(0, parent)
        wanted = str(inspect(parent)["parent_hash"])
    return found


def _is_delta(path: pathlib.Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(_sources.ARCHIVE_MAGIC)) == _sources.ARCHIVE_MAGIC


def _load(deltas: Sequence[Path], base: Path, framework: str | None, threads: int) -> dict[str, Any]:
    source = _sources.open_path(deltas[-1], _files.base_paths([base, *deltas[:-1]]))
    assert isinstance(source, _sources.ArchiveSource)
    origins = source.origins()
    maker = _frameworks.find(framework or "np", "cpu")
    state: dict[str, Any] = {}
    for entry in source.entries:
        # In the archive of several files their names stand before those of their tensors.
        tensor, target = maker.empty(entry.dtype, entry.shape, entry.name)
        source.read(entry, 0, target, check_threads(threads))
        state[origins[entry.place].name] = maker.place(tensor)
    return state
