"""Verbs and the habits of gzip, names of files, JSON."""

import hashlib
import json
import os
import re

import pytest
from command import expect_problem, safetensors


def test_compress_verify_decompress(place, model):
    place.write("in.safetensors", model)
    for arguments in (
        ("compress", "in.safetensors", "-o", "out.fly"),
        ("verify", "out.fly"),
        ("decompress", "out.fly", "-o", "back"),
    ):
        outcome = place.run(*arguments)
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert place.read("back") == model
    assert place.read("in.safetensors") == model
    assert len(place.read("out.fly")) < len(model)
    assert place.names() == ["back", "in.safetensors", "out.fly"]


def test_names_follow_from_the_source(place, model):
    place.write("a.safetensors", model)
    assert place.run("compress", "a.safetensors").code == 0
    os.rename(place.path / "a.safetensors.fly", place.path / "b.safetensors.fly")
    assert place.run("decompress", "b.safetensors.fly").code == 0
    assert place.read("b.safetensors") == model


@pytest.mark.parametrize("words", [["ls"], ["list"], ["-l"], ["info"], ["--list"]])
def test_listings_are_results(archived, words):
    outcome = archived.run(*words, "m.safetensors.fly")
    assert outcome.code == 0 and outcome.err == ""
    assert "BF16" in outcome.out


def test_list_shows_tensors(archived):
    lines = archived.run("list", "m.safetensors.fly").out.splitlines()
    assert lines[0].split() == ["name", "dtype", "shape", "size", "stored", "%"]
    embed = next(line for line in lines if line.startswith("embed.weight"))
    assert re.fullmatch(r"embed\.weight +BF16 +\[64, 128\] +16\.4 kB +[\d.]+ kB +[\d.]+%", embed)
    assert lines[-1].startswith("total")


def test_info_shows_the_sha256(archived, model):
    out = archived.run("info", "m.safetensors.fly").out
    assert hashlib.sha256(model).hexdigest() in out
    assert "m.safetensors, safetensors" in out
    assert "3 (1 BF16, 1 F32, 1 I64)" in out


def test_verb_behind_options(place, model):
    place.write("m", model)
    assert place.run("-q", "compress", "m").code == 0
    assert place.run("-T2", "verify", "m.fly").code == 0


def test_a_file_named_like_a_verb(place):
    place.write("list", b"weights")
    assert place.run("compress", "list").code == 0
    os.remove(place.path / "list.fly")
    assert place.run("--", "list").code == 0
    os.remove(place.path / "list.fly")
    assert place.run("-k", "list").code == 0
    assert place.names() == ["list", "list.fly"]


def test_gzip_round_trip(place, model):
    place.write("m", model)
    assert place.run("m").code == 0
    assert place.names() == ["m", "m.fly"]
    os.remove(place.path / "m")
    assert place.run("-d", "m.fly").code == 0
    assert place.names() == ["m", "m.fly"]
    assert place.read("m") == model


@pytest.mark.parametrize(
    "words",
    [
        ["-dkf"],
        ["-dkvf"],
        ["-df", "-T2"],
        ["-dfT2"],
        ["-fdT", "2"],
        ["--decompress", "--force"],
        ["-d", "-f", "-9"],
        ["-d9f"],
    ],
)
def test_bundled_options_decompress(archived, words, model):
    archived.write("m.safetensors", b"old")
    assert archived.run(*words, "m.safetensors.fly").code == 0
    assert archived.read("m.safetensors") == model


@pytest.mark.parametrize("words", [["-t"], ["-tv"], ["-tq"], ["test"], ["verify", "-T1"], ["-T0", "-t"]])
def test_verify_habits(archived, words):
    outcome = archived.run(*words, "m.safetensors.fly")
    assert outcome.code == 0 and outcome.err == ""
    assert (outcome.out != "") == ("v" in words[0][1:] and words[0] == "-tv")


