"""The exchanged layout of weight versions, against a reader and a writer that share nothing with the package's."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import xxhash
import zstandard
from safetensors.numpy import load_file, save_file

import flyweight
from conftest import any_bits, bits, weights
from flyweight import sync

INDEX = "model.safetensors.index.json"
State = dict[str, np.ndarray]


def sum_of(kind: str, data: bytes) -> str:
    return xxhash.xxh3_128_hexdigest(data) if kind == "xxh3-128" else f"{zlib.adler32(data):08x}"


def peer_write(root: Path, number: int, base_number: int, new: State, base: State, encoding: str, kind: str) -> Path:
    """A delta as the description of the layout has it, two shards, written with numpy, zstandard and safetensors."""
    folder = root / f"weight_v{number:06d}"
    folder.mkdir(parents=True)
    frames, sums = {}, {}
    for name, array in new.items():
        old, now = (np.frombuffer(a.tobytes(), np.uint8) for a in (base[name], array))
        if np.array_equal(old, now):
            continue
        if encoding == "xor":
            plain = (old ^ now).tobytes()
        else:
            at = np.flatnonzero(old != now).astype("<u4")
            plain = np.array([at.size], "<u4").tobytes() + at.tobytes() + now[at].tobytes()
        frames[name] = np.frombuffer(zstandard.ZstdCompressor(level=1).compress(plain), np.uint8)
        sums[name] = sum_of(kind, array.tobytes())
    weight_map = {name: f"model-{i % 2:05d}-of-00002.safetensors" for i, name in enumerate(frames)}
    for shard in set(weight_map.values()):
        names = [name for name, place in weight_map.items() if place == shard]
        save_file({name: frames[name] for name in names}, folder / shard, {name: sums[name] for name in names})
    metadata = {
        "version": f"{number:06d}",
        "base_version": f"{base_number:06d}",
        "delta_encoding": encoding,
        "compression_format": "zstd",
        "checksum_format": kind,
    }
    (folder / INDEX).write_text(json.dumps({"metadata": metadata, "weight_map": weight_map}))
    return folder


def peer_apply(folder: Path, state: State) -> tuple[State, dict[str, str]]:
    """The state after a delta, and the delta's metadata."""
    index = json.loads((folder / INDEX).read_text())
    result = dict(state)
    for name, shard in index["weight_map"].items():
        header_bytes = int.from_bytes((folder / shard).read_bytes()[:8], "little")
        header = json.loads((folder / shard).read_bytes()[8 : 8 + header_bytes])
        stored = load_file(folder / shard)[name]
        assert stored.dtype == np.uint8 and stored.ndim == 1
        plain = np.frombuffer(zstandard.ZstdDecompressor().decompress(stored.tobytes()), np.uint8)
        now = np.frombuffer(state[name].tobytes(), np.uint8).copy()
        if index["metadata"]["delta_encoding"] == "xor":
            now ^= plain
        else:
            count = int(plain[:4].view("<u4")[0])
            at = plain[4 : 4 + 4 * count].view("<u4")
            now[at] = plain[4 + 4 * count :]
        assert header["__metadata__"][name] == sum_of(index["metadata"]["checksum_format"], now.tobytes())
        result[name] = now.view(state[name].dtype).reshape(state[name].shape)
    return result, index["metadata"]


def first_state() -> State:
    state = {f"layer.{i}.weight": weights("BF16", (64, 96), i) for i in range(4)}
    state["norm"] = weights("F32", (96,), 9)
    state["empty"] = np.empty((0, 3), np.float16)
    state["scalar"] = np.array(7, np.int64)
    state["odd"] = any_bits("U8", (1001,))
    return state


def next_state(state: State, seed: int) -> State:
    """Some elements of some tensors move."""
    random = np.random.default_rng(seed)
    result = {}
    for name, array in state.items():
        raw = np.frombuffer(array.tobytes(), np.uint8).copy()
        if name != "layer.3.weight":
            raw[random.random(raw.size) < 0.02] ^= 1
        result[name] = raw.view(array.dtype).reshape(array.shape)
    result["scalar"] = np.array(7 + seed, np.int64)
    return result


def copy_of(state: State) -> State:
    return {name: array.copy() for name, array in state.items()}


def assert_same(left: State, right: State) -> None:
    assert {name: bits(array) for name, array in left.items()} == {name: bits(array) for name, array in right.items()}


