#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"
#include "transform/low_rank/low_rank.h"

namespace flyweight {

inline constexpr uint32_t kLowRankMax = 64;
inline constexpr uint32_t kLowRankColumnsMax = uint32_t{1} << 20;
/// The most numbers that both factors have together.
inline constexpr uint64_t kLowRankNumbersMax = uint64_t{1} << 20;

/// The factors of a matrix of low rank as a patch's head holds them (docs/format.md section 3.14.2).
struct LowRankFactors {
  uint16_t rank = 0;
  uint32_t columns = 0;
  float scale = 1;
  std::vector<int16_t> left;   ///< component by component, a number a row
  std::vector<int16_t> right;  ///< component by component, a number a column
};

std::vector<std::byte> WriteLowRank(const LowRankFactors& factors);

/// Reads the factors of a tensor of `element_count` elements. Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Result<LowRankFactors> ReadLowRank(ReadCursor& cursor, uint64_t element_count);

/// The factors ready to be applied.
std::shared_ptr<const LowRank> Prepare(const LowRankFactors& factors);

}  // namespace flyweight
