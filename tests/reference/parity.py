"""The check of an archive's parity (section 7), written from docs/format.md alone.

Every checksum is checked, and for a few columns of each codeword that the parity is that of the code.
"""

from dataclasses import dataclass

from cursor import Cursor, must, xxh3

POLYNOMIAL = 0x1002D


def _tables():
    exp, log, power = [0] * 131070, [0] * 65536, 1
    for i in range(65535):
        exp[i] = exp[i + 65535] = power
        log[power] = i
        power = power << 1 ^ (POLYNOMIAL if power >> 15 else 0)
    return exp, log


EXP, LOG = _tables()


def multiply(a, b):
    return EXP[LOG[a] + LOG[b]] if a and b else 0


def _basis():
    vectors = [1]
    while len(vectors) < 16:
        vectors.append(next(v for v in range(0, 65536, 2) if multiply(v, v) ^ v == vectors[-1]))
    return vectors


BASIS = _basis()


def point(index):
    """7.1, w(i)"""
    total = 0
    for j, vector in enumerate(BASIS):
        if index >> j & 1:
            total ^= vector
    return total


def inverse_transform(values, start):
    """7.1, the note: in place, for the points from w(start) on."""
    d = 1
    while d < len(values):
        for a in range(0, len(values), 2 * d):
            factor = point((start + a) // d)
            for i in range(a, a + d):
                values[i + d] ^= values[i]
                values[i] ^= multiply(factor, values[i + d])
        d *= 2
    return values


def check_code(parity, data):
    """One word of each row: the transforms of all groups, parity that is not kept included, add up to nothing."""
    group = 1 << (len(parity) - 1).bit_length()
    must(group + len(data) <= 65536, "a codeword that is too long")
    total = [0] * group
    for start in range(0, len(data), group):
        values = data[start : start + group]
        values += [0] * (group - len(values))
        total = [a ^ b for a, b in zip(total, inverse_transform(values, group + start), strict=True)]
    # The transform, as the inverse backwards.
    d = group // 2
    while d:
        for a in range(0, group, 2 * d):
            factor = point(a // d)
            for i in range(a, a + d):
                total[i] ^= multiply(factor, total[i + d])
                total[i + d] ^= total[i]
        d //= 2
    must(total[: len(parity)] == parity, "parity that is not that of the code")


def word(row, piece, i):
    return row[128 * piece + i] | row[128 * piece + 64 + i] << 8


@dataclass(frozen=True)
class Layout:
    """7.2, what all info cells agree on."""

    identity: int
    first_bytes: int
    second_bytes: int
    block_bytes: int
    parity_rows: int
    codewords: int
    info_parity: int
    table_hash: int


def ceil_div(a, b):
    return -(-a // b)


def parse_info_cell(cell):
    must(bytes(cell[:8]) == b"FLYPAR\r\n", "no info cell where one must be")
    must(xxh3(cell[:120], cell[128:]) == int.from_bytes(cell[120:128], "little"), "an info cell without its checksum")
    cursor = Cursor(cell[8:120])
    must(cursor.uint(2) == 1 and cursor.uint(2) == 128, "parity of an unknown kind")
    number, identity, first, second = cursor.uint(4), cursor.uint(8), cursor.uint(8), cursor.uint(8)
    block_bytes, parity_rows, codewords, info_parity = (cursor.uint(size) for size in (4, 4, 8, 4))
    cursor.zeros(52, "info cell")
    layout = Layout(identity, first, second, block_bytes, parity_rows, codewords, info_parity, cursor.uint(8))
    return number, layout


def pad(data, size):
    return bytes(data) + bytes(size - len(data))


class Parity:
    """The parity of an archive whose second index section starts at `second_offset`."""

    def __init__(self, data, first_bytes, second_offset):
        padding_end = next(at for at in range(first_bytes, second_offset) if data[at : at + 1] != b"\0")
        self.data, self.area = data, padding_end
        block_bytes = int.from_bytes(data[padding_end + 40 : padding_end + 44], "little")
        must(512 <= block_bytes <= 1 << 20 and block_bytes & (block_bytes - 1) == 0, "blocks of an odd size")
        must(padding_end == ceil_div(first_bytes, block_bytes) * block_bytes, "padding of another size")
        _, self.layout = parse_info_cell(data[padding_end : padding_end + block_bytes])
        must(self.layout.first_bytes == first_bytes, "a first part of another size")
        must(self.layout.second_bytes == len(data) - second_offset, "a second part of another size")
        must(self.layout.identity == xxh3(data[-128:]), "the parity of another archive")
        blocks = [data[at : min(at + block_bytes, first_bytes)] for at in range(0, first_bytes, block_bytes)]
        blocks += [data[at : at + block_bytes] for at in range(second_offset, len(data), block_bytes)]
        self.blocks = blocks
        self.read_cells(second_offset)
        self.check_table()

    def read_cells(self, second_offset):
        """7.3"""
        layout, size = self.layout, self.layout.block_bytes
        cells = [self.data[at : at + size] for at in range(self.area, second_offset, size)]
        parity_count = layout.parity_rows * layout.codewords
        info_data = ceil_div(8 * (len(self.blocks) + parity_count), size - 128)
        must(info_data <= layout.info_parity <= 64 + 4 * info_data, "an odd count of info cells")
        must(len(cells) == parity_count + info_data + layout.info_parity, "an area of another size")
        spread = layout.info_parity - info_data
        places = list(range(info_data))
        places += [info_data + j + (j + 1) * parity_count // (spread + 1) for j in range(spread)]
        places += list(range(len(cells) - info_data, len(cells)))
        for number, place in enumerate(places):
            must(parse_info_cell(cells[place]) == (number, layout), "info cells that disagree")
        taken = set(places)
        self.info_rows = [cells[place][128:] for place in places]
        self.info_data = info_data
        self.cells = [cell for place, cell in enumerate(cells) if place not in taken]

    def check_table(self):
        """7.2"""
        table = b"".join(xxh3(item).to_bytes(8, "little") for item in [*self.blocks, *self.cells])
        must(xxh3(table) == self.layout.table_hash, "blocks that are not those of the table")
        row_bytes = self.layout.block_bytes - 128
        stored = b"".join(bytes(row) for row in self.info_rows[: self.info_data])
        must(stored == pad(table, self.info_data * row_bytes), "a table of other checksums")

    def rows_of(self, items, codeword):
        """7.1, the rows of a codeword among blocks or parity cells; a row that has none is empty."""
        count = self.layout.codewords
        rows = []
        for row in range(ceil_div(len(items), count)):
            turn = (row * 0x9E3779B1 % 2**32) >> 16
            number = row * count + (codeword - turn) % count
            rows.append(items[number] if number < len(items) else b"")
        return rows

    def check_codes(self):
        """7.1, for some words of all codewords and of the table."""
        layout = self.layout
        for piece, i in ((0, 0), (layout.block_bytes // 128 - 1, 63)):
            for codeword in range(layout.codewords):
                data = [word(pad(row, layout.block_bytes), piece, i) for row in self.rows_of(self.blocks, codeword)]
                check_code([word(cell, piece, i) for cell in self.rows_of(self.cells, codeword)], data)
        for piece, i in ((0, 5), (layout.block_bytes // 128 - 2, 60)):
            words = [word(row, piece, i) for row in self.info_rows]
            check_code(words[self.info_data :], words[: self.info_data])
