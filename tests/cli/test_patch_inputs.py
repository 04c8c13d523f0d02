"""What a patch stands on is never overwritten, is told from another, and is not needed to repair a patch."""

import json
import os

import pytest
from command import bf16_weights, expect_problem, safetensors


def model_of(seed, stride=0):
    """Two tensors; with a stride, words of the first are moved by little."""
    moved = bytearray(bf16_weights(64 * 128, seed))
    if stride:
        for at in range(0, len(moved), 2 * stride):
            moved[at] ^= 1
    stays = bf16_weights(512 * 256, seed + 1)
    return safetensors([("moves", "BF16", [64, 128], bytes(moved)), ("stays", "BF16", [512, 256], stays)])


@pytest.fixture
def chain(place):
    """A raw base and two versions, each a patch on what is before."""
    for name, stride in (("b", 0), ("v1", 5), ("v2", 3)):
        place.write(f"{name}.safetensors", model_of(1, stride))
    for words in (
        ["v1.safetensors", "--base", "b.safetensors", "--recovery", "10%", "-o", "p1.fly"],
        ["v2.safetensors", "--base", "b.safetensors", "--base", "p1.fly", "-o", "p2.fly"],
    ):
        outcome = place.run("compress", *words)
        assert outcome.code == 0, outcome.err
    return place


BASES = ("--base", "b.safetensors", "--base", "p1.fly")


@pytest.mark.parametrize("target", ["b.safetensors", "p1.fly", "p2.fly", "link"])
@pytest.mark.parametrize(
    "words",
    [
        ("apply", "b.safetensors", "p1.fly", "p2.fly"),
        ("apply", "--base-dir", ".", "p2.fly"),
        ("decompress", "p2.fly", *BASES),
        ("decompress", "p2.fly", "--base-dir", "."),
        ("extract", "p2.fly", "moves", *BASES),
        ("rebase", "b.safetensors", "p1.fly", "p2.fly"),
        ("rebase", "b.safetensors", "p1.fly", "p2.fly", "--onto", "b.safetensors"),
    ],
    ids=" ".join,
)
def test_no_input_is_overwritten(chain, words, target):
    for name in ("v1.safetensors", "v2.safetensors"):
        os.unlink(chain.path / name)
    os.link(chain.path / "p1.fly", chain.path / "link")
    before = {name: chain.read(name) for name in chain.names()}
    outcome = chain.run(*words, "-o", target, "-f")
    expect_problem(outcome, 1, r"flyweight: [\w.]+: .*(not overwritten|input and output are the same file).*")
    assert {name: chain.read(name) for name in chain.names()} == before


def test_diff_writes_no_patch_over_what_it_compares(chain):
    before = {name: chain.read(name) for name in chain.names()}
    for target in ("b.safetensors", "v1.safetensors"):
        outcome = chain.run("diff", "-q", "b.safetensors", "v1.safetensors", "--patch", target, "-f")
        assert outcome.code == 2, outcome.err
    assert {name: chain.read(name) for name in chain.names()} == before


def test_a_directory_is_not_restored_into_its_base(place):
    for name, stride in (("bd", 0), ("vd", 5)):
        os.mkdir(place.path / name)
        place.write(f"{name}/m.safetensors", model_of(1, stride))
    assert place.run("compress", "vd", "--base", "bd", "-o", "vp.fly").code == 0
    for target in ("bd", "bd/sub"):
        expect_problem(
            place.run("apply", "bd", "vp.fly", "-o", target, "-f"), 1, r"flyweight: vp.fly: .*not overwritten.*"
        )
    assert os.listdir(place.path / "bd") == ["m.safetensors"]
    assert place.read("bd/m.safetensors") == model_of(1)


