"""Versions of weights as patches, published and followed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import flyweight
from conftest import any_bits, bits, weights
from flyweight import sync

State = dict[str, np.ndarray]


def first_state() -> State:
    state = {f"layer.{i}.weight": weights("BF16", (80, 96), i) for i in range(4)}
    state["norm"] = weights("F32", (96,), 9)
    state["scalar"] = np.array(7, np.int64)
    state["empty"] = np.empty((0, 3), np.float16)
    state["odd"] = any_bits("U8", (1001,))
    return state


def next_state(state: State, seed: int) -> State:
    random = np.random.default_rng(seed)
    result = {}
    for name, array in state.items():
        raw = np.frombuffer(array.tobytes(), np.uint8).copy()
        if name != "layer.3.weight":
            raw[:: 2 if raw.size > 100 else 1][random.random(-(-raw.size // (2 if raw.size > 100 else 1))) < 0.01] ^= 1
        result[name] = raw.view(array.dtype).reshape(array.shape)
    return result


def copy_of(state: State) -> State:
    return {name: array.copy() for name, array in state.items()}


def assert_same(left: State, right: State) -> None:
    assert {name: bits(array) for name, array in left.items()} == {name: bits(array) for name, array in right.items()}


def states(count: int) -> list[State]:
    result = [first_state()]
    for seed in range(1, count):
        result.append(next_state(result[-1], seed))
    return result


def test_a_subscriber_follows_a_folder_in_place(tmp_path: Path) -> None:
    versions = states(5)
    publisher = sync.WeightPublisher(tmp_path, part_bytes=20_000)
    state: State = {}
    subscriber = sync.WeightSubscriber(state, tmp_path)
    assert subscriber.poll() is None
    addresses: dict[str, int] = {}
    for number, version in enumerate(versions):
        assert publisher.publish(version) == number
        assert subscriber.poll() == subscriber.version == number
        assert_same(state, version)
        addresses = addresses or {name: array.ctypes.data for name, array in state.items()}
        assert addresses == {name: array.ctypes.data for name, array in state.items()}
    assert subscriber.poll() is None
    assert len(list((tmp_path / "v000004").glob("delta-*.fly"))) > 1


def test_deltas_are_small_and_their_parts_are_archives(tmp_path: Path) -> None:
    versions = states(2)
    publisher = sync.WeightPublisher(tmp_path)
    for version in versions:
        publisher.publish(version)
    anchor = (tmp_path / "v000000" / "anchor-00000.fly").read_bytes()
    delta = (tmp_path / "v000001" / "delta-00000.fly").read_bytes()
    assert len(delta) < len(anchor) / 8
    info = sync.PartInfo.of(delta)
    assert (info.version, info.base, info.number, info.is_last, info.tensors) == (1, 0, 0, True, len(versions[0]))
    assert sync.PartInfo.of(anchor).base is None
    assert not flyweight.verify(tmp_path / "v000000" / "anchor-00000.fly")["lacks_base"]
    assert flyweight.verify(tmp_path / "v000001" / "delta-00000.fly")["lacks_base"]


def test_late_and_far_subscribers_start_at_the_cheapest_place(tmp_path: Path) -> None:
    versions = states(12)
    publisher = sync.WeightPublisher(tmp_path, anchor_every=4)
    for version in versions:
        publisher.publish(version)
    assert [n for n in range(12) if sync.open_stored(tmp_path, n).anchor] == [0, 4, 8]
    for start in (None, 3, 10, 11):
        state = copy_of(versions[start]) if start is not None else {}
        subscriber = sync.WeightSubscriber(state, tmp_path, version=start)
        assert subscriber.poll() == (11 if start != 11 else None)
        assert_same(state, versions[11])
    state = {}
    assert sync.WeightSubscriber(state, tmp_path).poll(6) == 6
    assert_same(state, versions[6])


def test_pruning_keeps_what_later_versions_need(tmp_path: Path) -> None:
    versions = states(10)
    publisher = sync.WeightPublisher(tmp_path, anchor_every=3, keep_anchors=2)
    for version in versions:
        publisher.publish(version)
    assert sync.stored_versions(tmp_path) == [6, 7, 8, 9]
    for start in (None, 2, 7):
        state = copy_of(versions[start]) if start is not None else {}
        assert sync.WeightSubscriber(state, tmp_path, version=start).poll() == 9
        assert_same(state, versions[9])
    assert sync.prune_versions(tmp_path, 5) == []


def test_a_gone_version_without_an_anchor_is_an_error(tmp_path: Path) -> None:
    versions = states(4)
    publisher = sync.WeightPublisher(tmp_path)
    for version in versions:
        publisher.publish(version)
    os.rename(tmp_path / "v000002", tmp_path / "gone")
    state = copy_of(versions[1])
    with pytest.raises(flyweight.BaseMismatchError, match="version 2 is gone"):
        sync.WeightSubscriber(state, tmp_path, version=1).poll()
    assert_same(state, versions[1])


def test_parts_travel_through_a_function(tmp_path: Path) -> None:
    versions = states(6)
    parts: list[bytes] = []
    publisher = sync.WeightPublisher(parts.append, anchor_every=3, part_bytes=30_000)
    state, late = copy_of(versions[0]), {}
    subscriber, joiner = sync.WeightSubscriber(state, version=0), sync.WeightSubscriber(late)
    for number, version in enumerate(versions):
        parts.clear()
        assert publisher.publish(version) == number
        reached = [subscriber.receive(part) for part in parts]
        assert [n for n in reached if n is not None] == ([number] if number else [])
        assert_same(state, version)
        if number >= 2:  # joins late
            for part in parts:
                joiner.receive(part)
            assert joiner.version == (None if number < 3 else number)
    assert_same(late, versions[-1])


def test_versions_out_of_order_are_refused_and_repeated_ones_passed_over() -> None:
    versions = states(4)
    sent: list[list[bytes]] = []
    publisher = sync.WeightPublisher(lambda part: sent[-1].append(part), part_bytes=30_000)
    for version in versions:
        sent.append([])
        publisher.publish(version)
    state = copy_of(versions[0])
    subscriber = sync.WeightSubscriber(state, version=0)
    with pytest.raises(flyweight.BaseMismatchError, match="version 2 needs version 1, and the weights are of 0"):
        subscriber.receive(sent[2][0])
    assert_same(state, versions[0])
    assert len(sent[1]) > 2
    assert subscriber.receive(sent[1][0]) is None
    assert subscriber.version is None
    for wrong in (sent[1][2], sent[2][0]):
        with pytest.raises(flyweight.BaseMismatchError, match="where part 1 of version 1 was due"):
            subscriber.receive(wrong)
    assert subscriber.receive(sent[1][0]) is None
    assert [subscriber.receive(part) for part in sent[1][1:]][-1] == 1
    assert subscriber.receive(sent[1][0]) is None
    assert_same(state, versions[1])
    for part in [*sent[2], *sent[3]]:
        subscriber.receive(part)
    assert_same(state, versions[3])


def test_a_subscriber_of_other_weights_is_refused_and_unchanged(tmp_path: Path) -> None:
    versions = states(3)
    publisher = sync.WeightPublisher(tmp_path)
    for version in versions:
        publisher.publish(version)
    state = copy_of(versions[0])
    with pytest.raises(flyweight.BaseMismatchError, match="not those of 'v000001'"):
        sync.WeightSubscriber(state, tmp_path, version=1).poll()
    assert_same(state, versions[0])


def test_an_apply_that_was_killed_is_completed(tmp_path: Path) -> None:
    versions = states(2)
    publisher = sync.WeightPublisher(tmp_path, part_bytes=30_000)
    for version in versions:
        publisher.publish(version)
    state = copy_of(versions[0])
    state["layer.0.weight"][...] = versions[1]["layer.0.weight"]
    state["norm"][...] = versions[1]["norm"]
    assert sync.WeightSubscriber(state, tmp_path, version=0).poll() == 1
    assert_same(state, versions[1])


@pytest.mark.parametrize("what", ("flip", "cut", "swap"))
def test_damaged_parts_are_noticed_before_the_first_is_applied(tmp_path: Path, what: str) -> None:
    versions = states(2)
    publisher = sync.WeightPublisher(tmp_path, part_bytes=30_000)
    for version in versions:
        publisher.publish(version)
    parts = sorted((tmp_path / "v000001").glob("delta-*.fly"))
    content = bytearray(parts[-1].read_bytes())
    if what == "flip":
        content[len(content) // 2] ^= 1
    parts[-1].write_bytes(content[:-1] if what == "cut" else content)
    if what == "swap":
        os.rename(parts[0], tmp_path / "x")
        os.rename(parts[1], parts[0])
        os.rename(tmp_path / "x", parts[1])
    state = copy_of(versions[0])
    with pytest.raises(flyweight.ChecksumError):
        sync.WeightSubscriber(state, tmp_path, version=0).poll()
    assert_same(state, versions[0])


@pytest.mark.parametrize(
    "change",
    (
        {"format": "other"},
        {"version": 2},
        {"base_version": 1},
        {"base_version": -1},
        {"base_version": None},
        {"base_version": "0"},
        {"delta": []},
        {"delta": [{"name": "../x.fly", "bytes": 3, "xxh3_128": ""}]},
        {"delta": [{"name": "delta-00000.fly"}]},
        {"anchor": None},
    ),
)
def test_a_manifest_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    publisher = sync.WeightPublisher(tmp_path)
    for version in states(2):
        publisher.publish(version)
    path = tmp_path / "v000001" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(flyweight.FormatError):
        sync.open_stored(tmp_path, 1)


def test_tensors_can_come_one_by_one_grow_appear_and_go(tmp_path: Path) -> None:
    base = first_state()
    new = next_state(base, 1)
    new["norm"] = np.concatenate([base["norm"], weights("F32", (32,), 5)])
    new["added"] = weights("BF16", (30, 30))
    del new["odd"]
    last = next_state(new, 2)

    def one_by_one(state: State) -> Iterator[tuple[str, np.ndarray]]:
        for name, array in state.items():
            yield name, array.copy()

    publisher = sync.WeightPublisher(tmp_path, part_bytes=10_000)
    state: State = {}
    subscriber = sync.WeightSubscriber(state, tmp_path)
    for expected in (base, new, last):
        publisher.publish(one_by_one(expected))
        subscriber.poll()
        assert_same({name: state[name] for name in expected}, expected)


def test_after_an_error_nothing_was_published_and_the_next_version_is_an_anchor(tmp_path: Path) -> None:
    versions = states(3)
    publisher = sync.WeightPublisher(tmp_path, part_bytes=10_000)
    publisher.publish(versions[0])

    def failing() -> Iterator[tuple[str, np.ndarray]]:
        yield from versions[1].items()
        raise RuntimeError("the trainer stopped")

    with pytest.raises(RuntimeError):
        publisher.publish(failing())
    assert os.listdir(tmp_path) == ["v000000"]
    assert publisher.publish(versions[2]) == 1
    assert sync.open_stored(tmp_path, 1).base is None
    state = copy_of(versions[0])
    assert sync.WeightSubscriber(state, tmp_path, version=0).poll() == 1
    assert_same(state, versions[2])
    with pytest.raises(ValueError, match="not later"):
        publisher.publish(versions[2], version=1)
    with pytest.raises(ValueError, match="twice"):
        publisher.publish([("a", versions[0]["norm"]), ("a", versions[0]["norm"])])


def test_a_new_publisher_continues_the_numbers_with_an_anchor(tmp_path: Path) -> None:
    versions = states(2)
    assert sync.WeightPublisher(tmp_path).publish(versions[0], version=41) == 41
    publisher = sync.WeightPublisher(tmp_path)
    assert publisher.version == 41
    assert publisher.publish(versions[1]) == 42
    assert sync.open_stored(tmp_path, 42).base is None


def test_what_is_no_part_is_refused() -> None:
    for name, base_name in (("model", ""), ("v000001.00000", "model"), ("v000001.00000", "v000001"), ("v1.0", "")):
        patch = flyweight.make_patch(first_state(), {}, name=name, base_name=base_name)
        with pytest.raises(flyweight.FormatError):
            sync.PartInfo.of(patch)
    with pytest.raises(flyweight.FlyweightError):
        sync.PartInfo.of(b"nothing of the kind")


def test_torch_tensors_are_followed_in_place(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    versions = [{"w": torch.randn(500, 40).to(torch.bfloat16), "b": torch.zeros(40)}]
    for step in range(1, 3):
        versions.append({"w": versions[-1]["w"] * 1.001, "b": torch.full((40,), float(step))})
    publisher = sync.WeightPublisher(tmp_path)
    state: dict[str, torch.Tensor] = {}
    subscriber = sync.WeightSubscriber(state, tmp_path, framework="pt")
    pointers: dict[str, int] = {}
    for version in versions:
        publisher.publish(version)
        subscriber.poll()
        assert all(torch.equal(state[name], tensor) for name, tensor in version.items())
        pointers = pointers or {name: tensor.data_ptr() for name, tensor in state.items()}
        assert pointers == {name: tensor.data_ptr() for name, tensor in state.items()}
