"""What options take and refuse; what is written about them."""

import os
import re
import shutil
import struct
import subprocess

import pytest
from command import REPOSITORY, bf16_weights, expect_problem, safetensors

# As users write sizes; None = refused.
SIZES = {
    "5000": 5000,
    "2K": 2048,
    "1.5k": 1536,
    "4KiB": 4096,
    "4kib": 4096,
    "3KB": 3000,
    "0.5M": 524288,
    "8G": 8 << 30,
    "8GiB": 8 << 30,
    "100MB": 100_000_000,
    "1T": 1 << 40,
    "1P": 1 << 50,
    "2B": 2,
    "": None,
    "K": None,
    "-5": None,
    "+5": None,
    "5 G": None,
    "1e3": None,
    "0x10": None,
    "1.5": None,
    "1.2.3G": None,
    "5X": None,
    "5GG": None,
    "5GiBs": None,
    "99999999999999999999": None,
    "99999999999T": None,
    "nan": None,
    "inf": None,
}


@pytest.mark.parametrize("text", SIZES, ids=[text or "empty" for text in SIZES])
def test_sizes(archived, text):
    """--max-output tells how a size was read: the archive holds more than 16 KiB and less than 20,000 bytes."""
    outcome = archived.run("-d", "m.safetensors.fly", "-o", "back", f"--max-output={text}")
    if SIZES[text] is None:
        assert outcome.code == 2 and outcome.err.endswith("; see flyweight --help\n")
    elif SIZES[text] < 16384:
        expect_problem(outcome, 1, rf".*limit of {SIZES[text]}")
    else:
        assert outcome.code == 0
    assert ("back" in archived.names()) == (outcome.code == 0)


@pytest.mark.parametrize("text", ["0", "x", "-1", "0%", "51", "100", "5%%", "0.04", "0.09", "five"])
def test_bad_percentages(place, text):
    place.write("m", b"weights")
    outcome = place.run("m", f"--recovery={text}")
    assert outcome.code == 2 and "--recovery" in outcome.err and place.names() == ["m"]


@pytest.mark.parametrize("text", ["5", "5%", "0.5%", "0.1", "50"])
def test_good_percentages(place, text):
    place.write("m", os.urandom(100_000))
    assert place.run("m", "--recovery", text).code == 0
    assert place.run("verify", "m.fly").code == 0
    content = bytearray(place.read("m.fly"))
    content[5000] ^= 1
    place.write("m.fly", bytes(content))
    assert place.run("verify", "m.fly").code == 1
    assert place.run("repair", "m.fly").code == 0
    assert place.run("-dc", "m.fly").out_bytes == place.read("m")


def test_repair_beyond_what_can_be_repaired(place):
    place.write("m", os.urandom(100_000))
    place.run("m", "--recovery", "1%")
    bad = place.read("m.fly")[:2000] + bytes(90_000) + place.read("m.fly")[92_000:]
    place.write("bad.fly", bad)
    outcome = place.run("repair", "bad.fly", "-o", "out.fly")
    assert outcome.code == 1 and len(outcome.lines) == 1 and "out.fly" not in place.names()
    assert place.run("repair", "bad.fly").code == 1 and place.read("bad.fly") == bad
    assert place.run("repair", "bad.fly", "--from", "m.fly", "-o", "out.fly").code == 0
    assert place.read("out.fly") == place.read("m.fly")


def test_parts(place, model):
    place.write("m", model * 4)
    assert place.run("-kzs", "5000", "m").code == 0
    parts = [name for name in place.names() if name.startswith("m.fly.")]
    assert len(parts) > 3 and "m.fly" not in place.names()
    assert all(os.path.getsize(place.path / part) <= 5000 for part in parts)
    for name in ("m.fly", "m.fly.001"):
        assert place.run("-t", name).code == 0
        assert "total" in place.run("-l", name).out
        assert place.run("-d", name, "-o", name + ".back").code == 0
        assert place.read(name + ".back") == model * 4
    assert place.run("-s", "5000", "m").code == 2, "it is there already"
    os.rename(place.path / parts[1], place.path / "aside")
    outcome = place.run("-t", "m.fly")
    assert outcome.code == 1 and parts[1] in outcome.err
    assert place.run("-d", "m.fly", "-o", "no").code == 1 and "no" not in place.names()
    for text in ("5", "junk", "0"):
        assert place.run("-s", text, "m", "-o", "p.fly").code != 0
    assert not [name for name in place.names() if name.startswith("p.fly")]


