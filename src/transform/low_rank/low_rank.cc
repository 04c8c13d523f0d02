#include "transform/low_rank/low_rank.h"

#include <algorithm>

#include "simd/isa.h"
#include "transform/low_rank/low_rank_kernels.h"

namespace flyweight {
namespace {

constexpr IsaTable<decltype(&scalar::SubtractProduct)> kSubtractProduct = FLYWEIGHT_ISA_TABLE(SubtractProduct);

}  // namespace

LowRank::LowRank(size_t rank, size_t columns, float scale, std::span<const int16_t> left,
                 std::span<const int16_t> right)
    : rank_(rank), columns_(columns), pair_count_((rank + 1) / 2), scale_(scale) {
  const size_t rows = left.size() / rank, padded_rank = 2 * pair_count_;
  left_.resize(rows * padded_rank);
  right_.resize(columns * padded_rank);
  for (size_t k = 0; k < rank; ++k) {
    for (size_t i = 0; i < rows; ++i) left_[i * padded_rank + k] = left[k * rows + i];
    int16_t* pair = right_.data() + k / 2 * 2 * columns + k % 2;
    for (size_t j = 0; j < columns; ++j) pair[2 * j] = right[k * columns + j];
  }
}

void LowRank::SubtractFrom(uint64_t first_element, std::span<float> values) const {
  const auto subtract = kSubtractProduct.Pick();
  auto row = static_cast<size_t>(first_element / columns_), column = static_cast<size_t>(first_element % columns_);
  for (size_t done = 0; done < values.size();) {
    const size_t count = std::min(columns_ - column, values.size() - done);
    subtract(left_.data() + row * 2 * pair_count_, right_.data() + 2 * column, pair_count_, 2 * columns_, count, scale_,
             values.data() + done);
    done += count;
    column = 0;
    ++row;
  }
}

}  // namespace flyweight
