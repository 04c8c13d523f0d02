#pragma once

#include <cstdint>
#include <vector>

#include "archive/parity_layout.h"
#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// What an info cell says besides its part of the table (docs/format.md section 7.2).
struct InfoHead {
  ParityLayout layout;
  uint64_t identity = 0;    ///< xxh3 of the archive's footer
  uint64_t table_hash = 0;  ///< xxh3 of all checksums
  uint64_t cell = 0;

  /// True where both are of one archive.
  bool SameArchive(const InfoHead& other) const {
    return layout == other.layout && identity == other.identity && table_hash == other.table_hash;
  }
};

/// True where the bytes may be the begin of an info cell. Precondition: 8 bytes.
bool LooksLikeInfoCell(ByteSpan first_bytes);

/// Bytes of the cell that starts with this head, before anything of it is trusted. Precondition: kInfoHeadBytes. 0
/// where it is no head.
uint64_t PeekInfoCellBytes(ByteSpan head);

/// Parses a whole cell that lies at `offset` of the file. Errors: kCorrupt, kChecksumMismatch, kUnsupportedFeature.
Result<InfoHead> ParseInfoCell(ByteSpan cell, uint64_t offset);

/// All info cells, one behind the other: head and part of the table. `table` has (block_count + parity_cells) checksums
/// of blocks and then of parity cells, little-endian.
std::vector<std::byte> WriteInfoCells(const InfoHead& head, ByteSpan table);

/// The table from some of its cells: `payloads` holds info_cells() * (block_bytes - kInfoHeadBytes) bytes, zeros where
/// `lost` (ascending) names a cell. Precondition: at most info_parity_cells are lost. Errors: kChecksumMismatch.
Result<std::vector<std::byte>> ReadTable(const InfoHead& head, std::vector<std::byte> payloads,
                                         const std::vector<uint64_t>& lost);

}  // namespace flyweight
