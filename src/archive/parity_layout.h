#pragma once

#include <cstdint>

#include "flyweight/result.h"

namespace flyweight {

/// Where everything of an archive with parity lies (docs/format.md section 7). The file is
///
///   first part [0, first_bytes)     header, records, first index section
///   padding                         zeros up to a multiple of block_bytes
///   parity area                     cells of block_bytes: info cells and parity cells
///   second part                     second index section, footer
///
/// The two parts are cut into blocks that start at multiples of block_bytes in the file, so that a bad sector hits one
/// block or cell. Blocks are numbered through both parts; codeword_count blocks in a row belong to as many codewords,
/// and so do parity cells.
struct ParityLayout {
  // What info cells say.
  uint64_t first_bytes = 0;
  uint64_t second_bytes = 0;
  uint64_t block_bytes = 0;
  uint64_t codeword_count = 0;
  uint64_t parity_rows = 0;        ///< parity cells of a codeword
  uint64_t info_parity_cells = 0;  ///< how many info cells may be lost

  // What follows from it.
  uint64_t first_blocks = 0;
  uint64_t block_count = 0;  ///< of both parts
  uint64_t data_rows = 0;    ///< blocks of a codeword; the last row may be short of blocks, which are then zeros
  uint64_t parity_cells = 0;
  uint64_t info_data_cells = 0;  ///< info cells that hold the table itself
  uint64_t area_offset = 0;
  uint64_t second_offset = 0;
  uint64_t archive_bytes = 0;

  bool operator==(const ParityLayout&) const = default;

  uint64_t info_cells() const { return info_data_cells + info_parity_cells; }
  uint64_t cell_count() const { return block_count + parity_cells + info_cells(); }
  uint64_t area_bytes() const { return second_offset - first_bytes; }  ///< padding included

  /// The block, or the parity cell, that is row `row` of a codeword; a number from block_count on where the last data
  /// row has no block. Each row is turned by another number of codewords, so that damage at regular distances is shared
  /// by all.
  uint64_t NumberAt(uint64_t row, uint64_t codeword) const;
  /// The codeword of a block or parity cell.
  uint64_t CodewordOf(uint64_t number) const;

  /// A block's place in the file. Only the last block of a part can be shorter than block_bytes.
  uint64_t BlockOffset(uint64_t block) const;
  uint64_t BlockBytes(uint64_t block) const;
  uint64_t ParityOffset(uint64_t cell) const;
  uint64_t InfoOffset(uint64_t cell) const;
};

inline constexpr uint64_t kParityBlockMinBytes = 512;
inline constexpr uint64_t kParityBlockMaxBytes = uint64_t{1} << 20;
inline constexpr uint64_t kInfoHeadBytes = 128;
inline constexpr uint64_t kTableEntryBytes = 8;
/// Bounds first_bytes and second_bytes, so that sums of a few cannot overflow.
inline constexpr uint64_t kParityPartMaxBytes = uint64_t{1} << 60;

/// Fills in what follows from the first six fields and checks that such a layout can be. Errors: kCorrupt.
Result<ParityLayout> CompleteLayout(const ParityLayout& fields);

inline constexpr uint32_t kRecoveryMaxPermille = 1000;

/// A layout that survives the loss of any `recovery_permille` thousandths of all blocks and cells, as long as the table
/// survives (it takes the loss of more of its own cells than chance would take). Archives over about two gigabytes have
/// several codewords; there that holds for losses that are random or contiguous. Above 500 nothing is added: then there
/// is as much parity as data. Errors: kInvalidArgument (0 or over 1000), kLimitExceeded (parts too large).
Result<ParityLayout> PlanParity(uint64_t first_bytes, uint64_t second_bytes, uint32_t recovery_permille);

/// The layout that PlanParity gave where the parity area has this size, if any recovery_permille gives it. Errors:
/// kCorrupt.
Result<ParityLayout> InferParity(uint64_t first_bytes, uint64_t second_bytes, uint64_t area_bytes);

}  // namespace flyweight
