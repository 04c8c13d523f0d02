#include "transform/class_fields/class_fields.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "simd/isa.h"
#include "transform/class_fields/class_kernels.h"

namespace flyweight {
namespace {

constexpr size_t kStep = 4096;
constexpr uint8_t kNoShifts[kStep] = {};
constexpr int8_t kNoColumns[kStep] = {};

constexpr IsaTable<decltype(&scalar::ExpandShifted)> kExpandShifted = FLYWEIGHT_ISA_TABLE(ExpandShifted);
constexpr IsaTable<decltype(&scalar::ExpandContexts)> kExpandContexts = FLYWEIGHT_ISA_TABLE(ExpandContexts);
constexpr IsaTable<decltype(&scalar::Split16)> kSplit16 = FLYWEIGHT_ISA_TABLE(Split16);
constexpr IsaTable<decltype(&scalar::Split8)> kSplit8 = FLYWEIGHT_ISA_TABLE(Split8);
constexpr IsaTable<decltype(&scalar::Join16)> kJoin16 = FLYWEIGHT_ISA_TABLE(Join16);
constexpr IsaTable<decltype(&scalar::Join8)> kJoin8 = FLYWEIGHT_ISA_TABLE(Join8);

constexpr ClassLayoutInfo kLayouts[] = {{2, 2, 0}, {2, 1, 1}, {4, 2, 2}, {1, 1, 0}};

// log2 of a number in [2^23, 2^24) over 2^23, in units of 2^-16, rounded down.
int64_t Log2Of(uint32_t mantissa24) {
  uint64_t m = uint64_t{mantissa24} << 8;
  int64_t result = 0;
  for (int bit = 15; bit >= 0; --bit) {
    m = (m * m) >> 31;
    if (m >> 32) m >>= 1, result |= int64_t{1} << bit;
  }
  return result;
}

// The mantissas at which the rounded class grows by one; filled up with what no mantissa reaches.
using StepTable = std::array<uint32_t, size_t{1} << kMaxContextBits>;

std::array<StepTable, kMaxContextBits + 1> MakeStepTables() {
  std::array<StepTable, kMaxContextBits + 1> tables;
  for (unsigned context_bits = 0; context_bits <= kMaxContextBits; ++context_bits) {
    tables[context_bits].fill(UINT32_MAX);
    for (int64_t step = 1; step <= int64_t{1} << context_bits; ++step) {
      uint32_t low = 1U << 23, high = 1U << 24;
      while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        bool reached = ((Log2Of(middle) << context_bits) + 32768) >> 16 >= step;
        reached ? high = middle : low = middle + 1;
      }
      tables[context_bits][static_cast<size_t>(step - 1)] = low;
    }
  }
  return tables;
}

// The magnitudes of an 8-bit float as heads of 16 bits; what is no number counts as nothing.
std::array<uint16_t, 256> WideTable(DType dtype) {
  const DTypeInfo& info = Describe(dtype);
  const int mantissa_bits = 7 - info.exponent_bits;
  std::array<uint16_t, 256> table{};
  for (unsigned byte = 0; byte < 127; ++byte) {
    auto exponent = static_cast<int>(byte >> mantissa_bits);
    auto mantissa = static_cast<float>(byte & ((1U << mantissa_bits) - 1)) / static_cast<float>(1 << mantissa_bits);
    if (dtype == DType::kF8E5M2 && exponent == 31) break;
    float value = exponent == 0 ? std::ldexp(mantissa, 1) : std::ldexp(1 + mantissa, exponent);
    auto head = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
    table[byte] = table[byte | 128] = head;
  }
  return table;
}

}  // namespace

const ClassLayoutInfo& Describe(ClassLayout layout) { return kLayouts[static_cast<size_t>(layout) - 1]; }

std::optional<ClassLayout> ClassLayoutOf(DType dtype) {
  if (std::optional<FloatLayout> layout = LayoutOf(dtype)) return static_cast<ClassLayout>(*layout);
  const DTypeInfo& info = Describe(dtype);
  if (info.bits == 8 && info.exponent_bits != 0 && info.exponent_bits < 8) return ClassLayout::kF8;
  return std::nullopt;
}

