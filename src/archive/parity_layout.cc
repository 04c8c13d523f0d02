#include "archive/parity_layout.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/checked.h"
#include "erasure/reed_solomon.h"

namespace flyweight {
namespace {

constexpr uint64_t kRowsMaxCount = 32768;
/// With several codewords a margin comes on top, which should not make the groups of the code twice as long.
constexpr uint64_t kInterleavedRowsMaxCount = 15872;
constexpr uint64_t kUsualBlockBytes = 4096;
constexpr uint64_t kUsualBlockMaxBytes = 65536;
constexpr uint64_t kBlocksWorthLarger = 128;  ///< so many blocks are worth blocks of kUsualBlockBytes
constexpr uint64_t kInfoParityFreeCells = 64;
constexpr uint32_t kEffectivePermille = 500;  ///< above, there would be more parity than data
constexpr uint64_t kTableMaxCount = uint64_t{1} << 20;

Error Impossible(const std::string& what) { return {ErrorCode::kCorrupt, 0, "parity: " + what}; }

/// By how many codewords a row is turned: the multiplicative hash of Knuth, "The Art of Computer Programming" 6.4.
uint64_t Turn(uint64_t row) { return (row * 0x9E3779B1 & 0xFFFFFFFF) >> 16; }

uint64_t SquareRoot(uint64_t value) {
  uint64_t root = 0;
  for (uint64_t bit = uint64_t{1} << 31; bit != 0; bit >>= 1) {
    if ((root + bit) * (root + bit) <= value) root += bit;
  }
  return root;
}

/// What six standard deviations above the mean are, rounded up, when each of `count` is lost with a chance of
/// `permille`.
uint64_t UnluckyLosses(uint64_t count, uint64_t permille) {
  uint64_t deviation = SquareRoot(36 * count * permille * (1000 - permille));
  return (count * permille + deviation + 999) / 1000 + 1;
}

uint64_t BlockCount(uint64_t first_bytes, uint64_t second_bytes, uint64_t block_bytes) {
  return CeilDiv(first_bytes, block_bytes) + CeilDiv(second_bytes, block_bytes);
}

uint64_t ChooseBlockBytes(uint64_t first_bytes, uint64_t second_bytes) {
  auto blocks = [&](uint64_t block_bytes) { return BlockCount(first_bytes, second_bytes, block_bytes); };
  uint64_t block_bytes = kParityBlockMinBytes;
  while (block_bytes < kUsualBlockBytes && blocks(block_bytes) > kBlocksWorthLarger) block_bytes *= 2;
  while (block_bytes < kUsualBlockMaxBytes && blocks(block_bytes) > kRowsMaxCount) block_bytes *= 2;
  while (block_bytes < kParityBlockMaxBytes && blocks(block_bytes) > kTableMaxCount) block_bytes *= 2;
  return block_bytes;
}

/// Cells that the table of `block_count + parity_cells` checksums takes.
uint64_t InfoDataCells(const ParityLayout& layout) {
  return CeilDiv((layout.block_count + layout.parity_cells) * kTableEntryBytes, layout.block_bytes - kInfoHeadBytes);
}

/// So many that the cells in front of the parity, or those behind it, may go as one, and an unlucky share of the others
/// besides.
void ChooseInfoParity(ParityLayout& layout, uint64_t permille) {
  // What chance takes on average is where the search begins.
  uint64_t spread = std::max<uint64_t>(3, layout.info_data_cells * permille / (1000 - permille));
  while (spread < UnluckyLosses(layout.info_data_cells + spread, permille)) ++spread;
  layout.info_parity_cells = layout.info_data_cells + spread;
}

uint64_t ChooseParityRows(const ParityLayout& layout, uint64_t permille) {
  uint64_t rows = layout.data_rows + CeilDiv(layout.info_cells(), layout.codeword_count);
  uint64_t parity = layout.parity_rows;
  if (layout.codeword_count == 1) {
    // Two more, for a loss that begins and ends inside of blocks.
    parity = CeilDiv(rows * permille, 1000 - permille) + 2;
  } else {
    parity = std::max(parity, rows * permille / (1000 - permille));
    while (parity < UnluckyLosses(rows + parity, permille) + 2) ++parity;
  }
  return std::min(parity, std::max<uint64_t>(layout.data_rows, 3));
}

Status CheckFields(const ParityLayout& layout) {
  if (layout.first_bytes == 0 || layout.second_bytes == 0 || layout.first_bytes > kParityPartMaxBytes ||
      layout.second_bytes > kParityPartMaxBytes) {
    return Impossible("an archive of such size cannot be");
  }
  if (!std::has_single_bit(layout.block_bytes) || layout.block_bytes < kParityBlockMinBytes ||
      layout.block_bytes > kParityBlockMaxBytes) {
    return Impossible("blocks of " + std::to_string(layout.block_bytes) + " bytes cannot be");
  }
  return Status::Ok();
}

}  // namespace

uint64_t ParityLayout::NumberAt(uint64_t row, uint64_t codeword) const {
  uint64_t column = (codeword + codeword_count - Turn(row) % codeword_count) % codeword_count;
  return row * codeword_count + column;
}

uint64_t ParityLayout::CodewordOf(uint64_t number) const {
  return (number + Turn(number / codeword_count)) % codeword_count;
}

uint64_t ParityLayout::BlockOffset(uint64_t block) const {
  return block < first_blocks ? block * block_bytes : second_offset + (block - first_blocks) * block_bytes;
}

uint64_t ParityLayout::BlockBytes(uint64_t block) const {
  uint64_t end = block < first_blocks ? first_bytes : archive_bytes;
  return std::min(block_bytes, end - BlockOffset(block));
}

// The first info_data_cells stand in front of all parity cells, the last as many behind them. Of the `spread` between
// them, number j stands directly behind floor((j + 1) * parity_cells / (spread + 1)) parity cells.
uint64_t ParityLayout::InfoOffset(uint64_t cell) const {
  uint64_t spread = info_parity_cells - info_data_cells;
  uint64_t parity_before = parity_cells;
  if (cell < info_data_cells) {
    parity_before = 0;
  } else if (cell < info_parity_cells) {
    parity_before = (cell - info_data_cells + 1) * parity_cells / (spread + 1);
  }
  return area_offset + (cell + parity_before) * block_bytes;
}

uint64_t ParityLayout::ParityOffset(uint64_t cell) const {
  uint64_t spread = info_parity_cells - info_data_cells;
  uint64_t spread_before = CeilDiv((cell + 1) * (spread + 1), parity_cells) - 1;
  return area_offset + (info_data_cells + spread_before + cell) * block_bytes;
}

Result<ParityLayout> CompleteLayout(const ParityLayout& fields) {
  FLYWEIGHT_TRY(CheckFields(fields));
  ParityLayout layout = fields;
  layout.first_blocks = CeilDiv(layout.first_bytes, layout.block_bytes);
  layout.block_count = BlockCount(layout.first_bytes, layout.second_bytes, layout.block_bytes);
  if (layout.codeword_count == 0 || layout.codeword_count > layout.block_count) {
    return Impossible(std::to_string(layout.codeword_count) + " codewords cannot be");
  }
  layout.data_rows = CeilDiv(layout.block_count, layout.codeword_count);
  if (layout.parity_rows > 2 * layout.data_rows + 1 || !ReedSolomon::Exists(layout.data_rows, layout.parity_rows)) {
    return Impossible("no code has " + std::to_string(layout.data_rows) + " blocks and " +
                      std::to_string(layout.parity_rows) + " of parity");
  }
  layout.parity_cells = layout.parity_rows * layout.codeword_count;
  layout.info_data_cells = InfoDataCells(layout);
  if (layout.info_parity_cells < layout.info_data_cells ||
      layout.info_parity_cells > kInfoParityFreeCells + 4 * layout.info_data_cells ||
      !ReedSolomon::Exists(layout.info_data_cells, layout.info_parity_cells)) {
    return Impossible("no code has a table of " + std::to_string(layout.info_data_cells) + " cells and " +
                      std::to_string(layout.info_parity_cells) + " of parity");
  }
  layout.area_offset = layout.first_blocks * layout.block_bytes;
  layout.second_offset = layout.area_offset + (layout.info_cells() + layout.parity_cells) * layout.block_bytes;
  layout.archive_bytes = layout.second_offset + layout.second_bytes;
  return layout;
}

Result<ParityLayout> PlanParity(uint64_t first_bytes, uint64_t second_bytes, uint32_t recovery_permille) {
  if (recovery_permille == 0 || recovery_permille > kRecoveryMaxPermille) {
    return Error{ErrorCode::kInvalidArgument, 0, "recovery must be 0.1 to 100 per cent"};
  }
  uint64_t permille = std::min(recovery_permille, kEffectivePermille);
  ParityLayout layout;
  layout.first_bytes = first_bytes;
  layout.second_bytes = second_bytes;
  layout.block_bytes = ChooseBlockBytes(first_bytes, second_bytes);
  layout.block_count = BlockCount(first_bytes, second_bytes, layout.block_bytes);
  layout.codeword_count =
      layout.block_count <= kRowsMaxCount ? 1 : CeilDiv(layout.block_count, kInterleavedRowsMaxCount);
  layout.data_rows = CeilDiv(layout.block_count, layout.codeword_count);
  // More parity needs a longer table, and that a little more parity.
  constexpr int kRounds = 4;
  for (int round = 0; round < kRounds; ++round) {
    layout.parity_rows = ChooseParityRows(layout, permille);
    layout.parity_cells = layout.parity_rows * layout.codeword_count;
    layout.info_data_cells = InfoDataCells(layout);
    ChooseInfoParity(layout, permille);
  }
  auto complete = CompleteLayout(layout);
  if (complete.ok()) return complete;
  return Error{ErrorCode::kLimitExceeded, 0, "an archive of this size cannot have parity"};
}

Result<ParityLayout> InferParity(uint64_t first_bytes, uint64_t second_bytes, uint64_t area_bytes) {
  for (uint32_t permille = 1; permille <= kEffectivePermille; ++permille) {
    auto layout = PlanParity(first_bytes, second_bytes, permille);
    if (layout.ok() && layout.value().area_bytes() == area_bytes) return layout;
  }
  return Impossible("no recovery gives an area of " + std::to_string(area_bytes) + " bytes");
}

}  // namespace flyweight
