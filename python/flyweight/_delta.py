"""Patches of buffers and of state dicts in memory."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from flyweight import _buffers, _core, _dtypes, _levels
from flyweight._errors import BaseMismatchError
from flyweight._state import Bytes, readable, rows, writable

if TYPE_CHECKING:
    from typing_extensions import Buffer

Out = TypeVar("Out")

_MAGIC = b"\x89FLY\r\n\x1a\n"
_FEATURES = slice(16, 24)
_PATCHES = 1 << 1


def compress_delta(
    current: Buffer | Any,
    reference: Buffer | Any,
    *,
    dtype: Any = None,
    level: str | int | None = None,
    threads: int = 0,
) -> bytes:
    """Compresses a buffer as what changed against `reference`, which decompress_delta() then needs.

    Both are anything that compress() takes; `dtype` says what their bytes are where they do not say it themselves. They
    may differ in size, and in dtype where they say theirs. Never larger than compress(current): where the reference is
    no help it is not used.
    """
    effort = _levels.number("balanced" if level is None else level)
    new = _described(current, dtype)
    old = _described(reference, dtype if dtype is not None or not _is_plain(reference) else new.dtype)
    patch = _core.make_patch(rows([new]), rows([old]), b"", b"reference", _buffers.check_threads(threads), effort)
    if 2 * len(patch) < len(new.data) and _core.TensorPatch(memoryview(patch)).tensors()[0][5]:
        return patch
    return min(patch, _core.compress(new.data, new.dtype, list(new.shape), threads, effort), key=len)


@overload
def decompress_delta(blob: Buffer, reference: Buffer | Any, *, out: None = None, threads: int = 0) -> bytes: ...
@overload
def decompress_delta(blob: Buffer, reference: Buffer | Any, *, out: Out, threads: int = 0) -> Out: ...
def decompress_delta(blob: Buffer, reference: Buffer | Any, *, out: Out | None = None, threads: int = 0) -> bytes | Out:
    """Restores what compress_delta() was given, from the same reference, every checksum verified.

    `out` is as decompress() has it; it may be the reference itself. Raises BaseMismatchError where the reference is
    another one; the content of `out` is undefined after an error.
    """
    data = _buffers.read_view(blob)
    if not peek_is_delta(data):
        return _buffers.decompress(blob, out, threads)
    patch = _core.TensorPatch(data)
    tensors = patch.tensors()
    if len(tensors) != 1:
        raise ValueError(f"the patch makes {len(tensors)} tensors; apply_patch_() takes it")
    _, _, _, size, _, needs_base, base_dtype, base_shape, base_bytes, _ = tensors[0]
    base = _buffers.read_view(reference) if needs_base else memoryview(b"")
    if needs_base and len(base) != base_bytes:
        raise BaseMismatchError(
            f"the reference has {len(base)} bytes; the patch was made from {base_bytes} ({base_dtype} {base_shape})"
        )
    target = memoryview(bytearray(size)) if out is None else _buffers.write_view(out)
    if len(target) != size:
        raise ValueError(f"out has {len(target)} bytes, the patch makes {size}")
    patch.decode(0, base, target, _buffers.check_threads(threads))
    return bytes(target) if out is None else out


def peek_is_delta(blob: Buffer) -> bool:
    """Whether these bytes begin as a patch does, which needs what it was made from."""
    head = bytes(_buffers.read_view(blob)[: _FEATURES.stop])
    return (
        len(head) == _FEATURES.stop
        and head[: len(_MAGIC)] == _MAGIC
        and bool(int.from_bytes(head[_FEATURES], "little") & _PATCHES)
    )


def _is_plain(buffer: Any) -> bool:
    """Whether a buffer does not say what its bytes are."""
    return isinstance(buffer, (bytes, bytearray, memoryview)) and (
        not isinstance(buffer, memoryview) or buffer.format in ("B", "b", "c")
    )


def _described(buffer: Any, dtype: Any) -> Bytes:
    data, own, shape = _buffers.describe(buffer)
    name = own if dtype is None else _dtypes.canonical(dtype)
    bits = _dtypes.BITS[name]
    if name != own or not shape:
        if 8 * len(data) % bits:
            raise ValueError(f"{len(data)} bytes are not a whole number of {name} elements")
        shape = (8 * len(data) // bits,)
    return Bytes("", name, tuple(shape), data, buffer)


def make_patch(
    new_state: Mapping[str, Any],
    base_state: Mapping[str, Any],
    *,
    level: str | int = "balanced",
    threads: int = 0,
    name: str = "",
    base_name: str = "",
) -> bytes:
    """The patch that makes the tensors of `new_state` from those of `base_state`: torch tensors or numpy arrays.

    Tensors are found by name. Of each the smallest is stored: that it did not change, what changed, or all of it; dtype
    and shape may change. Tensors of the base that are not in `new_state` are none of the patch's business. `name` and
    `base_name` are what messages call the two. Raises ValueError for tensors that are not contiguous.
    """
    new = [readable(key, tensor) for key, tensor in new_state.items()]
    old = [readable(key, base_state[key]) for key in new_state if key in base_state]
    called, base_called = (
        text.encode("utf-8", "surrogateescape") for text in (name, base_name or ("base" if old else ""))
    )
    return _core.make_patch(
        rows(new), rows(old), called, base_called, _buffers.check_threads(threads), _levels.number(level)
    )


def apply_patch_(
    state: Mapping[str, Any],
    patch: Buffer | Any,
    *,
    idempotent: bool = False,
    check_first: bool = True,
    check_result: bool = True,
    framework: str = "np",
    threads: int = 0,
) -> int:
    """Changes the tensors of `state`, from which the patch was made, into those that it makes. In place.

    torch tensors (on the CPU) and numpy arrays are changed where they are, without a copy of them; tensors that get
    another shape or dtype and new ones take a place in the dict instead. Returns how many chunks were written. Before
    the first is, all are compared with their checksums: BaseMismatchError, naming them, where they are not what the
    patch was made from, AlreadyAppliedError where they are its result already (with `idempotent` that is no error).
    What an interrupted call left is completed. `check_first=False` compares each chunk just before it is written, which
    is faster; an error then leaves the chunks before it changed. `check_result=False` does not read again what was
    written: patch and tensors were compared with their checksums, and decoding is trusted. `framework` is that of
    tensors put into an empty dict.
    """
    opened = _core.TensorPatch(_buffers.read_view(patch))
    targets: list[Bytes] = []
    made: dict[str, Any] = {}
    for number, row in enumerate(opened.tensors()):
        name, dtype, shape, _, _, needs_base, base_dtype, base_shape, _, in_place = row
        tensor = state.get(name)
        if tensor is None and needs_base:
            raise BaseMismatchError(f"the patch changes tensor {name!r}, which is not there")
        if tensor is not None:
            held = readable(name, tensor)
            if (held.dtype, held.shape) == (dtype, shape):
                targets.append(writable(name, tensor))
                continue
            if needs_base and (in_place or (held.dtype, held.shape) != (base_dtype, base_shape)):
                raise BaseMismatchError(
                    f"tensor {name!r} is {held.dtype} {held.shape}; the patch was made from {base_dtype} {base_shape}"
                )
        made[name] = _decoded(
            opened, number, row, tensor if needs_base else None, _framework(state, framework), threads
        )
    if made and not isinstance(state, MutableMapping):
        raise TypeError(f"the patch makes tensor {next(iter(made))!r} anew, and the state is no dict to put it into")
    written = 0
    if targets or not made:
        _, written, _ = opened.apply(
            rows(targets), _buffers.check_threads(threads), idempotent or bool(made), check_first, check_result, True
        )
    if isinstance(state, MutableMapping):
        state.update(made)
    return written + len(made)


def _decoded(
    patch: _core.TensorPatch, number: int, row: tuple[Any, ...], base: Any, framework: str, threads: int
) -> Any:
    from flyweight import _frameworks

    name, dtype, shape = row[:3]
    tensor, target = _frameworks.find(framework, "cpu").empty(dtype, shape, name)
    base_bytes = memoryview(b"") if base is None else readable(name, base).data
    patch.decode(number, base_bytes, target, threads)
    return tensor


def _framework(state: Mapping[str, Any], otherwise: str) -> str:
    """The framework of the tensors that are there."""
    first = next(iter(state.values()), None)
    if first is None:
        return otherwise
    return "pt" if type(first).__module__.partition(".")[0] == "torch" else "np"
