#include "flyweight/patch_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "archive/reader.h"
#include "base/bytes.h"
#include "base/file.h"

namespace flyweight {
namespace {

using ::testing::HasSubstr;

using Buffer = std::vector<std::byte>;

/// Tensors and their memory.
struct Model {
  std::vector<TensorView> rows;
  std::vector<Buffer> memory;

  void Add(std::string name, DType dtype, Shape shape, Buffer bytes) {
    memory.push_back(std::move(bytes));
    rows.push_back({.name = std::move(name), .dtype = dtype, .shape = std::move(shape), .bytes = {}});
  }
  std::vector<TensorView> Views() const {
    std::vector<TensorView> views = rows;
    for (size_t i = 0; i < views.size(); ++i) views[i].bytes = memory[i];
    return views;
  }
  std::vector<TensorTarget> Targets() {
    std::vector<TensorTarget> targets;
    for (size_t i = 0; i < rows.size(); ++i) targets.push_back({rows[i].name, rows[i].dtype, rows[i].shape, memory[i]});
    return targets;
  }
};

Buffer Weights(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02F);
  Buffer bytes(count * 2);
  for (size_t i = 0; i < count; ++i) {
    float value = normal(random);
    uint32_t word;
    std::memcpy(&word, &value, sizeof word);
    StoreLe(bytes.data() + 2 * i, static_cast<uint16_t>(word >> 16));
  }
  return bytes;
}

/// Every `step`th word moves by one.
Buffer Moved(Buffer bytes, size_t step) {
  for (size_t i = 0; i + 2 <= bytes.size(); i += 2 * step) {
    StoreLe(bytes.data() + i, static_cast<uint16_t>(LoadLe<uint16_t>(bytes.data() + i) + 1));
  }
  return bytes;
}

Model SmallModel(unsigned seed) {
  Model model;
  model.Add("embedding", DType::kBF16, {1000, 600}, Weights(600'000, seed));
  model.Add("layer.weight", DType::kBF16, {64, 128}, Weights(8192, seed + 1));
  model.Add("layer.f32", DType::kF32, {64, 64}, Weights(8192, seed + 2));
  model.Add("norm", DType::kBF16, {16}, Weights(16, seed + 3));
  model.Add("empty", DType::kF16, {0, 3}, {});
  model.Add("counter", DType::kI64, {}, Weights(4, seed + 4));
  model.Add("bytes", DType::kU8, {999}, Buffer(999, std::byte{5}));
  return model;
}

Model Step(const Model& model, size_t step) {
  Model next = model;
  for (Buffer& bytes : next.memory) bytes = Moved(bytes, step);
  next.memory[1] = model.memory[1];
  return next;
}

Buffer PatchOf(const Model& next, const Model& base, MakePatchOptions options = {}) {
  Buffer patch;
  std::vector<TensorView> tensors = next.Views(), base_tensors = base.Views();
  Status status = MakePatch(tensors, base_tensors, options, [&](ByteSpan bytes) {
    patch.insert(patch.end(), bytes.begin(), bytes.end());
    return Status::Ok();
  });
  EXPECT_TRUE(status.ok()) << status.error().message;
  return patch;
}

Result<ApplySummary> Apply(const Buffer& patch, Model& model, const ApplyOptions& options = {}) {
  auto opened = TensorPatch::Open(patch);
  if (!opened.ok()) return opened.take_error();
  std::vector<TensorTarget> targets = model.Targets();
  return opened.value().ApplyInPlace(targets, options);
}

TEST(PatchBuffer, ChangesTensorsInPlaceWithAnyNumberOfThreads) {
  const Model base = SmallModel(1), next = Step(base, 50);
  Buffer patch = PatchOf(next, base);
  EXPECT_LT(patch.size(), 60'000U);
  for (size_t threads : {1, 4}) {
    for (bool check_first : {true, false}) {
      Model model = base;
      auto summary = Apply(patch, model, {.thread_count = threads, .check_first = check_first});
      ASSERT_TRUE(summary.ok()) << summary.error().message;
      EXPECT_EQ(model.memory, next.memory);
      EXPECT_EQ(summary.value().done_count, 0U);
      model = base;
      ASSERT_TRUE(Apply(patch, model, {.check_first = check_first, .check_result = false}).ok());
      EXPECT_EQ(model.memory, next.memory);
    }
  }
}

TEST(PatchBuffer, DoesNotDependOnThreads) {
  const Model base = SmallModel(1), next = Step(base, 50);
  EXPECT_EQ(PatchOf(next, base, {.thread_count = 1, .name = {}, .base_name = {}}),
            PatchOf(next, base, {.thread_count = 5, .name = {}, .base_name = {}}));
}

TEST(PatchBuffer, IsAnArchiveThatSaysWhatItNeeds) {
  const Model base = SmallModel(1), next = Step(base, 50);
  Buffer patch = PatchOf(next, base, {.name = "v000002", .base_name = "v000001"});
  auto archive = Archive::OpenBytes(patch);
  ASSERT_TRUE(archive.ok()) << archive.error().message;
  EXPECT_EQ(archive.value().listing().extents.size(), base.rows.size());
  auto opened = TensorPatch::Open(patch);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened.value().name(), "v000002");
  EXPECT_EQ(opened.value().base_name(), "v000001");
  const PatchedTensor& tensor = opened.value().tensors()[0];
  EXPECT_EQ(tensor.name, "embedding");
  EXPECT_TRUE(tensor.needs_base && tensor.is_in_place);
  EXPECT_EQ(tensor.base_bytes, 1'200'000U);
}

TEST(PatchBuffer, ASecondApplicationIsNoticedOrDoesNothing) {
  const Model base = SmallModel(1), next = Step(base, 50);
  Buffer patch = PatchOf(next, base);
  Model model = base;
  ASSERT_TRUE(Apply(patch, model).ok());
  auto again = Apply(patch, model);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyApplied);
  EXPECT_EQ(model.memory, next.memory);
  auto idempotent = Apply(patch, model, {.idempotent = true});
  ASSERT_TRUE(idempotent.ok());
  EXPECT_EQ(idempotent.value().written_count, 0U);
  EXPECT_GT(idempotent.value().done_count, 0U);
  EXPECT_EQ(model.memory, next.memory);
}

TEST(PatchBuffer, CompletesAnApplicationThatWasInterruptedBetweenChunks) {
  const Model base = SmallModel(1), next = Step(base, 50);
  Buffer patch = PatchOf(next, base);
  for (bool check_first : {true, false}) {
    Model model = base;
    constexpr size_t kChunkBytes = 512 * 1024;
    std::copy_n(next.memory[0].begin(), kChunkBytes, model.memory[0].begin());
    model.memory[2] = next.memory[2];
    auto summary = Apply(patch, model, {.check_first = check_first});
    ASSERT_TRUE(summary.ok()) << summary.error().message;
    EXPECT_EQ(summary.value().done_count, 2U);
    EXPECT_EQ(model.memory, next.memory);
  }
}

TEST(PatchBuffer, NamesTornChunksAndWritesNothing) {
  const Model base = SmallModel(1), next = Step(base, 50);
  Buffer patch = PatchOf(next, base, {.name = "v2", .base_name = "v1"});
  Model model = base;
  constexpr size_t kTornBytes = 700 * 1024;  // one chunk is new, the next half new
  std::copy_n(next.memory[0].begin(), kTornBytes, model.memory[0].begin());
  const Model before = model;
  auto summary = Apply(patch, model);
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, ErrorCode::kWrongBase);
  EXPECT_EQ(summary.error().message, "some chunks are neither those of 'v1' nor those of 'v2': 'embedding' chunk 1");
  EXPECT_EQ(model.memory, before.memory);
}

TEST(PatchBuffer, RefusesAnotherBaseAlsoWhereThePatchChangesNothingAndWritesNothing) {
  const Model base = SmallModel(1), next = Step(base, 50);
  Buffer patch = PatchOf(next, base);
  Model other = SmallModel(9);
  const Model before = other;
  auto summary = Apply(patch, other);
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, ErrorCode::kWrongBase);
  EXPECT_EQ(other.memory, before.memory);
  Model sibling = base;
  sibling.memory[1][77] ^= std::byte{1};  // of a tensor that stays as it is
  summary = Apply(patch, sibling);
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, ErrorCode::kWrongBase);
  EXPECT_THAT(summary.error().message, HasSubstr("'layer.weight' chunk 0"));
  EXPECT_EQ(sibling.memory[0], base.memory[0]);
  EXPECT_EQ(Apply(patch, other, {.check_first = false, .check_result = false}).error().code, ErrorCode::kWrongBase);
}

