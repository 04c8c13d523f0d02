"""Patches of buffers and of state dicts in memory."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import flyweight
from conftest import NUMPY_DTYPES, any_bits, bits, weights
from flyweight import _core

State = dict[str, np.ndarray]


def moved(array: np.ndarray, share: float, seed: int = 3) -> np.ndarray:
    """A share of the elements moves in the lowest bits."""
    raw = np.frombuffer(array.tobytes(), np.uint8).copy()
    random = np.random.default_rng(seed)
    lowest = raw.reshape(-1, array.dtype.itemsize)[:, 0]
    at = random.random(lowest.size) < share
    lowest[at] ^= random.integers(1, 4, int(at.sum()), dtype=np.uint8) if array.dtype != bool else np.uint8(1)
    return raw.view(array.dtype).reshape(array.shape)


@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
@pytest.mark.parametrize("shape", ((), (0, 5), (3,), (700, 500)))
def test_every_dtype_comes_back(dtype: str, shape: tuple[int, ...]) -> None:
    reference = any_bits(dtype, shape)
    current = moved(reference, 0.02)
    blob = flyweight.compress_delta(current, reference)
    assert flyweight.decompress_delta(blob, reference) == current.tobytes()
    out = np.empty_like(current)
    assert flyweight.decompress_delta(blob, reference, out=out) is out
    assert bits(out) == bits(current)
    if current.size > 1000:
        assert flyweight.peek_is_delta(blob)
        assert len(blob) < current.nbytes / 4


def test_bytes_take_a_dtype_and_arrays_of_any_size_a_reference_of_another() -> None:
    reference = weights("BF16", (1000, 300))
    current = moved(reference, 0.01)
    blob = flyweight.compress_delta(current.tobytes(), reference.tobytes(), dtype="bf16")
    assert len(blob) < current.nbytes / 60
    assert flyweight.decompress_delta(blob, bytearray(reference.tobytes())) == current.tobytes()
    longer = np.concatenate([current, weights("BF16", (20, 300), 8)])
    for new, old in ((longer, reference), (reference[:900], current)):
        blob = flyweight.compress_delta(new, old)
        assert flyweight.peek_is_delta(blob)
        assert flyweight.decompress_delta(blob, old) == new.tobytes()


def test_a_wrong_reference_is_an_error_that_names_what_is_needed() -> None:
    reference = weights("BF16", (1000, 300))
    blob = flyweight.compress_delta(moved(reference, 0.01), reference)
    sibling = reference.copy()
    sibling.view(np.uint16)[999, 299] ^= 1
    for wrong in (sibling, moved(reference, 0.5), reference[:999]):
        with pytest.raises(flyweight.BaseMismatchError):
            flyweight.decompress_delta(blob, wrong)
    with pytest.raises(flyweight.BaseMismatchError, match=r"600000 \(BF16 \(1000, 300\)\)"):
        flyweight.decompress_delta(blob, b"12")


@pytest.mark.parametrize("level", (None, "fast", "high"))
def test_never_larger_than_without_the_reference(level: str | None) -> None:
    current = weights("BF16", (700, 400))
    for reference in (weights("BF16", (700, 400), 5), any_bits("BF16", (700, 400)), np.zeros(3, np.int8)):
        for array in (current, np.zeros_like(current), np.tile(current[:7], (100, 1)), any_bits("U8", (70,))):
            blob = flyweight.compress_delta(array, reference, level=level)
            assert len(blob) <= len(flyweight.compress(array, level=level or "balanced"))
            assert flyweight.decompress_delta(blob, reference) == array.tobytes()


def test_peek_tells_patches_from_other_bytes() -> None:
    reference = weights("BF16", (100, 300))
    blob = flyweight.compress_delta(moved(reference, 0.01), reference)
    assert flyweight.peek_is_delta(blob)
    assert flyweight.peek_is_delta(np.frombuffer(blob, np.uint8))
    for other in (flyweight.compress(reference), b"", blob[:10], bytes(100)):
        assert not flyweight.peek_is_delta(other)


def test_calls_that_make_no_sense_are_refused() -> None:
    reference = weights("BF16", (10, 30))
    blob = flyweight.compress_delta(moved(reference, 0.01), reference)
    with pytest.raises(ValueError):
        flyweight.compress_delta(b"123", b"123", dtype="bf16")
    with pytest.raises(ValueError):
        flyweight.compress_delta(reference, reference, level="ultra")
    with pytest.raises(ValueError):
        flyweight.compress_delta(reference, reference, dtype="bf17")
    with pytest.raises(ValueError):
        flyweight.decompress_delta(blob, reference, out=bytearray(599))
    with pytest.raises(flyweight.FlyweightError):
        flyweight.decompress_delta(blob[:-1], reference)


def model() -> State:
    return {
        "embedding": weights("BF16", (1500, 512)),
        "layer.weight": weights("F32", (100, 100), 2),
        "norm": weights("BF16", (64,), 3),
        "scalar": np.array(3.5, np.float32),
        "empty": np.empty((0, 7), np.float16),
        'quote " and \u00fc \U0001f98b \udcff': np.arange(300, dtype=np.int32),
    }


def stepped(state: State, share: float = 0.02) -> State:
    return {name: moved(array, share, seed) for seed, (name, array) in enumerate(state.items())}


def copy_of(state: State) -> State:
    return {name: array.copy() for name, array in state.items()}


def assert_same(left: State, right: State) -> None:
    assert {name: bits(array) for name, array in left.items()} == {name: bits(array) for name, array in right.items()}


@pytest.mark.parametrize("threads", (0, 1, 3))
@pytest.mark.parametrize("check_first", (True, False))
def test_a_patch_changes_tensors_where_they_are(threads: int, check_first: bool) -> None:
    base = model()
    new = stepped(base)
    patch = flyweight.make_patch(new, base, threads=threads)
    assert patch == flyweight.make_patch(new, base, threads=1)
    state = copy_of(base)
    arrays = dict(state)
    assert flyweight.apply_patch_(state, patch, check_first=check_first, threads=threads) > 0
    again = copy_of(base)
    flyweight.apply_patch_(again, patch, check_first=check_first, check_result=False, threads=threads)
    assert_same(again, new)
    assert_same(state, new)
    assert all(state[name] is array for name, array in arrays.items())
    with pytest.raises(flyweight.AlreadyAppliedError):
        flyweight.apply_patch_(state, patch, check_first=check_first)
    assert flyweight.apply_patch_(state, patch, check_first=check_first, idempotent=True) == 0
    assert_same(state, new)


def test_a_patch_of_other_weights_is_refused_and_changes_nothing() -> None:
    base = model()
    patch = flyweight.make_patch(stepped(base), base, base_name="step 10")
    state = copy_of(base)
    state["norm"].view(np.uint16)[5] ^= 1
    before = copy_of(state)
    with pytest.raises(flyweight.BaseMismatchError, match=r"'step 10'.*'norm' chunk 0"):
        flyweight.apply_patch_(state, patch)
    assert_same(state, before)
    del state["norm"]
    with pytest.raises(flyweight.BaseMismatchError, match="'norm'"):
        flyweight.apply_patch_(state, patch)
    state["norm"] = base["norm"].reshape(8, 8)
    with pytest.raises(flyweight.BaseMismatchError, match="'norm'"):
        flyweight.apply_patch_(state, patch)
    assert_same({"embedding": state["embedding"]}, {"embedding": base["embedding"]})


def test_tensors_that_grow_appear_or_change_their_dtype_get_a_new_place() -> None:
    base = model()
    new = stepped(base)
    new["embedding"] = np.concatenate([new["embedding"], weights("BF16", (30, 512), 7)])
    new["norm"] = base["norm"].astype(np.float32)
    new["layer.weight"] = base["layer.weight"].astype(ml_dtypes.bfloat16)
    new["added"] = weights("BF16", (40, 40))
    patch = flyweight.make_patch(new, base)
    state = copy_of(base)
    flyweight.apply_patch_(state, patch)
    assert_same(state, new)
    with pytest.raises(flyweight.AlreadyAppliedError):
        flyweight.apply_patch_(state, patch)
    assert_same(state, new)


def test_tensors_that_the_patch_does_not_name_stay() -> None:
    base = model()
    new = stepped(base)
    patch = flyweight.make_patch({"norm": new["norm"]}, base)
    state = copy_of(base)
    flyweight.apply_patch_(state, patch)
    assert_same(state, {**base, "norm": new["norm"]})


def test_read_only_and_strided_tensors_are_refused() -> None:
    base = model()
    new = stepped(base)
    patch = flyweight.make_patch(new, base)
    state = copy_of(base)
    state["norm"].flags.writeable = False
    with pytest.raises(ValueError, match=r"'norm'.*read-only"):
        flyweight.apply_patch_(state, patch)
    assert_same(state, base)
    with pytest.raises(ValueError, match="contiguous"):
        flyweight.make_patch({"a": np.zeros((4, 6)).T}, {})


def test_a_patch_lists_what_it_makes() -> None:
    base = model()
    opened = _core.TensorPatch(memoryview(flyweight.make_patch(stepped(base), base, name="b", base_name="a")))
    assert (opened.name, opened.base_name) == ("b", "a")
    rows = {row[0]: row for row in opened.tensors()}
    assert set(rows) == set(base)
    assert rows["embedding"][1:4] == ("BF16", (1500, 512), 1500 * 512 * 2)
    assert rows["embedding"][5:] == (True, "BF16", (1500, 512), 1500 * 512 * 2, True)


def test_torch_tensors_change_where_they_are() -> None:
    torch = pytest.importorskip("torch")
    base = {"w": torch.randn(600, 500).to(torch.bfloat16), "b": torch.nn.Parameter(torch.zeros(500))}
    new = {"w": base["w"] * 1.002, "b": torch.arange(500.0), "f8": torch.randn(64).to(torch.float8_e4m3fn)}
    patch = flyweight.make_patch(new, base)
    pointers = {name: tensor.data_ptr() for name, tensor in base.items()}
    flyweight.apply_patch_(base, patch)
    assert all(torch.equal(base[name].view(torch.uint8), new[name].view(torch.uint8)) for name in new)
    assert all(base[name].data_ptr() == pointer for name, pointer in pointers.items())
    blob = flyweight.compress_delta(new["b"], base["b"])
    assert flyweight.decompress_delta(blob, base["b"]) == new["b"].numpy().tobytes()
