"""Chains of patches: finding bases, sequences, lineages, re-basing, pruning."""

import hashlib
import itertools
import json
import os
import random

import pytest
from command import bf16_weights, safetensors

NAMES = ("embed.weight", "layer.0.weight", "layer.1.weight")


def tuned(weights, seed):
    """Moves some words by little, as training does."""
    source = random.Random(seed)
    words = bytearray(weights)
    for at in range(0, len(words) - 1, 2 * source.randrange(4, 9)):
        words[at] = (words[at] + source.randrange(1, 4)) % 256
    return bytes(words)


def versions(count):
    """Weights of some versions, each a little further than the one before."""
    weights = [bf16_weights(128 * 128, seed) for seed in (1, 2, 3)]
    for version in range(count):
        yield weights
        changed = version % 3
        weights = [tuned(data, version) if i == changed else data for i, data in enumerate(weights)]


def file_of(weights):
    return safetensors([(name, "BF16", [128, 128], data) for name, data in zip(NAMES, weights, strict=True)])


@pytest.fixture(scope="module")
def contents():
    return [file_of(weights) for weights in versions(5)]


@pytest.fixture
def chain(place, contents):
    """A base, v0, and four patches, each on the one before."""
    os.mkdir(place.path / "chain")
    bases = ["--base", "v0.safetensors"]
    for number, content in enumerate(contents):
        place.write(f"v{number}.safetensors", content)
        if number == 0:
            continue
        outcome = place.run("compress", f"v{number}.safetensors", *bases, "-o", f"chain/p{number}.fly")
        assert outcome.code == 0, outcome.err
        bases += ["--base", f"chain/p{number}.fly"]
    os.mkdir(place.path / "bases")
    os.rename(place.path / "v0.safetensors", place.path / "bases/v0.safetensors")
    return place


@pytest.fixture
def run(place, contents):
    """A directory of checkpoints, in whose names numbers are not padded."""
    for number, content in enumerate(contents):
        directory = place.path / f"run/checkpoint-{5 * (number + 1)}"
        os.makedirs(directory)
        (directory / "model.safetensors").write_bytes(content)
        (directory / "trainer_state.json").write_text(json.dumps({"step": number}))
    return place


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_sequence_is_one_archive_and_each_version_comes_back(run, contents):
    outcome = run.run("compress", "--sequence", "run", "-o", "run.fly")
    assert outcome.code == 0, outcome.err
    assert len(run.read("run.fly")) < 1.6 * len(contents[0])
    for number, content in enumerate(contents):
        name = f"checkpoint-{5 * (number + 1)}"
        assert run.run("extract", "run.fly", f"{name}/*", "-o", f"out{number}").code == 0
        assert run.read(f"out{number}/{name}/model.safetensors") == content
    assert run.run("decompress", "run.fly", "-o", "all").code == 0
    for path in (run.path / "run").rglob("*.*"):
        assert digest(path) == digest(run.path / "all" / path.relative_to(run.path / "run"))
    assert run.run("verify", "run.fly").code == 0
    listing = json.loads(run.run("list", "--json", "run.fly").out)
    depths = [tensor.get("patch_depth", 0) for tensor in listing["tensors"]]
    assert max(depths) >= 1


def test_key_frames_bound_the_chain(run):
    sizes = []
    for every in ("1", "2", "100"):
        assert run.run("compress", "--sequence", "--key-every", every, "run", "-f", "-o", "run.fly").code == 0
        sizes.append(len(run.read("run.fly")))
        listing = json.loads(run.run("list", "--json", "run.fly").out)
        assert max(tensor.get("patch_depth", 0) for tensor in listing["tensors"]) < int(every)
    assert sizes == sorted(sizes, reverse=True)


def test_a_directory_without_versions_is_no_sequence(place, model):
    os.mkdir(place.path / "plain")
    place.write("plain/model.safetensors", model)
    outcome = place.run("compress", "--sequence", "plain", "-o", "plain.fly")
    assert outcome.code == 1 and "no versions" in outcome.err
    assert place.names() == ["plain"]
    assert place.run("compress", "--key-every", "3", "plain").code == 2


