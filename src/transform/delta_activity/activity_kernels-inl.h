// Included once for each instruction set inside its namespace; no include guard. Sums run in 16 lanes, which are added
// up in order at the end, and only operations are used whose results IEEE 754 fixes.

namespace {

constexpr size_t kLanes = 16;
constexpr float kTooFar = 1e30F;
// Units and expectations are at least this, so that their reciprocals are finite.
constexpr float kLeast = 1e-37F;

inline uint32_t BitsOf(float value) { return __builtin_bit_cast(uint32_t, value); }
inline float FloatOf(uint32_t bits) { return __builtin_bit_cast(float, bits); }

template <typename Word>
inline Word Load(const uint8_t* words, size_t number) {
  Word word;
  __builtin_memcpy(&word, words + number * sizeof word, sizeof word);
  return word;
}

struct FieldsBF16 {
  using Word = uint16_t;
  static constexpr uint32_t kExponents = 0x7F80, kExponentShift = 7;
  static inline float Value(uint32_t word) { return FloatOf(word << 16); }
  static inline float Unit(uint32_t exponent) { return FloatOf(exponent << 16) * 0x1p-7F; }
};
struct FieldsF16 {
  using Word = uint16_t;
  static constexpr uint32_t kExponents = 0x7C00, kExponentShift = 10;
  static inline float Value(uint32_t word) { return FloatOf((word & 0x7FFF) << 13 | (word & 0x8000) << 16) * 0x1p112F; }
  static inline float Unit(uint32_t exponent) { return FloatOf(exponent << 13) * 0x1p102F; }
};
struct FieldsF32 {
  using Word = uint32_t;
  static constexpr uint32_t kExponents = 0x7F800000, kExponentShift = 23;
  static inline float Value(uint32_t word) { return FloatOf(word); }
  static inline float Unit(uint32_t exponent) { return FloatOf(exponent) * 0x1p-23F; }
};

struct Lanes {
  float sums[kLanes] = {};
  inline float Total() const {
    float total = 0;
    for (float sum : sums) total += sum;
    return total;
  }
};

// Everything about one word; returns its distance.
template <typename Fields>
inline float MeasureWord(typename Fields::Word predicted, typename Fields::Word word, float* unit, uint32_t& different,
                         uint32_t& largest) {
  different |= static_cast<uint32_t>(predicted ^ word);
  const uint32_t exponent = predicted & Fields::kExponents;
  largest = exponent > largest ? exponent : largest;
  *unit = Fields::Unit(exponent);
  float distance = FloatOf(BitsOf(Fields::Value(word) - Fields::Value(predicted)) & 0x7FFFFFFF);
  // A comparison of integers: it is false for NaN as well.
  return BitsOf(distance) < BitsOf(kTooFar) ? distance : 0.0F;
}

template <typename Fields>
inline RowDistances MeasureRow(const void* predicted_words, const void* coded_words, size_t count,
                               float* __restrict distances, float* __restrict units) {
  using Word = typename Fields::Word;
  const auto* __restrict predicted = static_cast<const uint8_t*>(predicted_words);
  const auto* __restrict words = static_cast<const uint8_t*>(coded_words);
  Lanes sum;
  uint32_t different[kLanes] = {}, largest[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float distance = MeasureWord<Fields>(Load<Word>(predicted, i + j), Load<Word>(words, i + j), units + i + j,
                                                 different[j], largest[j]);
      distances[i + j] = distance;
      sum.sums[j] += distance;
    }
  }
  for (size_t j = 0; i < count; ++i, ++j) {
    distances[i] =
        MeasureWord<Fields>(Load<Word>(predicted, i), Load<Word>(words, i), units + i, different[j], largest[j]);
    sum.sums[j] += distances[i];
  }
  RowDistances row;
  row.sum = sum.Total();
  for (size_t j = 0; j < kLanes; ++j) {
    row.differs |= different[j] != 0;
    row.largest_exponent = largest[j] > row.largest_exponent ? largest[j] : row.largest_exponent;
  }
  row.largest_exponent >>= Fields::kExponentShift;
  return row;
}

struct Weighed {
  float distance, expected;
};

inline Weighed Weigh(const WeighRowArgs& args, float row, size_t i) {
  const float expected = row * args.columns[i];
  float scale = args.units[i] > expected ? args.units[i] : expected;
  scale = scale > kLeast ? scale : kLeast;
  // The power of two at or under its reciprocal's double: a weight need not be exact.
  const float weight = FloatOf(0x7F000000U - (BitsOf(scale) & 0x7F800000U));
  return {args.distances[i] * weight, expected * weight};
}

}  // namespace

RowDistances MeasureRowBF16(const void* predicted, const void* words, size_t count, float* distances, float* units) {
  return MeasureRow<FieldsBF16>(predicted, words, count, distances, units);
}
RowDistances MeasureRowF16(const void* predicted, const void* words, size_t count, float* distances, float* units) {
  return MeasureRow<FieldsF16>(predicted, words, count, distances, units);
}
RowDistances MeasureRowF32(const void* predicted, const void* words, size_t count, float* distances, float* units) {
  return MeasureRow<FieldsF32>(predicted, words, count, distances, units);
}

void AddScaled(const float* __restrict values, size_t count, float factor, float* __restrict totals) {
  for (size_t i = 0; i < count; ++i) totals[i] += values[i] * factor;
}

WeighedSums WeighRow(const WeighRowArgs& args) {
  float* __restrict column_sums = args.column_sums;
  float* __restrict column_weights = args.column_weights;
  Lanes distance, expected;
  size_t i = 0;
  for (; i + kLanes <= args.count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const Weighed weighed = Weigh(args, args.row, i + j);
      distance.sums[j] += weighed.distance;
      expected.sums[j] += weighed.expected;
      column_sums[i + j] += weighed.distance;
      column_weights[i + j] += weighed.expected;
    }
  }
  for (size_t j = 0; i < args.count; ++i, ++j) {
    const Weighed weighed = Weigh(args, args.row, i);
    distance.sums[j] += weighed.distance;
    expected.sums[j] += weighed.expected;
    column_sums[i] += weighed.distance;
    column_weights[i] += weighed.expected;
  }
  return {distance.Total(), expected.Total()};
}
