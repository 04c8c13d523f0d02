// SubtractProduct out of an instruction set's Zero, Pair, AddProducts and Subtract; no include guard.

void SubtractProduct(const int16_t* left, const int16_t* right, size_t pair_count, size_t stride, size_t count,
                     float scale, float* values) {
  size_t begin = 0;
  for (; begin + 4 * kLanes <= count; begin += 4 * kLanes) {
    Words a = Zero(), b = Zero(), c = Zero(), d = Zero();
    for (size_t p = 0; p < pair_count; ++p) {
      const Words factors = Pair(left + 2 * p);
      const int16_t* at = right + p * stride + 2 * begin;
      a = AddProducts(a, factors, at);
      b = AddProducts(b, factors, at + 2 * kLanes);
      c = AddProducts(c, factors, at + 4 * kLanes);
      d = AddProducts(d, factors, at + 6 * kLanes);
    }
    Subtract(a, scale, values + begin);
    Subtract(b, scale, values + begin + kLanes);
    Subtract(c, scale, values + begin + 2 * kLanes);
    Subtract(d, scale, values + begin + 3 * kLanes);
  }
  for (; begin + kLanes <= count; begin += kLanes) {
    Words sum = Zero();
    for (size_t p = 0; p < pair_count; ++p) sum = AddProducts(sum, Pair(left + 2 * p), right + p * stride + 2 * begin);
    Subtract(sum, scale, values + begin);
  }
  SubtractColumns(left, right, pair_count, stride, begin, count, scale, values);
}
