#include "flyweight/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "pipeline/scan_reason.h"
#include "pipeline/scan_sample.h"
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
using test::SafetensorsEntry;
using test::TempDir;
using test::WriteFile;
using testing::HasSubstr;
using testing::StartsWith;
using Bytes = std::vector<std::byte>;

SafetensorsEntry Tensor(std::string name, DType dtype, uint64_t rows, uint64_t columns, Pattern pattern,
                        uint64_t seed) {
  Random random(seed);
  return {std::move(name),
          std::string(Describe(dtype).name),
          {rows, columns},
          test::MakeTensor(dtype, rows, columns, pattern, random)};
}

ScanReport ScanOf(const std::string& path, uint64_t sample_bytes) {
  ScanOptions options;
  options.thread_count = 2;
  options.sample_bytes = sample_bytes;
  Result<ScanReport> report = ScanFile(path, options);
  EXPECT_THAT(report, IsOk());
  return report.ok() ? report.value() : ScanReport();
}

uint64_t ArchiveBytes(const std::vector<std::string>& sources, const std::string& target, Level level) {
  CompressOptions options;
  options.thread_count = 2;
  options.level = level;
  options.overwrite = true;
  options.verify = false;
  Result<CompressSummary> summary = Compress(sources, target, options);
  EXPECT_THAT(summary, IsOk());
  return summary.ok() ? summary.value().archive_bytes : 0;
}

double PointsApart(uint64_t estimated, uint64_t actual, uint64_t whole) {
  return 100.0 * std::abs(static_cast<double>(estimated) - static_cast<double>(actual)) / static_cast<double>(whole);
}

struct Kind {
  const char* name;
  DType dtype;
  Pattern pattern;
};

class ScanOfKinds : public testing::TestWithParam<Kind> {};

