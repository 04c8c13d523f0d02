"""extract, stat, migrate: what reads and writes tensors."""

import json
import os
import struct

import pytest
from command import bf16_weights, expect_problem, safetensors

WEIGHTS = bf16_weights(512 * 256)
FLOATS = struct.pack("<6f", 1, -2, 3.5, 0, 1e30, -0.0)


@pytest.fixture
def archive(place):
    place.write(
        "m.safetensors",
        safetensors(
            [
                ("layer.0.weight", "BF16", [512, 256], WEIGHTS),
                ("layer.1.weight", "F32", [2, 3], FLOATS),
                ("steps", "I64", [], struct.pack("<q", 7)),
            ]
        ),
    )
    assert place.run("m.safetensors").code == 0
    return place


@pytest.fixture
def tree(archive):
    (archive.path / "d" / "sub").mkdir(parents=True)
    for name in ("d/a.safetensors", "d/sub/b.safetensors"):
        os.link(archive.path / "m.safetensors", archive.path / name)
    (archive.path / "d" / "sub" / "b.safetensors").unlink()
    (archive.path / "d" / "sub" / "b.safetensors").write_bytes(
        safetensors([("layer.0.weight", "F32", [3], FLOATS[:12])])
    )
    (archive.path / "d" / "config.json").write_text("{}")
    assert archive.run("d").code == 0
    return archive


def read_safetensors(content):
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert (8 + length) % 8 == 0
    data = content[8 + length :]
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for name, t in header.items()}


def test_one_tensor_as_bytes(archive):
    assert archive.run("extract", "m.safetensors.fly", "layer.0.weight", "-o", "w.bin").code == 0
    assert archive.read("w.bin") == WEIGHTS
    assert archive.run("extract", "-c", "m.safetensors.fly", "layer.0.weight").out_bytes == WEIGHTS
    assert archive.run("extract", "m.safetensors.fly", "steps", "-o", "-").out_bytes == struct.pack("<q", 7)


def test_one_tensor_for_numpy(archive):
    numpy = pytest.importorskip("numpy")
    assert archive.run("extract", "m.safetensors.fly", "layer.1.weight", "-o", "w.npy").code == 0
    array = numpy.load(archive.path / "w.npy")
    assert array.dtype == numpy.float32 and array.shape == (2, 3) and array.tobytes() == FLOATS
    assert archive.run("extract", "m.safetensors.fly", "steps", "-o", "s.npy").code == 0
    assert numpy.load(archive.path / "s.npy").shape == () and numpy.load(archive.path / "s.npy") == 7
    outcome = archive.run("extract", "m.safetensors.fly", "layer.0.weight", "-o", "no.npy")
    expect_problem(outcome, 1, r"flyweight: m\.safetensors\.fly: numpy has no BF16; .*")
    assert "no.npy" not in archive.names()


def test_several_tensors_as_a_file(archive):
    assert archive.run("extract", "m.safetensors.fly", "layer.*", "-o", "l.safetensors").code == 0
    assert read_safetensors(archive.read("l.safetensors")) == {
        "layer.0.weight": ("BF16", [512, 256], WEIGHTS),
        "layer.1.weight": ("F32", [2, 3], FLOATS),
    }
    outcome = archive.run("extract", "m.safetensors.fly", "layer.*", "-o", "l.bin")
    assert outcome.code == 1 and "2 tensors match" in outcome.err and "l.bin" not in archive.names()


def test_extract_refuses_politely(archive):
    expect_problem(
        archive.run("extract", "m.safetensors.fly", "nothing", "-o", "x"),
        1,
        r"flyweight: m\.safetensors\.fly: holds no 'nothing'; flyweight list -v names all",
    )
    expect_problem(archive.run("extract", "m.safetensors.fly", "steps"), 2, r".*name a file for the tensors with -o.*")
    archive.write("x", b"precious")
    expect_problem(
        archive.run("extract", "m.safetensors.fly", "steps", "-o", "x"), 2, r"flyweight: x: already exists; .*"
    )
    assert archive.read("x") == b"precious"
    assert archive.run("extract", "-f", "m.safetensors.fly", "steps", "-o", "x").code == 0
    outcome = archive.run("extract", "m.safetensors.fly", "layer.0.weight", "-o", "y", "--max-output", "1K")
    assert outcome.code == 1 and "y" not in archive.names()
    for words in (["extract"], ["extract", "m.safetensors.fly"]):
        assert archive.run(*words).code == 2


