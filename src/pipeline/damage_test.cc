#include <filesystem>
#include <fstream>

#include "flyweight/pipeline.h"
#include "flyweight/repair.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/safetensors_file.h"
#include "support/temp_dir.h"
#include "support/weights.h"

// What becomes of archives that were damaged, cut into parts or interrupted.

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using test::Pattern;
using test::Random;
using test::ReadFile;
using test::TempDir;
using test::WriteFile;
using testing::ElementsAre;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

Bytes Weights(uint64_t rows, uint64_t columns, uint64_t seed) {
  Random random(seed);
  return test::MakeTensor(DType::kBF16, rows, columns, Pattern::kWeights, random);
}

Bytes Model() {
  return test::BuildSafetensors(
      {{"first", "BF16", {900, 1000}, Weights(900, 1000, 1)}, {"second", "BF16", {900, 1000}, Weights(900, 1000, 2)}});
}

void Damage(const std::string& path, size_t offset, size_t size) {
  Bytes bytes = ReadFile(path);
  for (size_t i = offset; i < offset + size && i < bytes.size(); ++i) bytes[i] ^= std::byte{0x5A};
  WriteFile(path, bytes);
}

/// Where the second tensor's record begins, roughly: the records are of equal size.
size_t MiddleOfSecondTensor(const std::string& archive) { return std::filesystem::file_size(archive) * 3 / 4; }

TEST(CompressFile, WithParityIsRepairedToTheSameBytes) {
  TempDir directory;
  WriteFile(directory.File("m"), Model());
  CompressOptions options;
  options.recovery_permille = 50;
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options), IsOk());
  Bytes archive = ReadFile(directory.File("m.fly"));
  auto verified = VerifyFile(directory.File("m.fly"), {});
  ASSERT_THAT(verified, IsOk());
  EXPECT_TRUE(verified.value().has_parity);

  Damage(directory.File("m.fly"), archive.size() / 3, archive.size() / 40);
  EXPECT_FALSE(VerifyFile(directory.File("m.fly"), {}).ok());
  RepairReport report;
  ASSERT_THAT(RepairFile(directory.File("m.fly"), directory.File("m.fly"), {}, report), IsOk());
  EXPECT_GT(report.blocks_from_parity, 0U);
  EXPECT_EQ(ReadFile(directory.File("m.fly")), archive);

  Damage(directory.File("m.fly"), 1000, archive.size() / 2);
  Bytes beyond = ReadFile(directory.File("m.fly"));
  EXPECT_FALSE(RepairFile(directory.File("m.fly"), directory.File("out.fly"), {}, report).ok());
  EXPECT_FALSE(report.lost.empty());
  EXPECT_EQ(ReadFile(directory.File("m.fly")), beyond);
  EXPECT_THAT(directory.Names(), ElementsAre("m", "m.fly"));
}

TEST(CompressFile, WithParityGivesTheSameBytesOnAnyThreadCount) {
  TempDir directory;
  WriteFile(directory.File("m"), Model());
  Bytes first;
  for (size_t thread_count : {1, 3}) {
    CompressOptions options;
    options.thread_count = thread_count;
    options.recovery_permille = 30;
    options.overwrite = true;
    ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options), IsOk());
    if (first.empty()) first = ReadFile(directory.File("m.fly"));
    EXPECT_TRUE(ReadFile(directory.File("m.fly")) == first);
  }
}

TEST(VerifyFile, FindsDamagedParityInEveryModeThatReadsIt) {
  TempDir directory;
  WriteFile(directory.File("m"), Model());
  CompressOptions options;
  options.recovery_permille = 100;
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options), IsOk());
  size_t size = ReadFile(directory.File("m.fly")).size();
  Damage(directory.File("m.fly"), size - size / 20, 1);
  EXPECT_FALSE(VerifyFile(directory.File("m.fly"), {}).ok());
  EXPECT_FALSE(VerifyFile(directory.File("m.fly"), {.mode = VerifyMode::kFast}).ok());
}

TEST(VerifyFile, FastFindsWhatIsStoredWrong) {
  TempDir directory;
  WriteFile(directory.File("m"), Model());
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), {}), IsOk());
  auto fast = VerifyFile(directory.File("m.fly"), {.mode = VerifyMode::kFast});
  ASSERT_THAT(fast, IsOk());
  EXPECT_EQ(fast.value().checked_count, fast.value().chunk_count);
  EXPECT_EQ(fast.value().chunk_count, 9U) << "eight of the tensors and the file's header";
  Damage(directory.File("m.fly"), MiddleOfSecondTensor(directory.File("m.fly")), 1);
  Status damaged = VerifyFile(directory.File("m.fly"), {.mode = VerifyMode::kFast}).ok()
                       ? Status::Ok()
                       : Error{ErrorCode::kCorrupt, 0, ""};
  EXPECT_FALSE(damaged.ok());
}

