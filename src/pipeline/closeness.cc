#include "pipeline/closeness.h"

#include <bit>

namespace flyweight {
namespace {

/// Words of a float's width compare as their values do once those of negative numbers are turned round.
template <typename Word>
Word Ordered(Word word, bool is_float) {
  constexpr int kTopBit = static_cast<int>(sizeof(Word)) * 8 - 1;
  constexpr Word kTop = static_cast<Word>(Word{1} << kTopBit);
  if (!is_float) return word;
  return (word & kTop) != 0 ? static_cast<Word>(~word) : static_cast<Word>(word | kTop);
}

template <typename Word>
double Distance(ByteSpan left, ByteSpan right, bool is_float) {
  size_t count = left.size() / sizeof(Word);
  if (count == 0) return 1;
  uint64_t bits = 0;
  for (size_t i = 0; i < count; ++i) {
    Word a = Ordered(LoadLe<Word>(left.data() + i * sizeof(Word)), is_float);
    Word b = Ordered(LoadLe<Word>(right.data() + i * sizeof(Word)), is_float);
    bits += static_cast<uint64_t>(std::bit_width(static_cast<Word>(a > b ? a - b : b - a)));
  }
  return static_cast<double>(bits) / static_cast<double>(count) / static_cast<double>(sizeof(Word) * 8);
}

}  // namespace

double MeanDistance(DType dtype, ByteSpan left, ByteSpan right) {
  const DTypeInfo& info = Describe(dtype);
  bool is_float = info.exponent_bits != 0 && info.mantissa_bits != 0;
  switch (info.bits) {
    case 16:
      return Distance<uint16_t>(left, right, is_float);
    case 32:
      return Distance<uint32_t>(left, right, is_float);
    case 64:
      if (dtype == DType::kC64) return Distance<uint32_t>(left, right, true);
      return Distance<uint64_t>(left, right, is_float);
    default:
      return Distance<uint8_t>(left, right, is_float);
  }
}

}  // namespace flyweight
