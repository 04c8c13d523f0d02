"""Distributed checkpoints in one process: what is kept, what is refused, what damage and interruptions do."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.metadata import MetadataIndex
from torch.distributed.checkpoint.planner import LoadItemType, LoadPlan, ReadItem
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict_from_keys

import flyweight
from flyweight import _checkpoint_index, _plain, _sources
from flyweight.checkpoint import FlyweightReader, FlyweightWriter

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is .*:UserWarning")
INDEX = _checkpoint_index.FILE_NAME
DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16"),
    *("float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"),
)


def any_bits(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).bool()
    item_bytes = torch.empty((), dtype=dtype).element_size()
    numbers = torch.randint(0, 256, (*shape, item_bytes), dtype=torch.uint8)
    return numbers.view(dtype).reshape(shape)


def bits(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist())


def save(state, path, **options):
    planner = options.pop("planner", None)
    dcp.save(state, storage_writer=FlyweightWriter(path, **options), planner=planner)


def load(state, path):
    dcp.load(state, storage_reader=FlyweightReader(path))
    return state


def weights(seed: int = 0, rows: int = 300) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {f"layer.{n}": torch.randn(rows, 64, generator=generator).bfloat16() for n in range(3)}


def zeros_like(state):
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert found[name].dtype == wanted[name].dtype and found[name].shape == wanted[name].shape
        assert bits(found[name]) == bits(wanted[name]), name


def archive_of(path):
    (archive,) = path.glob("*.fly")
    return archive


def message_of(action) -> str:
    with pytest.raises(CheckpointException) as caught:
        action()
    return str(caught.value)


# What is kept ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 7), (3,), (), (0,), (4, 0, 2), (1, 1, 1)], ids=str)
def test_every_dtype_comes_back_bit_by_bit(tmp_path, shape):
    state = {name: any_bits(getattr(torch, name), *shape) for name in DTYPES}
    save(state, tmp_path / "c")
    assert_same(load(zeros_like(state), tmp_path / "c"), state)


def test_views_and_tensors_that_are_not_contiguous_are_kept_by_value(tmp_path):
    base = torch.randn(6, 8)
    state = {"t": base.T, "column": base[:, 3], "conj": torch.randn(3, dtype=torch.complex64).conj()}
    save(state, tmp_path / "c")
    found = load(
        {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in state.items()}, tmp_path / "c"
    )
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_a_target_may_be_strided_or_of_another_dtype(tmp_path):
    state = {"a": torch.randn(6, 8), "b": torch.randn(5)}
    save(state, tmp_path / "c")
    target = {"a": torch.zeros(8, 6).T, "b": torch.zeros(5, dtype=torch.float64)}
    load(target, tmp_path / "c")
    assert torch.equal(target["a"], state["a"]) and torch.equal(target["b"], state["b"].double())


def test_a_whole_checkpoint_is_loaded_without_knowing_what_is_in_it(tmp_path):
    state = {"model": weights(), "step": 3, "nested": {"lr": 0.5, "list": [1, torch.ones(2)]}}
    save(state, tmp_path / "c")
    found = _load_state_dict_from_keys(storage_reader=FlyweightReader(tmp_path / "c"))
    assert_same(found["model"], state["model"])
    assert (
        found["step"] == 3 and found["nested"]["lr"] == 0.5 and torch.equal(found["nested"]["list"][1], torch.ones(2))
    )


def test_tensors_inside_objects_are_kept(tmp_path):
    value = ({"a": torch.arange(5), "b": (torch.ones(2, 2, dtype=torch.bfloat16), 1)}, "x")
    save({"state": value}, tmp_path / "c")
    found = load({"state": None}, tmp_path / "c")["state"]
    assert type(found) is tuple and found[1] == "x" and torch.equal(found[0]["a"], value[0]["a"])
    assert torch.equal(found[0]["b"][0], value[0]["b"][0]) and found[0]["b"][1] == 1


def test_tensors_that_are_tied_are_stored_once(tmp_path):
    tensor = torch.randn(500, 64)
    save({"a": tensor}, tmp_path / "one")
    save({"a": tensor, "b": tensor, "c": tensor.clone()}, tmp_path / "three")
    assert archive_of(tmp_path / "three").stat().st_size < 1.05 * archive_of(tmp_path / "one").stat().st_size


def test_the_same_state_gives_the_same_bytes(tmp_path):
    for name, threads in (("a", 1), ("b", 2)):
        save({**weights(), "step": 1, "names": ({"x", "y", "z"},)}, tmp_path / name, threads=threads)
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b")]
    assert files[0] == files[1]


def test_an_archive_is_one_of_safetensors_that_every_verb_takes(tmp_path):
    state = weights()
    save(state, tmp_path / "c")
    assert_same(flyweight.torch.load_file(archive_of(tmp_path / "c")), state)


def test_ranks_may_save_without_talking_to_each_other(tmp_path):
    state = weights()
    dcp.save(state, storage_writer=FlyweightWriter(tmp_path / "c"), use_collectives=False)
    assert sorted(path.suffix for path in (tmp_path / "c").iterdir()) == [".fly", ".json"]
    assert not (tmp_path / "c" / INDEX).exists()
    assert_same(load(zeros_like(state), tmp_path / "c"), state)


def test_plans_that_are_cached_between_saves_do_not_mix_them_up(tmp_path, monkeypatch):
    for cache in ("_cached_save_plan", "_cached_final_save_plan", "_cached_all_plans", "_cached_global_plan"):
        monkeypatch.setattr(dcp.planner.SavePlanner, cache, {})
    monkeypatch.setattr(dcp.planner.SavePlanner, "_cached_metadata", {})
    for seed in (1, 2, 3):
        save(weights(seed), tmp_path / str(seed), planner=DefaultSavePlanner(enable_plan_caching=True))
    for seed in (1, 2, 3):
        assert_same(load(zeros_like(weights()), tmp_path / str(seed)), weights(seed))


# No pickle ------------------------------------------------------------------------------------------------------------


def test_loading_reads_no_pickle(tmp_path, monkeypatch):
    state = {**weights(), "step": 3, "data": (1, {"a": 2.5}, torch.ones(3))}
    save(state, tmp_path / "c")

    def refuse(*args, **kwargs):
        raise AssertionError("a pickle is read")

    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, refuse)
    found = load({**zeros_like(weights()), "step": None, "data": None}, tmp_path / "c")
    assert found["step"] == 3 and found["data"][1] == {"a": 2.5} and torch.equal(found["layer.1"], state["layer.1"])
    for path in (tmp_path / "c").iterdir():
        assert b"PK\x03\x04" not in path.read_bytes()[:4] and path.suffix in (".fly", ".json")


class Trap:
    def __reduce__(self):
        return (os.mkdir, ("trap-was-sprung",))


@pytest.mark.parametrize(
    "value", [Trap(), object, {"deep": [Trap()]}, len], ids=["object", "class", "nested", "function"]
)
def test_what_only_a_pickle_could_keep_is_refused_by_name(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    message = message_of(lambda: save({"fine": 1, "trouble": (value,)}, tmp_path / "c"))
    assert "'trouble' cannot be saved" in message
    assert not (tmp_path / "trap-was-sprung").exists() and not (tmp_path / "c" / INDEX).exists()


def test_sparse_tensors_are_refused_by_name(tmp_path):
    assert "'s'" in message_of(lambda: save({"s": torch.eye(3).to_sparse()}, tmp_path / "c"))


def test_a_planner_with_its_own_way_of_loading_objects_gets_bytes(tmp_path):
    seen = {}

    class Planner(DefaultLoadPlanner):
        def load_bytes(self, read_item, value: io.BytesIO) -> None:
            seen[read_item.dest_index.fqn] = torch.load(value, weights_only=True)

    save({"step": 3, "pair": (1, None)}, tmp_path / "c")
    dcp.load({"step": 0, "pair": ()}, storage_reader=FlyweightReader(tmp_path / "c"), planner=Planner())
    assert seen == {"step": 3, "pair": (1, None)}


# Slices ---------------------------------------------------------------------------------------------------------------


class OnePart:
    """A planner of a single read."""

    def __init__(self, target):
        self.target = target

    def resolve_tensor(self, item):
        return self.target

    def commit_tensor(self, item, tensor):
        assert tensor.data_ptr() == self.target.data_ptr()


def read_part(path, name, offsets, lengths, dtype):
    reader = FlyweightReader(path)
    reader.set_up_storage_reader(reader.read_metadata(), is_coordinator=True)
    target = torch.zeros(lengths, dtype=dtype)
    index = MetadataIndex(name, [0] * len(offsets))
    sizes = torch.Size(offsets), torch.Size(lengths)
    item = ReadItem(LoadItemType.TENSOR, index, torch.Size([0] * len(offsets)), index, *sizes)
    reader.read_data(LoadPlan([item]), OnePart(target)).wait()
    return target


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128, torch.float8_e4m3fn], ids=str)
@pytest.mark.parametrize("offsets, lengths", [((0, 0), (9, 6)), ((2, 0), (3, 6)), ((2, 1), (4, 3)), ((8, 5), (1, 1))])
def test_any_part_of_a_tensor_can_be_read(tmp_path, dtype, offsets, lengths):
    tensor = any_bits(dtype, 9, 6)
    save({"t": tensor}, tmp_path / "c")
    rows, columns = (slice(begin, begin + length) for begin, length in zip(offsets, lengths, strict=True))
    assert bits(read_part(tmp_path / "c", "t", offsets, lengths, dtype)) == bits(tensor[rows, columns])


def test_a_part_is_read_from_its_own_chunks(tmp_path, monkeypatch):
    tensor = torch.randn(4096, 512)
    save({"t": tensor}, tmp_path / "c")
    path = archive_of(tmp_path / "c")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    asked = []
    read = _sources.ArchiveSource.read

    def count(self, entry, begin, target, threads):
        asked.append(len(target))
        read(self, entry, begin, target, threads)

    monkeypatch.setattr(_sources.ArchiveSource, "read", count)
    assert torch.equal(read_part(tmp_path / "c", "t", (16, 0), (32, 512), torch.float32), tensor[16:48])
    assert asked == [32 * 512 * 4]
    with pytest.raises(flyweight.ChecksumError):
        read_part(tmp_path / "c", "t", (0, 0), (4096, 512), torch.float32)


# Interruptions --------------------------------------------------------------------------------------------------------


def test_a_save_that_did_not_finish_is_no_checkpoint(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_checkpoint_index, "write", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
        message_of(lambda: save(weights(), tmp_path / "c"))
    assert archive_of(tmp_path / "c").stat().st_size > 0
    message = message_of(lambda: load(zeros_like(weights()), tmp_path / "c"))
    assert f"{tmp_path / 'c'} is no complete checkpoint" in message


def test_an_older_checkpoint_stays_whole_until_the_new_one_is(tmp_path, monkeypatch):
    save(weights(1), tmp_path / "c")
    with monkeypatch.context() as patch:
        patch.setattr(_checkpoint_index, "write", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
        message_of(lambda: save(weights(2), tmp_path / "c"))
    assert_same(load(zeros_like(weights()), tmp_path / "c"), weights(1))
    save(weights(3), tmp_path / "c")
    assert_same(load(zeros_like(weights()), tmp_path / "c"), weights(3))
    names = set(_checkpoint_index.read(tmp_path / "c" / INDEX).files)
    assert len(names) == 1 and names < {path.name for path in (tmp_path / "c").iterdir()}


def test_what_interrupted_saves_left_is_removed_by_the_next(tmp_path):
    (tmp_path / "c" / ".saving-left").mkdir(parents=True)
    save(weights(), tmp_path / "c")
    assert sorted(path.suffix for path in (tmp_path / "c").iterdir()) == [".fly", ".json"]


def test_overwriting_can_be_refused(tmp_path):
    save(weights(1), tmp_path / "c")
    assert "overwrite is False" in message_of(lambda: save(weights(2), tmp_path / "c", overwrite=False))
    assert_same(load(zeros_like(weights()), tmp_path / "c"), weights(1))


# Damage ---------------------------------------------------------------------------------------------------------------


def test_no_flipped_bit_of_the_index_goes_unnoticed(tmp_path):
    save({**weights(rows=3), "lr": 0.125}, tmp_path / "c")
    path = tmp_path / "c" / INDEX
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 7
        path.write_bytes(damaged)
        with pytest.raises(flyweight.FlyweightError, match=INDEX):
            _checkpoint_index.read(path)


@pytest.mark.parametrize("kind", ["missing", "cut", "flipped", "another"])
def test_a_damaged_archive_is_named(tmp_path, kind):
    save(weights(1), tmp_path / "c")
    save(weights(2), tmp_path / "other")
    path, content = archive_of(tmp_path / "c"), bytearray(archive_of(tmp_path / "c").read_bytes())
    if kind == "missing":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(content[:-1])
    elif kind == "flipped":
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
    else:
        shutil.copy(archive_of(tmp_path / "other"), path)
    assert path.name in message_of(lambda: load(zeros_like(weights()), tmp_path / "c"))


def signed(document) -> bytes:
    unsigned = json.dumps({**document, "sha256": "0" * 64}, separators=(",", ":")).encode()
    return unsigned.replace(b"0" * 64, hashlib.sha256(unsigned).hexdigest().encode(), 1)


def change(document, *path_and_value):
    *path, last, value = path_and_value
    part = document
    for step in path:
        part = part[step]
    part[last] = value


BAD = {
    "file outside of the folder": ("files", "../../etc/x", {"size_bytes": 1, "rank": 0, "sha256": ""}),
    "home outside of the folder": ("files", "a", {"size_bytes": 1, "rank": 0, "sha256": "", "home": ".."}),
    "unknown field of a file": ("files", "a", {"size_bytes": 1, "rank": 0, "sha256": "", "x": 1}),
    "base of itself": ("files", "a", {"size_bytes": 1, "rank": 0, "sha256": "", "base": "a", "depth": 1}),
    "base that is not listed": ("files", "a", {"size_bytes": 1, "rank": 0, "sha256": "", "base": "b", "depth": 1}),
    "negative size": ("files", "a", {"size_bytes": -1, "rank": 0, "sha256": ""}),
    "unknown version": ("version", 2),
    "another format": ("format", "x"),
    "no dtype": ("state", "layer.0", "dtype", "load"),
    "no layout": ("state", "layer.0", "layout", "load"),
    "no memory format": ("state", "layer.0", "memory_format", "load"),
    "chunk outside of the tensor": ("state", "layer.0", "chunks", [[[1, 0], [3, 64]]]),
    "chunk of other dimensions": ("state", "layer.0", "chunks", [[[0], [3]]]),
    "negative dimension": ("state", "layer.0", "size", [-3, 64]),
    "unknown kind of entry": ("state", "layer.0", "kind", "pickle"),
    "item in no archive": ("items", 0, "file", "nowhere"),
    "unknown kind of object": ("planner_data", {"pickle": "gASVAAAA"}),
    "object of two kinds": ("planner_data", {"tuple": [], "set": []}),
    "tensor in the planner's data": ("planner_data", {"tensor": "a"}),
    "dict of no pairs": ("planner_data", {"dict": [1]}),
    "key that cannot be one": ("planner_data", {"dict": [[[], 1]]}),
}


@pytest.mark.parametrize("path_and_value", BAD.values(), ids=BAD)
def test_a_bad_index_is_an_error(tmp_path, path_and_value):
    save(weights(rows=3), tmp_path / "c")
    path = tmp_path / "c" / INDEX
    document = json.loads(path.read_bytes())
    path.write_bytes(signed(document))
    _checkpoint_index.read(path)
    change(document, *path_and_value)
    path.write_bytes(signed(document))
    with pytest.raises(flyweight.FlyweightError):
        _checkpoint_index.read(path)


def test_an_index_that_disagrees_with_its_archive_is_an_error(tmp_path):
    save(weights(rows=3), tmp_path / "c")
    path = tmp_path / "c" / INDEX
    document = json.loads(path.read_bytes())
    for field, value in (("dtype", "float16"), ("size", [2, 64])):
        changed = json.loads(json.dumps(document))
        changed["state"]["layer.0"][field] = value
        changed["state"]["layer.0"]["chunks"] = [[[0, 0], changed["state"]["layer.0"]["size"]]]
        path.write_bytes(signed(changed))
        target = {"layer.0": torch.zeros(changed["state"]["layer.0"]["size"], dtype=torch.bfloat16)}
        if field == "size":
            target["layer.0"] = torch.zeros(4, 64)
        message_of(lambda target=target: load(target, tmp_path / "c"))


def test_json_that_is_nested_too_deep_is_an_error(tmp_path):
    save({"a": 1}, tmp_path / "c")
    path = tmp_path / "c" / INDEX
    document = json.loads(path.read_bytes())
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(flyweight.FlyweightError):
        _checkpoint_index.read(path)
    nested: list = []
    for _ in range(_plain.MAX_DEPTH + 2):
        nested = [nested]
    path.write_bytes(signed({**document, "planner_data": nested}))
    with pytest.raises(flyweight.FlyweightError, match="deep"):
        _checkpoint_index.read(path)


def test_objects_that_contain_themselves_are_refused(tmp_path):
    loop: list = [1]
    loop.append((loop,))
    assert "'loop' cannot be saved" in message_of(lambda: save({"loop": (loop,)}, tmp_path / "c"))


def test_arguments_that_make_no_sense_are_refused(tmp_path):
    for options in ({"level": "best of all"}, {"threads": -1}, {"base": "next"}, {"key_frame_every": 0}):
        with pytest.raises(ValueError):
            FlyweightWriter(tmp_path, **options)
    assert not FlyweightWriter.validate_checkpoint_id("s3://bucket/x") and FlyweightReader.validate_checkpoint_id("x")