BUNDLES = [
    (["-kzs", "8G", "m"], "m.fly.001"),
    (["-krv", "d"], "d/w.safetensors.fly"),
    (["-kr9z", "d"], "d/w.safetensors.fly"),
    (["-kz9", "m"], "m.fly"),
    (["-kfT2", "m"], "m.fly"),
    (["-kvT", "2", "m"], "m.fly"),
    (["-c9z", "m"], None),
    (["-zkvo", "x.fly", "m"], "x.fly"),
]


@pytest.mark.parametrize("words, made", BUNDLES, ids=[" ".join(words) for words, _ in BUNDLES])
def test_bundles(place, model, words, made):
    (place.path / "d").mkdir()
    place.write("m", model)
    place.write("d/w.safetensors", model)
    assert place.run(*words).code == 0
    assert made is None or (place.path / made).exists()


REFUSED = [
    (["--rm=false", "m"], "--rm takes no value"),
    (["--force=1", "m"], "--force takes no value"),
    (["-T", "0x2", "m"], "0x2"),
    (["-T", "1.5", "m"], "1.5"),
    (["-T", "", "m"], "number"),
    (["-T", "1025", "m"], "1025"),
    (["--rm", "-k", "m"], "exclude"),
    (["--rm", "--no-verify", "m"], "exclude"),
    (["--rm", "--lossy", "fp16", "m"], "remove the source yourself"),
    (["--rm", "-x", "adam", "m"], "remove the source yourself"),
    (["--rm", "-c", "m"], "--rm needs an output file"),
    (["--rm", "-d", "m.fly"], "--rm does not go with decompress"),
    (["--lossy", "fp7", "m"], "--lossy"),
    (["--lossy-delta", "error=0.1", "m"], "--lossy-delta needs --base"),
    (["--lossy-delta", "error=2", "--base", "b", "m"], "over 0 and under 1"),
    (["--lossy-delta", "strategy=int3", "--base", "b", "m"], "unknown strategy"),
    (["-s", "5K", "-c", "m"], "-s writes several files"),
    (["-r", "m", "-o", "x"], "-o does not go with it"),
    (["-r"], "-r needs"),
    (["list", "-s", "5K", "m"], "-s does not go with list"),
    (["verify", "m", "-x", "y"], "-x does not go with verify"),
    (["scan"], "scan needs"),
    (["bench"], "bench needs"),
    (["bench", "-"], "bench needs"),
    (["bench", "--levels", "fast,,max", "m"], "fast,,max"),
    (["scan", "--levels", "fast", "m"], "--levels does not go with scan"),
    (["migrate", "-"], "migrate needs"),
    (["convert", "a", "b", "c"], "one input"),
    (["verify", "--fast", "--sample", "1%", "m"], "exclude"),
    (["verify", "--sample", "2", "m"], "--sample"),
    (["report", "m"], "report comes in a later version"),
]


