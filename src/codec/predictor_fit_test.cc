#include "codec/predictor_fit.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "codec/record_side.h"
#include "simd/isa.h"

namespace flyweight {
namespace {

using Floats = std::vector<float>;

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteSpan bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    std::memcpy(target.data(), bytes_.data() + offset, target.size());
    return {};
  }

 private:
  ByteSpan bytes_;
};

PredictorFit Fitted(ByteSpan base, DType base_dtype, ByteSpan tensor, DType dtype, const Shape& shape) {
  const MemorySource base_source(base), tensor_source(tensor);
  auto fit = FitPredictor({tensor_source, 0, tensor.size(), dtype}, shape, {base_source, 0, base.size(), base_dtype});
  EXPECT_TRUE(fit.ok());
  return std::move(fit).value();
}

PredictorFit Fitted(const Floats& base, const Floats& tensor, const Shape& shape) {
  return Fitted(std::as_bytes(std::span(base)), DType::kF32, std::as_bytes(std::span(tensor)), DType::kF32, shape);
}

/// About normal, of deviation 1.
float Noise(std::mt19937& random) {
  float sum = 0;
  for (int i = 0; i < 12; ++i) sum += static_cast<float>(random()) * 0x1p-32F;
  return sum - 6;
}

Floats SomeWeights(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  Floats weights(count);
  for (float& weight : weights) weight = 0.05F * Noise(random);
  return weights;
}

/// Share of the elements that are predicted exactly.
double Hits(const PredictorFit& fit, const Floats& base, const Floats& tensor) {
  Floats predicted(tensor.size());
  Predict(fit.predictor, 0, std::as_bytes(std::span(base)), std::as_writable_bytes(std::span(predicted)));
  size_t hits = 0;
  for (size_t i = 0; i < tensor.size(); ++i)
    hits += std::bit_cast<uint32_t>(predicted[i]) == std::bit_cast<uint32_t>(tensor[i]) ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(tensor.size());
}

/// What AdamW does to weights of which each fourth row learns too.
Floats Trained(Floats weights, size_t columns, const std::vector<double>& factors) {
  std::mt19937 random(5);
  for (size_t i = 0; i < weights.size(); ++i) {
    for (double factor : factors) weights[i] = static_cast<float>(static_cast<double>(weights[i]) * factor);
    if (i / columns % 4 == 0) weights[i] += 1e-4F * Noise(random);
  }
  return weights;
}

double NarrowFactor(double rate) { return static_cast<double>(static_cast<float>(1 - rate * 0.01)); }

constexpr size_t kColumns = 256;
const Shape kShape = {1024, kColumns};

TEST(FitPredictor, FindsDecayAtAConstantRate) {
  const Floats base = SomeWeights(1024 * kColumns, 1);
  for (auto [rate, steps] : {std::pair<double, size_t>{2e-5, 30}, {5e-5, 160}, {1e-2, 20}, {1e-3, 7}}) {
    const Floats tensor = Trained(base, kColumns, std::vector<double>(steps, NarrowFactor(rate)));
    const PredictorFit fit = Fitted(base, tensor, kShape);
    ASSERT_EQ(fit.predictor.kind, PredictorKind::kReplay) << rate;
    EXPECT_GT(Hits(fit, base, tensor), 0.7499)
        << rate << ": " << (1 - fit.predictor.runs[0].factor) * 0x1p24 << " units, " << fit.predictor.runs[0].steps;
    EXPECT_GT(fit.saved_bits, 1);
  }
}

TEST(FitPredictor, FindsAScheduleThatRisesAndFalls) {
  const Floats base = SomeWeights(1024 * kColumns, 2);
  std::vector<double> factors;
  for (int s = 0; s < 20; ++s) factors.push_back(NarrowFactor(5e-5 * (s + 1) / 20));
  for (int s = 0; s < 100; ++s) factors.push_back(NarrowFactor(5e-5 * (100 - s) / 100));
  const Floats tensor = Trained(base, kColumns, factors);
  const PredictorFit fit = Fitted(base, tensor, kShape);
  ASSERT_EQ(fit.predictor.kind, PredictorKind::kReplay);
  EXPECT_GT(Hits(fit, base, tensor), 0.748);
}

TEST(FitPredictor, FindsAFactorThatF32DoesNotHold) {
  const Floats base = SomeWeights(1024 * kColumns, 3);
  const Floats tensor = Trained(base, kColumns, std::vector<double>(25, 1 - 2e-5 * 0.01));
  const PredictorFit fit = Fitted(base, tensor, kShape);
  ASSERT_EQ(fit.predictor.kind, PredictorKind::kReplay);
  EXPECT_EQ(fit.predictor.runs, (std::vector<ReplayRun>{{1 - 2e-7, 25}}));
  EXPECT_GT(Hits(fit, base, tensor), 0.7499);
}

