// Included once for each instruction set inside its namespace; no include guard.

void PairNibbles(const uint8_t* tables, const uint8_t* symbols, size_t count, uint8_t* pairs) {
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    // By way of arrays of its own, since `pairs` may be one of the others.
    uint8_t high[64], low[64];
    __builtin_memcpy(high, tables + i, 64);
    __builtin_memcpy(low, symbols + i, 64);
    for (size_t j = 0; j < 64; ++j) high[j] = static_cast<uint8_t>(high[j] << 4 | low[j]);
    __builtin_memcpy(pairs + i, high, 64);
  }
  for (; i < count; ++i) pairs[i] = static_cast<uint8_t>(tables[i] << 4 | symbols[i]);
}
