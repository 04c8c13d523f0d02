// Included once for each instruction set inside its namespace; no include guard. No intrinsics: the loops are shaped so
// that the compiler vectorises them, and use only operations whose results IEEE 754 fixes.

namespace {

constexpr size_t kLanes = 8;
constexpr size_t kRangeLanes = 16;
// Adding this to a float of at most 2^22 rounds it to an integer, ties to even, which then is the low bits.
constexpr float kRoundingMagic = 12582912.0F;
constexpr uint32_t kRoundingBits = 0x4B400000U;
// The smallest scale: with it no product of scale and code is subnormal.
constexpr float kMinScale = 0x1p-126F;

inline uint32_t BitsOf(float value) { return __builtin_bit_cast(uint32_t, value); }
inline float FloatOf(uint32_t bits) { return __builtin_bit_cast(float, bits); }

inline float FromBF16(uint16_t word) { return FloatOf(static_cast<uint32_t>(word) << 16); }

// The nearest BF16 that is not less; for finite values that are not negative.
inline uint16_t BF16Above(float value) { return static_cast<uint16_t>((BitsOf(value) + 0xFFFF) >> 16); }

// The nearest BF16 that is not greater.
inline uint16_t BF16Below(float value) {
  uint32_t bits = BitsOf(value);
  return static_cast<uint16_t>((bits + (bits >> 31 != 0 ? 0xFFFFU : 0U)) >> 16);
}

}  // namespace

void WidenF16(const uint8_t* __restrict words, size_t count, float* __restrict values) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t word;
    __builtin_memcpy(&word, words + 2 * i, 2);
    uint32_t magnitude = (word & 0x7FFFU) << 13;
    uint32_t exponent = magnitude & 0x0F800000U;
    // Subnormals: the subtraction renormalises them.
    uint32_t tiny = BitsOf(FloatOf(magnitude + 0x38800000U) - FloatOf(0x38800000U));
    uint32_t bits = magnitude + 0x38000000U;
    bits = exponent == 0x0F800000U ? magnitude + 0x70000000U : bits;
    bits = exponent == 0 ? tiny : bits;
    values[i] = FloatOf(bits | (word & 0x8000U) << 16);
  }
}

void WidenBF16(const uint8_t* __restrict words, size_t count, float* __restrict values) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t word;
    __builtin_memcpy(&word, words + 2 * i, 2);
    values[i] = FloatOf(static_cast<uint32_t>(word) << 16);
  }
}

void NarrowF16(const float* __restrict values, size_t count, uint8_t* __restrict words) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = BitsOf(values[i]);
    uint32_t magnitude = bits & 0x7FFFFFFFU;
    uint32_t half = (magnitude + 0xC8000FFFU + (magnitude >> 13 & 1U)) >> 13;
    // Under 2^-14 the addition of 0.5 rounds to multiples of 2^-24.
    uint32_t tiny = BitsOf(FloatOf(magnitude) + 0.5F) - 0x3F000000U;
    half = magnitude < 0x38800000U ? tiny : half;
    half = magnitude >= 0x47800000U ? 0x7C00U : half;
    half = magnitude > 0x7F800000U ? (0x7E00U | (magnitude >> 13 & 0x3FFU)) : half;
    auto word = static_cast<uint16_t>(half | (bits >> 16 & 0x8000U));
    __builtin_memcpy(words + 2 * i, &word, 2);
  }
}

void NarrowBF16(const float* __restrict values, size_t count, uint8_t* __restrict words) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = BitsOf(values[i]);
    uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
    rounded = (bits & 0x7FFFFFFFU) > 0x7F800000U ? (bits >> 16 | 0x40U) : rounded;
    auto word = static_cast<uint16_t>(rounded);
    __builtin_memcpy(words + 2 * i, &word, 2);
  }
}

void LoadF64(const uint8_t* __restrict words, size_t count, float* __restrict values) {
  for (size_t i = 0; i < count; ++i) {
    double value;
    __builtin_memcpy(&value, words + 8 * i, 8);
    values[i] = static_cast<float>(value);
  }
}

void StoreF64(const float* __restrict values, size_t count, uint8_t* __restrict words) {
  for (size_t i = 0; i < count; ++i) {
    double value = static_cast<double>(values[i]);
    __builtin_memcpy(words + 8 * i, &value, 8);
  }
}

