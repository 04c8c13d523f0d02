"""safe_open: names, tensors and slices, against numpy and against safetensors itself."""

from __future__ import annotations

import concurrent.futures
import gc
import os

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import flyweight
from conftest import NUMPY_DTYPES, any_bits, bits, weights
from flyweight import _core, _indexing, _safe_open


@pytest.fixture
def files(tmp_path, all_tensors):
    """The same tensors as an archive and as a plain file."""
    plain, archive = tmp_path / "m.safetensors", tmp_path / "m.fly"
    safetensors.numpy.save_file(all_tensors, plain, {"format": "np"})
    flyweight.numpy.save_file(all_tensors, archive, {"format": "np"})
    return {"archive": archive, "plain": plain}


@pytest.mark.parametrize("kind", ["archive", "plain"])
def test_it_answers_as_safetensors_does(files, kind, all_tensors):
    with (
        safetensors.safe_open(files["plain"], "np") as theirs,
        flyweight.safe_open(files[kind], "np") as ours,
    ):
        assert ours.keys() == theirs.keys()
        assert ours.offset_keys() == theirs.offset_keys()
        assert ours.metadata() == theirs.metadata()
        assert list(ours.get_tensors()) == theirs.offset_keys()
        for name, tensor in all_tensors.items():
            assert bits(ours.get_tensor(name)) == bits(tensor) == bits(ours.get_tensors()[name])
            assert ours.get_slice(name).get_shape() == theirs.get_slice(name).get_shape()
            assert ours.get_slice(name).get_dtype() == theirs.get_slice(name).get_dtype()


def test_tensors_are_writable_and_own_their_memory(files):
    with flyweight.safe_open(files["archive"], "np") as opened:
        first, second = opened.get_tensor("large"), opened.get_slice("large")[2:5]
    first[:] = 0
    second[:] = 1
    assert first.flags.owndata
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize("framework", ["np", "numpy"])
@pytest.mark.parametrize("backend", ["mmap", "pread"])
def test_frameworks_and_backends_of_safetensors_are_accepted(files, framework, backend):
    with flyweight.safe_open(str(files["archive"]), framework, backend=backend) as opened:
        assert "scalar" in opened.keys()  # noqa: SIM118 - the method is what is tested


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"framework": "tf"}, flyweight.FlyweightError),
        ({"framework": "np", "device": "cuda"}, flyweight.FlyweightError),
        ({"framework": "np", "backend": "tape"}, ValueError),
        ({"framework": "np", "threads": -1}, ValueError),
    ],
)
def test_arguments_that_make_no_sense(files, arguments, error):
    with pytest.raises(error):
        flyweight.safe_open(files["archive"], **arguments)


def test_an_unknown_name_is_an_error(files):
    with flyweight.safe_open(files["archive"], "np") as opened:
        for ask in (opened.get_tensor, opened.get_slice):
            with pytest.raises(flyweight.FlyweightError, match="no tensor 'nope'"):
                ask("nope")


def test_after_the_with_block_it_is_closed(files):
    with flyweight.safe_open(files["archive"], "np") as opened:
        part = opened.get_slice("large")
    for ask in (
        opened.keys,
        opened.metadata,
        opened.get_tensors,
        lambda: opened.get_tensor("large"),
        lambda: part[0],
        opened.__enter__,
    ):
        with pytest.raises(flyweight.FlyweightError, match="closed"):
            ask()


@pytest.mark.parametrize("kind", ["archive", "plain"])
def test_closing_gives_the_file_descriptor_back(files, kind):
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    opened = flyweight.safe_open(files[kind], "np")
    opened.get_tensor("large")
    opened.close()
    gc.collect()
    assert descriptors() == before


