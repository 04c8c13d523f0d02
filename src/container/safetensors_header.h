#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// One tensor as a safetensors header declares it. Only the JSON was checked: the numbers are the file's own claims.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  Shape shape;               ///< at most kSafetensorsMaxRank dimensions are kept
  uint64_t rank = 0;         ///< dimensions declared
  uint64_t begin_bytes = 0;  ///< from the end of the header
  uint64_t end_bytes = 0;    ///< from the end of the header, not before begin_bytes
};

/// The rank that fits the index of an archive.
inline constexpr size_t kSafetensorsMaxRank = 255;

/// Parses the JSON of a safetensors header. Gives nothing where it is not one beyond doubt: broken JSON, a key twice in
/// one object at any depth, nesting deeper than 32, an entry without dtype, shape or data_offsets, a number among them
/// that is not an integer from 0 to 2^64 - 1, offsets that run backwards.
/// `__metadata__` and unknown keys of an entry may hold anything. Memory stays within a small multiple of the header;
/// no exception but std::bad_alloc.
std::optional<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(ByteSpan json);

}  // namespace flyweight