ENCODINGS = ("xor", "overwrite")
CHECKSUMS = ("xxh3-128", "adler32")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("checksum", CHECKSUMS)
def test_a_peer_reads_what_is_written(tmp_path: Path, encoding: str, checksum: str) -> None:
    base, new = first_state(), next_state(first_state(), 1)
    folder = sync.write_version(tmp_path, 12, new, base=base, base_version=11, encoding=encoding, checksum=checksum)
    assert folder == tmp_path / "weight_v000012"
    found, metadata = peer_apply(folder, base)
    assert_same(found, new)
    assert metadata == {
        "version": "000012",
        "base_version": "000011",
        "delta_encoding": encoding,
        "compression_format": "zstd",
        "checksum_format": checksum,
    }
    index = json.loads((folder / INDEX).read_text())
    assert "layer.3.weight" not in index["weight_map"]
    assert set(index["weight_map"].values()) == {"model-00000-of-00001.safetensors"}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("checksum", CHECKSUMS)
@pytest.mark.parametrize("threads", (1, 3))
def test_what_a_peer_wrote_is_applied_in_place(tmp_path: Path, encoding: str, checksum: str, threads: int) -> None:
    base, new = first_state(), next_state(first_state(), 1)
    folder = peer_write(tmp_path, 3, 2, new, base, encoding, checksum)
    state = copy_of(base)
    addresses = {name: array.ctypes.data for name, array in state.items()}
    sync.apply_version(folder, state, threads=threads)
    assert_same(state, new)
    assert addresses == {name: array.ctypes.data for name, array in state.items()}


def test_an_anchor_is_a_plain_checkpoint_in_shards(tmp_path: Path) -> None:
    state = first_state()
    folder = sync.write_version(tmp_path, 0, state, shard_bytes=20_000)
    index = json.loads((folder / INDEX).read_text())
    assert index["metadata"] == {"total_size": sum(array.nbytes for array in state.values())}
    shards = sorted(set(index["weight_map"].values()))
    assert len(shards) > 1 and shards[0] == f"model-00000-of-{len(shards):05d}.safetensors"
    loaded: State = {}
    for shard in shards:
        with flyweight.safe_open(folder / shard, "np") as opened:
            loaded.update(opened.get_tensors())
    assert_same(loaded, state)
    target = {name: np.zeros_like(array) for name, array in state.items()}
    sync.apply_version(folder, target)
    assert_same(target, state)


def publish(root: Path, count: int, anchors: tuple[int, ...] = (0,), encoding: str = "xor") -> list[State]:
    states = [first_state()]
    for seed in range(1, count):
        states.append(next_state(states[-1], seed))
    for number, state in enumerate(states):
        if number in anchors:
            sync.write_version(root, number, state)
        else:
            sync.write_version(root, number, state, base=states[number - 1], base_version=number - 1, encoding=encoding)
    return states


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_chain_starts_at_the_nearest_anchor_or_at_what_is_held(tmp_path: Path, encoding: str) -> None:
    states = publish(tmp_path, 8, (0, 4), encoding)
    assert sync.list_versions(tmp_path) == list(range(8))

    def numbers(**options: int) -> list[int]:
        return [version.number for version in sync.find_chain(tmp_path, **options)]

    assert numbers() == [4, 5, 6, 7]
    assert numbers(current=5) == [6, 7]
    assert numbers(current=7) == []
    assert numbers(current=1) == [4, 5, 6, 7]
    assert numbers(target=3) == [0, 1, 2, 3]
    assert numbers(target=3, current=1) == [2, 3]
    state = copy_of(states[1])
    for version in sync.find_chain(tmp_path, current=1):
        sync.apply_version(version, state)
    assert_same(state, states[7])


def test_a_pruned_chain_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, 4)
    os.rename(tmp_path / "weight_v000002", tmp_path / "gone")
    with pytest.raises(flyweight.BaseMismatchError, match="version 2, on which version 3 is based, is gone"):
        sync.find_chain(tmp_path)
    assert [version.number for version in sync.find_chain(tmp_path, current=2)] == [3]
    with pytest.raises(flyweight.BaseMismatchError):
        sync.find_chain(tmp_path, current=1)


def test_xor_applied_twice_is_noticed_and_changes_nothing(tmp_path: Path) -> None:
    states = publish(tmp_path, 2)
    state = copy_of(states[0])
    version = sync.open_version(tmp_path / "weight_v000001")
    sync.apply_version(version, state)
    with pytest.raises(flyweight.AlreadyAppliedError, match="was applied already"):
        sync.apply_version(version, state)
    assert_same(state, states[1])
    sync.apply_version(version, state, idempotent=True)
    assert_same(state, states[1])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("threads", (1, 4))
