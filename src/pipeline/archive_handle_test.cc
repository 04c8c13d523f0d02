#include <thread>

#include "archive/writer.h"
#include "base/file.h"
#include "flyweight/pipeline.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/safetensors_file.h"
#include "support/temp_dir.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using test::Pattern;
using test::Random;
using test::TempDir;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

AppendCallback AppendTo(Bytes& target) {
  return [&target](std::span<const std::byte> piece) {
    target.insert(target.end(), piece.begin(), piece.end());
    return Status::Ok();
  };
}

Bytes CompressModel(const Bytes& model, size_t thread_count = 2) {
  Bytes archive;
  EXPECT_THAT(CompressFileBytes(model, "model.safetensors", Level::kBalanced, thread_count, AppendTo(archive)), IsOk());
  return archive;
}

/// A tensor of three chunks between small ones.
Bytes Model() {
  Random random(5);
  return test::BuildSafetensors(
      {{"a", "U8", {5}, test::MakeIntegerWords(1, 5, Pattern::kRandomBits, random)},
       {"w", "BF16", {700, 1000}, test::MakeTensor(DType::kBF16, 700, 1000, Pattern::kWeights, random)},
       {"z", "F32", {0}, {}}});
}

TEST(Archive, RestoresTheFileFromMemory) {
  Bytes model = Model();
  Bytes archive = CompressModel(model);
  Result<Archive> opened = Archive::OpenBytes(archive);
  ASSERT_THAT(opened, IsOk());
  ASSERT_EQ(opened.value().file_bytes(), model.size());
  for (size_t thread_count : {1, 2, 5}) {
    Bytes restored(model.size());
    ASSERT_THAT(opened.value().DecodeFile(restored, thread_count, true), IsOk());
    EXPECT_TRUE(restored == model);
  }
}

TEST(Archive, IsWhatCompressFileWrites) {
  TempDir directory;
  Bytes model = Model();
  test::WriteFile(directory.File("model.safetensors"), model);
  ASSERT_THAT(CompressFile(directory.File("model.safetensors"), directory.File("out"), {}), IsOk());
  EXPECT_TRUE(test::ReadFile(directory.File("out")) == CompressModel(model));
  Result<Archive> opened = Archive::OpenPath(directory.File("out"));
  ASSERT_THAT(opened, IsOk());
  Bytes restored(model.size());
  ASSERT_THAT(opened.value().DecodeFile(restored, 2, true), IsOk());
  EXPECT_TRUE(restored == model);
}

TEST(Archive, DecodesAnyRangeOfAnExtent) {
  Bytes model = Model();
  Bytes archive = CompressModel(model);
  Result<Archive> opened = Archive::OpenBytes(archive);
  ASSERT_THAT(opened, IsOk());
  const std::vector<ListedTensor>& extents = opened.value().listing().extents;
  uint64_t extent_offset = 0;
  for (size_t i = 0; i < extents.size(); ++i) {
    uint64_t size = extents[i].decoded_bytes;
    Random random(i);
    std::vector<std::pair<uint64_t, uint64_t>> ranges = {{0, size}, {0, 0}, {size, 0}};
    if (size > 0) ranges.emplace_back(size - 1, 1);
    if (size > (1U << 19)) ranges.insert(ranges.end(), {{(1U << 19) - 1, 2}, {1U << 19, 1U << 19}, {5, size - 9}});
    for (int n = 0; n < 8 && size > 0; ++n) {
      uint64_t begin = random.Below(size);
      ranges.emplace_back(begin, random.Below(size - begin) + 1);
    }
    for (auto [begin, count] : ranges) {
      Bytes part(count);
      ASSERT_THAT(opened.value().DecodeExtent(i, begin, part, 2), IsOk());
      EXPECT_TRUE(std::equal(part.begin(), part.end(), model.begin() + static_cast<ptrdiff_t>(extent_offset + begin)))
          << extents[i].name << " from " << begin << ", " << count << " bytes";
    }
    extent_offset += size;
  }
}