def test_auto_base_takes_the_nearest_and_says_why(chain, contents):
    for number in (1, 2):
        os.rename(chain.path / f"v{number}.safetensors", chain.path / f"bases/v{number}.safetensors")
    stranger = file_of([bf16_weights(128 * 128, seed) for seed in (7, 8, 9)])
    chain.write("bases/stranger.safetensors", stranger)
    outcome = chain.run("compress", "v3.safetensors", "--auto-base", "--base-dir", "bases", "-o", "p.fly")
    assert outcome.code == 0
    assert "base bases/v2.safetensors: about " in outcome.err and "looked at 4 models" in outcome.err
    assert chain.run("apply", "bases/v2.safetensors", "p.fly", "-o", "out").code == 0
    assert chain.read("out") == contents[3]


def test_auto_base_without_a_base_compresses_alone(place, contents):
    os.mkdir(place.path / "bases")
    place.write("m.safetensors", contents[0])
    place.write("bases/stranger.safetensors", file_of([bf16_weights(128 * 128, seed) for seed in (7, 8, 9)]))
    outcome = place.run("compress", "m.safetensors", "--auto-base", "--base-dir", "bases")
    assert outcome.code == 0
    assert "no base found, compressed alone" in outcome.err and "stranger" in outcome.err
    assert place.run("decompress", "m.safetensors.fly", "-o", "out").code == 0
    assert place.run("compress", "m.safetensors", "--auto-base", "--base", "x").code == 2
    assert place.run("compress", "m.safetensors", "--base-dir", "x").code == 2


def test_the_chain_is_found_by_identity(chain, contents):
    # Names say nothing.
    os.rename(chain.path / "chain/p2.fly", chain.path / "chain/x.fly")
    where = ["--base-dir", "chain", "--base-dir", "bases"]
    assert chain.run("apply", *where, "chain/p4.fly", "-o", "out").code == 0
    assert chain.read("out") == contents[4]
    assert chain.run("verify", *where, "chain/p3.fly").code == 0
    assert chain.run("decompress", *where, "chain/p3.fly", "-o", "out3").code == 0
    assert chain.read("out3") == contents[3]
    os.remove(chain.path / "chain/x.fly")
    outcome = chain.run("apply", *where, "chain/p4.fly", "-o", "out5")
    assert outcome.code == 1 and "p2.fly" in outcome.err
    assert not (chain.path / "out5").exists()


def test_the_lineage_is_shown(chain):
    out = chain.run("list", "--lineage", "chain").out.splitlines()
    assert "MISSING" in out[1] and out[1].startswith("v0.safetensors")
    assert [line.split()[0] for line in out[2:]] == [f"chain/p{number}.fly" for number in (1, 2, 3, 4)]
    assert [len(line) - len(line.lstrip()) for line in out[2:]] == [2, 4, 6, 8]
    report = json.loads(chain.run("info", "--lineage", "--json", "chain", "bases").out)
    entries = report["entries"]
    assert [entry["kind"] for entry in entries] == ["guess", "patch", "patch", "patch", "patch"]
    assert [entry["depth"] for entry in entries] == [0, 1, 2, 3, 4]
    for before, entry in itertools.pairwise(entries):
        assert entry["base_identity"] == before["identity"]


def test_patches_are_merged_and_moved(chain, contents):
    links = ["bases/v0.safetensors", "chain/p1.fly", "chain/p2.fly", "chain/p3.fly"]
    assert chain.run("rebase", *links, "--onto", "bases/v0.safetensors", "-o", "merged.fly").code == 0
    assert chain.run("apply", "bases/v0.safetensors", "merged.fly", "-o", "out").code == 0
    assert chain.read("out") == contents[3]
    where = ["--base-dir", "chain", "--base-dir", "bases"]
    assert chain.run("rebase", *where, "chain/p2.fly", "--onto", "v4.safetensors", "-o", "back.fly").code == 0
    assert chain.run("apply", "v4.safetensors", "back.fly", "-o", "out2").code == 0
    assert chain.read("out2") == contents[2]
    assert chain.run("rebase", *where, "chain/p2.fly", "-o", "alone.fly").code == 0
    assert chain.run("decompress", "alone.fly", "-o", "out3").code == 0
    assert chain.read("out3") == contents[2]
    assert chain.run("rebase", *links, "-o", "alone.fly").code == 2, "what is there is not replaced"
    assert chain.run("rebase", *links).code == 2
    assert chain.run("rebase", "bases/v0.safetensors", "chain/p2.fly", "-o", "bad.fly").code == 1
    assert "bad.fly" not in chain.names()