def test_a_wrong_base_is_refused_and_stays_as_it_was(tmp_path: Path, encoding: str, threads: int) -> None:
    states = publish(tmp_path, 4, encoding=encoding)
    state = copy_of(states[0])
    with pytest.raises(flyweight.BaseMismatchError, match="version 3 needs the weights of version 2: tensor"):
        sync.apply_version(tmp_path / "weight_v000003", state, threads=threads)
    assert_same(state, states[0])
    del state["norm"]
    with pytest.raises(flyweight.BaseMismatchError, match="'norm'"):
        sync.apply_version(tmp_path / "weight_v000001", state)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tied_tensors_change_once(tmp_path: Path, encoding: str) -> None:
    base, new = first_state(), next_state(first_state(), 1)
    base["tied"], new["tied"] = base["layer.0.weight"].copy(), new["layer.0.weight"].copy()
    folder = sync.write_version(tmp_path, 1, new, base=base, base_version=0, encoding=encoding)
    state = copy_of(base)
    state["tied"] = state["layer.0.weight"]
    sync.apply_version(folder, state)
    assert_same(state, new)
    state = copy_of(base)
    state["layer.1.weight"] = state["layer.0.weight"]
    with pytest.raises(ValueError, match="share memory"):
        sync.apply_version(folder, state)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_was_interrupted_is_completed(tmp_path: Path, encoding: str) -> None:
    states = publish(tmp_path, 2, encoding=encoding)
    state = copy_of(states[0])
    state["norm"] = states[1]["norm"].copy()
    if encoding == "xor":
        with pytest.raises(flyweight.AlreadyAppliedError, match="'norm'"):
            sync.apply_version(tmp_path / "weight_v000001", state)
        assert bits(state["layer.0.weight"]) == bits(states[0]["layer.0.weight"])
    sync.apply_version(tmp_path / "weight_v000001", state, idempotent=True)
    assert_same(state, states[1])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_flipped_bits_are_errors_and_change_nothing(tmp_path: Path, encoding: str) -> None:
    states = publish(tmp_path, 2, encoding=encoding)
    folder = tmp_path / "weight_v000001"
    shard = folder / "model-00000-of-00001.safetensors"
    sound = shard.read_bytes()
    data_begin = 8 + int.from_bytes(sound[:8], "little")
    silent = 0
    for place in range(data_begin, len(sound), 37):
        broken = bytearray(sound)
        broken[place] ^= 1 << (place % 8)
        shard.write_bytes(broken)
        state = copy_of(states[0])
        try:
            sync.apply_version(folder, state, threads=1)
            silent += 1  # a bit on which nothing depends
            assert_same(state, states[1])
        except flyweight.FlyweightError:
            assert_same(state, states[0])
    assert silent < (len(sound) - data_begin) / 37 / 10