def test_a_patch_is_repaired_without_its_base(chain):
    whole = chain.read("p1.fly")
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    chain.write("pd.fly", damaged)
    os.rename(chain.path / "b.safetensors", chain.path / "away")
    report = json.loads(chain.run("repair", "--json", "pd.fly", "-o", "x.fly").out)
    assert report["ok"] and report["was_damaged"] and report["lacks_base"]
    assert chain.read("x.fly") == whole
    outcome = chain.run("repair", "-v", "x.fly")
    assert outcome.code == 0 and "only what is stored was checked" in outcome.err
    outcome = chain.run("repair", "--json", "pd.fly", "--base", "away")
    assert outcome.code == 0 and not json.loads(outcome.out)["lacks_base"]
    assert chain.read("pd.fly") == whole
    chain.write("pd.fly", damaged)
    assert chain.run("repair", "pd.fly", "--from", "x.fly").code == 0
    assert chain.run("verify", "--fast", "pd.fly").code == 0


def test_migrate_passes_a_patch_by(chain):
    before = chain.read("p1.fly")
    expect_problem(
        chain.run("migrate", "p1.fly"), 2, r"flyweight: p1.fly: is a patch, which migrate leaves as it is; .*"
    )
    assert chain.read("p1.fly") == before


def test_a_wrong_base_is_called_one_where_only_what_stays_differs(chain):
    base = bytearray(chain.read("b.safetensors"))
    base[-10000] ^= 1  # between the samples
    chain.write("x.safetensors", base)
    pattern = r"flyweight: {}: .*'stays' of 'x.safetensors' is not what the patch was made from"
    expect_problem(chain.run("apply", "x.safetensors", "p1.fly", "-o", "out"), 1, pattern.format("p1.fly"))
    outcome = chain.run("serve-plan", "x.safetensors", "p1.fly")
    expect_problem(outcome, 1, pattern.format("serve-plan: p1.fly"))


def test_auto_base_leaves_out_an_archive_of_the_source(chain):
    os.mkdir(chain.path / "models")
    assert chain.run("compress", "v1.safetensors", "-o", "models/copy.fly").code == 0
    words = ("compress", "v1.safetensors", "--auto-base", "--base-dir", "models", "-o", "new.fly")
    outcome = chain.run(*words)
    assert outcome.code == 0 and "models/copy.fly holds this very model" in outcome.err
    assert chain.run("decompress", "new.fly", "-o", "out").code == 0  # it stands alone
    assert chain.run("compress", "b.safetensors", "-o", "models/base.fly").code == 0
    outcome = chain.run(*words, "-f")
    assert outcome.code == 0 and "base models/base.fly: " in outcome.err


def test_the_lineage_finds_a_raw_base_by_its_content(chain):
    os.mkdir(chain.path / "all")
    for name in ("p1.fly", "p2.fly"):
        os.rename(chain.path / name, chain.path / "all" / name)
    chain.write("all/b.safetensors", model_of(9))
    line = chain.run("list", "--lineage", "all").out.splitlines()[1]
    assert "MISSING: all/b.safetensors has the name and other content" in line
    os.rename(chain.path / "b.safetensors", chain.path / "all" / "renamed.safetensors")
    line = chain.run("list", "--lineage", "all").out.splitlines()[1]
    assert line.startswith("all/renamed.safetensors") and line.endswith("samples fit")
    assert chain.run("apply", "--base-dir", "all", "all/p2.fly", "-o", "out").code == 0


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("decompress", "p1.fly"), "p1.fly"),
        (("serve-plan", "v2.safetensors", "p2.fly"), "p2.fly"),
        (("list", "--lineage", "none.fly"), "none.fly"),
        (("list", "none.fly"), "none.fly"),
        (("apply", "b.safetensors", "p2.fly", "-o", "out"), "p2.fly"),
    ],
    ids=["decompress", "serve-plan", "lineage", "list", "apply"],
)
def test_messages_do_not_name_a_file_twice(chain, words, name):
    (line,) = chain.run(*words).lines
    assert line.count(name) == 1, line