def test_verbose_sums_up_on_stderr(place, model):
    place.write("m", model)
    outcome = place.run("-v", "m")
    assert outcome.out == ""
    assert re.fullmatch(r"m: [\d.]+% \([\d.]+ kB to [\d.]+ kB\), written to m\.fly\n", outcome.err)
    outcome = place.run("-dvf", "m.fly")
    assert re.fullmatch(r"m\.fly: [\d.]+ kB to [\d.]+ kB, written to m\n", outcome.err)


def test_mode_and_time_are_kept(place, model):
    path = place.write("m", model)
    os.chmod(path, 0o640)
    os.utime(path, ns=(10**18, 1_234_567_890_123_456_789))
    place.run("m")
    place.run("-d", "m.fly", "-o", "back")
    for name in ("m.fly", "back"):
        status = (place.path / name).stat()
        assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o640, 1_234_567_890_123_456_789)


@pytest.mark.parametrize(
    "name",
    [
        b"-dash",
        b"--",
        b"new\nline",
        b"[brackets]",
        b"[a,b]",
        b"space name",
        b"caf\xc3\xa9",
        b"\xff\xfe",
        b"-",
        b"'quote",
        b"back\\slash",
    ],
)
def test_names_of_every_kind(place, model, name):
    path = os.fsencode(place.path) + b"/" + name
    with open(path, "wb") as file:
        file.write(model)
    words = ["--", name] if name not in (b"-", b"--") else ["--", b"./" + name]
    assert place.run(*words).code == 0
    os.remove(path)
    words[-1] += b".fly"
    assert place.run("-d", *words).code == 0
    with open(path, "rb") as file:
        assert file.read() == model


def test_control_characters_are_escaped(place):
    evil = "a\x1b[31m\nb\u202ec\x9bd"
    place.write("m", safetensors([(evil, "U8", [3], b"abc")]))
    place.run("m")
    for words in (["list", "m.fly"], ["list", "--json", "m.fly"]):
        out = place.run(*words).out
        assert not any(ord(c) < 32 and c != "\n" for c in out)
        assert "\u202e" not in out and "\x9b" not in out
    assert "a\\x1b[31m\\x0ab\\xe2\\x80\\xaec\\xc2\\x9bd" in place.run("list", "m.fly").out
    assert json.loads(place.run("list", "--json", "m.fly").out)["tensors"][0]["name"] == evil
    expect_problem(place.run("no\nsuch\x1bfile"), 1, r"flyweight: no\\x0asuch\\x1bfile: .*")


def test_json(place, model):
    place.write("m", model)
    report = json.loads(place.run("compress", "--json", "m").out)
    archive_bytes = len(place.read("m.fly"))
    assert report == {
        "source": "m",
        "target": "m.fly",
        "source_bytes": len(model),
        "archive_bytes": archive_bytes,
        "file_count": 1,
        "tensor_count": 3,
    }
    report = json.loads(place.run("decompress", "--json", "-f", "m.fly").out)
    assert report == {
        "source": "m.fly",
        "target": "m",
        "archive_bytes": archive_bytes,
        "file_bytes": len(model),
        "file_count": 1,
    }
    report = json.loads(place.run("verify", "--json", "m.fly").out)
    assert report["ok"] is True and report["file_bytes"] == len(model)
    report = json.loads(place.run("info", "--json", "m.fly").out)
    assert report["sha256"] == hashlib.sha256(model).hexdigest()
    assert report["dtypes"] == {"BF16": 1, "F32": 1, "I64": 1}
    report = json.loads(place.run("list", "--json", "m.fly").out)
    tensor = report["tensors"][0]
    assert (tensor["name"], tensor["dtype"], tensor["shape"], tensor["bytes"]) == (
        "embed.weight",
        "BF16",
        [64, 128],
        16384,
    )
    assert len(tensor["digest"]) == 64 and 0 < tensor["stored_bytes"] <= 16384


def test_json_of_several_files_is_one_line_each(archived):
    archived.write("bad.fly", b"nothing")
    outcome = archived.run("verify", "--json", "m.safetensors.fly", "bad.fly")
    reports = [json.loads(line) for line in outcome.out.splitlines()]
    assert [report["ok"] for report in reports] == [True, False]
    assert reports[1]["error_code"] == 21 and outcome.code == 1 and len(outcome.lines) == 1