TEST(VerifyFile, SampleDecodesAboutTheFractionAskedFor) {
  TempDir directory;
  WriteFile(directory.File("m"), Model());
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), {}), IsOk());
  uint64_t checked = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    auto sample =
        VerifyFile(directory.File("m.fly"), {.mode = VerifyMode::kSample, .sample_fraction = 0.5, .sample_seed = seed});
    ASSERT_THAT(sample, IsOk());
    EXPECT_EQ(sample.value().chunk_count, 9U);
    checked += sample.value().checked_count;
  }
  EXPECT_GT(checked, 100U);
  EXPECT_LT(checked, 260U);
  auto whole = VerifyFile(directory.File("m.fly"), {.mode = VerifyMode::kSample, .sample_fraction = 1});
  ASSERT_THAT(whole, IsOk());
  EXPECT_EQ(whole.value().checked_count, 9U);
  EXPECT_THAT(VerifyFile(directory.File("m.fly"), {.mode = VerifyMode::kSample, .sample_fraction = 0}),
              FailsWith(ErrorCode::kInvalidArgument));
}

TEST(DetectionProbability, IsThatOfDrawingWithoutPuttingBack) {
  EXPECT_NEAR(DetectionProbability(100, 1, 1), 0.01, 1e-12);
  EXPECT_DOUBLE_EQ(DetectionProbability(100, 100, 1), 1);
  EXPECT_NEAR(DetectionProbability(4, 2, 2), 1 - 2.0 / 4 * 1 / 3, 1e-12);
  EXPECT_DOUBLE_EQ(DetectionProbability(100, 0, 5), 0);
  EXPECT_DOUBLE_EQ(DetectionProbability(10, 6, 5), 1);
}

TEST(DecompressFile, SalvagesWhatIsWholeAndNamesWhatIsNot) {
  TempDir directory;
  Bytes model = Model();
  WriteFile(directory.File("m"), model);
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), {}), IsOk());
  Damage(directory.File("m.fly"), MiddleOfSecondTensor(directory.File("m.fly")), 1);
  EXPECT_FALSE(DecompressFile(directory.File("m.fly"), directory.File("out"), {}).ok());
  DecompressOptions options;
  options.salvage = true;
  auto summary = DecompressFile(directory.File("m.fly"), directory.File("out"), options);
  ASSERT_THAT(summary, IsOk());
  EXPECT_THAT(directory.Names(), ElementsAre("m", "m.fly", "out.damaged"));
  ASSERT_EQ(summary.value().lost.size(), 1U);
  const LostContent& lost = summary.value().lost.front();
  EXPECT_EQ(lost.tensor, "second");
  Bytes saved = ReadFile(directory.File("out.damaged"));
  ASSERT_EQ(saved.size(), model.size());
  for (size_t i = 0; i < model.size(); ++i) {
    bool is_lost = i >= lost.file_offset && i < lost.file_offset + lost.size_bytes;
    ASSERT_EQ(saved[i], is_lost ? std::byte{0} : model[i]) << i;
  }
}

TEST(DecompressTree, SalvagesTheOtherFiles) {
  TempDir directory;
  std::filesystem::create_directory(directory.File("tree"));
  WriteFile(directory.File("tree/a"), Weights(900, 1000, 1));
  WriteFile(directory.File("tree/b"), Weights(900, 1000, 2));
  WriteFile(directory.File("tree/c.json"), "{}");
  ASSERT_THAT(Compress({directory.File("tree")}, directory.File("t.fly"), {}), IsOk());
  Damage(directory.File("t.fly"), MiddleOfSecondTensor(directory.File("t.fly")), 1);
  DecompressOptions options;
  options.salvage = true;
  auto summary = DecompressFile(directory.File("t.fly"), directory.File("out"), options);
  ASSERT_THAT(summary, IsOk());
  ASSERT_EQ(summary.value().lost.size(), 1U);
  EXPECT_EQ(summary.value().lost.front().file, "b");
  EXPECT_EQ(ReadFile(directory.File("out/a")), ReadFile(directory.File("tree/a")));
  EXPECT_EQ(test::ReadText(directory.File("out/c.json")), "{}");
  EXPECT_FALSE(std::filesystem::exists(directory.File("out/b")));
  EXPECT_EQ(std::filesystem::file_size(directory.File("out/b.damaged")), 1'800'000U);
}

