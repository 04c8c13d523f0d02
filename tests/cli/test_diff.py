"""diff: what changed between two models, and the exit code of cmp."""

import json
import struct

import pytest
from command import bf16_weights, safetensors

WEIGHTS = bf16_weights(64 * 128, 1)
OTHER = bf16_weights(64 * 128, 2)


def step_up(weights, every):
    """Moves every so manieth word by one step."""
    words = bytearray(weights)
    for at in range(0, len(words), 2 * every):
        (word,) = struct.unpack_from("<H", words, at)
        struct.pack_into("<H", words, at, word ^ 1)
    return bytes(words)


@pytest.fixture
def pair(place):
    """Two models of which one tensor changed, one came, one went and one has another name."""
    place.write(
        "a.safetensors",
        safetensors([("w", "BF16", [64, 128], WEIGHTS), ("old", "I8", [3], b"abc"), ("x", "BF16", [64, 128], OTHER)]),
    )
    changed = step_up(WEIGHTS, 4)
    place.write(
        "b.safetensors",
        safetensors([("w", "BF16", [64, 128], changed), ("new", "I8", [4], b"abcd"), ("y", "BF16", [64, 128], OTHER)]),
    )
    return place


def test_equal_models_end_with_0(archived):
    for sides in (["m.safetensors", "m.safetensors.fly"], ["m.safetensors.fly", "m.safetensors"]):
        outcome = archived.run("diff", *sides)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.splitlines() == ["tensors: 3 same (16.4 kB)", "no difference"]


def test_differences_are_told_and_end_with_1(pair):
    outcome = pair.run("diff", "a.safetensors", "b.safetensors")
    assert (outcome.code, outcome.err) == (1, "")
    rows = [line.split() for line in outcome.out.splitlines() if line]
    assert any(row[:7] == ["changed", "w", "BF16", "[64,", "128]", "25.0%", "1"] for row in rows)
    kinds = {row[1]: row[0] for row in rows if row[0] in ("changed", "added", "removed", "renamed")}
    assert kinds == {"w": "changed", "new": "added", "old": "removed", "y": "renamed"}
    assert any(row[-2:] == ["was", "x"] for row in rows)


def test_quiet_says_nothing(pair):
    outcome = pair.run("diff", "-q", "a.safetensors", "b.safetensors")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "")


def test_json_has_the_numbers(pair):
    outcome = pair.run("diff", "--json", "a.safetensors", "b.safetensors")
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert report["is_same"] is False
    assert report["tensor_counts"]["changed"] == 1 and report["tensor_counts"]["renamed"] == 1
    (changed,) = [tensor for tensor in report["tensors"] if tensor["kind"] == "changed"]
    assert changed["changed_count"] * 4 == changed["compared_count"] == 64 * 128
    assert changed["largest_ulps"] == 1
    assert 0 < changed["relative_difference"] < 0.01


def test_one_tensor_can_be_asked_for(pair):
    assert pair.run("diff", "a.safetensors", "b.safetensors", "--tensor", "nothing*").code == 0
    assert pair.run("diff", "a.safetensors", "b.safetensors", "--tensor", "w").code == 1


def test_trouble_ends_with_2(pair):
    outcome = pair.run("diff", "a.safetensors", "none")
    assert outcome.code == 2 and len(outcome.lines) == 1 and "none" in outcome.err
    assert pair.run("diff", "a.safetensors").code == 2
    assert pair.run("a.safetensors").code == 0
    pair.write("cut.fly", pair.read("a.safetensors.fly")[:-100])
    assert pair.run("diff", "a.safetensors", "cut.fly").code == 2


def test_standard_input_is_a_side(pair):
    outcome = pair.run("diff", "-", "b.safetensors", stdin=pair.read("a.safetensors"))
    assert outcome.code == 1
    assert pair.run("diff", "a.safetensors", "-", stdin=pair.read("a.safetensors")).code == 0


def test_patch_writes_what_changed(pair):
    assert pair.run("diff", "-q", "a.safetensors", "b.safetensors", "--patch", "p.fly").code == 1
    assert pair.run("apply", "a.safetensors", "p.fly", "-o", "out").code == 0
    assert pair.read("out") == pair.read("b.safetensors")
    # Of an archive what it holds, not the archive.
    assert pair.run("b.safetensors").code == 0
    assert pair.run("diff", "-q", "a.safetensors", "b.safetensors.fly", "--patch", "q.fly").code == 1
    assert pair.run("apply", "a.safetensors", "q.fly", "-o", "out2").code == 0
    assert pair.read("out2") == pair.read("b.safetensors")
    # A patch that is not written counts more than a difference.
    assert pair.run("diff", "-q", "a.safetensors", "b.safetensors", "--patch", "p.fly").code == 2