TEST(PatchBuffer, RefusesTargetsThatAreMissingTwiceOrOfAnotherShape) {
  const Model base = SmallModel(1), next = Step(base, 50);
  Buffer patch = PatchOf(next, base);
  auto opened = TensorPatch::Open(patch);
  ASSERT_TRUE(opened.ok());
  Model model = base;
  std::vector<TensorTarget> targets = model.Targets();
  targets[0].shape = {600, 1000};
  EXPECT_EQ(opened.value().ApplyInPlace(targets, {}).error().code, ErrorCode::kWrongBase);
  targets = model.Targets();
  targets[0].dtype = DType::kF16;
  EXPECT_EQ(opened.value().ApplyInPlace(targets, {}).error().code, ErrorCode::kWrongBase);
  targets = model.Targets();
  targets.pop_back();
  EXPECT_THAT(opened.value().ApplyInPlace(targets, {}).error().message, HasSubstr("'bytes', which is not there"));
  targets = model.Targets();
  targets.push_back(targets[0]);
  EXPECT_EQ(opened.value().ApplyInPlace(targets, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(model.memory, base.memory);
  targets = model.Targets();
  targets.pop_back();
  EXPECT_TRUE(opened.value().ApplyInPlace(targets, {.only_targets = true}).ok());
  EXPECT_EQ(model.memory[0], next.memory[0]);
  EXPECT_EQ(model.memory.back(), base.memory.back());
}

TEST(PatchBuffer, ChangesTiedTensorsOnceAndRefusesThoseThatOverlapOtherwise) {
  Model base, next;
  for (const char* name : {"embedding", "head"}) {
    base.Add(name, DType::kBF16, {1000, 300}, Weights(300'000, 1));
    next.Add(name, DType::kBF16, {1000, 300}, Moved(base.memory[0], 50));
  }
  Buffer patch = PatchOf(next, base);
  auto opened = TensorPatch::Open(patch);
  ASSERT_TRUE(opened.ok());
  for (bool check_first : {true, false}) {
    Model model = base;
    std::vector<TensorTarget> targets = model.Targets();
    targets[1].bytes = targets[0].bytes;
    auto summary = opened.value().ApplyInPlace(targets, {.check_first = check_first});
    ASSERT_TRUE(summary.ok()) << summary.error().message;
    EXPECT_EQ(model.memory[0], next.memory[0]);
  }
  Model different = next;
  different.memory[1] = Moved(base.memory[0], 40);
  patch = PatchOf(different, base);
  opened = TensorPatch::Open(patch);
  ASSERT_TRUE(opened.ok());
  Model model = base;
  std::vector<TensorTarget> targets = model.Targets();
  targets[1].bytes = targets[0].bytes;
  EXPECT_EQ(opened.value().ApplyInPlace(targets, {}).error().code, ErrorCode::kInvalidArgument);
  Buffer memory(900'000);
  targets[0].bytes = std::span(memory).first(600'000);
  targets[1].bytes = std::span(memory).last(600'000);
  EXPECT_EQ(opened.value().ApplyInPlace(targets, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(model.memory, base.memory);
}

TEST(PatchBuffer, FlippedBitsAreErrorsBeforeAnythingIsWritten) {
  const Model base = SmallModel(1), next = Step(base, 20);
  const Buffer patch = PatchOf(next, base);
  std::mt19937 random(3);
  for (int i = 0; i < 400; ++i) {
    Buffer broken = patch;
    size_t bit = random() % (patch.size() * 8);
    broken[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    Model model = base;
    auto summary = Apply(broken, model, {.thread_count = 1});
    // One of the two indexes may be damaged without harm.
    EXPECT_EQ(model.memory, summary.ok() ? next.memory : base.memory) << bit;
  }
}

TEST(PatchBuffer, CutPatchesAreErrors) {
  const Model base = SmallModel(1), next = Step(base, 20);
  const Buffer patch = PatchOf(next, base);
  for (size_t size : {size_t{0}, size_t{7}, size_t{64}, patch.size() / 2, patch.size() - 1}) {
    EXPECT_FALSE(TensorPatch::Open(std::span(patch).first(size)).ok()) << size;
  }
}

TEST(PatchBuffer, AnchorsNeedNoBase) {
  const Model base = SmallModel(1);
  Buffer anchor = PatchOf(base, Model(), {.name = "v1"});
  Model model = SmallModel(2);
  ASSERT_TRUE(Apply(anchor, model).ok());
  EXPECT_EQ(model.memory, base.memory);
}

TEST(PatchBuffer, GrownTensorsAreDecodedBesideTheirBase) {
  Model base, next;
  base.Add("embedding", DType::kBF16, {1000, 100}, Weights(100'000, 1));
  Buffer grown = Moved(base.memory[0], 50), more = Weights(1000, 7);
  grown.insert(grown.end(), more.begin(), more.end());
  next.Add("embedding", DType::kBF16, {1010, 100}, grown);
  Buffer patch = PatchOf(next, base);
  EXPECT_LT(patch.size(), 12'000U);
  auto opened = TensorPatch::Open(patch);
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE(opened.value().tensors()[0].needs_base);
  EXPECT_FALSE(opened.value().tensors()[0].is_in_place);
  Buffer target(grown.size());
  ASSERT_TRUE(opened.value().Decode(0, base.memory[0], target, 1).ok());
  EXPECT_EQ(target, grown);
  EXPECT_EQ(opened.value().Decode(0, ByteSpan(base.memory[0]).first(100), target, 1).error().code,
            ErrorCode::kWrongBase);
  Model old = base;
  EXPECT_EQ(Apply(patch, old).error().code, ErrorCode::kWrongBase);
  EXPECT_EQ(Apply(patch, next).error().code, ErrorCode::kAlreadyApplied);
}

TEST(PatchBuffer, StoresTensorsWhoseBaseIsNoHelpWithoutIt) {
  Model base, next;
  base.Add("a", DType::kBF16, {600, 1000}, Weights(600'000, 1));
  next.Add("a", DType::kBF16, {600, 1000}, Weights(600'000, 2));
  next.Add("new", DType::kBF16, {100, 100}, Weights(10'000, 3));
  Buffer alone = PatchOf(next, Model()), patch = PatchOf(next, base);
  EXPECT_LE(patch.size(), alone.size() + 200);
  auto opened = TensorPatch::Open(patch);
  ASSERT_TRUE(opened.ok());
  EXPECT_FALSE(opened.value().tensors()[0].needs_base);
}

TEST(PatchBuffer, RefusesTensorsThatContradictThemselvesAndArchivesOfFiles) {
  Model model;
  model.Add("a", DType::kBF16, {3}, Buffer(8));
  std::vector<TensorView> tensors = model.Views();
  auto ignore = [](ByteSpan) { return Status::Ok(); };
  EXPECT_EQ(MakePatch(tensors, {}, {}, ignore).error().code, ErrorCode::kInvalidArgument);
  tensors[0].shape = {4};
  tensors.push_back(tensors[0]);
  EXPECT_EQ(MakePatch(tensors, {}, {}, ignore).error().code, ErrorCode::kInvalidArgument);
  Buffer archive;
  ASSERT_TRUE(CompressFileBytes(AsBytes("some text"), "a.txt", Level::kFast, 1, [&](ByteSpan bytes) {
                archive.insert(archive.end(), bytes.begin(), bytes.end());
                return Status::Ok();
              }).ok());
  auto opened = TensorPatch::Open(archive);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kUnsupportedFeature);
}

}  // namespace
}  // namespace flyweight
