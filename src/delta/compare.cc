#include "delta/compare.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace flyweight {
namespace {

constexpr size_t kLanes = 8;  // sums side by side, so that the compiler need not keep one chain of additions

struct BF16 {
  using Word = uint16_t;
  static double Value(Word word) { return static_cast<double>(LoadLe<float>(Widened(word).data())); }
  static std::array<std::byte, 4> Widened(Word word) {
    std::array<std::byte, 4> bytes{};
    StoreLe(bytes.data() + 2, word);
    return bytes;
  }
};

/// 2^(e - 25), what a step of the mantissa is worth at exponent e of an F16; subnormals are as exponent 1.
constexpr std::array<double, 32> HalfSteps() {
  std::array<double, 32> steps{};
  double step = 1.0 / (1 << 24);
  steps[0] = step;
  for (size_t exponent = 1; exponent < steps.size(); ++exponent, step *= 2) steps[exponent] = step;
  return steps;
}

struct F16 {
  using Word = uint16_t;
  static double Value(Word word) {
    static constexpr std::array<double, 32> kSteps = HalfSteps();
    size_t exponent = (word >> 10) & 31;
    int mantissa = word & 1023;
    double sign = (word >> 15) != 0 ? -1.0 : 1.0;
    if (exponent == 31) return mantissa == 0 ? sign * HUGE_VAL : std::nan("");
    return sign * (exponent == 0 ? mantissa : mantissa + 1024) * kSteps[exponent];
  }
};

struct F32 {
  using Word = uint32_t;
  static double Value(Word word) { return static_cast<double>(LoadLe<float>(&word)); }
};

struct F64 {
  using Word = uint64_t;
  static double Value(Word word) { return LoadLe<double>(&word); }
};

/// Floats in the order of their values as integers; both zeros are 0.
template <typename Word>
std::make_signed_t<Word> Ordered(Word word) {
  using Signed = std::make_signed_t<Word>;
  constexpr Word kSign = Word{1} << (8 * sizeof(Word) - 1);
  auto magnitude = static_cast<Signed>(word & static_cast<Word>(~kSign));
  return (word & kSign) != 0 ? static_cast<Signed>(-magnitude) : magnitude;
}

template <typename Word>
uint64_t Steps(Word a, Word b) {
  // Unsigned, so that the distance between the two ends of the doubles does not overflow.
  auto low = static_cast<uint64_t>(static_cast<int64_t>(std::min(Ordered(a), Ordered(b))));
  auto high = static_cast<uint64_t>(static_cast<int64_t>(std::max(Ordered(a), Ordered(b))));
  return high - low;
}

double SumOf(const std::array<double, kLanes>& lanes) {
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return sum;
}

template <typename A, typename B>
ElementDifference CompareFloats(ByteSpan a, ByteSpan b) {
  using WordA = typename A::Word;
  using WordB = typename B::Word;
  ElementDifference found;
  std::array<double, kLanes> differences{};
  std::array<double, kLanes> bases{};
  size_t count = a.size() / sizeof(WordA);
  found.element_count = count;
  for (size_t i = 0; i < count; ++i) {
    auto word_a = LoadLe<WordA>(a.data() + i * sizeof(WordA));
    auto word_b = LoadLe<WordB>(b.data() + i * sizeof(WordB));
    double value_a = A::Value(word_a);
    if constexpr (std::is_same_v<A, B>) {
      if (word_a == word_b) {  // most of a tensor, often
        if (std::isfinite(value_a)) bases[i % kLanes] += value_a * value_a;
        continue;
      }
      ++found.changed_count;
    }
    double value_b = B::Value(word_b);
    bool has_nan = std::isnan(value_a) || std::isnan(value_b);
    if constexpr (std::is_same_v<A, B>) {
      if (!has_nan) found.largest_ulps = std::max(found.largest_ulps, Steps(word_a, word_b));
    } else {
      found.changed_count += has_nan ? std::isnan(value_a) != std::isnan(value_b) : value_a != value_b;
    }
    if (!std::isfinite(value_a) || !std::isfinite(value_b)) {
      ++found.not_finite_count;
      continue;
    }
    double difference = value_b - value_a;
    bases[i % kLanes] += value_a * value_a;
    differences[i % kLanes] += difference * difference;
    found.largest_difference = std::max(found.largest_difference, std::abs(difference));
  }
  found.squared_difference = SumOf(differences);
  found.squared_base = SumOf(bases);
  return found;
}

template <typename A>
ElementDifference CompareWith(ByteSpan a, DType b_dtype, ByteSpan b) {
  switch (b_dtype) {
    case DType::kF16:
      return CompareFloats<A, F16>(a, b);
    case DType::kBF16:
      return CompareFloats<A, BF16>(a, b);
    case DType::kF32:
      return CompareFloats<A, F32>(a, b);
    default:
      return CompareFloats<A, F64>(a, b);
  }
}

ElementDifference CompareUnits(const DTypeInfo& info, ByteSpan a, ByteSpan b) {
  ElementDifference found;
  auto unit_bytes = static_cast<size_t>(info.block_bytes);
  auto unit_elements = static_cast<uint64_t>(info.block_elements);
  size_t count = a.size() / unit_bytes;
  found.element_count = count * unit_elements;
  for (size_t i = 0; i < count; ++i) {
    if (std::memcmp(a.data() + i * unit_bytes, b.data() + i * unit_bytes, unit_bytes) != 0) {
      found.changed_count += unit_elements;
    }
  }
  return found;
}

}  // namespace

void ElementDifference::Add(const ElementDifference& other) {
  element_count += other.element_count;
  changed_count += other.changed_count;
  largest_ulps = std::max(largest_ulps, other.largest_ulps);
  largest_difference = std::max(largest_difference, other.largest_difference);
  squared_difference += other.squared_difference;
  squared_base += other.squared_base;
  not_finite_count += other.not_finite_count;
}

bool HasComparedValues(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF32 || dtype == DType::kF64;
}

bool AreComparable(DType a, DType b) { return a == b || (HasComparedValues(a) && HasComparedValues(b)); }

uint64_t ComparedUnitBytes(DType dtype) { return static_cast<uint64_t>(Describe(dtype).block_bytes); }

ElementDifference CompareElements(DType a_dtype, ByteSpan a, DType b_dtype, ByteSpan b) {
  switch (HasComparedValues(a_dtype) ? a_dtype : DType::kOpaque) {
    case DType::kF16:
      return CompareWith<F16>(a, b_dtype, b);
    case DType::kBF16:
      return CompareWith<BF16>(a, b_dtype, b);
    case DType::kF32:
      return CompareWith<F32>(a, b_dtype, b);
    case DType::kF64:
      return CompareWith<F64>(a, b_dtype, b);
    default:
      return CompareUnits(Describe(a_dtype), a, b);
  }
}

}  // namespace flyweight