TEST(FitPredictor, FindsTheFactorOfAMerge) {
  const Floats base = SomeWeights(70000, 4);
  for (float factor : {0.5F, 0.7F, 1.3F}) {
    Floats tensor = base;
    for (float& value : tensor) value *= factor;
    const PredictorFit fit = Fitted(base, tensor, {70000});
    ASSERT_EQ(fit.predictor.kind, PredictorKind::kReplay) << factor;
    EXPECT_EQ(Hits(fit, base, tensor), 1) << factor;
  }
}

TEST(FitPredictor, FindsNothingInNoiseOrInTheBaseItself) {
  const Floats base = SomeWeights(300 * kColumns, 6), other = SomeWeights(300 * kColumns, 7);
  EXPECT_EQ(Fitted(base, base, {300, kColumns}).predictor.kind, PredictorKind::kNone);
  EXPECT_EQ(Fitted(base, other, {300, kColumns}).predictor.kind, PredictorKind::kNone);
  Floats noisy = base;
  std::mt19937 random(8);
  for (float& value : noisy) value += 1e-4F * Noise(random);
  EXPECT_EQ(Fitted(base, noisy, {300, kColumns}).predictor.kind, PredictorKind::kNone);
  EXPECT_EQ(Fitted({}, {}, {0}).predictor.kind, PredictorKind::kNone);
}

/// An adapter of rank 8 merged in F32.
Floats Merged(const Floats& base, size_t columns) {
  std::mt19937 random(9);
  const size_t rows = base.size() / columns;
  Floats left(rows * 8), right(columns * 8), merged = base;
  for (float& value : left) value = 0.02F * Noise(random);
  for (float& value : right) value = 0.02F * Noise(random);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      float sum = 0;
      for (size_t k = 0; k < 8; ++k) sum += left[i * 8 + k] * right[j * 8 + k];
      merged[i * columns + j] += 2 * sum;
    }
  }
  return merged;
}

TEST(FitPredictor, FindsAMergedAdapter) {
  const Floats base = SomeWeights(300 * kColumns, 10), merged = Merged(base, kColumns);
  const PredictorFit fit = Fitted(base, merged, {300, kColumns});
  ASSERT_EQ(fit.predictor.kind, PredictorKind::kLowRank);
  EXPECT_EQ(fit.predictor.low_rank->rank(), 8u);
  EXPECT_GT(fit.saved_bits, 8);
}

TEST(FitPredictor, FindsAMergedAdapterBehindACast) {
  const Floats base = SomeWeights(300 * kColumns, 11), merged = Merged(base, kColumns);
  std::vector<std::byte> tensor(2 * merged.size());
  Predict(MakeCastPredictor(DType::kF32, DType::kBF16, false), 0, std::as_bytes(std::span(merged)), tensor);
  const PredictorFit fit = Fitted(std::as_bytes(std::span(base)), DType::kF32, tensor, DType::kBF16, {300, kColumns});
  EXPECT_EQ(fit.predictor.kind, PredictorKind::kLowRank);
}

TEST(FitPredictor, TellsRoundingFromCutting) {
  const Floats base = SomeWeights(5000, 12);
  for (bool is_truncated : {false, true}) {
    std::vector<std::byte> tensor(10000);
    Predict(MakeCastPredictor(DType::kF32, DType::kBF16, is_truncated), 0, std::as_bytes(std::span(base)), tensor);
    const PredictorFit fit = Fitted(std::as_bytes(std::span(base)), DType::kF32, tensor, DType::kBF16, {5000});
    ASSERT_EQ(fit.predictor.kind, PredictorKind::kCast);
    EXPECT_EQ(fit.predictor.is_truncated, is_truncated);
  }
}

TEST(FitPredictor, FindsTheSameOnEveryIsa) {
  const Floats base = SomeWeights(300 * kColumns, 13), merged = Merged(base, kColumns);
  const Floats trained = Trained(base, kColumns, std::vector<double>(120, NarrowFactor(3e-5)));
  for (const Floats& tensor : {merged, trained}) {
    std::vector<std::byte> first;
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      ByteWriter writer;
      SerializePredictor(Fitted(base, tensor, {300, kColumns}).predictor, writer);
      if (first.empty()) first.assign(writer.bytes().begin(), writer.bytes().end());
      EXPECT_TRUE(std::equal(first.begin(), first.end(), writer.bytes().begin(), writer.bytes().end())) << IsaName(isa);
    }
  }
  ForceIsa(std::nullopt);
}

}  // namespace
}  // namespace flyweight
