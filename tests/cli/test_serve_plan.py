"""serve-plan: what a base and patches on it take in memory."""

import json

import pytest
from command import bf16_weights, expect_problem, safetensors

MATRIX = [512, 512]
MATRIX_BYTES = 512 * 512 * 2


def model_of(changed=()):
    """Six matrices, of which the named ones differ from the base's in some words."""
    tensors = []
    for number in range(6):
        weights = bytearray(bf16_weights(512 * 512, seed=number))
        if number in changed:
            for at in range(0, MATRIX_BYTES, 128):
                weights[at] ^= 2
        tensors.append((f"m{number}", "BF16", MATRIX, bytes(weights)))
    return safetensors(tensors)


@pytest.fixture
def served(place):
    place.write("base.safetensors", model_of())
    for name, changed in (("p1", (0,)), ("p2", (1, 2))):
        place.write(f"{name}.safetensors", model_of(changed))
        outcome = place.run("compress", f"{name}.safetensors", "--base", "base.safetensors", "-o", f"{name}.fly")
        assert outcome.code == 0, outcome.err
    return place


def test_what_is_shared_is_there_once(served):
    outcome = served.run("serve-plan", "base.safetensors", "p1.fly", "p2.fly", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    plan = json.loads(outcome.out)
    assert plan["naive_bytes"] == 18 * MATRIX_BYTES
    assert plan["held_bytes"] == 9 * MATRIX_BYTES
    assert [model["own_bytes"] for model in plan["models"]] == [6 * MATRIX_BYTES, MATRIX_BYTES, 2 * MATRIX_BYTES]
    assert [model["shared_count"] for model in plan["models"]] == [0, 5, 4]
    # Beside the tensors there is what decoding takes, some 5 MB a thread.
    assert plan["held_bytes"] <= plan["resident_bytes"] < plan["held_bytes"] + (64 << 20)


def test_the_table_says_both(served):
    outcome = served.run("serve-plan", "base.safetensors", "p1.fly", "p2.fly")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["model", "tensors", "size", "shared", "own"]
    assert lines[1].split()[0] == "base.safetensors" and lines[3].split()[0] == "p2.fly"
    assert lines[4].split()[:3] == ["each", "by", "itself"] and "9.44 MB" in lines[4]
    assert "4.72 MB, 50.0%" in lines[5]
    assert lines[6].startswith("measured")


def test_patches_on_another_base_and_wrong_usage_are_errors(served):
    served.write("other.safetensors", model_of((0, 1, 2, 3, 4, 5)))
    expect_problem(served.run("serve-plan", "other.safetensors", "p1.fly"), 1, "flyweight: .*p1.fly: .*")
    expect_problem(served.run("serve-plan", "base.safetensors", "p1.safetensors"), 1, "flyweight: .*p1.safetensors: .*")
    for arguments in (("base.safetensors",), (), ("-", "p1.fly")):
        expect_problem(served.run("serve-plan", *arguments), 2, "flyweight: serve-plan needs a base and patches.*")