def test_an_archive_of_another_file_has_no_tensors_and_no_metadata(tmp_path):
    path = tmp_path / "notes.fly"
    path.write_bytes(_core.compress_file_to_bytes(memoryview(b"plain words, no model" * 9), b"notes.txt", 1))
    with flyweight.safe_open(path, "np") as opened:
        assert opened.keys() == []
        assert opened.metadata() is None
        assert opened.get_tensors() == {}


def test_an_archive_of_a_buffer_opens_too(tmp_path):
    tensor = weights("F32", (30, 40))
    path = tmp_path / "buffer.fly"
    path.write_bytes(flyweight.compress(tensor))
    with flyweight.safe_open(path, "np") as opened:
        assert opened.metadata() is None
        assert bits(opened.get_tensor("")) == bits(tensor)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x02\0\0\0\0\0\0\0{{",
        b"\x09\0\0\0\0\0\0\0" + b'{"a": 1} ',
        b'\x3c\0\0\0\0\0\0\0{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     ' + bytes(30),
        b'\x3c\0\0\0\0\0\0\0{"a":{"dtype":"F32","shape":[7],"data_offsets":[0,36]}}     ' + bytes(36),
        b"\xff" * 200,
    ],
    ids=["empty", "short", "list", "no json", "no description", "cut", "wrong size", "junk"],
)
def test_what_is_neither_archive_nor_safetensors_is_a_format_error(tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(flyweight.FormatError, match="model"):
        flyweight.safe_open(path, "np")


# Slices ---------------------------------------------------------------------------------------------------------------

INDICES = [
    np.s_[0],
    np.s_[-1],
    np.s_[...],
    np.s_[:],
    np.s_[()],
    np.s_[1:3],
    np.s_[::2],
    np.s_[:, ::2],
    np.s_[..., 1],
    np.s_[2, 1],
    np.s_[1, ..., 0],
    np.s_[3:4, 1:],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("name", ["F32", "BF16", "U8"])
def test_slices_are_those_of_safetensors(tmp_path, name, index):
    tensor = any_bits(name, (6, 5))
    safetensors.numpy.save_file({"t": tensor}, tmp_path / "plain")
    flyweight.numpy.save_file({"t": tensor}, tmp_path / "packed")
    with (
        safetensors.safe_open(tmp_path / "plain", "np") as theirs,
        flyweight.safe_open(tmp_path / "packed", "np") as ours,
    ):
        assert bits(ours.get_slice("t")[index]) == bits(theirs.get_slice("t")[index])


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (6, IndexError),
        (-7, IndexError),
        ((0, 0, 0), IndexError),
        ((..., ...), IndexError),
        ([0, 1], TypeError),
        (None, TypeError),
        (True, TypeError),
        ("0", TypeError),
        (1.0, TypeError),
        (slice(None, None, 0), ValueError),
    ],
    ids=str,
)
def test_other_indices_are_errors(tmp_path, index, error):
    flyweight.numpy.save_file({"t": any_bits("F32", (6, 5))}, tmp_path / "t.fly")
    with flyweight.safe_open(tmp_path / "t.fly", "np") as opened, pytest.raises(error):
        opened.get_slice("t")[index]


SHAPES = [(), (1,), (7,), (0, 3), (3, 0), (1, 5), (5, 1), (9, 4), (1, 1, 6), (4, 3, 5), (2, 1, 3, 2)]


def slices(size: int) -> st.SearchStrategy[slice]:
    bound = st.none() | st.integers(-size - 2, size + 2)
    return st.builds(slice, bound, bound, st.none() | st.sampled_from([1, 2, 3, 7, -1, -2, -5]))


@st.composite
def indexed(draw) -> tuple[tuple[int, ...], object]:
    """A shape and an index that numpy accepts for it."""
    shape = draw(st.sampled_from(SHAPES))
    items = [
        draw(slices(size) if size == 0 else slices(size) | st.integers(-size, size - 1) | st.just(slice(None)))
        for size in shape[: draw(st.integers(0, len(shape)))]
    ]
    if draw(st.booleans()):
        # An ellipsis moves what follows it to the last axes; the sizes there may be smaller.
        keep = draw(st.integers(0, len(items)))
        items = [*items[:keep], Ellipsis]
    if len(items) == 1 and draw(st.booleans()):
        return shape, items[0]
    return shape, tuple(items)


