"""Patches on the command line: made, listed, verified, applied, and refused."""

import json
import random
import struct

import pytest
from command import bf16_weights, safetensors


def tuned(weights, seed, stride=5):
    """Moves some words by little, as training does."""
    words = bytearray(weights)
    source = random.Random(seed)
    for at in range(0, len(words) - 1, 2 * stride):
        words[at] = (words[at] + source.randrange(1, 4)) % 256
    return bytes(words)


def tensors(*weights):
    names = ("embed.weight", "layer.weight", "norm.weight")
    return [(name, "BF16", [64, 128], data) for name, data in zip(names, weights, strict=True)]


BASE = [bf16_weights(64 * 128, seed) for seed in (1, 2, 3)]
FIRST = [tuned(BASE[0], 1), tuned(BASE[1], 2), BASE[2]]
SECOND = [tuned(FIRST[0], 3), FIRST[1], tuned(FIRST[2], 4)]


@pytest.fixture
def models(place):
    """A base, two versions and the patches between them."""
    for name, content in (("base", BASE), ("first", FIRST), ("second", SECOND)):
        place.write(f"{name}.safetensors", safetensors(tensors(*content)))
    for words in (
        ["first.safetensors", "--base", "base.safetensors", "-o", "p1.fly"],
        ["second.safetensors", "--base", "base.safetensors", "--base", "p1.fly", "-o", "p2.fly"],
    ):
        outcome = place.run("compress", *words)
        assert outcome.code == 0, outcome.err
    return place


def test_apply_restores_each_version(models):
    assert models.run("apply", "base.safetensors", "p1.fly", "-o", "out1").code == 0
    assert models.run("apply", "base.safetensors", "p1.fly", "p2.fly", "-o", "out2").code == 0
    assert models.read("out1") == models.read("first.safetensors")
    assert models.read("out2") == models.read("second.safetensors")
    outcome = models.run("apply", "base.safetensors", "p1.fly", "-c")
    assert outcome.code == 0 and outcome.out_bytes == models.read("first.safetensors")


def test_decompress_extract_and_verify_take_a_base(models):
    base = ["--base", "base.safetensors"]
    assert models.run("-d", "p1.fly", *base, "-o", "out").code == 0
    assert models.read("out") == models.read("first.safetensors")
    assert models.run("extract", "p1.fly", "embed.weight", *base, "-o", "embed.bin").code == 0
    assert models.read("embed.bin") == FIRST[0]
    outcome = models.run("verify", "-v", "p2.fly", *base, "--base", "p1.fly")
    assert outcome.code == 0 and outcome.out.startswith("p2.fly: ok, ")
    outcome = models.run("verify", "p1.fly")
    assert outcome.code == 0 and "it is a patch" in outcome.out
    assert json.loads(models.run("verify", "--json", "p1.fly").out)["lacks_base"] is True


def test_listings_say_what_a_patch_stands_on(models):
    listed = json.loads(models.run("list", "--json", "p1.fly").out)
    kinds = {tensor["name"]: tensor.get("patch") for tensor in listed["tensors"]}
    assert kinds["norm.weight"] == "same"
    assert kinds["embed.weight"] in ("patch", None)
    assert listed["base"]["name"] == "base.safetensors"
    second = json.loads(models.run("info", "--json", "p2.fly").out)
    assert second["base"]["identity"] == listed["identity"]
    assert models.run("compress", "base.safetensors").code == 0
    whole = json.loads(models.run("info", "--json", "base.safetensors.fly").out)
    assert whole["identity"] == listed["base"]["identity"] and whole["base"] is None
    text = models.run("info", "p1.fly").out
    assert "base      base.safetensors, identity " + whole["identity"] in text


def test_a_sharded_directory_is_a_variant_and_a_base(models):
    (models.path / "dir").mkdir()
    for shard, numbers in (("a", (0,)), ("b", (2, 1))):
        all_tensors = tensors(*FIRST)
        models.write(f"dir/{shard}.safetensors", safetensors([all_tensors[number] for number in numbers]))
    assert models.run("compress", "dir", "--base", "base.safetensors", "-o", "dir.fly").code == 0
    assert models.run("apply", "base.safetensors", "dir.fly", "-o", "restored").code == 0
    for shard in "ab":
        assert models.read(f"restored/{shard}.safetensors") == models.read(f"dir/{shard}.safetensors")
    assert models.run("apply", "dir", "p2.fly", "-o", "out").code == 0
    assert models.read("out") == models.read("second.safetensors")


