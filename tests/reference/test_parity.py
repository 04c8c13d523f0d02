"""The second decoder finds the parity of golden files to be what section 7 says."""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cursor import FormatError  # noqa: E402
from parity import Parity, multiply, point  # noqa: E402

GOLDEN = HERE.parent / "golden/v1"
NAMES = ["encoded_parity", "encoded_parity_codewords"]


def open_parity(data):
    data = memoryview(data)
    first, second, section_bytes = (int.from_bytes(data[at : at + 8], "little") for at in (-64, -56, -48))
    assert int.from_bytes(data[24:32], "little") & 1
    return Parity(data, first + section_bytes, second)


@pytest.mark.parametrize("name", NAMES)
def test_parity_is_that_of_the_document(name):
    parity = open_parity((GOLDEN / f"{name}.fly").read_bytes())
    assert len(parity.blocks) > 10
    assert len(parity.cells) > 2
    parity.check_codes()


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_checked(name):
    good = (GOLDEN / f"{name}.fly").read_bytes()
    for at in range(64, len(good) - 128, 509):
        bad = bytearray(good)
        bad[at] ^= 1
        with pytest.raises(FormatError):
            open_parity(bad).check_codes()


def test_parity_of_other_data_is_noticed():
    parity = open_parity((GOLDEN / "encoded_parity.fly").read_bytes())
    block = bytearray(parity.blocks[3])
    block[0] ^= 1
    parity.blocks[3] = block
    with pytest.raises(FormatError):
        parity.check_codes()


def test_points_follow_from_their_definition():
    assert [point(i) for i in (0, 1)] == [0, 1]
    for index in (2, 3, 77, 65535):
        assert multiply(point(index), point(index)) ^ point(index) == point(index >> 1)
