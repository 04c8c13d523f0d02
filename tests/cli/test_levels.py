"""Levels, and the verbs that tell what they are worth: scan and bench."""

import json
import os

import pytest
from command import bf16_weights, safetensors

LEVELS = ("fast", "balanced", "high", "max")
SAME = {
    "fast": ["-1", "-2", "-3"],
    "balanced": ["-4", "-5", "-6", "--inference"],
    "high": ["-7", "-8"],
    "max": ["-9", "-z", "--best", "--storage", "-z1", "-kz9", "-zk"],
}


@pytest.fixture
def weights(place):
    """A model of a tensor of weights, one of noise, and one that is there twice."""
    tensors = [
        ("layers.0.w", "BF16", [512, 512], bf16_weights(1 << 18)),
        ("layers.1.w", "BF16", [512, 512], bf16_weights(1 << 18, seed=2)),
        ("noise", "U8", [1 << 18], os.urandom(1 << 18)),
    ]
    tensors.append(("tied", *tensors[0][1:]))
    content = safetensors(tensors)
    place.write("m.safetensors", content)
    return content


def archive_of(place, *words):
    assert place.run(*words, "m.safetensors", "-o", "out.fly", "-f").code == 0
    return place.read("out.fly")


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_restores_and_each_name_of_it_means_the_same(place, weights, level):
    archive = archive_of(place, f"--{level}")
    assert place.run("-d", "out.fly", "-o", "back").code == 0
    assert place.read("back") == weights
    for words in SAME[level]:
        assert archive_of(place, words) == archive, words


def test_more_effort_is_not_larger(place, weights):
    sizes = [len(archive_of(place, f"--{level}")) for level in LEVELS]
    assert sizes[3] <= sizes[0] and sizes[3] <= sizes[1]


def test_the_default_is_balanced(place, weights):
    assert archive_of(place) == archive_of(place, "--balanced")


def test_other_verbs_that_write_archives_take_levels(place, weights):
    archive_of(place, "--fast")
    assert place.run("migrate", "--max", "out.fly").code == 0
    assert place.run("-d", "out.fly", "-o", "back").code == 0 and place.read("back") == weights
    assert place.run("convert", "--high", "m.safetensors", "c.fly").code == 0
    assert len(place.read("c.fly")) == len(archive_of(place, "--high"))


@pytest.mark.parametrize("words", [["--fast", "--high"], ["-19"], ["--balanced", "-5"]])
def test_one_level_is_given(place, weights, words):
    outcome = place.run(*words, "m.safetensors")
    assert outcome.code == 2 and "more than one level" in outcome.err


def test_fast_is_also_a_way_to_verify(place, weights):
    archive_of(place, "--fast")
    outcome = place.run("verify", "--fast", "out.fly")
    assert outcome.code == 0 and "nothing was decoded" in outcome.out


def test_scan_is_right_within_two_points_at_each_level(place, weights):
    report = json.loads(place.run("scan", "--json", "m.safetensors").out)
    assert place.names() == ["m.safetensors"]
    for level in LEVELS:
        actual = len(archive_of(place, f"--{level}"))
        assert abs(report["levels"][level] - actual) < 0.02 * report["file_bytes"]
    assert report["estimated_bytes"] == report["levels"]["balanced"]
    assert report["container_format"] == "safetensors" and report["tensor_count"] == 4
    assert {"BF16", "U8"} < set(report["dtypes"])


def test_scan_tells_why(place, weights):
    report = json.loads(place.run("scan", "--json", "-v", "m.safetensors").out)
    tensors = {tensor["name"]: tensor for tensor in report["tensors"]}
    assert tensors["tied"]["reason"] == "same bytes as layers.0.w" and tensors["tied"]["same_as"] == "layers.0.w"
    assert tensors["noise"]["reason"] == "noise: stored"
    assert tensors["layers.1.w"]["reason"].startswith("BF16 weights: ")
    assert set(tensors["noise"]["levels"]) == set(LEVELS)
    kinds = {kind["name"]: kind for kind in report["kinds"]}
    assert kinds["layers.*.w"]["tensor_count"] == 2
    assert sum(kind["bytes"] for kind in report["kinds"]) == report["file_bytes"]


def test_scan_shows_a_line_for_each_level_and_kind(place, weights):
    lines = place.run("scan", "m.safetensors").out.splitlines()
    assert lines[0].startswith("m.safetensors: safetensors, 4 tensors, ")
    assert [line.split()[0] for line in lines[1:5]] == list(LEVELS)
    assert any(line.startswith("layers.*.w x 2 ") and "BF16 weights" in line for line in lines)
    assert any(line.startswith("layers.1.w ") for line in place.run("scan", "-v", "m.safetensors").out.splitlines())
    place.run("m.safetensors")
    outcome = place.run("scan", "m.safetensors.fly")
    assert outcome.code == 2 and "archive already" in outcome.err


def test_scan_takes_a_directory_as_one_archive_or_its_models_by_themselves(place, weights):
    (place.path / "d").mkdir()
    for name in ("d/a.safetensors", "d/b.safetensors"):
        place.write(name, weights)
    place.write("d/words.txt", b"all of these words " * 1000)
    report = json.loads(place.run("scan", "--json", "-v", "d").out)
    assert place.run("d").code == 0
    assert abs(report["estimated_bytes"] - len(place.read("d.fly"))) < 0.01 * report["file_bytes"]
    assert {tensor["file"] for tensor in report["tensors"]} == {"a.safetensors", "b.safetensors"}
    lines = place.run("scan", "-r", "--json", "d").out.splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["d/a.safetensors", "d/b.safetensors"]


@pytest.mark.parametrize("content", [b"", b"x", b"\x08\0\0\0\0\0\0\0{}      ", os.urandom(5000)])
def test_scan_and_bench_take_anything(place, content):
    place.write("m", content)
    assert json.loads(place.run("scan", "--json", "m").out)["file_bytes"] == len(content)
    assert place.run("scan", "m").code == 0
    assert json.loads(place.run("bench", "--json", "m").out)["file_bytes"] == len(content)
    assert place.run("bench", "m").code == 0
    assert place.names() == ["m"]


def test_names_of_tensors_are_escaped(place):
    place.write("m", safetensors([("a\x1b[31m.w", "BF16", [64, 64], bf16_weights(1 << 12))]))
    for words in (["scan"], ["scan", "-v"]):
        outcome = place.run(*words, "m")
        assert "\x1b" not in outcome.out and "a\\x1b[31m.w" in outcome.out


def test_bench_compares_levels_and_zstd(place, weights):
    report = json.loads(place.run("bench", "--json", "m.safetensors").out)
    rows = {row["name"]: row for row in report["rows"]}
    assert list(rows) == [*LEVELS, "zstd -1", "zstd -3", "zstd -19"]
    assert all(0 < row["ratio"] < 1 for row in report["rows"])
    assert all(row["encode_mb_s"] > 0 and row["decode_mb_s"] > 0 for row in report["rows"])
    assert report["sample_bytes"] == report["file_bytes"] == len(weights)
    assert place.names() == ["m.safetensors"]


def test_bench_takes_levels_and_directories(place, weights):
    outcome = place.run("bench", "--levels", "max,fast", ".")
    assert outcome.code == 0 and outcome.err == ""
    lines = outcome.out.splitlines()
    assert lines[0].startswith("./m.safetensors: safetensors, ")
    assert [line.split()[0] for line in lines[2:7]] == ["fast", "max", "zstd", "zstd", "zstd"]
    place.run("m.safetensors")
    outcome = place.run("bench", "m.safetensors.fly")
    assert outcome.code == 2 and "is an archive" in outcome.err
