// Included once for each instruction set inside its namespace; no include guard.

void PairNibbles(const uint8_t* __restrict tables, const uint8_t* __restrict symbols, size_t count,
                 uint8_t* __restrict pairs) {
  for (size_t i = 0; i < count; ++i) pairs[i] = static_cast<uint8_t>(tables[i] << 4 | symbols[i]);
}