@pytest.mark.parametrize("words, reason", REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_refused(place, words, reason):
    place.write("m", b"weights")
    outcome = place.run(*words)
    assert outcome.code == 2 and outcome.out == "" and place.names() == ["m"]
    assert len(outcome.lines) == 1 and reason in outcome.err
    assert place.read("m") == b"weights"


def test_lossy_archives_say_so(place):
    words = struct.unpack("<8192H", bf16_weights(8192))
    floats = struct.pack("<8192I", *(word << 16 | 0x1234 for word in words))
    place.write("m.safetensors", safetensors([("w", "F32", [64, 128], floats)]))
    assert place.run("--lossy", "int8", "m.safetensors").code == 0
    for words in (["list"], ["info"], ["stat"], ["verify"]):
        outcome = place.run(*words, "m.safetensors.fly")
        assert outcome.code == 0 and "LOSSY" in outcome.out
    assert place.run("verify", "--strict", "m.safetensors.fly").code == 2
    assert place.run("migrate", "m.safetensors.fly").code == 2


def test_verify_says_what_it_looked_at(place):
    place.write("m", os.urandom(3 << 20))
    place.run("m")
    assert place.run("verify", "m.fly").out == ""
    assert "nothing was decoded" in place.run("verify", "--fast", "m.fly").out
    assert re.search(r"with a probability of \d+\.\d%", place.run("verify", "--sample", "50%", "m.fly").out)


VERBS = ["compress", "decompress", "extract", "list", "info", "stat", "verify", "scan", "bench"]
VERBS += ["migrate", "repair", "convert"]


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(place, verb):
    outcome = place.run("help", verb)
    assert outcome.code == 0 and outcome.err == ""
    assert outcome.out.startswith(f"flyweight {'list' if verb in ('info', 'stat') else verb} ")
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    assert place.run(verb, "--help").out == outcome.out


def test_help_and_manual_name_the_same_options(place):
    """Every option of any help text stands in the manual page and in docs/cli.md."""
    shown = "".join(place.run("help", *topic).out for topic in [[], *[[verb] for verb in VERBS]])
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", shown)) - {"--help"}
    assert len(options) > 25
    manual = (REPOSITORY / "docs" / "man" / "flyweight.1").read_text().replace("\\-", "-")
    table = (REPOSITORY / "docs" / "cli.md").read_text()
    assert [option for option in sorted(options) if option not in manual] == []
    assert [option for option in sorted(options) if option not in table] == []
    for verb in VERBS:
        assert re.search(rf"^\.BR? {verb}\b", manual, re.MULTILINE), verb


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff")
def test_the_manual_page_is_clean():
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", REPOSITORY / "docs" / "man" / "flyweight.1"], capture_output=True, check=True
    )
    assert done.stderr == b"" and len(done.stdout) > 5000


@pytest.mark.skipif(shutil.which("file") is None, reason="no file")
def test_file_knows_archives(archived):
    (archived.path / "d").mkdir()
    archived.run("d")
    archived.run("-s", "5000", "m.safetensors", "-o", "p.fly")
    magic = REPOSITORY / "share" / "flyweight.magic"
    command = ["file", "-b", "-m", magic, "m.safetensors.fly", "d.fly", "p.fly.002"]
    done = subprocess.run(command, cwd=archived.path, capture_output=True, text=True, check=True)
    single, tree, part = done.stdout.splitlines()
    assert (single, tree) == (
        "flyweight archive, format version 1",
        "flyweight archive, format version 1, a directory",
    )
    assert part.startswith("flyweight archive, part 2 of ")


def test_bash_completes():
    script = f"""source {REPOSITORY}/share/completions/flyweight.bash
complete_line() {{ COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _flyweight; echo "${{COMPREPLY[@]}}"; }}
complete_line flyweight ver
complete_line flyweight verify --sa
complete_line flyweight -d --max-o
complete_line flyweight compress --lossy b
complete_line flyweight bench --levels h
complete_line flyweight migrate --bal"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*("verify", "--sample", "--max-output", "bf16", "high", "--balanced")]


def test_salvage_says_what_is_lost(place):
    place.write("m", os.urandom(3 << 20))
    place.run("m")
    content = bytearray(place.read("m.fly"))
    content[5 << 19] ^= 1
    place.write("bad.fly", bytes(content))
    assert place.run("-d", "bad.fly", "-o", "back").code == 1 and "back" not in place.names()
    outcome = place.run("decompress", "--salvage", "bad.fly", "-o", "back")
    assert outcome.code == 1 and "lost: " in outcome.err and "back" not in place.names()
    saved, original = place.read("back.damaged"), place.read("m")
    assert len(saved) == len(original) and saved[: 1 << 19] == original[: 1 << 19] and saved != original
