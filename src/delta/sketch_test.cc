#include "delta/sketch.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/random.h"

namespace flyweight {
namespace {

using test::Random;

/// A model in memory, F32 or BF16, of tensors with 512 columns.
struct Model {
  DType dtype = DType::kF32;
  std::vector<std::string> names;
  std::vector<Shape> shapes;
  std::vector<std::vector<float>> weights;

  void Add(std::string name, uint64_t rows, Random& random) {
    names.push_back(std::move(name));
    shapes.push_back({rows, 512});
    std::vector<float>& tensor = weights.emplace_back();
    for (uint64_t i = 0; i < rows * 512; ++i) tensor.push_back(static_cast<float>(0.02 * random.Gaussian()));
  }
  /// Changes a part of the weights by a part of themselves.
  void Tune(double part, double by, Random& random) {
    for (std::vector<float>& tensor : weights) {
      for (float& weight : tensor) {
        if (random.Below(1000000) < static_cast<uint64_t>(part * 1000000))
          weight *= static_cast<float>(1 + by * random.Gaussian());
      }
    }
  }
  size_t element_bytes() const { return dtype == DType::kF32 ? 4 : 2; }

  Sketch MakeSketch(const SketchSize& size = {}) const {
    std::vector<SketchTensor> tensors;
    for (size_t i = 0; i < names.size(); ++i) {
      tensors.push_back({names[i], dtype, &shapes[i], weights[i].size() * element_bytes()});
    }
    Result<Sketch> sketch = flyweight::MakeSketch(
        tensors, size, [&](size_t tensor, std::span<const uint64_t> begins, size_t run_bytes, MutableByteSpan target) {
          for (size_t run = 0; run < begins.size(); ++run) {
            for (size_t at = 0; at < run_bytes; at += element_bytes()) {
              float value = weights[tensor].at((begins[run] + at) / element_bytes());
              std::byte bytes[4];
              std::memcpy(bytes, &value, 4);
              size_t skip = 4 - element_bytes();  // BF16 is the upper half
              std::memcpy(target.data() + run * run_bytes + at, bytes + skip, element_bytes());
            }
          }
          return Status::Ok();
        });
    EXPECT_TRUE(sketch.ok());
    return sketch.value();
  }
};

Model Base(uint64_t seed, size_t layer_count = 12) {
  Random random(seed);
  Model model;
  model.Add("embed", 2048, random);
  for (size_t layer = 0; layer < layer_count; ++layer) model.Add("layer." + std::to_string(layer), 128, random);
  return model;
}

double Ratio(const PatchEstimate& estimate) { return estimate.patch_bytes / estimate.standalone_bytes; }

TEST(Sketch, TheSameModelCostsNothing) {
  Sketch sketch = Base(1).MakeSketch();
  PatchEstimate estimate = EstimatePatch(sketch, sketch);
  EXPECT_EQ(estimate.patch_bytes, 0);
  EXPECT_EQ(estimate.changed_part, 0);
  EXPECT_EQ(estimate.shared_part, 1);
  EXPECT_GT(estimate.sample_count, 300U);
  EXPECT_NEAR(estimate.standalone_bytes / static_cast<double>(sketch.tensor_bytes), 26.65 / 32, 0.02);
}

TEST(Sketch, AFineTuneIsNearAndAStrangerIsNot) {
  Model base = Base(1);
  Model tune = base;
  Random random(7);
  tune.Tune(0.3, 0.01, random);
  PatchEstimate near = EstimatePatch(tune.MakeSketch(), base.MakeSketch());
  EXPECT_LT(Ratio(near), 0.7);
  EXPECT_NEAR(near.changed_part, 0.3, 0.15);
  PatchEstimate far = EstimatePatch(tune.MakeSketch(), Base(2).MakeSketch());
  EXPECT_EQ(far.shared_part, 1);
  EXPECT_GT(Ratio(far), 0.97);
}

TEST(Sketch, TheNearerOfTwoCheckpointsCostsLess) {
  Model base = Base(1);
  Model middle = base;
  Random random(7);
  middle.Tune(0.5, 0.01, random);
  Model last = middle;
  last.Tune(0.2, 0.01, random);
  Sketch variant = last.MakeSketch();
  EXPECT_LT(Ratio(EstimatePatch(variant, middle.MakeSketch())), Ratio(EstimatePatch(variant, base.MakeSketch())));
}

TEST(Sketch, DTypesCompare) {
  Model wide = Base(1);
  Model narrow = wide;
  narrow.dtype = DType::kBF16;
  // Truncated, so that half of the weights are a step from the rounded ones.
  EXPECT_LT(Ratio(EstimatePatch(narrow.MakeSketch(), wide.MakeSketch())), 0.3);
  // What a narrow base leaves open is the low half.
  double back = Ratio(EstimatePatch(wide.MakeSketch(), narrow.MakeSketch()));
  EXPECT_GT(back, 0.5);
  EXPECT_LT(back, 0.9);
}

TEST(Sketch, AddedTensorsCostWhatTheyCostAlone) {
  Model base = Base(1);
  Model grown = base;
  Random random(9);
  grown.Add("head", 2000, random);
  PatchEstimate estimate = EstimatePatch(grown.MakeSketch(), base.MakeSketch());
  EXPECT_LT(estimate.shared_part, 0.7);
  EXPECT_NEAR(Ratio(estimate), 1 - estimate.shared_part, 0.02);
}

TEST(Sketch, AGrownVocabularyIsFoundAgain) {
  Model base = Base(1);
  Model grown = base;
  grown.shapes[0][0] += 3;
  grown.weights[0].resize(grown.weights[0].size() + 3 * 512, 0.5F);
  EXPECT_GT(EstimatePatch(grown.MakeSketch(), base.MakeSketch()).shared_part, 0.99);
}

TEST(Sketch, FewerTensorsCompareWithMore) {
  Model base = Base(1);
  SketchSize small;
  small.tensor_count = 4;
  PatchEstimate estimate = EstimatePatch(base.MakeSketch(), base.MakeSketch(small));
  EXPECT_EQ(estimate.patch_bytes, 0);
  EXPECT_GT(estimate.sample_count, 100U);
}

TEST(Sketch, NothingInCommonIsNoEstimate) {
  Model other = Base(1);
  for (std::string& name : other.names) name += ".x";
  PatchEstimate estimate = EstimatePatch(Base(1).MakeSketch(), other.MakeSketch());
  EXPECT_EQ(estimate.sample_count, 0U);
}

TEST(Sketch, ModelsWithoutFloatsHaveNoSamples) {
  Shape shape = {1000};
  SketchTensor tensor{"ids", DType::kI64, &shape, 8000};
  Result<Sketch> sketch = MakeSketch({&tensor, 1}, {}, [](size_t, std::span<const uint64_t>, size_t, MutableByteSpan) {
    return Status(Error{ErrorCode::kInternal, 0, "read"});
  });
  ASSERT_TRUE(sketch.ok());
  EXPECT_TRUE(sketch.value().sites.empty());
}

}  // namespace
}  // namespace flyweight