def test_damage_leaves_no_extract(archive):
    content = bytearray(archive.read("m.safetensors.fly"))
    content[len(content) // 2] ^= 1
    archive.write("bad.fly", bytes(content))
    assert archive.run("extract", "bad.fly", "layer.0.weight", "-o", "w.bin").code == 1
    assert "w.bin" not in archive.names()


def test_tensors_of_a_tree(tree):
    assert tree.run("extract", "d.fly", "sub/b.safetensors:layer.0.weight", "-o", "w.bin").code == 0
    assert tree.read("w.bin") == FLOATS[:12]
    assert tree.run("extract", "d.fly", "layer.0.weight", "-o", "both.safetensors").code == 0
    both = read_safetensors(tree.read("both.safetensors"))
    assert sorted(both) == ["a.safetensors:layer.0.weight", "sub/b.safetensors:layer.0.weight"]


def test_files_of_a_tree(tree):
    assert tree.run("extract", "d.fly", "a.safetensors").code == 0
    assert tree.read("a.safetensors") == tree.read("m.safetensors")
    assert tree.run("extract", "d.fly", "sub/b.safetensors", "-o", "b").code == 0
    assert tree.read("b") == (tree.path / "d" / "sub" / "b.safetensors").read_bytes()
    assert tree.run("extract", "-c", "d.fly", "config.json").out == "{}"
    assert tree.run("extract", "d.fly", "sub", "config.json", "-o", "some").code == 0
    assert sorted(os.listdir(tree.path / "some")) == ["config.json", "sub"]
    assert tree.run("extract", "d.fly", "*.safetensors", "-o", "all").code == 0
    assert (tree.path / "all" / "sub" / "b.safetensors").exists()
    assert not (tree.path / "all" / "config.json").exists()
    outcome = tree.run("extract", "d.fly", "config.json", "a.safetensors:steps", "-o", "x")
    assert outcome.code == 1 and "together" in outcome.err and "x" not in tree.names()


def test_stat(archive):
    lines = archive.run("stat", "m.safetensors.fly").out.splitlines()
    assert lines[0].split() == ["name", "dtype", "shape", "size", "stored", "%", "bits/weight", "digest"]
    assert len(lines) == 4
    report = json.loads(archive.run("stat", "--json", "--tensor", "layer.0.*", "m.safetensors.fly").out)
    (tensor,) = report["tensors"]
    assert tensor["element_count"] == 512 * 256
    assert tensor["bits_per_weight"] == pytest.approx(8 * tensor["stored_bytes"] / (512 * 256))
    outcome = archive.run("stat", "--tensor", "none", "m.safetensors.fly")
    assert outcome.code == 2 and "no tensor matches" in outcome.err


def test_list_says_what_is_stored_with_others(place):
    weights = bf16_weights(1 << 20)
    place.write(
        "m.safetensors",
        safetensors(
            [
                ("old", "BF16", [2048, 512], weights),
                ("new", "BF16", [2560, 512], weights + bf16_weights(1 << 18, 1)),
                ("tied", "BF16", [1024, 1024], weights),
            ]
        ),
    )
    place.run("m.safetensors")
    rows = {line.split()[0]: line for line in place.run("list", "m.safetensors.fly").out.splitlines()}
    assert "shared" not in rows["old"]
    assert rows["new"].endswith(" 80.0% shared")
    assert rows["tied"].endswith(" shared") and "%  shared" in rows["tied"]
    report = json.loads(place.run("list", "--json", "m.safetensors.fly").out)
    assert [tensor["shared_bytes"] for tensor in report["tensors"]] == [0, 2 << 20, 2 << 20]
    assert place.run("verify", "m.safetensors.fly").code == 0


def test_migrate_keeps_what_is_as_small(archive):
    before = archive.read("m.safetensors.fly")
    outcome = archive.run("migrate", "-v", "m.safetensors.fly")
    assert outcome.code == 0 and "left as it is" in outcome.err
    assert archive.read("m.safetensors.fly") == before
    assert archive.names() == ["m.safetensors", "m.safetensors.fly"]
    archive.write("no.fly", b"nothing")
    assert archive.run("migrate", "no.fly").code == 1
    assert archive.run("migrate", "gone.fly").code == 1
    (archive.path / "link.fly").symlink_to("m.safetensors.fly")
    assert archive.run("migrate", "link.fly").code == 1


def test_migrate_of_a_tree_leaves_no_debris(tree):
    before = tree.names()
    report = json.loads(tree.run("migrate", "--json", "d.fly").out)
    assert report["is_replaced"] is False and report["old_bytes"] == len(tree.read("d.fly"))
    assert tree.names() == before


def test_migrate_replaces_what_can_be_smaller(place):
    """Less parity is a smaller archive."""
    place.write("m.safetensors", safetensors([("w", "BF16", [256, 256], bf16_weights(1 << 16))]))
    (place.path / "d").mkdir()
    os.rename(place.path / "m.safetensors", place.path / "d" / "m.safetensors")
    place.run("d", "--recovery", "50%")
    before = len(place.read("d.fly"))
    outcome = place.run("migrate", "d.fly")
    assert outcome.code == 2 and "has parity" in outcome.err and len(place.read("d.fly")) == before
    assert place.run("migrate", "-k", "--recovery", "5%", "d.fly").code == 0
    assert len(place.read("d.fly")) < before == len(place.read("d.fly.old"))
    assert place.run("verify", "d.fly").code == 0
    assert place.run("-d", "d.fly", "-o", "back").code == 0
    assert (place.path / "back" / "m.safetensors").read_bytes() == (place.path / "d" / "m.safetensors").read_bytes()
    assert place.names() == ["back", "d", "d.fly", "d.fly.old"]