TEST(Archive, RefusesRangesOutsideAnExtent) {
  Bytes archive = CompressModel(Model());
  Result<Archive> opened = Archive::OpenBytes(archive);
  ASSERT_THAT(opened, IsOk());
  uint64_t size = opened.value().listing().extents[0].decoded_bytes;
  Bytes part(2);
  EXPECT_THAT(opened.value().DecodeExtent(0, size - 1, part, 1), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(opened.value().DecodeExtent(0, UINT64_MAX, part, 1), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(opened.value().DecodeExtent(99, 0, part, 1), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(opened.value().DecodeFile(part, 1, true), FailsWith(ErrorCode::kInvalidArgument));
}

TEST(Archive, ServesSeveralThreadsAtOnce) {
  Bytes model = Model();
  Bytes archive = CompressModel(model);
  Result<Archive> opened = Archive::OpenBytes(archive);
  ASSERT_THAT(opened, IsOk());
  std::vector<Bytes> restored(4, Bytes(model.size()));
  std::vector<std::thread> threads;
  for (Bytes& target : restored) {
    threads.emplace_back([&] { EXPECT_THAT(opened.value().DecodeFile(target, 2, true), IsOk()); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Bytes& target : restored) EXPECT_TRUE(target == model);
}

TEST(Archive, RefusesToDecodeSeveralFilesOrNoneAsOne) {
  for (size_t file_count : {0, 2}) {
    MemorySink sink;
    ArchiveWriter writer(sink);
    ASSERT_THAT(writer.Begin(), IsOk());
    ArchiveIndex index;
    for (size_t i = 0; i < file_count; ++i)
      index.files.emplace_back().name = std::string(1, static_cast<char>('a' + i));
    ASSERT_THAT(writer.Finish(index), IsOk());
    Result<Archive> opened = Archive::OpenBytes(sink.bytes());
    ASSERT_THAT(opened, IsOk());
    EXPECT_EQ(opened.value().listing().files.size(), file_count);
    EXPECT_THAT(opened.value().DecodeFile({}, 1, true), FailsWith(ErrorCode::kInvalidArgument));
    TempDir directory;
    test::WriteFile(directory.File("a.fly"), sink.bytes());
    EXPECT_THAT(DecompressFile(directory.File("a.fly"), directory.File("a"), {}),
                FailsWith(ErrorCode::kUnsupportedFeature));
    EXPECT_THAT(VerifyFile(directory.File("a.fly"), {.thread_count = 1}), IsOk());
  }
}

TEST(Archive, RestoresExtentsThatAreTheSameAsOthers) {
  Random random(2);
  Bytes weights = test::MakeTensor(DType::kF32, 100, 30, Pattern::kWeights, random);
  MemorySink sink;
  ArchiveWriter writer(sink);
  ASSERT_THAT(writer.Begin(), IsOk());
  CodecScratch scratch;
  Result<RecordPlan> plan =
      PlanRecord(MemorySource(weights), 0, weights.size(), DType::kF32, {100, 30}, Level::kBalanced, scratch);
  ASSERT_THAT(plan, IsOk());
  ASSERT_THAT(writer.BeginRecord(plan.value()), IsOk());
  Bytes frame(FrameBound(weights.size()));
  ChunkEntry entry = EncodeFrame(plan.value(), 0, weights, frame, scratch);
  ASSERT_THAT(writer.AppendFrame(std::span(frame).first(entry.frame_bytes), entry), IsOk());
  auto place = writer.EndRecord();
  ASSERT_THAT(place, IsOk());
  ArchiveIndex index;
  IndexFile& file = index.files.emplace_back();
  file.file_bytes = 2 * weights.size();
  IndexExtent extent;
  extent.decoded_bytes = weights.size();
  extent.place = PlaceKind::kRecord;
  extent.record_offset = place.value().offset;
  extent.record_bytes = place.value().record_bytes;
  extent.record_check = place.value().record_check;
  IndexExtent same;
  same.decoded_bytes = weights.size();
  same.place = PlaceKind::kSame;
  same.same_as = 0;
  file.extents = {extent, same};
  ASSERT_THAT(writer.Finish(index), IsOk());

  Result<Archive> opened = Archive::OpenBytes(sink.bytes());
  ASSERT_THAT(opened, IsOk());
  Bytes expected = weights;
  expected.insert(expected.end(), weights.begin(), weights.end());
  Bytes restored(expected.size());
  ASSERT_THAT(opened.value().DecodeFile(restored, 2, true), IsOk());
  EXPECT_TRUE(restored == expected);
  Bytes part(100);
  ASSERT_THAT(opened.value().DecodeExtent(1, 50, part, 1), IsOk());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), weights.begin() + 50));
}

TEST(CompressFileBytes, RefusesNamesThatAreNoFileNames) {
  Bytes ignored;
  for (std::string_view name :
       {std::string_view("a/b"), std::string_view("a\0b", 3), std::string_view(".."), std::string_view(".")}) {
    EXPECT_THAT(CompressFileBytes({}, name, Level::kBalanced, 1, AppendTo(ignored)),
                FailsWith(ErrorCode::kInvalidArgument));
  }
  EXPECT_TRUE(ignored.empty());
}

TEST(CompressFileBytes, StopsWhereTheCallbackFails) {
  AppendCallback full = [](std::span<const std::byte>) -> Status { return Error{ErrorCode::kIo, 0, "no space"}; };
  EXPECT_THAT(CompressFileBytes(Model(), "m", Level::kBalanced, 2, full), FailsWith(ErrorCode::kIo));
}

TEST(CompressBuffer, RefusesShapesThatDoNotFit) {
  Bytes ignored;
  Bytes bytes(12);
  auto compress = [&](DType dtype, Shape shape) {
    return CompressBuffer({.name = "", .dtype = dtype, .shape = std::move(shape), .bytes = bytes}, Level::kBalanced, 1,
                          AppendTo(ignored));
  };
  EXPECT_THAT(compress(DType::kF32, {3}), IsOk());
  EXPECT_THAT(compress(DType::kF32, {}), IsOk());
  EXPECT_THAT(compress(DType::kOpaque, {99}), IsOk());
  EXPECT_THAT(compress(DType::kF32, {4}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(compress(DType::kF64, {}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(compress(DType::kF32, {UINT64_MAX, UINT64_MAX}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(compress(static_cast<DType>(999), {3}), FailsWith(ErrorCode::kInvalidArgument));
}

TEST(CompressBuffer, KeepsDtypeAndShape) {
  Bytes bytes(24);
  Bytes archive;
  ASSERT_THAT(CompressBuffer({.name = "", .dtype = DType::kI32, .shape = {2, 3}, .bytes = bytes}, Level::kBalanced, 1,
                             AppendTo(archive)),
              IsOk());
  Result<Archive> opened = Archive::OpenBytes(archive);
  ASSERT_THAT(opened, IsOk());
  ASSERT_EQ(opened.value().listing().extents.size(), 1U);
  EXPECT_EQ(opened.value().listing().extents[0].dtype, DType::kI32);
  EXPECT_EQ(opened.value().listing().extents[0].shape, (Shape{2, 3}));
  EXPECT_EQ(opened.value().listing().files.front().sha256_hex, "");
}

}  // namespace
}  // namespace flyweight