TEST_P(ScanOfKinds, IsWithinTwoPointsOfEachLevel) {
  TempDir directory;
  std::string path = directory.File("m.safetensors");
  // Chunks of three tensors, of which two thirds are looked at.
  std::vector<SafetensorsEntry> entries;
  for (uint64_t layer = 0; layer < 3; ++layer) {
    entries.push_back(
        Tensor("layers." + std::to_string(layer) + ".w", GetParam().dtype, 1024, 1024, GetParam().pattern, layer + 1));
  }
  WriteFile(path, test::BuildSafetensors(entries));
  constexpr uint64_t kSampleBytes = 1 << 20;
  ScanReport report = ScanOf(path, kSampleBytes);
  EXPECT_LT(report.sampled_bytes, report.file_bytes);
  for (Level level : kAllLevels) {
    uint64_t archive_bytes = ArchiveBytes({path}, directory.File("a.fly"), level);
    EXPECT_LT(PointsApart(report.estimated_bytes[static_cast<size_t>(level)], archive_bytes, report.file_bytes), 2.0)
        << LevelName(level) << ": " << archive_bytes;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, ScanOfKinds,
                         testing::Values(Kind{"Bf16Weights", DType::kBF16, Pattern::kWeights},
                                         Kind{"F16Weights", DType::kF16, Pattern::kWeights},
                                         Kind{"F32Weights", DType::kF32, Pattern::kWeights},
                                         Kind{"PlainGaussian", DType::kBF16, Pattern::kPlainGaussian},
                                         Kind{"Sparse", DType::kBF16, Pattern::kSparse},
                                         Kind{"Zeros", DType::kF32, Pattern::kZeros},
                                         Kind{"Noise", DType::kBF16, Pattern::kRandomBits},
                                         Kind{"HalfInFloat", DType::kF32, Pattern::kHalfInFloat},
                                         Kind{"Quantised", DType::kBF16, Pattern::kQuantised},
                                         Kind{"Integers", DType::kI8, Pattern::kWeights}),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST(ScanFile, CountsEqualTensorsOnce) {
  TempDir directory;
  std::string path = directory.File("m.safetensors");
  std::vector<SafetensorsEntry> entries = {Tensor("embed", DType::kBF16, 512, 512, Pattern::kWeights, 1),
                                           Tensor("head", DType::kBF16, 512, 512, Pattern::kWeights, 1),
                                           Tensor("other", DType::kBF16, 512, 512, Pattern::kWeights, 2)};
  WriteFile(path, test::BuildSafetensors(entries));
  ScanReport report = ScanOf(path, 64 << 20);
  ASSERT_EQ(report.extents.size(), 4U);  // the header too
  EXPECT_EQ(report.extents[2].same_as, 1U);
  EXPECT_EQ(report.extents[2].reason, "same bytes as embed");
  EXPECT_LT(report.extents[2].estimated_bytes[0], 200U);
  EXPECT_EQ(report.extents[3].same_as, std::nullopt);
  EXPECT_GT(report.extents[3].estimated_bytes[0], 300000U);
  uint64_t archive_bytes = ArchiveBytes({path}, directory.File("a.fly"), Level::kBalanced);
  EXPECT_LT(PointsApart(report.estimated_bytes[1], archive_bytes, report.file_bytes), 0.5);
}

TEST(ScanFile, CountsCastsAndGrownTensorsForWhatTheyAdd) {
  TempDir directory;
  std::string path = directory.File("m.safetensors");
  SafetensorsEntry wide = Tensor("wide", DType::kF32, 4096, 512, Pattern::kWeights, 1);
  SafetensorsEntry cast{"cast", "BF16", {4096, 512}, {}};
  for (size_t at = 0; at < wide.bytes.size(); at += 4) {
    auto bits = LoadLe<uint32_t>(wide.bytes.data() + at);
    auto half = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    cast.bytes.push_back(static_cast<std::byte>(half & 0xff));
    cast.bytes.push_back(static_cast<std::byte>(half >> 8));
  }
  SafetensorsEntry grown = Tensor("grown", DType::kF32, 4608, 512, Pattern::kWeights, 2);
  std::ranges::copy(wide.bytes, grown.bytes.begin());
  WriteFile(path, test::BuildSafetensors({wide, cast, grown}));
  ScanReport report = ScanOf(path, 4 << 20);
  ASSERT_EQ(report.extents.size(), 4U);
  EXPECT_THAT(report.extents[2].reason, HasSubstr("a cast of another tensor"));
  EXPECT_THAT(report.extents[3].reason, HasSubstr("% stored elsewhere"));
  for (Level level : {Level::kFast, Level::kBalanced}) {
    uint64_t archive_bytes = ArchiveBytes({path}, directory.File("a.fly"), level);
    uint64_t estimated_bytes = report.estimated_bytes[static_cast<size_t>(level)];
    EXPECT_LT(PointsApart(estimated_bytes, archive_bytes, report.file_bytes), 2.0) << LevelName(level);
  }
}

TEST(ScanFile, JudgesTensorsByOthersOfTheirKind) {
  TempDir directory;
  std::string path = directory.File("m.safetensors");
  std::vector<SafetensorsEntry> entries;
  for (uint64_t layer = 0; layer < 16; ++layer) {
    entries.push_back(
        Tensor("h." + std::to_string(layer) + ".w", DType::kBF16, 128, 512, Pattern::kWeights, layer + 1));
  }
  WriteFile(path, test::BuildSafetensors(entries));
  ScanReport report = ScanOf(path, 128 << 10);
  size_t judged_count = 0;
  for (const ScannedExtent& extent : report.extents) {
    if (!extent.is_tensor) continue;
    EXPECT_EQ(extent.kind, "h.*.w");
    EXPECT_THAT(extent.reason, HasSubstr("BF16 weights"));
    EXPECT_GT(extent.estimated_bytes[1], extent.size_bytes / 2);
    EXPECT_LT(extent.estimated_bytes[1], extent.size_bytes);
    judged_count += extent.sampled_bytes == 0;
  }
  EXPECT_EQ(judged_count, 8U);
}

TEST(ScanFile, TellsWhy) {
  TempDir directory;
  std::string path = directory.File("m.safetensors");
  SafetensorsEntry narrow = Tensor("narrow", DType::kF32, 128, 512, Pattern::kWeights, 3);
  for (size_t i = 0; i < narrow.bytes.size(); i += 4) narrow.bytes[i] = narrow.bytes[i + 1] = std::byte{0};
  WriteFile(path, test::BuildSafetensors({Tensor("weights", DType::kBF16, 128, 512, Pattern::kWeights, 1),
                                          Tensor("noise", DType::kBF16, 128, 512, Pattern::kRandomBits, 2), narrow,
                                          Tensor("pruned", DType::kBF16, 128, 512, Pattern::kSparse, 4),
                                          Tensor("none", DType::kBF16, 128, 512, Pattern::kZeros, 5)}));
  ScanReport report = ScanOf(path, 64 << 20);
  ASSERT_EQ(report.extents.size(), 6U);
  EXPECT_THAT(report.extents[1].reason, StartsWith("BF16 weights: "));
  EXPECT_EQ(report.extents[2].reason, "noise: stored");
  EXPECT_THAT(report.extents[3].reason, StartsWith("bf16 values in fp32; "));
  EXPECT_THAT(report.extents[4].reason, testing::MatchesRegex("(89|90) % zeros; .*"));
  EXPECT_EQ(report.extents[5].reason, "one value throughout");
}

TEST(ScanFile, LooksAtDirectoriesAsOneArchive) {
  TempDir directory;
  std::filesystem::create_directories(directory.File("d/sub"));
  auto entry = Tensor("w", DType::kBF16, 256, 512, Pattern::kWeights, 1);
  WriteFile(directory.File("d/a.safetensors"), test::BuildSafetensors({entry}));
  WriteFile(directory.File("d/sub/b.safetensors"), test::BuildSafetensors({entry}));
  WriteFile(directory.File("d/vocab.txt"), std::string(50000, 'x') + "words");
  ScanReport report = ScanOf(directory.File("d"), 64 << 20);
  EXPECT_TRUE(report.is_tree);
  EXPECT_THAT(report.files, testing::ElementsAre("", "a.safetensors", "sub", "sub/b.safetensors", "vocab.txt"));
  uint64_t archive_bytes = ArchiveBytes({directory.File("d")}, directory.File("d.fly"), Level::kBalanced);
  EXPECT_LT(PointsApart(report.estimated_bytes[1], archive_bytes, report.file_bytes), 1.0);
  EXPECT_EQ(report.extents.back().reason, "text or index: zstd");
}

TEST(ScanFile, TakesAnyFileAndWritesNothing) {
  TempDir directory;
  for (size_t size : {0U, 1U, 64U, 65U, 5000U}) {
    WriteFile(directory.File("m"), Bytes(size, std::byte{7}));
    ScanReport report = ScanOf(directory.File("m"), 1 << 20);
    EXPECT_EQ(report.file_bytes, size);
  }
  EXPECT_THAT(directory.Names(), testing::ElementsAre("m"));
  EXPECT_THAT(ScanFile("-", {}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(ScanFile(directory.File("missing"), {}), FailsWith(ErrorCode::kIo));
}

TEST(WithoutNumbers, KeepsAllButDigits) {
  EXPECT_EQ(WithoutNumbers("model.layers.12.mlp.w1"), "model.layers.*.mlp.w*");
  EXPECT_EQ(WithoutNumbers("7"), "*");
  EXPECT_EQ(WithoutNumbers("lm_head"), "lm_head");
  EXPECT_EQ(WithoutNumbers(""), "");
}

TEST(ReasonFor, NamesWhatItDoesNotKnowByNumber) {
  CodecShares codecs;
  codecs.decoded_bytes[60] = 5;
  codecs.decoded_bytes[0] = 4;
  EXPECT_EQ(ReasonFor(DType::kBF16, true, codecs, {}), "codec 60");
  EXPECT_EQ(ReasonFor(DType::kBF16, true, {}, {}), "noise: stored");
}

TEST(ReasonFor, TellsTextFromTensors) {
  CodecShares codecs;
  for (uint8_t codec : {uint8_t{2}, uint8_t{3}}) {
    codecs.decoded_bytes[codec] += 5 + codec;
    EXPECT_EQ(ReasonFor(DType::kOpaque, false, codecs, {}), "text or index: zstd");
    EXPECT_EQ(ReasonFor(DType::kI8, true, codecs, {}),
              codec == 2 ? "repeats: zstd" : "I8: byte planes, some of which compress");
  }
}

TEST(SampleFacts, CountZerosAndNarrowValues) {
  const uint32_t words[] = {0, 0x3f800000, 0x3f802000, 0x3f800001};
  SampleFacts facts;
  facts.Observe(DType::kF32, std::as_bytes(std::span(words)));
  EXPECT_EQ(facts.element_count, 4U);
  EXPECT_EQ(facts.zero_count, 1U);
  EXPECT_EQ(facts.bf16_count, 1U);
  EXPECT_EQ(facts.fp16_count, 2U);
  EXPECT_EQ(facts.bits, 0x3f802001U);
  CodecShares codecs;
  codecs.decoded_bytes[4] = 1;
  EXPECT_EQ(ReasonFor(DType::kF32, true, codecs, facts),
            "25 % zeros; 33 % bf16 values in fp32; F32 weights: exponents compress");
}

}  // namespace
}  // namespace flyweight
