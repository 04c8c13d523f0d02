// Included once for each instruction set inside its namespace; no include guard. Shaped so that the compiler
// vectorises.

void AddActivity(const uint8_t* __restrict columns, size_t count, uint8_t row, uint8_t* __restrict activities) {
  for (size_t i = 0; i < count; ++i) {
    auto sum = static_cast<uint8_t>(columns[i] + row);
    activities[i] = sum < row ? uint8_t{255} : sum;
  }
}
