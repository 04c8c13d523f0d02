// Included once for each instruction set inside its namespace; no include guard. No intrinsics: the loops are shaped so
// that the compiler vectorises them.

void SplitF32(const uint8_t* __restrict words, size_t count, uint8_t* __restrict heads, uint8_t* __restrict high,
              uint8_t* __restrict low) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t word;
    __builtin_memcpy(&word, words + 4 * i, 4);
    uint16_t head = static_cast<uint16_t>(word >> 16);
    __builtin_memcpy(heads + 2 * i, &head, 2);
    high[i] = static_cast<uint8_t>(word >> 8);
    low[i] = static_cast<uint8_t>(word);
  }
}

void MergeF32(const uint8_t* __restrict heads, const uint8_t* __restrict high, const uint8_t* __restrict low,
              size_t count, uint8_t* __restrict words) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t head;
    __builtin_memcpy(&head, heads + 2 * i, 2);
    uint32_t word = static_cast<uint32_t>(head) << 16 | static_cast<uint32_t>(high[i]) << 8 | low[i];
    __builtin_memcpy(words + 4 * i, &word, 4);
  }
}

void SplitF16(const uint8_t* __restrict words, size_t count, uint8_t* __restrict heads, uint8_t* __restrict low) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t word;
    __builtin_memcpy(&word, words + 2 * i, 2);
    heads[i] = static_cast<uint8_t>(word >> 8);
    low[i] = static_cast<uint8_t>(word);
  }
}

void MergeF16(const uint8_t* __restrict heads, const uint8_t* __restrict low, size_t count, uint8_t* __restrict words) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t word = static_cast<uint16_t>(heads[i] << 8 | low[i]);
    __builtin_memcpy(words + 2 * i, &word, 2);
  }
}

// |x| of a head, up to a factor that all heads of its kind share. 8-bit heads become floats with the exponent moved up
// by 112, so that none is denormal.
static inline float Magnitude16(const uint8_t* head) {
  uint16_t bits;
  __builtin_memcpy(&bits, head, 2);
  uint32_t word = static_cast<uint32_t>(bits & 0x7FFF) << 16;
  float value;
  __builtin_memcpy(&value, &word, 4);
  return value;
}

static inline float Magnitude8(const uint8_t* head) {
  uint32_t bits = *head & 0x7Fu;
  uint32_t word = bits == 0 ? 0 : (bits << 21) + (112u << 23);
  float value;
  __builtin_memcpy(&value, &word, 4);
  return value;
}

// The order of the additions is part of the encoder's promise that the ISA does not change the bytes: 32 lanes, element
// i in lane i mod 32, then a tree.
template <float (*kMagnitude)(const uint8_t*), size_t kBytes>
static float SumHeads(const uint8_t* heads, size_t count) {
  float lanes[32] = {};
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    for (size_t lane = 0; lane < 32; ++lane) lanes[lane] += kMagnitude(heads + kBytes * (i + lane));
  }
  for (size_t lane = 0; i < count; ++i, ++lane) lanes[lane] += kMagnitude(heads + kBytes * i);
  for (size_t half = 16; half > 0; half /= 2) {
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

float SumHeads16(const uint8_t* heads, size_t count) { return SumHeads<Magnitude16, 2>(heads, count); }
float SumHeads8(const uint8_t* heads, size_t count) { return SumHeads<Magnitude8, 1>(heads, count); }

void AddHeads16(const uint8_t* __restrict heads, size_t count, float* __restrict sums) {
  for (size_t i = 0; i < count; ++i) sums[i] += Magnitude16(heads + 2 * i);
}
void AddHeads8(const uint8_t* __restrict heads, size_t count, float* __restrict sums) {
  for (size_t i = 0; i < count; ++i) sums[i] += Magnitude8(heads + i);
}

void AddShift(const uint8_t* __restrict columns, size_t count, uint8_t row_shift, uint8_t* __restrict target) {
  for (size_t i = 0; i < count; ++i) target[i] = static_cast<uint8_t>(columns[i] + row_shift);
}
