#pragma once

#include <cstddef>
#include <cstdint>

// The fields of an info cell's head, docs/format.md section 7.2.

namespace flyweight::wire {

/// Optional feature bit: there is parity between the index sections.
inline constexpr uint64_t kOptionalParity = uint64_t{1} << 0;

inline constexpr uint64_t kInfoMagic = 0x0A0D524150594C46;  ///< "FLYPAR\r\n"
inline constexpr uint16_t kInfoVersion = 1;
inline constexpr size_t kInfoVersionOffset = 8;
inline constexpr size_t kInfoSizeOffset = 10;
inline constexpr size_t kInfoCellOffset = 12;
inline constexpr size_t kInfoIdentityOffset = 16;
inline constexpr size_t kInfoFirstBytesOffset = 24;
inline constexpr size_t kInfoSecondBytesOffset = 32;
inline constexpr size_t kInfoBlockBytesOffset = 40;
inline constexpr size_t kInfoParityRowsOffset = 44;
inline constexpr size_t kInfoCodewordsOffset = 48;
inline constexpr size_t kInfoParityCellsOffset = 56;
inline constexpr size_t kInfoReservedOffset = 60;
inline constexpr size_t kInfoTableHashOffset = 112;
inline constexpr size_t kInfoHashOffset = 120;

}  // namespace flyweight::wire
