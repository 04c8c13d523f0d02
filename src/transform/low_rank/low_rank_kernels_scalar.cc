#include "transform/low_rank/low_rank_kernels.h"

namespace flyweight::scalar {
constexpr size_t kVectorBytes = 16;
#include "transform/low_rank/low_rank_kernels-inl.h"

void SubtractProduct(const int16_t* left, const int16_t* right, size_t pair_count, size_t stride, size_t count,
                     float scale, float* values) {
  // Loops over columns inside, which the compiler vectorises.
  constexpr size_t kBlock = 32;
  size_t begin = 0;
  for (; begin + kBlock <= count; begin += kBlock) {
    uint32_t sums[kBlock] = {};
    for (size_t p = 0; p < pair_count; ++p) {
      const int16_t* at = right + p * stride + 2 * begin;
      for (size_t j = 0; j < kBlock; ++j)
        sums[j] += Product(left[2 * p], at[2 * j]) + Product(left[2 * p + 1], at[2 * j + 1]);
    }
    for (size_t j = 0; j < kBlock; ++j) values[begin + j] = Subtracted(values[begin + j], sums[j], scale);
  }
  SubtractColumns(left, right, pair_count, stride, begin, count, scale, values);
}

}  // namespace flyweight::scalar
