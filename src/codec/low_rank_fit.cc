#include "codec/low_rank_fit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "codec/difference_cost.h"
#include "codec/record_side.h"
#include "lossy/strips.h"
#include "transform/low_rank/factorise.h"

namespace flyweight {
namespace {

constexpr uint64_t kSampledRows = 256;
constexpr uint64_t kSampledElements = uint64_t{1} << 17;
constexpr uint64_t kMinSampledRows = 64;
constexpr size_t kJudgedElements = size_t{1} << 15;
constexpr size_t kReadElements = size_t{1} << 16;
constexpr uint64_t kMinRows = 32;
constexpr uint64_t kMinElements = uint64_t{1} << 14;
constexpr uint64_t kMaxColumns = uint64_t{1} << 16;
constexpr double kMinSavedBits = 0.02;
constexpr float kLargestDifference = 0x1p40F;
constexpr double kGaussian = 17.08;  // 2 pi e: the entropy of a normal variable is log2(kGaussian variance) / 2

struct Matrix {
  uint64_t rows = 0;
  uint64_t columns = 0;
};

/// How a tensor is read as a matrix: by its last dimension, or, where there are more than two, by its first.
Matrix MatrixOf(const Shape& shape, uint64_t element_count) {
  if (shape.size() < 2 || shape.front() == 0 || element_count == 0) return {};
  const uint64_t columns = shape.size() == 2 ? shape.back() : element_count / shape.front();
  if (columns < kFactorLanes || columns > kMaxColumns || element_count % columns != 0) return {};
  return {element_count / columns, columns};
}

/// Reads rows of a tensor and its base as F32.
class RowReader {
 public:
  RowReader(const SourcedTensor& tensor, const SourcedTensor& base, uint64_t columns)
      : tensor_(tensor), base_(base), columns_(static_cast<size_t>(columns)) {}

  /// What the tensor is more than the base, from `row`, as many whole rows as there is room for; where that is no
  /// number or a wild one, 0.
  Status ReadDifferences(uint64_t row, std::span<float> differences) {
    const size_t tensor_element = ElementBytes(tensor_.dtype), base_element = ElementBytes(base_.dtype);
    tensor_bytes_.resize(differences.size() * tensor_element);
    base_bytes_.resize(differences.size() * base_element);
    base_values_.resize(differences.size());
    FLYWEIGHT_TRY(tensor_.source.ReadAt(tensor_.offset + row * columns_ * tensor_element, tensor_bytes_));
    FLYWEIGHT_TRY(base_.source.ReadAt(base_.offset + row * columns_ * base_element, base_bytes_));
    LoadStrip(tensor_.dtype, tensor_bytes_.data(), differences.size(), differences.data());
    LoadStrip(base_.dtype, base_bytes_.data(), differences.size(), base_values_.data());
    for (size_t j = 0; j < differences.size(); ++j) {
      const float difference = differences[j] - base_values_[j];
      differences[j] = std::abs(difference) <= kLargestDifference ? difference : 0;
    }
    return {};
  }

  /// Of the last rows read.
  std::span<const float> base_values() const { return base_values_; }
  ByteSpan tensor_bytes() const { return tensor_bytes_; }

 private:
  const SourcedTensor& tensor_;
  const SourcedTensor& base_;
  size_t columns_;
  std::vector<std::byte> tensor_bytes_;
  std::vector<std::byte> base_bytes_;
  std::vector<float> base_values_;
};

/// The bits that differences of a given variance take, by how many elements have units in the last place of each size.
class NoiseCost {
 public:
  explicit NoiseCost(DType dtype) : mantissa_bits_(Describe(dtype).mantissa_bits) {}

  void Add(std::span<const float> base_values) {
    for (float value : base_values) ++counts_[std::bit_cast<uint32_t>(value) >> 23 & 0xFF];
    total_ += base_values.size();
  }

  double Bits(double variance) const {
    double bits = 0;
    for (size_t e = 0; e < counts_.size(); ++e) {
      if (counts_[e] == 0) continue;
      const double unit = std::ldexp(1.0, std::max(static_cast<int>(e), 1) - 127 - mantissa_bits_);
      bits += static_cast<double>(counts_[e]) * ExactLog2(1 + kGaussian * variance / unit / unit) / 2;
    }
    return bits / static_cast<double>(total_);
  }