@pytest.mark.parametrize(
    "words, says",
    [
        (["-d", "p1.fly", "-o", "out"], "'base.safetensors' (identity "),
        (["apply", "second.safetensors", "p1.fly", "-o", "out"], "other weights"),
        (["apply", "first.safetensors", "p1.fly", "-o", "out"], "applied already"),
        (
            ["apply", "base.safetensors", "p2.fly", "p1.fly", "-o", "out"],
            "this one fits: base.safetensors p1.fly p2.fly",
        ),
        (["apply", "base.safetensors", "p1.fly", "p1.fly", "-o", "out"], "applied already"),
        (["apply", "base.safetensors", "first.safetensors", "-o", "out"], "not a flyweight archive"),
        (["apply", "nowhere", "p1.fly", "-o", "out"], "nowhere"),
        (["compress", "first.safetensors", "--base", "p1.fly", "-o", "out"], "its base was not given"),
    ],
)
def test_what_does_not_fit_is_an_error_and_writes_nothing(models, words, says):
    before = models.names()
    outcome = models.run(*words)
    assert outcome.code == 1 and says in outcome.err and len(outcome.lines) == 1
    assert models.names() == before


@pytest.mark.parametrize(
    "words, says",
    [
        (["apply", "base.safetensors", "-o", "out"], "apply needs a base and a patch"),
        (["apply", "base.safetensors", "p1.fly"], "apply needs -o"),
        (["apply", "-", "p1.fly", "-o", "out"], "standard input"),
        (["compress", "first.safetensors", "--base", "-"], "standard input"),
        (["compress", "first.safetensors", "--base", "base.safetensors", "--rm"], "--rm"),
        (["compress", "first.safetensors", "--base", "base.safetensors", "--lossy", "int8"], "--lossy"),
        (["list", "p1.fly", "--base", "base.safetensors"], "--base does not go with list"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(models, words, says):
    before = models.names()
    outcome = models.run(*words)
    assert outcome.code == 2 and says in outcome.err
    assert models.names() == before


def floats(count, seed, scale, start=None):
    source = random.Random(seed)
    values = start or [0.0] * count
    return [value + source.gauss(0, scale) for value in values]


def test_lossy_deltas_lose_what_was_allowed_and_say_so(place):
    base = floats(128 * 100, 1, 0.05)
    tune = floats(128 * 100, 2, 1e-3, base)
    for name, values in (("base", base), ("tune", tune)):
        data = struct.pack(f"<{len(values)}f", *values)
        place.write(f"{name}.safetensors", safetensors([("w", "F32", [128, 100], data)]))
    made = ["compress", "tune.safetensors", "--base", "base.safetensors"]
    assert place.run(*made, "-o", "exact.fly").code == 0
    assert place.run(*made, "--lossy-delta", "error=0.1", "-o", "p.fly").code == 0
    assert len(place.read("p.fly")) < len(place.read("exact.fly")) / 2
    for words in (["list"], ["info"], ["stat"], ["verify"], ["verify", "--base", "base.safetensors"]):
        outcome = place.run(*words, "p.fly")
        assert outcome.code == 0 and "LOSSY" in outcome.out, words
    (tensor,) = json.loads(place.run("list", "--json", "p.fly").out)["tensors"]
    assert tensor["lossy"]["method"] == "delta"
    assert place.run("apply", "base.safetensors", "p.fly", "-o", "out").code == 0
    result = struct.unpack(f"<{len(tune)}f", place.read("out")[-4 * len(tune) :])
    error = sum((a - b) ** 2 for a, b in zip(result, tune, strict=True))
    change = sum((a - b) ** 2 for a, b in zip(base, tune, strict=True))
    assert 0 < error <= 0.01 * change
    assert tensor["lossy"]["relative_error"] == pytest.approx((error / change) ** 0.5, rel=1e-4)
    outcome = place.run(*made, "--lossy-delta", "error=0.1", "--rm", "-o", "q.fly")
    assert outcome.code == 2 and "remove the source yourself" in outcome.err and "q.fly" not in place.names()