def test_pruning_keeps_what_is_kept(chain, contents):
    arguments = ["prune", "chain", "--keep", "p2.fly", "--keep-last", "1", "--base-dir", "bases"]
    before = sorted(os.listdir(chain.path / "chain"))
    outcome = chain.run(*arguments, "--dry-run")
    assert outcome.code == 0 and outcome.out.count("would remove") == 2 and outcome.out.count("would pack anew") == 2
    assert sorted(os.listdir(chain.path / "chain")) == before
    outcome = chain.run(*arguments)
    assert outcome.code == 0, outcome.err
    assert sorted(os.listdir(chain.path / "chain")) == ["p2.fly", "p4.fly"]
    assert chain.run("apply", "bases/v0.safetensors", "chain/p2.fly", "-o", "out2").code == 0
    assert chain.read("out2") == contents[2]
    assert chain.run("apply", "bases/v0.safetensors", "chain/p2.fly", "chain/p4.fly", "-o", "out4").code == 0
    assert chain.read("out4") == contents[4]


def test_pruning_without_the_base_removes_nothing(chain):
    before = sorted(os.listdir(chain.path / "chain"))
    outcome = chain.run("prune", "chain", "--keep-last", "1")
    assert outcome.code == 1 and "v0.safetensors" in outcome.err
    assert sorted(os.listdir(chain.path / "chain")) == before
    assert chain.run("prune", "chain").code == 2
    assert chain.run("prune", "chain", "--keep", "nothing*").code == 1
    assert sorted(os.listdir(chain.path / "chain")) == before


def test_pruning_refuses_what_it_does_not_understand(chain):
    before = sorted(os.listdir(chain.path / "chain"))
    arguments = ["prune", "chain", "--base-dir", "bases", "--keep"]
    outcome = chain.run(*arguments, "p4.fly", "p5.fly")
    assert outcome.code == 1 and "'p5.fly'" in outcome.err
    link = chain.read("chain/p2.fly")
    chain.write("chain/p2.fly", link[:500])
    outcome = chain.run(*arguments, "p3.fly")
    assert outcome.code == 1 and "chain/p2.fly" in outcome.err and "cannot be read" in outcome.err
    os.remove(chain.path / "chain/p2.fly")
    outcome = chain.run(*arguments, "p3.fly")
    assert outcome.code == 1 and "p2.fly" in outcome.err
    chain.write("chain/p2.fly", link)
    assert sorted(os.listdir(chain.path / "chain")) == before


def test_a_patch_that_changes_nothing_is_a_link(chain, contents):
    os.mkdir(chain.path / "d")
    chain.write("d/v0.safetensors", contents[0])
    chain.write("same.safetensors", contents[0])
    links = ["--base", "d/v0.safetensors"]
    for number, source in enumerate(("same", "v1", "v2"), 1):
        assert chain.run("compress", f"{source}.safetensors", *links, "-o", f"d/q{number}.fly").code == 0
        links += ["--base", f"d/q{number}.fly"]
    assert "MISSING" not in chain.run("list", "--lineage", "d").out
    assert chain.run("prune", "d", "--keep", "q3.fly").code == 0
    assert sorted(os.listdir(chain.path / "d")) == ["q3.fly", "v0.safetensors"]
    assert chain.run("apply", "--base-dir", "d", "d/q3.fly", "-o", "out").code == 0
    assert chain.read("out") == contents[2]


def test_what_pruning_made_whole_is_applied_too(chain, contents):
    os.mkdir(chain.path / "d")
    assert chain.run("compress", "bases/v0.safetensors", "-o", "d/v0.fly").code == 0
    assert chain.run("compress", "v1.safetensors", "--base", "d/v0.fly", "-o", "d/v1.fly").code == 0
    outcome = chain.run("prune", "d", "--keep", "v1.fly", "--dry-run", "--json")
    sizes = {name: os.path.getsize(chain.path / "d" / name) for name in ("v0.fly", "v1.fly")}
    report = json.loads(outcome.out)
    assert report["freed_bytes"] == 0 and report["steps"][0]["new_bytes"] == sum(sizes.values())
    assert chain.run("prune", "d", "--keep", "v1.fly").code == 0
    assert sorted(os.listdir(chain.path / "d")) == ["v1.fly"]
    assert chain.run("apply", "--base-dir", "d", "d/v1.fly", "-o", "out").code == 0
    assert chain.read("out") == contents[1]
