#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

/// How a word and the same word of a base give a third, of which the first is restored. Numbers are written into
/// archives and never change meaning (docs/format.md section 3.14.5).
enum class BaseDifference : uint8_t {
  kXor = 0,
  kModulo = 1,   ///< words as integers: the difference modulo the width, 2d for d >= 0, -2d - 1 below
  kOrdered = 2,  ///< the same of floats as integers in the order of their values, -0 under +0
};

inline constexpr uint8_t kBaseDifferenceLast = 2;

/// Takes `count` words of `word_bytes` (1, 2, 4 or 8) less those of the base. Shapes: count * word_bytes each; targets
/// may be the words. Cannot fail.
void TakeBaseDifferences(BaseDifference how, const std::byte* words, const std::byte* base, size_t count,
                         size_t word_bytes, std::byte* differences);

/// The inverse. `words` may be the base or the differences.
void AddBaseDifferences(BaseDifference how, const std::byte* differences, const std::byte* base, size_t count,
                        size_t word_bytes, std::byte* words);

}  // namespace flyweight
