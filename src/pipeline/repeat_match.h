#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/aligned_buffer.h"
#include "pipeline/content.h"

namespace flyweight {

/// The content of one extent.
struct ExtentContent {
  std::shared_ptr<const Content> content;
  uint64_t offset = 0;  ///< in the content
  uint64_t size_bytes = 0;

  /// Bytes [begin, begin + size_bytes): a view where they are in memory, else `storage` filled with them.
  Result<ByteSpan> Read(uint64_t begin, uint64_t size_bytes, AlignedBuffer& storage) const;
};

/// Bytes of an extent that are those at `source` of an extent of number `source_extent`.
struct RepeatMatch {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t source = 0;
  uint32_t source_extent = 0;
};

/// Compares contents around positions that are likely to be equal.
class RepeatMatcher {
 public:
  /// How the two extents lie to each other: byte `at` of the later one against byte `at - begin + source` of the
  /// earlier one, which may be the same extent.
  struct Pair {
    const ExtentContent* later = nullptr;
    const ExtentContent* earlier = nullptr;
    uint64_t begin = 0;
    uint64_t source = 0;
    uint64_t floor = 0;  ///< bytes of the later extent before it are not looked at
  };

  /// All stretches of at least kStretchMinBytes around `begin` that are equal, with short gaps between them,
  /// in order, as matches without extent number. Errors: those of reading.
  Result<std::vector<RepeatMatch>> Match(const Pair& pair);

  static constexpr uint64_t kStretchMinBytes = 1024;

 private:
  /// First byte from `begin` on that differs, or `end`.
  Result<uint64_t> FirstDifference(const Pair& pair, uint64_t begin, uint64_t end);
  /// Byte behind the last one before `end` that differs, or `begin`.
  Result<uint64_t> LastDifference(const Pair& pair, uint64_t begin, uint64_t end);
  /// First byte from `begin` on that starts kStretchMinBytes of equal ones, or `end`.
  Result<uint64_t> NextStretch(const Pair& pair, uint64_t begin, uint64_t end);
  /// Byte behind the last kStretchMinBytes of equal ones that end at or before `end`, or `begin`.
  Result<uint64_t> PreviousStretch(const Pair& pair, uint64_t begin, uint64_t end);
  struct Views {
    ByteSpan later;
    ByteSpan earlier;
  };
  Result<Views> ReadBoth(const Pair& pair, uint64_t begin, uint64_t size_bytes);

  AlignedBuffer later_;
  AlignedBuffer earlier_;
};

}  // namespace flyweight
