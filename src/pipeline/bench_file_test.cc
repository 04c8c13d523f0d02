#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/annotate.h"
#include "flyweight/bench.h"
#include "pipeline/bench_sample.h"
#include "support/matchers.h"
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
using test::WriteFile;
using Bytes = std::vector<std::byte>;

Bytes Model(uint64_t rows, uint64_t columns) {
  Random random(1);
  Random other(2);
  return test::BuildSafetensors(
      {{"a", "BF16", {rows, columns}, test::MakeTensor(DType::kBF16, rows, columns, Pattern::kWeights, random)},
       {"b", "F32", {rows, 2, columns}, test::MakeTensor(DType::kF32, rows, 2 * columns, Pattern::kWeights, other)}});
}

TEST(BenchFile, MeasuresEachLevelAndZstd) {
  TempDir directory;
  Bytes model = Model(128, 256);
  WriteFile(directory.File("m"), model);
  Result<BenchReport> report = BenchFile(directory.File("m"), {});
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report.value().container_format, "safetensors");
  EXPECT_EQ(report.value().file_bytes, model.size());
  EXPECT_EQ(report.value().sample_bytes, model.size());
  std::vector<std::string> names;
  for (const BenchRow& row : report.value().rows) {
    names.push_back(row.name);
    EXPECT_EQ(row.source_bytes, model.size());
    EXPECT_GT(row.stored_bytes, 0U);
    EXPECT_GT(row.encode_seconds, 0);
    EXPECT_GT(row.decode_seconds, 0);
    EXPECT_NEAR(row.ratio, static_cast<double>(row.stored_bytes) / static_cast<double>(model.size()), 1e-9);
  }
  EXPECT_THAT(names, testing::ElementsAre("fast", "balanced", "high", "max", "zstd -1", "zstd -3", "zstd -19"));
  EXPECT_LE(report.value().rows[3].stored_bytes, report.value().rows[0].stored_bytes);
  EXPECT_THAT(directory.Names(), testing::ElementsAre("m"));
}

TEST(BenchFile, MeasuresOnlyWhatIsWanted) {
  TempDir directory;
  WriteFile(directory.File("m"), Model(64, 64));
  std::vector<std::string> stages;
  BenchOptions options;
  options.levels = {Level::kMax, Level::kFast};
  options.zstd = false;
  options.progress = [&](const Progress& progress) { stages.emplace_back(progress.stage); };
  Result<BenchReport> report = BenchFile(directory.File("m"), options);
  ASSERT_THAT(report, IsOk());
  ASSERT_EQ(report.value().rows.size(), 2U);
  EXPECT_EQ(report.value().rows[0].name, "fast");
  EXPECT_EQ(report.value().rows[1].name, "max");
  EXPECT_THAT(stages, testing::ElementsAre("fast", "max"));
}

TEST(BenchFile, TakesAnyFile) {
  TempDir directory;
  for (size_t size : {0U, 1U, 100U}) {
    WriteFile(directory.File("m"), Bytes(size, std::byte{1}));
    Result<BenchReport> report = BenchFile(directory.File("m"), {});
    ASSERT_THAT(report, IsOk()) << size;
    EXPECT_EQ(report.value().rows.size(), 7U);
  }
  EXPECT_THAT(BenchFile("-", {}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(BenchFile(directory.path(), {}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(BenchFile(directory.File("missing"), {}), FailsWith(ErrorCode::kIo));
}

TEST(BenchFile, TakesASampleOfLargeFiles) {
  TempDir directory;
  Bytes model = Model(2048, 1024);
  WriteFile(directory.File("m"), model);
  BenchOptions options;
  options.sample_bytes = model.size() / 4;
  options.zstd = false;
  options.levels = {Level::kFast};
  Result<BenchReport> report = BenchFile(directory.File("m"), options);
  ASSERT_THAT(report, IsOk());
  EXPECT_LE(report.value().sample_bytes, model.size() / 4 + (64 << 10));
  EXPECT_GT(report.value().sample_bytes, model.size() / 5);
}

TEST(TakeBenchSample, CutsTensorsBetweenRows) {
  Bytes model = Model(2048, 1024);  // 4 MiB and 16 MiB
  MemorySource source(model);
  Result<FileMap> map = Annotate(source);
  ASSERT_THAT(map, IsOk());
  Result<BenchSample> sample = TakeBenchSample(source, map.value(), model.size() / 2);
  ASSERT_THAT(sample, IsOk());
  ASSERT_EQ(sample.value().map.extents.size(), 2U);  // the header is too small to be among them
  const Extent& first = sample.value().map.extents[0];
  EXPECT_EQ(first.shape, (Shape{1024, 1024}));
  const Extent& second = sample.value().map.extents[1];
  EXPECT_EQ(second.shape, (Shape{1024, 2, 1024}));
  EXPECT_EQ(second.offset, first.size_bytes);
  size_t rows = 512 * 1024 * 2;  // before the middle
  uint64_t header_bytes = map.value().extents[0].size_bytes;
  EXPECT_TRUE(std::ranges::equal(sample.value().span().first(100), ByteSpan(model).subspan(header_bytes + rows, 100)));
}

TEST(TakeBenchSample, TakesAllOfSmallFiles) {
  Bytes model = Model(16, 16);
  MemorySource source(model);
  Result<FileMap> map = Annotate(source);
  ASSERT_THAT(map, IsOk());
  Result<BenchSample> sample = TakeBenchSample(source, map.value(), model.size());
  ASSERT_THAT(sample, IsOk());
  EXPECT_TRUE(std::ranges::equal(sample.value().span(), model));
  EXPECT_EQ(sample.value().map.extents.size(), map.value().extents.size());
}

}  // namespace
}  // namespace flyweight