TEST(CompressFile, SplitsIntoPartsThatReadAsOne) {
  TempDir directory;
  Bytes model = Model();
  WriteFile(directory.File("m"), model);
  CompressOptions options;
  options.part_bytes = 500'000;
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options), IsOk());
  EXPECT_THAT(directory.Names(), ElementsAre("m", "m.fly.001", "m.fly.002", "m.fly.003", "m.fly.004", "m.fly.005"));
  for (const char* name : {"m.fly", "m.fly.001", "m.fly.003"}) {
    std::string out = directory.File(std::string("out of ") + name);
    ASSERT_THAT(DecompressFile(directory.File(name), out, {}), IsOk());
    EXPECT_TRUE(ReadFile(out) == model);
    auto verified = VerifyFile(directory.File(name), {});
    ASSERT_THAT(verified, IsOk());
    EXPECT_EQ(verified.value().part_count, 5U);
    EXPECT_THAT(ListArchive(directory.File(name)), IsOk());
    EXPECT_TRUE(IsArchive(directory.File(name)).value());
  }
  std::filesystem::remove(directory.File("m.fly.002"));
  auto missing = VerifyFile(directory.File("m.fly"), {});
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("m.fly.002"));
}

TEST(RepairFile, MakesOneFileOfDamagedParts) {
  TempDir directory;
  WriteFile(directory.File("m"), Model());
  CompressOptions options;
  options.recovery_permille = 50;
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("whole.fly"), options), IsOk());
  options.part_bytes = 700'000;
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options), IsOk());
  Damage(directory.File("m.fly.002"), 5000, 3000);
  RepairReport report;
  EXPECT_THAT(RepairFile(directory.File("m.fly"), directory.File("m.fly"), {}, report),
              FailsWith(ErrorCode::kInvalidArgument));
  ASSERT_THAT(RepairFile(directory.File("m.fly"), directory.File("out.fly"), {}, report), IsOk());
  EXPECT_TRUE(ReadFile(directory.File("out.fly")) == ReadFile(directory.File("whole.fly")));
}

/// Interrupts a run, and finishes it from all of what it left, from less, and from damaged bytes.
void CheckResumes(const Bytes& model) {
  TempDir directory;
  WriteFile(directory.File("m"), model);
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("whole.fly"), {}), IsOk());
  Bytes whole = ReadFile(directory.File("whole.fly"));
  std::filesystem::remove(directory.File("whole.fly"));

  // The file changes under the run, which fails and keeps what it wrote.
  CompressOptions options;
  options.resume = true;
  options.thread_count = 1;
  bool touched = false;
  options.progress = [&](const Progress& progress) {
    if (touched || progress.done_bytes < model.size()) return;
    std::filesystem::last_write_time(directory.File("m"),
                                     std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
    touched = true;
  };
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options),
              FailsWith(ErrorCode::kSourceChanged));
  std::vector<std::string> names = directory.Names();
  ASSERT_EQ(names.size(), 2U) << "the partial archive is kept";
  std::string partial = directory.File(names[0] == "m" ? names[1] : names[0]);
  Bytes left = ReadFile(partial);
  ASSERT_GT(left.size(), 1000U);

  options.progress = {};
  for (size_t cut : {left.size(), left.size() / 2, size_t{3000}, size_t{10}, size_t{0}}) {
    for (bool poisoned : {false, true}) {
      Bytes content(left.begin(), left.begin() + static_cast<ptrdiff_t>(cut));
      if (poisoned && cut > 2000) content[cut / 2] ^= std::byte{1};
      WriteFile(partial, content);
      ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options), IsOk());
      EXPECT_TRUE(ReadFile(directory.File("m.fly")) == whole) << cut << (poisoned ? " poisoned" : "");
      EXPECT_THAT(directory.Names(), ElementsAre("m", "m.fly"));
      std::filesystem::remove(directory.File("m.fly"));
    }
  }
}

TEST(CompressFile, ResumesFromWhatAnInterruptedRunLeft) { CheckResumes(Model()); }

TEST(CompressFile, ResumesAnArchiveOfPieces) {
  Bytes first = Weights(900, 1000, 1);
  Bytes grown = Weights(350, 1000, 3);
  grown.insert(grown.end(), first.begin(), first.end());
  CheckResumes(test::BuildSafetensors({{"first", "BF16", {900, 1000}, first},
                                       {"grown", "BF16", {1250, 1000}, grown},
                                       {"second", "BF16", {900, 1000}, Weights(900, 1000, 2)}}));
}

}  // namespace
}  // namespace flyweight
