#include "erasure/reed_solomon.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "erasure/gf16_kernels.h"

namespace flyweight {
namespace {

/// Multiplier of the butterflies at `distance` = 2^t whose first row has number `position` in the codeword: the
/// subspace polynomial of dimension t there, which for Cantor's basis only drops the t lowest coordinates.
uint16_t StepMultiplier(size_t position, size_t distance) { return GfPoint(position >> std::countr_zero(distance)); }

GfButterflies QuadsAt(size_t first_position, size_t row, size_t distance, std::byte* rows, size_t row_bytes) {
  size_t position = first_position + row;
  return {rows + row * row_bytes,
          row_bytes,
          distance,
          {StepMultiplier(position, distance), StepMultiplier(position + 2 * distance, distance),
           StepMultiplier(position, 2 * distance)},
          &GfTables()};
}

GfButterflies PairsAt(size_t first_position, size_t row, size_t distance, std::byte* rows, size_t row_bytes) {
  return {
      rows + row * row_bytes, row_bytes, distance, {StepMultiplier(first_position + row, distance), 0, 0}, &GfTables()};
}

/// Walsh-Hadamard transform modulo 65535, in place. `values` has a power of two of them.
void WalshHadamard(std::vector<uint32_t>& values) {
  for (size_t distance = 1; distance < values.size(); distance *= 2) {
    for (size_t block = 0; block < values.size(); block += 2 * distance) {
      for (size_t i = block; i < block + distance; ++i) {
        uint32_t sum = values[i] + values[i + distance];
        uint32_t difference = values[i] + kGfLogModulus - values[i + distance];
        values[i] = sum >= kGfLogModulus ? sum - kGfLogModulus : sum;
        values[i + distance] = difference >= kGfLogModulus ? difference - kGfLogModulus : difference;
      }
    }
  }
}

/// log of the product of GfPoint(i) + GfPoint(j) over all erased j != i, for i in [0, point_count). A product over
/// differences of indices is a convolution, and XOR is the difference here.
std::vector<uint32_t> LocatorLogs(const std::vector<size_t>& erased, size_t point_count) {
  std::vector<uint32_t> erasures(point_count);
  std::vector<uint32_t> logs(point_count);
  for (size_t position : erased) erasures[position] = 1;
  for (size_t i = 0; i < point_count; ++i) logs[i] = GfPointLog(i);
  WalshHadamard(erasures);
  WalshHadamard(logs);
  // Two transforms multiply by point_count, a power of 2; as 2^16 = 1 modulo 65535 it can be divided out beforehand.
  uint64_t inverse = kGfOrder / point_count;
  for (size_t i = 0; i < point_count; ++i) {
    erasures[i] = static_cast<uint32_t>(uint64_t{erasures[i]} * logs[i] % kGfLogModulus * inverse % kGfLogModulus);
  }
  WalshHadamard(erasures);
  return erasures;
}

}  // namespace

bool ReedSolomon::Exists(uint64_t data_count, uint64_t parity_count) {
  if (data_count == 0 || parity_count == 0 || data_count >= kGfOrder || parity_count >= kGfOrder) return false;
  return std::bit_ceil(parity_count) + data_count <= kGfOrder;
}

ReedSolomon::ReedSolomon(size_t data_count, size_t parity_count)
    : data_count_(data_count), parity_count_(parity_count), group_rows_(std::bit_ceil(parity_count)) {}

void ReedSolomon::Forward(size_t group, std::byte* rows, size_t row_bytes) const {
  const GfKernels& kernels = PickGfKernels();
  size_t first = group * group_rows_;
  size_t block_rows = group_rows_;
  for (; block_rows >= 4; block_rows /= 4) {
    for (size_t row = 0; row < group_rows_; row += block_rows) {
      kernels.forward_quads(QuadsAt(first, row, block_rows / 4, rows, row_bytes));
    }
  }
  if (block_rows < 2) return;
  for (size_t row = 0; row < group_rows_; row += 2) kernels.forward_pairs(PairsAt(first, row, 1, rows, row_bytes));
}

void ReedSolomon::Inverse(size_t group, std::byte* rows, size_t row_bytes) const {
  const GfKernels& kernels = PickGfKernels();
  size_t first = group * group_rows_;
  size_t distance = 1;
  if (std::countr_zero(group_rows_) % 2 == 1) {
    for (size_t row = 0; row < group_rows_; row += 2) kernels.inverse_pairs(PairsAt(first, row, 1, rows, row_bytes));
    distance = 2;
  }
  for (; distance < group_rows_; distance *= 4) {
    for (size_t row = 0; row < group_rows_; row += 4 * distance) {
      kernels.inverse_quads(QuadsAt(first, row, distance, rows, row_bytes));
    }
  }
}

void ReedSolomon::Absorb(size_t group, std::byte* rows, size_t row_bytes, std::byte* sum) const {
  Inverse(group, rows, row_bytes);
  PickGfKernels().add(sum, rows, group_rows_ * row_bytes);
}

void ReedSolomon::FinishParity(std::byte* sum, size_t row_bytes) const { Forward(0, sum, row_bytes); }

ErasureSolver::ErasureSolver(const ReedSolomon& code, const std::vector<size_t>& lost) : code_(code), lost_(lost) {
  // Parity that was never kept is as lost as any other.
  std::vector<size_t> erased = lost;
  for (size_t position = code.parity_count(); position < code.group_rows(); ++position) erased.push_back(position);

  size_t point_count = std::bit_ceil(code.group_rows() + code.data_count());
  std::vector<uint32_t> logs = LocatorLogs(erased, point_count);
  locator_.resize(2 * code.group_rows());
  for (size_t i = 0; i < locator_.size(); ++i) locator_[i] = GfExp(logs[i]);
  for (size_t position : erased) {
    if (position < locator_.size()) locator_[position] = 0;
  }
  scale_.reserve(lost_.size());
  for (size_t position : lost_) scale_.push_back(GfExp((kGfLogModulus - logs[position]) % kGfLogModulus));
}

// The sum is the part S of the error polynomial above the codeword's degree, divided by the basis polynomial it starts
// with. With the locator L and the subspace polynomial s of group_rows points, S * L = q * s + (lower terms), and the
// error at a lost point is q / L' there. q is the upper half of the coefficients of S * L, a polynomial with 2 *
// group_rows of them, which two groups of values give.
void ErasureSolver::Solve(std::byte* sum, size_t row_bytes, std::byte* scratch) const {
  const GfKernels& kernels = PickGfKernels();
  size_t group_rows = code_.group_rows();
  std::memcpy(scratch, sum, group_rows * row_bytes);
  std::byte* halves[] = {sum, scratch};
  for (size_t half = 0; half < 2; ++half) {
    code_.Forward(half, halves[half], row_bytes);
    for (size_t r = 0; r < group_rows; ++r) {
      kernels.multiply(halves[half] + r * row_bytes, row_bytes, locator_[half * group_rows + r], GfTables());
    }
    code_.Inverse(half, halves[half], row_bytes);
  }
  kernels.add(sum, scratch, group_rows * row_bytes);
}

std::span<const size_t> ErasureSolver::LostIn(size_t group) const {
  auto begin = std::lower_bound(lost_.begin(), lost_.end(), group * code_.group_rows());
  auto end = std::lower_bound(begin, lost_.end(), (group + 1) * code_.group_rows());
  return {lost_.data() + (begin - lost_.begin()), static_cast<size_t>(end - begin)};
}

void ErasureSolver::Recover(size_t group, const std::byte* solved, size_t row_bytes, std::byte* rows) const {
  const GfKernels& kernels = PickGfKernels();
  size_t group_rows = code_.group_rows();
  std::memcpy(rows, solved, group_rows * row_bytes);
  code_.Forward(group, rows, row_bytes);
  for (const size_t& position : LostIn(group)) {
    size_t number = static_cast<size_t>(&position - lost_.data());
    kernels.multiply(rows + (position - group * group_rows) * row_bytes, row_bytes, scale_[number], GfTables());
  }
}

}  // namespace flyweight
