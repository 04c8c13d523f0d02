"""Exit codes and messages: exactly one line for each problem."""

import os
import re

import pytest
from command import expect_problem


def test_existing_output(archived, model):
    archived.write("m.safetensors.fly", b"precious")
    expect_problem(
        archived.run("m.safetensors"), 2, r"flyweight: m\.safetensors\.fly: already exists; use -f to overwrite"
    )
    assert archived.read("m.safetensors.fly") == b"precious"
    outcome = archived.run("-q", "m.safetensors")
    assert (outcome.code, outcome.err) == (2, "")
    assert archived.run("-f", "m.safetensors").code == 0
    archived.write("m.safetensors", b"changed")
    expect_problem(
        archived.run("-d", "m.safetensors.fly"), 2, r"flyweight: m\.safetensors: already exists; use -f to overwrite"
    )
    assert archived.read("m.safetensors") == b"changed"


def test_missing_file_and_the_files_after_it(place, model):
    place.write("m", model)
    expect_problem(place.run("gone", "m"), 1, r"flyweight: gone: cannot open: No such file or directory")
    assert place.names() == ["m", "m.fly"]


def test_worst_code_wins(archived):
    outcome = archived.run("gone", "m.safetensors")
    assert outcome.code == 1 and len(outcome.lines) == 2
    outcome = archived.run("m.safetensors", "gone")
    assert outcome.code == 1 and len(outcome.lines) == 2


def test_already_compressed(archived):
    before = archived.names()
    expect_problem(
        archived.run("m.safetensors.fly"), 2, r"flyweight: m\.safetensors\.fly: already has the suffix \.fly; unchanged"
    )
    assert archived.names() == before
    assert archived.run("m.safetensors.fly", "-o", "twice").code == 0


def test_directory_in_place_of_an_archive(place):
    os.mkdir(place.path / "d.fly")
    message = r"flyweight: d\.fly: is a directory; use -r for the archives below it"
    for words in (["-d"], ["-t"], ["list"], ["info"], ["stat"], ["migrate"], ["repair"]):
        expect_problem(place.run(*words, "d.fly"), 2, message)
    assert place.names() == ["d.fly"]


def test_unknown_suffix(place, model):
    place.write("m.zst", model)
    for name in ("m.zst", ".fly"):
        expect_problem(
            place.run("-d", name),
            2,
            rf"flyweight: {re.escape(name)}: has not the suffix \.fly; name the output with -o, or use -c",
        )
    assert place.names() == ["m.zst"]


@pytest.mark.parametrize("words", [["-d", "-f"], ["-t"], ["-l"], ["verify"], ["list"], ["info"], ["decompress", "-c"]])
@pytest.mark.parametrize("content", [b"", b"short", os.urandom(300)], ids=["empty", "short", "random"])
def test_not_an_archive(place, words, content):
    place.write("m.fly", content)
    outcome = place.run(*words, "m.fly")
    expect_problem(outcome, 1, r"flyweight: m\.fly: not a flyweight archive")
    assert outcome.out == "" and place.names() == ["m.fly"]


def test_damaged_archive(archived):
    archive = bytearray(archived.read("m.safetensors.fly"))
    archive[2000] ^= 1
    archived.write("bad.fly", bytes(archive))
    for words in (["-t"], ["-d"], ["verify"]):
        outcome = archived.run(*words, "bad.fly")
        assert outcome.code == 1 and len(outcome.lines) == 1
        assert outcome.lines[0].startswith("flyweight: bad.fly: ")
    assert "bad" not in archived.names()
    outcome = archived.run("-t", "m.safetensors.fly", "bad.fly", "m.safetensors.fly")
    assert outcome.code == 1 and len(outcome.lines) == 1
    archived.write("cut.fly", bytes(archive[:-10]))
    assert archived.run("-t", "cut.fly").code == 1


def test_damage_that_a_second_copy_covers(archived, model):
    archive = bytearray(archived.read("m.safetensors.fly"))
    archive[3] ^= 1
    archived.write("bad.fly", bytes(archive))
    assert archived.run("-dc", "bad.fly").out_bytes == model
    outcome = archived.run("verify", "bad.fly")
    assert outcome.code == 1 and "header" in outcome.err
    outcome = archived.run("info", "bad.fly")
    assert outcome.code == 2 and len(outcome.lines) == 1 and "header" in outcome.err


def test_same_file(place, model):
    place.write("m", model)
    os.link(place.path / "m", place.path / "also")
    for target in ("m", "./m", "also"):
        expect_problem(place.run("m", "-f", "-o", target), 1, r"flyweight: m: input and output are the same file")
    assert place.read("m") == model


def test_special_files(place):
    os.mkfifo(place.path / "fifo")
    for name in ("fifo", "/dev/null"):
        outcome = place.run(name, "-o", "out")
        assert outcome.code == 1 and len(outcome.lines) == 1
    place.write("m", b"weights")
    assert place.run("m", "-f", "-o", "/dev/null").code == 1
    assert place.run("m", "-f", "-o", "fifo").code == 1


USAGE = [
    (["--bogus", "m"], "--bogus"),
    (["-Z", "m"], "-Z"),
    (["-12", "m"], "more than one level"),
    (["-T", "x", "m"], "x"),
    (["-T", "-1", "m"], ""),
    (["-T", "99999", "m"], "99999"),
    (["-o"], ""),
    (["-o", "", "m"], "-o needs a file name"),
    (["-d", "a.fly", "b.fly", "-o", "c"], "2 inputs"),
    (["-", "a", "-o", "c"], "standard input"),
    (["-c", "-o", "x", "m"], "exclude"),
    (["-d", "-t", "m"], "exclude"),
    (["list", "-d", "m"], "verb"),
    (["verify", "m", "-o", "x"], "-o does not go with verify"),
    (["list", "-c", "m"], "-c does not go with list"),
    (["-", "-"], "once"),
    (["--json", "-c", "m"], "--json"),
    ([""], "empty"),
]


@pytest.mark.parametrize("words, reason", USAGE, ids=[" ".join(words) or "nothing" for words, _ in USAGE])
def test_usage_errors(place, words, reason):
    place.write("m", b"weights")
    outcome = place.run(*words)
    assert outcome.code == 2 and outcome.out == ""
    assert len(outcome.lines) == 1
    assert outcome.err.startswith("flyweight: ") and outcome.err.endswith("; see flyweight --help\n")
    assert reason in outcome.err
    assert place.names() == ["m"]


def test_help_fits_a_screen(place):
    for words in (["-h"], ["--help"], ["help"], ["-q", "help"]):
        outcome = place.run(*words)
        assert outcome.code == 0 and outcome.err == ""
        lines = outcome.out.splitlines()
        assert len(lines) <= 32 and max(map(len, lines)) <= 80


def test_version(place):
    for words in (["-V"], ["--version"]):
        outcome = place.run(*words)
        assert outcome.code == 0
        assert re.fullmatch(
            r"flyweight \d+\.\d+\.\d+\nformat version 1\ninstruction set (\w+) \(of [\w ]+\)\n", outcome.out
        )