namespace {

struct Range {
  float low;
  float high;
};

Range RangeOf(const float* __restrict values, size_t count) {
  float low[kRangeLanes], high[kRangeLanes];
  for (size_t l = 0; l < kRangeLanes; ++l) low[l] = high[l] = values[0];
  size_t i = 0;
  for (; i + kRangeLanes <= count; i += kRangeLanes) {
    for (size_t l = 0; l < kRangeLanes; ++l) {
      float value = values[i + l];
      low[l] = value < low[l] ? value : low[l];
      high[l] = value > high[l] ? value : high[l];
    }
  }
  Range range{low[0], high[0]};
  for (size_t l = 1; l < kRangeLanes; ++l) {
    range.low = low[l] < range.low ? low[l] : range.low;
    range.high = high[l] > range.high ? high[l] : range.high;
  }
  for (; i < count; ++i) {
    range.low = values[i] < range.low ? values[i] : range.low;
    range.high = values[i] > range.high ? values[i] : range.high;
  }
  return range;
}

uint16_t ScaleFor(float range, int32_t steps) {
  if (!(range > 0.0F)) return 0;
  float scale = range / static_cast<float>(steps);
  return BF16Above(scale < kMinScale ? kMinScale : scale);
}

void QuantiseBlock(const float* __restrict values, size_t count, float minimum, float scale, int32_t bias,
                   int32_t levels, uint8_t* __restrict codes) {
  const float divisor = scale == 0.0F ? 1.0F : scale;
  for (size_t i = 0; i < count; ++i) {
    float steps = (values[i] - minimum) / divisor;
    auto code = static_cast<int32_t>(BitsOf(steps + kRoundingMagic) - kRoundingBits);
    code = code < -bias ? -bias : code;
    code = code > levels - bias ? levels - bias : code;
    codes[i] = static_cast<uint8_t>(code + bias);
  }
}

void DequantiseBlock(const uint8_t* __restrict codes, size_t count, float minimum, float scale, int32_t bias,
                     float* __restrict values) {
  for (size_t i = 0; i < count; ++i) {
    values[i] = minimum + static_cast<float>(static_cast<int32_t>(codes[i]) - bias) * scale;
  }
}

void DequantiseSymmetricBlock(const uint8_t* __restrict codes, size_t count, float scale, int32_t bias,
                              float* __restrict values) {
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(static_cast<int32_t>(codes[i]) - bias) * scale;
}

}  // namespace

void QuantiseBlocks(const float* values, const BlockArgs& args) {
  for (size_t begin = 0, b = 0; begin < args.count; begin += args.block, ++b) {
    size_t count = args.count - begin < args.block ? args.count - begin : args.block;
    Range range = RangeOf(values + begin, count);
    float minimum = 0.0F;
    if (args.minima != nullptr) {
      args.minima[b] = BF16Below(range.low);
      minimum = FromBF16(args.minima[b]);
      args.scales[b] = ScaleFor(range.high - minimum, args.levels);
    } else {
      float largest = range.high > -range.low ? range.high : -range.low;
      args.scales[b] = ScaleFor(largest, args.bias);
    }
    QuantiseBlock(values + begin, count, minimum, FromBF16(args.scales[b]), args.bias, args.levels, args.codes + begin);
  }
}

void DequantiseBlocks(const BlockArgs& args, float* values) {
  for (size_t begin = 0, b = 0; begin < args.count; begin += args.block, ++b) {
    size_t count = args.count - begin < args.block ? args.count - begin : args.block;
    float scale = FromBF16(args.scales[b]);
    if (args.minima != nullptr) {
      DequantiseBlock(args.codes + begin, count, FromBF16(args.minima[b]), scale, args.bias, values + begin);
    } else {
      DequantiseSymmetricBlock(args.codes + begin, count, scale, args.bias, values + begin);
    }
  }
}

uint8_t MaxByte(const uint8_t* __restrict bytes, size_t count) {
  uint8_t lanes[64] = {};
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    for (size_t l = 0; l < 64; ++l) lanes[l] = bytes[i + l] > lanes[l] ? bytes[i + l] : lanes[l];
  }
  uint8_t largest = 0;
  for (uint8_t lane : lanes) largest = lane > largest ? lane : largest;
  for (; i < count; ++i) largest = bytes[i] > largest ? bytes[i] : largest;
  return largest;
}

namespace {

template <typename T>
inline void AddError(T source, T restored, size_t lane, ErrorLanes& lanes) {
  auto a = static_cast<double>(source);
  auto b = static_cast<double>(restored);
  double difference = a - b;
  bool is_special = !(a - a == 0.0);
  bool is_itself = (a == b) | ((a != a) & (b != b));
  bool is_number = difference == difference;
  double error = is_number ? (difference < 0.0 ? -difference : difference) : 0.0;
  double finite = is_special ? 0.0 : a;
  lanes.max_abs[lane] = error > lanes.max_abs[lane] ? error : lanes.max_abs[lane];
  lanes.squares[lane] += error * error;
  double magnitude = finite < 0.0 ? -finite : finite;
  lanes.largest[lane] = magnitude > lanes.largest[lane] ? magnitude : lanes.largest[lane];
  lanes.specials[lane] += is_special ? 1.0 : 0.0;
  lanes.energy[lane] += finite * finite;
  lanes.broken[lane] += (is_special ? !is_itself : !is_number) ? 1.0 : 0.0;
}

template <typename T>
inline void AddAllErrors(const T* __restrict source, const T* __restrict restored, size_t count, ErrorLanes& lanes) {
  ErrorLanes sums = lanes;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) AddError(source[i + l], restored[i + l], l, sums);
  }
  for (size_t l = 0; i + l < count; ++l) AddError(source[i + l], restored[i + l], l, sums);
  lanes = sums;
}

}  // namespace

void AddErrors32(const float* source, const float* restored, size_t count, ErrorLanes& lanes) {
  AddAllErrors(source, restored, count, lanes);
}

void AddErrors64(const double* source, const double* restored, size_t count, ErrorLanes& lanes) {
  AddAllErrors(source, restored, count, lanes);
}
