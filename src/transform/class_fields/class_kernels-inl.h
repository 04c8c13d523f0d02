// Included once for each instruction set inside its namespace; no include guard. No intrinsics: the loops are shaped so
// that the compiler vectorises them.

void ExpandShifted(const int8_t* __restrict columns, size_t count, int row, unsigned context_bits,
                   uint8_t* __restrict contexts, uint8_t* __restrict shifts) {
  const auto mask = static_cast<uint8_t>((1U << context_bits) - 1);
  const auto bias = static_cast<uint8_t>(row + 128), back = static_cast<uint8_t>(128U >> context_bits);
  for (size_t j = 0; j < count; ++j) {
    // Biased by 128, so that the shift works on unsigned numbers.
    auto biased = static_cast<uint8_t>(static_cast<uint8_t>(columns[j]) + bias);
    contexts[j] = biased & mask;
    shifts[j] = static_cast<uint8_t>((biased >> context_bits) - back);
  }
}

void ExpandContexts(const int8_t* __restrict columns, size_t count, int row, unsigned context_bits,
                    uint8_t* __restrict contexts) {
  const auto last = static_cast<int8_t>((1 << context_bits) - 1);
  const auto middle = static_cast<int16_t>((1 << context_bits) / 2 + row);
  for (size_t j = 0; j < count; ++j) {
    auto context = static_cast<int16_t>(columns[j] + middle);
    context = context < 0 ? int16_t{0} : context;
    contexts[j] = static_cast<uint8_t>(context > last ? last : context);
  }
}

void Split16(const uint8_t* __restrict heads, size_t count, const uint8_t* __restrict shifts, unsigned base,
             uint8_t* __restrict symbols, uint8_t* __restrict signs, uint8_t* __restrict nibbles,
             uint8_t* __restrict bits, uint8_t* __restrict outside) {
  const auto base8 = static_cast<uint8_t>(base);
  for (size_t i = 0; i < count; ++i) {
    uint16_t head;
    __builtin_memcpy(&head, heads + 2 * i, 2);
    auto distance = static_cast<uint8_t>(static_cast<uint8_t>(head >> 7) - shifts[i] - base8);
    symbols[i] = static_cast<uint8_t>(static_cast<uint8_t>(distance << 2) | static_cast<uint8_t>(head >> 5 & 3));
    outside[i] = distance >> 6 != 0 ? 1 : 0;
    signs[i] = static_cast<uint8_t>(head >> 15);
    nibbles[i] = static_cast<uint8_t>(head & 15);
    bits[i] = static_cast<uint8_t>(head >> 4 & 1);
  }
}

void Split8(const uint8_t* __restrict heads, size_t count, const uint8_t* __restrict shifts, unsigned base,
            uint8_t* __restrict symbols, uint8_t* __restrict signs, uint8_t* __restrict outside) {
  const auto base8 = static_cast<uint8_t>(base);
  for (size_t i = 0; i < count; ++i) {
    auto distance = static_cast<uint8_t>((heads[i] >> 2 & 31) - shifts[i] - base8);
    symbols[i] = static_cast<uint8_t>(static_cast<uint8_t>(distance << 2) | (heads[i] & 3));
    outside[i] = distance >> 6 != 0 ? 1 : 0;
    signs[i] = heads[i] >> 7;
  }
}

void Join16(const uint8_t* __restrict symbols, const uint8_t* __restrict signs, const uint8_t* __restrict nibbles,
            const uint8_t* __restrict bits, size_t count, const uint8_t* __restrict shifts, unsigned base,
            uint8_t* __restrict heads) {
  const auto base8 = static_cast<uint8_t>(base);
  for (size_t i = 0; i < count; ++i) {
    auto exponent = static_cast<uint8_t>((symbols[i] >> 2) + shifts[i] + base8);
    auto low = static_cast<uint8_t>((symbols[i] & 3) << 5 | bits[i] << 4 | nibbles[i] | (exponent & 1) << 7);
    auto high = static_cast<uint8_t>(signs[i] << 7 | exponent >> 1);
    auto head = static_cast<uint16_t>(high << 8 | low);
    __builtin_memcpy(heads + 2 * i, &head, 2);
  }
}

void Join8(const uint8_t* __restrict symbols, const uint8_t* __restrict signs, size_t count,
           const uint8_t* __restrict shifts, unsigned base, uint8_t* __restrict heads) {
  const auto base8 = static_cast<uint8_t>(base);
  for (size_t i = 0; i < count; ++i) {
    auto exponent = static_cast<uint8_t>(((symbols[i] >> 2) + shifts[i] + base8) & 31);
    heads[i] = static_cast<uint8_t>(signs[i] << 7 | exponent << 2 | (symbols[i] & 3));
  }
}

// Blocks of 512 values of kBits each.
template <unsigned kBits>
static inline void PackBlocks(const uint8_t* __restrict values, size_t block_count, uint8_t* __restrict packed) {
  constexpr size_t kBytes = 512 * kBits / 8;
  for (size_t b = 0; b < block_count; ++b) {
    for (size_t j = 0; j < kBytes; ++j) {
      uint8_t byte = values[j];
      for (unsigned t = 1; t < 8 / kBits; ++t)
        byte = static_cast<uint8_t>(byte | values[t * kBytes + j] << (kBits * t));
      packed[j] = byte;
    }
    values += 512;
    packed += kBytes;
  }
}

template <unsigned kBits>
static inline void UnpackBlocks(const uint8_t* __restrict packed, size_t block_count, uint8_t* __restrict values) {
  constexpr size_t kBytes = 512 * kBits / 8;
  constexpr uint8_t kMask = (1U << kBits) - 1;
  for (size_t b = 0; b < block_count; ++b) {
    for (unsigned t = 0; t < 8 / kBits; ++t) {
      for (size_t j = 0; j < kBytes; ++j)
        values[t * kBytes + j] = static_cast<uint8_t>(packed[j] >> (kBits * t) & kMask);
    }
    values += 512;
    packed += kBytes;
  }
}

void PackBlocks1(const uint8_t* values, size_t count, uint8_t* packed) { PackBlocks<1>(values, count, packed); }
void PackBlocks4(const uint8_t* values, size_t count, uint8_t* packed) { PackBlocks<4>(values, count, packed); }
void UnpackBlocks1(const uint8_t* packed, size_t count, uint8_t* values) { UnpackBlocks<1>(packed, count, values); }
void UnpackBlocks4(const uint8_t* packed, size_t count, uint8_t* values) { UnpackBlocks<4>(packed, count, values); }
