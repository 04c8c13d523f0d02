#include "codec/difference_cost.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>

#include "entropy/fixed_log2.h"

namespace flyweight {
namespace {

constexpr size_t kClasses = 34;

template <typename Word>
struct ClassCounts {
  std::array<std::array<uint32_t, kClasses>, 256> counts = {};
  uint64_t raw_bits = 0;

  void Add(Word predicted, Word element, int mantissa_bits) {
    constexpr Word kSign = static_cast<Word>(Word{1} << (8 * sizeof(Word) - 1));
    auto ordered = [](Word word) {
      return static_cast<Word>((word & kSign) != 0 ? word ^ static_cast<Word>(~kSign) : word);
    };
    auto difference = static_cast<Word>(ordered(element) - ordered(predicted));
    if ((difference & kSign) != 0) difference = static_cast<Word>(Word{0} - difference);
    const auto width = static_cast<size_t>(std::bit_width(difference));
    const size_t exponent = static_cast<size_t>(predicted & static_cast<Word>(~kSign)) >> mantissa_bits;
    ++counts[exponent & 0xFF][width];
    raw_bits += width;  // the sign and all bits but the top one
  }

  double Bits() const {
    auto bits = static_cast<double>(raw_bits);
    for (const auto& context : counts) {
      uint64_t total = 0;
      for (uint32_t count : context) total += count;
      for (uint32_t count : context) {
        if (count == 0) continue;
        bits += count * static_cast<double>(Log2Fixed(total) - Log2Fixed(count)) / (1 << kLog2FractionBits);
      }
    }
    return bits;
  }
};

template <typename Word>
double MeanBits(ByteSpan predicted, ByteSpan elements, int mantissa_bits) {
  const size_t count = elements.size() / sizeof(Word);
  if (count == 0) return 0;
  auto classes = std::make_unique<ClassCounts<Word>>();
  for (size_t i = 0; i < count; ++i)
    classes->Add(LoadLe<Word>(predicted.data() + i * sizeof(Word)), LoadLe<Word>(elements.data() + i * sizeof(Word)),
                 mantissa_bits);
  return classes->Bits() / static_cast<double>(count);
}

}  // namespace

double ExactLog2(double x) {
  int exponent = 0;
  const double mantissa = std::frexp(x, &exponent);
  const int64_t log = Log2Fixed(static_cast<uint64_t>(mantissa * 0x1p53));
  return static_cast<double>(log) / (1 << kLog2FractionBits) - 53 + exponent;
}

double MeanDifferenceBits(DType dtype, ByteSpan predicted, ByteSpan elements) {
  const int mantissa_bits = Describe(dtype).mantissa_bits;
  if (dtype == DType::kF32) return MeanBits<uint32_t>(predicted, elements, mantissa_bits);
  return MeanBits<uint16_t>(predicted, elements, mantissa_bits);
}

}  // namespace flyweight