 private:
  int mantissa_bits_;
  std::array<uint64_t, 256> counts_ = {};
  uint64_t total_ = 0;
};

/// How many components to store, and how finely.
struct Precision {
  size_t rank = 0;
  double step = 0;     ///< of the numbers of both factors
  double bits = 0;     ///< of the tensor, differences and factors
  double balance = 1;  ///< what the numbers of the left factor are divided by and those of the right one multiplied
};

/// Components pay while they lower the variance of all elements by more than their own numbers cost. The step adds as
/// much noise as is worth its bits: a share of rank * (1 / rows + 1 / columns).
Precision ChoosePrecision(const Matrix& matrix, std::span<const double> energies, double total_energy,
                          const NoiseCost& cost) {
  const auto rows = static_cast<double>(matrix.rows), columns = static_cast<double>(matrix.columns);
  const double elements = rows * columns;
  Precision best;
  best.bits = elements * cost.Bits(total_energy / elements);
  best.balance = std::sqrt(std::sqrt(columns / rows));
  const double floor = total_energy / elements * 1e-12;
  double rest = total_energy, roots = 0;
  for (size_t rank = 1; rank <= energies.size(); ++rank) {
    if (energies[rank - 1] <= 0) break;
    rest = std::max(0.0, rest - energies[rank - 1]);
    roots += std::sqrt(energies[rank - 1]);
    const double noise = std::max(rest / elements, floor);
    const double share = static_cast<double>(rank) * (1 / rows + 1 / columns);
    // A step of s adds s^2 / 12 times the energy of a row of the right factor and a column of the left one.
    const double gain = roots * (best.balance * best.balance / columns + 1 / (best.balance * best.balance * rows));
    const double step = std::sqrt(12 * share * noise / gain);
    double bits = elements * cost.Bits(noise * (1 + share));
    for (size_t k = 0; k < rank; ++k) {
      const double root = std::sqrt(energies[k]), scale = best.balance * best.balance;
      bits += rows * ExactLog2(1 + kGaussian * root / scale / rows / (step * step)) / 2;
      bits += columns * ExactLog2(1 + kGaussian * root * scale / columns / (step * step)) / 2;
    }
    if (bits < best.bits) best.bits = bits, best.rank = rank, best.step = step;
  }
  return best;
}

int16_t Rounded(double value) { return static_cast<int16_t>(std::lrint(std::clamp(value, -32767.0, 32767.0))); }

/// The largest of some magnitudes in units of the step; numbers over 32767 would be cut.
double Largest(std::span<const float> values, size_t k, double factor) {
  double largest = 0;
  for (size_t i = k; i < values.size(); i += kFactorLanes)
    largest = std::max(largest, std::abs(static_cast<double>(values[i])) * factor);
  return largest;
}

LowRankFactors Quantise(const Matrix& matrix, const RowBasis& basis, std::span<const float> components,
                        std::span<const double> energies, Precision precision) {
  std::vector<double> left_factors, right_factors;
  double step = precision.step;
  for (size_t k = 0; k < precision.rank; ++k) {
    const double root = std::sqrt(std::sqrt(energies[k])) * precision.balance;
    left_factors.push_back(-1 / root);  // the matrix is subtracted
    right_factors.push_back(root);
    step = std::max(step, Largest(components, k, 1 / root) / 32767);
    step = std::max(step, Largest(basis.vectors, k, root) / 32767);
  }
  LowRankFactors factors;
  factors.rank = static_cast<uint16_t>(precision.rank);
  factors.columns = static_cast<uint32_t>(matrix.columns);
  factors.scale = static_cast<float>(step * step);
  for (size_t k = 0; k < precision.rank; ++k) {
    for (size_t i = k; i < components.size(); i += kFactorLanes)
      factors.left.push_back(Rounded(static_cast<double>(components[i]) * left_factors[k] / step));
    for (size_t j = k; j < basis.vectors.size(); j += kFactorLanes)
      factors.right.push_back(Rounded(static_cast<double>(basis.vectors[j]) * right_factors[k] / step));
  }
  return factors;
}

/// Sampled rows: differences, and of some of them what they are made of.
struct Sample {
  std::vector<float> differences;
  size_t row_count = 0;
  size_t live_rows = 0;
  double energy = 0;
  std::vector<uint64_t> judged_rows;
  std::vector<float> base_values;
  std::vector<std::byte> tensor_bytes;
};

double EnergyOf(std::span<const float> values) {
  std::array<double, 8> lanes = {};  // in one order on every machine
  size_t i = 0;
  for (; i + 8 <= values.size(); i += 8) {
    for (size_t l = 0; l < 8; ++l) lanes[l] += static_cast<double>(values[i + l]) * static_cast<double>(values[i + l]);
  }
  for (; i < values.size(); ++i) lanes[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return std::accumulate(lanes.begin(), lanes.end(), 0.0);
}

Result<Sample> ReadSample(RowReader& reader, const Matrix& matrix) {
  Sample sample;
  const uint64_t wanted = std::clamp(kSampledElements / matrix.columns, kMinSampledRows, kSampledRows);
  const auto columns = static_cast<size_t>(matrix.columns);
  sample.row_count = static_cast<size_t>(std::min(wanted, matrix.rows));
  sample.differences.resize(sample.row_count * columns);
  const size_t judged_step = 1 + sample.differences.size() / kJudgedElements;
  for (size_t s = 0; s < sample.row_count; ++s) {
    const uint64_t at = matrix.rows * s / sample.row_count;
    const std::span<float> row = std::span(sample.differences).subspan(s * columns, columns);
    FLYWEIGHT_TRY(reader.ReadDifferences(at, row));
    const double energy = EnergyOf(row);
    sample.live_rows += energy > 0 ? 1 : 0;
    sample.energy += energy;
    if (s % judged_step != 0) continue;
    sample.judged_rows.push_back(at);
    const auto base_values = reader.base_values();
    sample.base_values.insert(sample.base_values.end(), base_values.begin(), base_values.end());
    const ByteSpan bytes = reader.tensor_bytes();
    sample.tensor_bytes.insert(sample.tensor_bytes.end(), bytes.begin(), bytes.end());
  }
  return sample;
}

/// The components of all rows, with their energies.
struct Projected {
  std::vector<float> components;
  std::vector<double> energies = std::vector<double>(kFactorLanes);
  double total_energy = 0;
};

/// `refinement` may be null.
Result<Projected> ProjectAll(RowReader& reader, const Matrix& matrix, const RowBasis& basis,
                             BasisRefinement* refinement) {
  Projected projected;
  projected.components.resize(matrix.rows * kFactorLanes);
  const uint64_t rows_at_once =
      std::max(kProjectedRows, kReadElements / basis.columns / kProjectedRows * kProjectedRows);
  std::vector<float> differences;
  for (uint64_t row = 0; row < matrix.rows; row += rows_at_once) {
    const auto count = static_cast<size_t>(std::min(rows_at_once, matrix.rows - row));
    differences.resize(count * basis.columns);
    FLYWEIGHT_TRY(reader.ReadDifferences(row, differences));
    projected.total_energy += EnergyOf(differences);
    const std::span<float> own = std::span(projected.components).subspan(row * kFactorLanes, count * kFactorLanes);
    ProjectOnBasis(basis, differences, own);
    if (refinement != nullptr) refinement->Add(differences, own);
  }
  for (size_t i = 0; i < projected.components.size(); ++i) {
    const auto component = static_cast<double>(projected.components[i]);
    projected.energies[i % kFactorLanes] += component * component;
  }
  return projected;
}

/// What the factors save on the sampled rows, by the entropy of the differences with and without them.
double MeasureSaved(const Sample& sample, const LowRankFactors& factors, DType dtype) {
  const size_t columns = factors.columns;
  std::vector<std::byte> predicted(sample.tensor_bytes.size());
  StoreStrip(dtype, sample.base_values.data(), sample.base_values.size(), predicted.data());
  const double before = MeanDifferenceBits(dtype, predicted, sample.tensor_bytes);
  std::vector<float> values = sample.base_values;
  const std::shared_ptr<const LowRank> matrix = Prepare(factors);
  for (size_t s = 0; s < sample.judged_rows.size(); ++s)
    matrix->SubtractFrom(sample.judged_rows[s] * columns, std::span(values).subspan(s * columns, columns));
  StoreStrip(dtype, values.data(), values.size(), predicted.data());
  return before - MeanDifferenceBits(dtype, predicted, sample.tensor_bytes);
}

}  // namespace

Result<std::optional<LowRankFit>> FitLowRank(const SourcedTensor& tensor, const Shape& shape,
                                             const SourcedTensor& base) {
  std::optional<LowRankFit> none;
  const uint64_t element_count = tensor.size_bytes / ElementBytes(tensor.dtype);
  const Matrix matrix = MatrixOf(shape, element_count);
  if (matrix.rows < kMinRows || element_count < kMinElements ||
      base.size_bytes / ElementBytes(base.dtype) != element_count)
    return none;
  RowReader reader(tensor, base, matrix.columns);
  FLYWEIGHT_ASSIGN(Sample sample, ReadSample(reader, matrix));
  if (sample.live_rows * 2 < sample.row_count) return none;

  NoiseCost cost(tensor.dtype);
  cost.Add(sample.base_values);
  RowBasis basis = FindRowBasis(sample.differences, static_cast<size_t>(matrix.columns));
  const double parts = static_cast<double>(matrix.rows) / static_cast<double>(sample.row_count);
  std::vector<double> energies = basis.energies;
  for (double& energy : energies) energy *= parts;
  if (ChoosePrecision(matrix, energies, sample.energy * parts, cost).rank == 0) return none;

  if (sample.row_count < matrix.rows) {
    BasisRefinement refinement(basis.columns);
    FLYWEIGHT_ASSIGN(const Projected first, ProjectAll(reader, matrix, basis, &refinement));
    basis = std::move(refinement).Finish();
  }
  FLYWEIGHT_ASSIGN(const Projected projected, ProjectAll(reader, matrix, basis, nullptr));
  const Precision precision = ChoosePrecision(matrix, projected.energies, projected.total_energy, cost);
  if (precision.rank == 0 || (matrix.rows + matrix.columns) * precision.rank > kLowRankNumbersMax) return none;
  LowRankFit fit;
  fit.factors = Quantise(matrix, basis, projected.components, projected.energies, precision);
  if (!(fit.factors.scale >= 0x1p-126F && fit.factors.scale <= 0x1p64F)) return none;
  const double side_bits = 8 * static_cast<double>(WriteLowRank(fit.factors).size());
  fit.saved_bits = MeasureSaved(sample, fit.factors, tensor.dtype) - side_bits / static_cast<double>(element_count);
  if (fit.saved_bits < kMinSavedBits) return none;
  return std::optional(std::move(fit));
}

}  // namespace flyweight
