#include "archive/parity_info.h"

#include <algorithm>
#include <bit>
#include <string>

#include "archive/parity_wire.h"
#include "base/hash.h"
#include "erasure/gf16_kernels.h"
#include "erasure/reed_solomon.h"

namespace flyweight {
namespace {

uint64_t CellHash(ByteSpan cell) {
  Xxh3Stream hash;
  hash.Update(cell.first(wire::kInfoHashOffset));
  hash.Update(cell.subspan(kInfoHeadBytes));
  return hash.Finish();
}

Error BadCell(uint64_t offset, const std::string& what) { return {ErrorCode::kCorrupt, offset, "info cell: " + what}; }

/// Copies one column of pieces out of rows of `row_bytes`, or back.
class Columns {
 public:
  Columns(MutableByteSpan rows, size_t row_bytes) : rows_(rows), row_bytes_(row_bytes) {}

  void Take(size_t first_row, size_t row_count, size_t column, std::byte* target) const {
    for (size_t r = 0; r < row_count; ++r) {
      std::copy_n(At(first_row + r, column), kGfPieceBytes, target + r * kGfPieceBytes);
    }
  }
  void Put(size_t row, size_t column, const std::byte* source) const {
    std::copy_n(source, kGfPieceBytes, At(row, column));
  }