void ClassField::Expand(uint64_t begin, size_t count, uint8_t* contexts, uint8_t* shifts_out) const {
  if (column_count == 0) {
    std::memset(contexts, shifts ? 0 : (1 << context_bits) / 2, count);
    if (shifts) std::memset(shifts_out, 0, count);
    return;
  }
  auto expand_shifted = kExpandShifted.Pick();
  auto expand_contexts = kExpandContexts.Pick();
  uint64_t row = (first_word + begin) / column_count - first_word / column_count;
  uint64_t column = (first_word + begin) % column_count;
  for (size_t done = 0; done < count;) {
    size_t run = static_cast<size_t>(std::min<uint64_t>(column_count - column, count - done));
    if (columns == nullptr) run = std::min(run, kStep);
    int row_class = rows != nullptr ? rows[row] : 0;
    const int8_t* of_columns = columns != nullptr ? columns + column : kNoColumns;
    if (shifts) {
      expand_shifted(of_columns, run, row_class, context_bits, contexts + done, shifts_out + done);
    } else {
      expand_contexts(of_columns, run, row_class, context_bits, contexts + done);
    }
    done += run;
    column += run;
    if (column == column_count) column = 0, ++row;
  }
}

int8_t ClassOf(float mean, float reference, unsigned context_bits) {
  if (!(mean > 0) || !(reference > 0)) return 0;
  float ratio = mean / reference;
  if (!std::isnormal(ratio)) return 0;
  static const auto* const kSteps = new std::array<StepTable, kMaxContextBits + 1>(MakeStepTables());
  auto bits = std::bit_cast<uint32_t>(ratio);
  int octaves = static_cast<int>(bits >> 23) - 127;
  const uint32_t mantissa = (bits & 0x7FFFFF) | 0x800000;
  int steps = octaves * (1 << context_bits);
  for (uint32_t threshold : (*kSteps)[context_bits]) steps += mantissa >= threshold;
  return static_cast<int8_t>(std::clamp(steps, -kClassLimit, kClassLimit - 1));
}

void SplitHeads(ClassLayout layout, const std::byte* heads, size_t count, const uint8_t* shifts, uint8_t base,
                const HeadFields& f) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(heads);
  if (layout == ClassLayout::kF8) {
    for (size_t i = 0; i < count; ++i) {
      f.symbols[i] = bytes[i] & 127;
      f.signs[i] = bytes[i] >> 7;
    }
    std::memset(f.outside, 0, count);
    return;
  }
  const bool wide = Describe(layout).head_bytes == 2;
  for (size_t at = 0; at < count; at += kStep) {
    size_t step = std::min(kStep, count - at);
    const uint8_t* s = shifts != nullptr ? shifts + at : kNoShifts;
    if (wide) {
      kSplit16.Pick()(bytes + 2 * at, step, s, base, f.symbols + at, f.signs + at, f.nibbles + at, f.bits + at,
                      f.outside + at);
    } else {
      kSplit8.Pick()(bytes + at, step, s, base, f.symbols + at, f.signs + at, f.outside + at);
    }
  }
}

void JoinHeads(ClassLayout layout, const HeadFields& f, size_t count, const uint8_t* shifts, uint8_t base,
               std::byte* heads) {
  auto* bytes = reinterpret_cast<uint8_t*>(heads);
  if (layout == ClassLayout::kF8) {
    for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>((f.symbols[i] & 127) | f.signs[i] << 7);
    return;
  }
  const bool wide = Describe(layout).head_bytes == 2;
  for (size_t at = 0; at < count; at += kStep) {
    size_t step = std::min(kStep, count - at);
    const uint8_t* s = shifts != nullptr ? shifts + at : kNoShifts;
    if (wide) {
      kJoin16.Pick()(f.symbols + at, f.signs + at, f.nibbles + at, f.bits + at, step, s, base, bytes + 2 * at);
    } else {
      kJoin8.Pick()(f.symbols + at, f.signs + at, step, s, base, bytes + at);
    }
  }
}

void WidenF8(DType dtype, const std::byte* words, size_t count, std::byte* heads) {
  const std::array<uint16_t, 256> table = WideTable(dtype);
  for (size_t i = 0; i < count; ++i) StoreLe(heads + 2 * i, table[static_cast<uint8_t>(words[i])]);
}

}  // namespace flyweight
