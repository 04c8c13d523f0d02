"""Tables and streams of nibbles and dense differences, by hand: what golden files hold is tested with these."""

import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import nibble_codec
from cursor import Cursor, FormatError

# The same as in src/entropy/nibble_rans/nibble_coder_test.cc.
TABLES = "80000000000000000208000f00001032f067cc8e0001020202020202028100c0030000880c9c7c7e4e4c0402814020100401"
STREAM = "a802560112c01101ae0249"
NUMBERS = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
SYMBOLS = [0, 1, 1, 2, 15, 0, 2, 4, 0, 3]


def tables():
    return nibble_codec.nibble_tables(Cursor(bytes.fromhex(TABLES)))


def test_tables_and_stream_give_symbols_and_carried_bytes():
    read = tables()
    assert read.table_of_context.tolist() == [0] * 7 + [1] * 57
    assert np.bincount(read.symbol[1], minlength=16).tolist() == [100, 90, 50, 10, 5] + [0] * 10 + [1]
    symbols, carried = nibble_codec.nibble_stream(bytes.fromhex(STREAM), read, NUMBERS, 3)
    assert symbols.tolist() == SYMBOLS
    assert carried == bytes.fromhex("a1b2c3")


@pytest.mark.parametrize(
    ("stream", "carried"),
    [(STREAM[:-2], 3), (STREAM + "00", 3), (STREAM, 2), (STREAM, 5), (STREAM[:12], 3), ("b9" + STREAM[2:], 3)],
)
def test_a_stream_that_does_not_end_as_it_must_is_refused(stream, carried):
    with pytest.raises(FormatError):
        nibble_codec.nibble_stream(bytes.fromhex(stream), tables(), NUMBERS, carried)


@pytest.mark.parametrize("starts", ["8100000000000000", "8001000000000000", "0000000000000000"])
def test_starts_that_do_not_fit_the_tables_are_refused(starts):
    with pytest.raises(FormatError):
        nibble_codec.nibble_tables(Cursor(bytes.fromhex(starts + TABLES[16:])))


def test_differences_of_16_bits_are_joined():
    # 0, +1, -5, +129, an escape, and the step from +0 to -0.
    base = np.array([0x3F80] * 5 + [0], dtype="<u2")
    symbols = np.array([0, 1, 4, 14, 15, 1])
    words, escapes = nibble_codec.join(base, symbols, np.zeros(6, dtype=int), b"\x03\x0a", b"", "BF16")
    assert words.tolist() == [0x3F80, 0x3F81, 0x3F7B, 0x4001, 0x3F80, 0x8000]
    assert escapes.tolist() == [4]
    for planes in (b"\x03", b"\x03\x0a\x00", b"\x03\x1a"):
        with pytest.raises(FormatError):
            nibble_codec.join(base, symbols, np.zeros(6, dtype=int), planes, b"", "BF16")


def test_widths_leave_low_bits_apart():
    context, width = nibble_codec.contexts_and_widths(
        np.zeros(5, dtype="<u4"), np.array([111, 112, 116, 131, 255]), 0, "F32"
    )
    assert context.tolist() == [47, 48, 48, 51, 51]
    assert width.tolist() == [0, 1, 2, 5, 24]
    # m 2 with 3 low bits, 5: 21 below; m 0 with 1 low bit, 1: 1 above. Signs 1 and 0.
    words, escapes = nibble_codec.join(
        np.array([100, 100], dtype="<u4"), np.array([2, 0]), np.array([3, 1]), b"\x01", b"\x0d", "F32"
    )
    assert words.tolist() == [79, 101]
    assert escapes.tolist() == []