 private:
  std::byte* At(size_t row, size_t column) const { return rows_.data() + row * row_bytes_ + column; }
  MutableByteSpan rows_;
  size_t row_bytes_;
};

size_t PayloadBytes(const ParityLayout& layout) { return static_cast<size_t>(layout.block_bytes - kInfoHeadBytes); }

ReedSolomon TableCode(const ParityLayout& layout) {
  return {static_cast<size_t>(layout.info_data_cells), static_cast<size_t>(layout.info_parity_cells)};
}

/// Rows [begin, end) of group `group` that exist, as rows of the payloads: cell numbers.
struct GroupCells {
  size_t first_cell;
  size_t count;
};

GroupCells CellsOf(const ReedSolomon& code, size_t group) {
  if (group == 0) return {code.data_count(), code.parity_count()};
  size_t first = (group - 1) * code.group_rows();
  return {first, std::min(code.group_rows(), code.data_count() - first)};
}

/// Computes the parity cells' payloads from the others.
void EncodeTable(const ParityLayout& layout, MutableByteSpan payloads) {
  ReedSolomon code = TableCode(layout);
  size_t payload_bytes = PayloadBytes(layout);
  Columns columns(payloads, payload_bytes);
  std::vector<std::byte> rows(code.group_rows() * kGfPieceBytes), sum(rows.size());
  for (size_t column = 0; column < payload_bytes; column += kGfPieceBytes) {
    std::fill(sum.begin(), sum.end(), std::byte{0});
    for (size_t group = 1; group < code.group_count(); ++group) {
      GroupCells cells = CellsOf(code, group);
      std::fill(rows.begin(), rows.end(), std::byte{0});
      columns.Take(cells.first_cell, cells.count, column, rows.data());
      code.Absorb(group, rows.data(), kGfPieceBytes, sum.data());
    }
    code.FinishParity(sum.data(), kGfPieceBytes);
    for (size_t r = 0; r < code.parity_count(); ++r) {
      columns.Put(code.data_count() + r, column, sum.data() + r * kGfPieceBytes);
    }
  }
}

/// Computes the payloads of lost cells, which are zeros before.
void DecodeTable(const ParityLayout& layout, const std::vector<uint64_t>& lost, MutableByteSpan payloads) {
  ReedSolomon code = TableCode(layout);
  std::vector<size_t> positions;
  for (uint64_t cell : lost) {
    size_t number = static_cast<size_t>(cell);
    positions.push_back(number < code.data_count() ? code.DataPosition(number) : number - code.data_count());
  }
  std::sort(positions.begin(), positions.end());
  ErasureSolver solver(code, positions);
  size_t payload_bytes = PayloadBytes(layout);
  Columns columns(payloads, payload_bytes);
  std::vector<std::byte> rows(code.group_rows() * kGfPieceBytes), sum(rows.size());
  for (size_t column = 0; column < payload_bytes; column += kGfPieceBytes) {
    std::fill(sum.begin(), sum.end(), std::byte{0});
    for (size_t group = 0; group < code.group_count(); ++group) {
      GroupCells cells = CellsOf(code, group);
      std::fill(rows.begin(), rows.end(), std::byte{0});
      columns.Take(cells.first_cell, cells.count, column, rows.data());
      code.Absorb(group, rows.data(), kGfPieceBytes, sum.data());
    }
    solver.Solve(sum.data(), kGfPieceBytes, rows.data());
    for (size_t group = 0; group < code.group_count(); ++group) {
      if (solver.LostIn(group).empty()) continue;
      solver.Recover(group, sum.data(), kGfPieceBytes, rows.data());
      for (size_t position : solver.LostIn(group)) {
        size_t row = position - group * code.group_rows();
        columns.Put(CellsOf(code, group).first_cell + row, column, rows.data() + row * kGfPieceBytes);
      }
    }
  }
}

void WriteHead(const InfoHead& head, uint64_t number, MutableByteSpan cell) {
  const ParityLayout& layout = head.layout;
  std::byte* at = cell.data();
  StoreLe(at, wire::kInfoMagic);
  StoreLe(at + wire::kInfoVersionOffset, wire::kInfoVersion);
  StoreLe(at + wire::kInfoSizeOffset, static_cast<uint16_t>(kInfoHeadBytes));
  StoreLe(at + wire::kInfoCellOffset, static_cast<uint32_t>(number));
  StoreLe(at + wire::kInfoIdentityOffset, head.identity);
  StoreLe(at + wire::kInfoFirstBytesOffset, layout.first_bytes);
  StoreLe(at + wire::kInfoSecondBytesOffset, layout.second_bytes);
  StoreLe(at + wire::kInfoBlockBytesOffset, static_cast<uint32_t>(layout.block_bytes));
  StoreLe(at + wire::kInfoParityRowsOffset, static_cast<uint32_t>(layout.parity_rows));
  StoreLe(at + wire::kInfoCodewordsOffset, layout.codeword_count);
  StoreLe(at + wire::kInfoParityCellsOffset, static_cast<uint32_t>(layout.info_parity_cells));
  StoreLe(at + wire::kInfoTableHashOffset, head.table_hash);
  StoreLe(at + wire::kInfoHashOffset, CellHash(cell));
}

}  // namespace

bool LooksLikeInfoCell(ByteSpan first_bytes) { return LoadLe<uint64_t>(first_bytes.data()) == wire::kInfoMagic; }

uint64_t PeekInfoCellBytes(ByteSpan head) {
  uint64_t block_bytes = LoadLe<uint32_t>(head.data() + wire::kInfoBlockBytesOffset);
  bool possible = LooksLikeInfoCell(head) && std::has_single_bit(block_bytes) && block_bytes >= kParityBlockMinBytes &&
                  block_bytes <= kParityBlockMaxBytes;
  return possible ? block_bytes : 0;
}

Result<InfoHead> ParseInfoCell(ByteSpan cell, uint64_t offset) {
  if (cell.size() < kParityBlockMinBytes || !LooksLikeInfoCell(cell)) return BadCell(offset, "this is none");
  const std::byte* at = cell.data();
  if (LoadLe<uint64_t>(at + wire::kInfoHashOffset) != CellHash(cell)) {
    return Error{ErrorCode::kChecksumMismatch, offset, "info cell: its checksum does not match"};
  }
  if (LoadLe<uint16_t>(at + wire::kInfoVersionOffset) != wire::kInfoVersion) {
    return Error{ErrorCode::kUnsupportedFeature, offset, "info cell: parity of a kind this program does not know"};
  }
  ByteSpan reserved = cell.subspan(wire::kInfoReservedOffset, wire::kInfoTableHashOffset - wire::kInfoReservedOffset);
  bool zeros = std::all_of(reserved.begin(), reserved.end(), [](std::byte value) { return value == std::byte{0}; });
  if (!zeros || LoadLe<uint16_t>(at + wire::kInfoSizeOffset) != kInfoHeadBytes) {
    return BadCell(offset, "a reserved byte is not 0, or its head has another size");
  }
  InfoHead head;
  head.cell = LoadLe<uint32_t>(at + wire::kInfoCellOffset);
  head.identity = LoadLe<uint64_t>(at + wire::kInfoIdentityOffset);
  head.table_hash = LoadLe<uint64_t>(at + wire::kInfoTableHashOffset);
  ParityLayout fields;
  fields.first_bytes = LoadLe<uint64_t>(at + wire::kInfoFirstBytesOffset);
  fields.second_bytes = LoadLe<uint64_t>(at + wire::kInfoSecondBytesOffset);
  fields.block_bytes = LoadLe<uint32_t>(at + wire::kInfoBlockBytesOffset);
  fields.parity_rows = LoadLe<uint32_t>(at + wire::kInfoParityRowsOffset);
  fields.codeword_count = LoadLe<uint64_t>(at + wire::kInfoCodewordsOffset);
  fields.info_parity_cells = LoadLe<uint32_t>(at + wire::kInfoParityCellsOffset);
  FLYWEIGHT_ASSIGN(head.layout, CompleteLayout(fields));
  if (head.layout.block_bytes != cell.size() || head.cell >= head.layout.info_cells() ||
      head.layout.InfoOffset(head.cell) != offset) {
    return BadCell(offset, "it does not lie where it says");
  }
  return head;
}

std::vector<std::byte> WriteInfoCells(const InfoHead& head, ByteSpan table) {
  const ParityLayout& layout = head.layout;
  size_t payload_bytes = PayloadBytes(layout);
  size_t cell_bytes = static_cast<size_t>(layout.block_bytes);
  size_t cell_count = static_cast<size_t>(layout.info_cells());
  std::vector<std::byte> payloads(cell_count * payload_bytes);
  std::copy(table.begin(), table.end(), payloads.begin());
  EncodeTable(layout, payloads);
  std::vector<std::byte> cells(cell_count * cell_bytes);
  for (size_t i = 0; i < cell_count; ++i) {
    MutableByteSpan cell = MutableByteSpan(cells).subspan(i * cell_bytes, cell_bytes);
    std::copy_n(payloads.begin() + static_cast<ptrdiff_t>(i * payload_bytes), payload_bytes,
                cell.begin() + kInfoHeadBytes);
    WriteHead(head, i, cell);
  }
  return cells;
}

Result<std::vector<std::byte>> ReadTable(const InfoHead& head, std::vector<std::byte> payloads,
                                         const std::vector<uint64_t>& lost) {
  if (!lost.empty()) DecodeTable(head.layout, lost, payloads);
  payloads.resize(static_cast<size_t>((head.layout.block_count + head.layout.parity_cells) * kTableEntryBytes));
  if (Xxh3(payloads) != head.table_hash) {
    return Error{ErrorCode::kChecksumMismatch, head.layout.area_offset,
                 "parity: its table of checksums is not the one that was written"};
  }
  return payloads;
}

}  // namespace flyweight
