#include "transform/class_fields/class_fields.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/bytes.h"

namespace flyweight {
namespace {

constexpr size_t kStep = 512;
constexpr uint8_t kNoShifts[kStep] = {};
constexpr unsigned kExponentWindow = 64;

constexpr ClassLayoutInfo kLayouts[] = {{2, 2, 0}, {2, 1, 1}, {4, 2, 2}, {1, 1, 0}};

// log2 in units of 2^-16, rounded down; entropy/fixed_log2.h has the same, which this room cannot see.
int64_t Log2Of(uint32_t mantissa24) {
  uint64_t m = uint64_t{mantissa24} << 8;
  int64_t result = 0;
  for (int bit = 15; bit >= 0; --bit) {
    m = (m * m) >> 31;
    if (m >> 32) m >>= 1, result |= int64_t{1} << bit;
  }
  return result;
}

void ExpandShifted(const int8_t* columns, size_t count, int row, unsigned bits, uint8_t* contexts, uint8_t* shifts) {
  const auto mask = static_cast<uint8_t>((1U << bits) - 1);
  for (size_t j = 0; j < count; ++j) {
    // Biased by 128, so that the shift works on unsigned numbers.
    auto biased = static_cast<unsigned>((columns != nullptr ? columns[j] : 0) + row + 128);
    contexts[j] = static_cast<uint8_t>(biased & mask);
    shifts[j] = static_cast<uint8_t>((biased >> bits) - (128U >> bits));
  }
}

void ExpandContexts(const int8_t* columns, size_t count, int row, unsigned bits, uint8_t* contexts) {
  const int last = (1 << bits) - 1, middle = (1 << bits) / 2;
  for (size_t j = 0; j < count; ++j)
    contexts[j] = static_cast<uint8_t>(std::clamp((columns != nullptr ? columns[j] : 0) + row + middle, 0, last));
}

void Split16(const std::byte* heads, size_t count, const uint8_t* shifts, unsigned base, HeadFields f) {
  for (size_t i = 0; i < count; ++i) {
    auto head = LoadLe<uint16_t>(heads + 2 * i);
    auto distance = static_cast<uint8_t>((head >> 7) - shifts[i] - base);
    f.symbols[i] = static_cast<uint8_t>(distance << 2 | (head >> 5 & 3));
    f.outside[i] = distance >= kExponentWindow;
    f.signs[i] = static_cast<uint8_t>(head >> 15);
    f.nibbles[i] = head & 15;
    f.bits[i] = head >> 4 & 1;
  }
}

void Split8(const std::byte* heads, size_t count, const uint8_t* shifts, unsigned base, HeadFields f) {
  for (size_t i = 0; i < count; ++i) {
    auto head = static_cast<uint8_t>(heads[i]);
    auto distance = static_cast<uint8_t>((head >> 2 & 31) - shifts[i] - base);
    f.symbols[i] = static_cast<uint8_t>(distance << 2 | (head & 3));
    f.outside[i] = distance >= kExponentWindow;
    f.signs[i] = head >> 7;
  }
}

void Join16(const HeadFields& f, size_t count, const uint8_t* __restrict shifts, unsigned base,
            std::byte* __restrict heads) {
  for (size_t i = 0; i < count; ++i) {
    unsigned exponent = ((f.symbols[i] >> 2) + shifts[i] + base) & 0xFF;
    unsigned mantissa = (f.symbols[i] & 3U) << 5 | unsigned{f.bits[i]} << 4 | f.nibbles[i];
    StoreLe(heads + 2 * i, static_cast<uint16_t>(unsigned{f.signs[i]} << 15 | exponent << 7 | mantissa));
  }
}

void Join8(const HeadFields& f, size_t count, const uint8_t* shifts, unsigned base, std::byte* heads) {
  for (size_t i = 0; i < count; ++i) {
    unsigned exponent = ((f.symbols[i] >> 2) + shifts[i] + base) & 31;
    heads[i] = static_cast<std::byte>(unsigned{f.signs[i]} << 7 | exponent << 2 | (f.symbols[i] & 3U));
  }
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

void ClassField::Expand(size_t count, uint8_t* contexts, uint8_t* shifts_out) const {
  if (column_count == 0) {
    std::memset(contexts, shifts ? 0 : (1 << context_bits) / 2, count);
    if (shifts_out != nullptr) std::memset(shifts_out, 0, count);
    return;
  }
  uint64_t row = 0, column = first_word % column_count;
  for (size_t done = 0; done < count;) {
    size_t run = static_cast<size_t>(std::min<uint64_t>(column_count - column, count - done));
    int row_class = rows != nullptr ? rows[row] : 0;
    const int8_t* of_columns = columns != nullptr ? columns + column : nullptr;
    if (shifts) {
      ExpandShifted(of_columns, run, row_class, context_bits, contexts + done, shifts_out + done);
    } else {
      ExpandContexts(of_columns, run, row_class, context_bits, contexts + done);
    }
    done += run;
    column = 0;
    ++row;
  }
}

int8_t ClassOf(float mean, float reference, unsigned context_bits) {
  if (!(mean > 0) || !(reference > 0)) return 0;
  float ratio = mean / reference;
  if (!std::isnormal(ratio)) return 0;
  auto bits = std::bit_cast<uint32_t>(ratio);
  int64_t log2 = (static_cast<int64_t>(bits >> 23) - 127) * 65536 + Log2Of((bits & 0x7FFFFF) | 0x800000);
  int64_t steps = ((log2 << context_bits) + 32768) >> 16;
  return static_cast<int8_t>(std::clamp<int64_t>(steps, -kClassLimit, kClassLimit - 1));
}

void SplitHeads(ClassLayout layout, const std::byte* heads, size_t count, const uint8_t* shifts, uint8_t base,
                const HeadFields& fields) {
  if (layout == ClassLayout::kF8) {
    for (size_t i = 0; i < count; ++i) {
      auto head = static_cast<uint8_t>(heads[i]);
      fields.symbols[i] = head & 127;
      fields.signs[i] = head >> 7;
      fields.outside[i] = 0;
    }
    return;
  }
  const size_t head_bytes = Describe(layout).head_bytes;
  for (size_t at = 0; at < count; at += kStep) {
    size_t step = std::min(kStep, count - at);
    HeadFields f = {fields.symbols + at, fields.signs + at, nullptr, nullptr, fields.outside + at};
    const uint8_t* s = shifts != nullptr ? shifts + at : kNoShifts;
    if (head_bytes == 2) {
      f.nibbles = fields.nibbles + at;
      f.bits = fields.bits + at;
      Split16(heads + 2 * at, step, s, base, f);
    } else {
      Split8(heads + at, step, s, base, f);
    }
  }
}

void JoinHeads(ClassLayout layout, const HeadFields& fields, size_t count, const uint8_t* shifts, uint8_t base,
               std::byte* heads) {
  if (layout == ClassLayout::kF8) {
    for (size_t i = 0; i < count; ++i)
      heads[i] = static_cast<std::byte>((fields.symbols[i] & 127) | fields.signs[i] << 7);
    return;
  }
  const size_t head_bytes = Describe(layout).head_bytes;
  for (size_t at = 0; at < count; at += kStep) {
    size_t step = std::min(kStep, count - at);
    HeadFields f = {fields.symbols + at, fields.signs + at, nullptr, nullptr, nullptr};
    const uint8_t* s = shifts != nullptr ? shifts + at : kNoShifts;
    if (head_bytes == 2) {
      f.nibbles = fields.nibbles + at;
      f.bits = fields.bits + at;
      Join16(f, step, s, base, heads + 2 * at);
    } else {
      Join8(f, step, s, base, heads + at);
    }
  }
}

void WidenF8(DType dtype, const std::byte* words, size_t count, std::byte* heads) {
  const std::array<uint16_t, 256> table = WideTable(dtype);
  for (size_t i = 0; i < count; ++i) StoreLe(heads + 2 * i, table[static_cast<uint8_t>(words[i])]);
}

}  // namespace flyweight