def broken_index(folder: Path, **metadata: object) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["metadata"].update(metadata)
    (folder / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize(
    "metadata",
    (
        {"version": "000009"},
        {"base_version": "000001"},
        {"base_version": "-1"},
        {"base_version": None},
        {"delta_encoding": "add"},
        {"compression_format": "lz4"},
        {"checksum_format": "crc32"},
    ),
)
def test_an_index_that_contradicts_itself_is_refused(tmp_path: Path, metadata: dict[str, object]) -> None:
    publish(tmp_path, 2)
    broken_index(tmp_path / "weight_v000001", **metadata)
    with pytest.raises(flyweight.FormatError):
        sync.open_version(tmp_path / "weight_v000001")


@pytest.mark.parametrize(
    "shard", ("../weight_v000000/model-00000-of-00001.safetensors", "/etc/passwd", "..", "a\\b.safetensors", "", 5,
              ".hidden.safetensors", "model.bin", "x" * 300 + ".safetensors", "a\0.safetensors", "a\n.safetensors")
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, shard: object) -> None:
    states = publish(tmp_path, 2)
    folder = tmp_path / "weight_v000001"
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["norm"] = shard
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(flyweight.FormatError):
        sync.apply_version(folder, copy_of(states[0]))


@pytest.mark.parametrize("text", ("", "[]", "{", '{"metadata": {}}', '{"metadata": {}, "metadata": {}}', "[" * 100_000))
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    publish(tmp_path, 1)
    (tmp_path / "weight_v000000" / INDEX).write_text(text)
    with pytest.raises(flyweight.FormatError):
        sync.open_version(tmp_path / "weight_v000000")


def test_states_that_differ_in_more_than_values_need_an_anchor(tmp_path: Path) -> None:
    base = first_state()
    for change in ({"new": np.zeros(3)}, {"norm": np.zeros(96)}, {"norm": weights("F32", (95,))}):
        with pytest.raises(ValueError, match="anchor"):
            sync.write_version(tmp_path, 1, {**base, **change}, base=base, base_version=0)
    with pytest.raises(ValueError, match="anchor"):
        sync.write_version(tmp_path, 1, {"norm": base["norm"]}, base=base, base_version=0)
    with pytest.raises(ValueError):
        sync.write_version(tmp_path, 1, base, base=base)
    with pytest.raises(ValueError):
        sync.write_version(tmp_path, 1, base, base=base, base_version=1)
    assert not list(tmp_path.glob("*/" + INDEX))


def test_a_version_is_written_once_and_an_unchanged_one_is_empty(tmp_path: Path) -> None:
    base = first_state()
    folder = sync.write_version(tmp_path, 1, base, base=copy_of(base), base_version=0)
    assert os.listdir(folder) == [INDEX]
    state = copy_of(base)
    sync.apply_version(folder, state)
    assert_same(state, base)
    with pytest.raises(FileExistsError):
        sync.write_version(tmp_path, 1, base)


def test_blake3_without_its_package_says_what_to_install(tmp_path: Path) -> None:
    base, new = first_state(), next_state(first_state(), 1)
    try:
        import blake3
    except ImportError:
        with pytest.raises(ImportError, match="pip install blake3"):
            sync.write_version(tmp_path, 1, new, base=base, base_version=0, checksum="blake3")
        return
    folder = sync.write_version(tmp_path, 1, new, base=base, base_version=0, checksum="blake3")
    with flyweight.safe_open(folder / "model-00000-of-00001.safetensors", "np") as opened:
        metadata = opened.metadata()
    assert metadata is not None
    assert metadata["norm"] == blake3.blake3(new["norm"].tobytes()).hexdigest()
    sync.apply_version(folder, base)
    assert_same(base, new)


def loaded(folder: Path) -> State:
    result: State = {}
    for path in sorted(folder.glob("*.safetensors")):
        with flyweight.safe_open(path, "np") as opened:
            result.update(opened.get_tensors())
    return result


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pull_brings_a_checkpoint_on_disk_to_any_later_version(tmp_path: Path, encoding: str) -> None:
    root, local = tmp_path / "root", tmp_path / "local"
    states = publish(root, 7, (0, 4), encoding)
    assert sync.pull(root, local, 2) == 2
    assert_same(loaded(local), states[2])
    assert sync.pull(root, local, 3) == 3
    assert sync.pulled_version(local) == 3
    assert_same(loaded(local), states[3])
    assert sync.pull(root, local) == 6
    assert_same(loaded(local), states[6])
    assert sync.pull(root, local) == 6


def test_a_pull_that_was_interrupted_is_completed_and_a_wrong_checkpoint_refused(tmp_path: Path) -> None:
    root, local = tmp_path / "root", tmp_path / "local"
    states = publish(root, 4)
    sync.pull(root, local, 1)
    # One tensor is further than the marker says, as after a crash between two files.
    path = next(local.glob("*.safetensors"))
    save_file({**states[1], "norm": states[3]["norm"], "odd": states[2]["odd"]}, path)
    sync.pull(root, local)
    assert_same(loaded(local), states[3])
    save_file({**states[3], "norm": states[0]["norm"]}, path)
    (local / ".flyweight-version").write_text("1")
    with pytest.raises(flyweight.BaseMismatchError, match="'norm'"):
        sync.pull(root, local)
    assert sync.pulled_version(local) == 1


def test_torch_tensors_change_in_place(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    base = {"w": torch.randn(50, 40).to(torch.bfloat16), "b": torch.zeros(40)}
    new = {"w": base["w"] * 1.01, "b": torch.ones(40)}
    folder = sync.write_version(tmp_path, 1, new, base=base, base_version=0)
    pointers = {name: tensor.data_ptr() for name, tensor in base.items()}
    sync.apply_version(folder, base)
    assert all(torch.equal(base[name], new[name]) and base[name].data_ptr() == pointers[name] for name in new)
    with pytest.raises(ValueError, match="contiguous"):
        sync.apply_version(folder, {"w": torch.zeros(40, 50, dtype=torch.bfloat16).T, "b": torch.zeros(40)})