@settings(max_examples=400)
@given(indexed())
def test_a_selection_is_what_numpy_selects(case):
    shape, index = case
    tensor = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    selection = _indexing.select(shape, index)
    size = int(np.prod(selection.block_shape))
    block = tensor.reshape(-1)[selection.begin : selection.begin + size].reshape(selection.block_shape)
    result = np.flip(block[selection.steps], selection.flips).reshape(selection.shape)
    assert bits(result) == bits(np.asarray(tensor[index]))


LARGE = weights("BF16", (900, 24, 31))


@pytest.fixture(scope="module")
def large_handle(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "large.fly"
    flyweight.numpy.save_file({"t": LARGE}, path)
    with flyweight.safe_open(path, "np") as opened:
        yield opened


@settings(max_examples=150)
@given(
    st.tuples(
        slices(900) | st.integers(-900, 899),
        slices(24) | st.integers(-24, 23),
        slices(31) | st.integers(-31, 30),
    )
)
def test_slices_over_several_chunks_are_those_of_numpy(large_handle, index):
    assert bits(large_handle.get_slice("t")[index]) == bits(np.asarray(LARGE[index]))


def test_wide_steps_read_single_rows(large_handle, monkeypatch):
    monkeypatch.setattr(_safe_open, "_FAR_BYTES", 4096)
    for index in (np.s_[::100], np.s_[5::-1], np.s_[899::-300, 3:5, ::-2], np.s_[7:800:11, 0]):
        assert bits(large_handle.get_slice("t")[index]) == bits(LARGE[index])


def test_a_slice_reads_no_more_than_its_rows(large_handle, monkeypatch):
    wanted = []
    source = large_handle._source
    read = type(source).read

    def spy(self, entry, begin, target, threads):
        wanted.append((begin, len(target)))
        read(self, entry, begin, target, threads)

    monkeypatch.setattr(type(source), "read", spy)
    row_bytes = 24 * 31 * 2
    large_handle.get_slice("t")[100:110]
    large_handle.get_slice("t")[3, 7]
    large_handle.get_slice("t")[3, 7, 5]
    large_handle.get_slice("t")[10:10]
    assert wanted == [(100 * row_bytes, 10 * row_bytes), (3 * row_bytes + 7 * 62, 62), (3 * row_bytes + 7 * 62 + 10, 2)]


@pytest.mark.parametrize("name", NUMPY_DTYPES)
def test_slices_of_every_dtype(tmp_path, name):
    tensor = any_bits(name, (50, 7))
    flyweight.numpy.save_file({"t": tensor}, tmp_path / "t.fly")
    with flyweight.safe_open(tmp_path / "t.fly", "np") as opened:
        part = opened.get_slice("t")
        assert bits(part[40:3:-5, ::2]) == bits(tensor[40:3:-5, ::2])
        assert bits(part[9]) == bits(tensor[9])


def test_one_handle_serves_many_threads(files, all_tensors):
    names = list(all_tensors) * 6
    with flyweight.safe_open(files["archive"], "np") as opened, concurrent.futures.ThreadPoolExecutor(8) as pool:
        for name, tensor in zip(names, pool.map(opened.get_tensor, names), strict=True):
            assert bits(tensor) == bits(all_tensors[name])


def test_closing_while_others_decode_is_safe(files, all_tensors):
    for _ in range(10):
        opened = flyweight.safe_open(files["archive"], "np")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            results = [pool.submit(opened.get_tensor, "large") for _ in range(8)]
            opened.close()
            for result in results:
                try:
                    assert bits(result.result()) == bits(all_tensors["large"])
                except flyweight.FlyweightError as error:
                    assert "closed" in str(error)
