"""Fixtures: a directory to work in, a model, an archive."""

import struct

import pytest
from command import Workplace, bf16_weights, safetensors


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


@pytest.fixture(scope="session")
def model():
    return safetensors(
        [
            ("embed.weight", "BF16", [64, 128], bf16_weights(64 * 128)),
            ("bias", "F32", [3], b"\0\0\x80\x3f" * 3),
            ("steps", "I64", [], struct.pack("<q", 7)),
        ]
    )


@pytest.fixture
def archived(place, model):
    """A directory that holds m.safetensors and its archive."""
    place.write("m.safetensors", model)
    assert place.run("m.safetensors").code == 0
    return place
