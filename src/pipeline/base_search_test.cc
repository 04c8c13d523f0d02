#include "flyweight/base_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "support/matchers.h"
#include "support/safetensors_file.h"
#include "support/temp_dir.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::IsOk;
using test::Pattern;
using test::Random;
using test::SafetensorsEntry;
using test::TempDir;
using test::WriteFile;
using testing::IsEmpty;
using Entries = std::vector<SafetensorsEntry>;

Entries Model(uint64_t seed) {
  Entries entries;
  Random random(seed);
  for (uint64_t layer = 0; layer < 6; ++layer) {
    entries.push_back({"layer." + std::to_string(layer),
                       "BF16",
                       {128, 256},
                       test::MakeTensor(DType::kBF16, 128, 256, Pattern::kWeights, random)});
  }
  return entries;
}

/// Moves every `every`th weight by one step.
Entries Tuned(Entries entries, uint64_t every, uint64_t seed) {
  Random random(seed);
  for (SafetensorsEntry& entry : entries) {
    for (size_t at = 0; at < entry.bytes.size(); at += 2) {
      if (random.OneIn(every)) entry.bytes[at] ^= std::byte{1};
    }
  }
  return entries;
}

void Write(const std::string& path, const Entries& entries) { WriteFile(path, test::BuildSafetensors(entries)); }

BaseSearchResult Search(const std::string& variant, const BaseSearchOptions& given) {
  BaseSearchOptions options = given;
  options.thread_count = 2;
  Result<BaseSearchResult> result = FindBase(variant, options);
  EXPECT_THAT(result, IsOk());
  return result.ok() ? std::move(result).value() : BaseSearchResult();
}

class BaseSearchTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(models_.File("family/old"));
    Entries base = Model(1);
    Entries child = Tuned(base, 4, 11);
    Write(models_.File("family/base.safetensors"), base);
    Write(models_.File("family/old/child.safetensors"), child);
    Write(models_.File("stranger.safetensors"), Model(2));
    WriteFile(models_.File("broken.fly"), "not an archive");
    WriteFile(models_.File("notes.txt"), "no model");
    Write(variant_.File("variant.safetensors"), Tuned(child, 20, 12));
  }

  BaseSearchResult Run() { return Search(variant_.File("variant.safetensors"), {.directories = {models_.path()}}); }

  TempDir models_;
  TempDir variant_;
};

TEST_F(BaseSearchTest, ChoosesTheNearest) {
  BaseSearchResult result = Run();
  ASSERT_GE(result.best.size(), 2U);
  EXPECT_EQ(result.best[0].path, models_.File("family/old/child.safetensors"));
  EXPECT_TRUE(result.best[0].pays());
  EXPECT_NEAR(result.best[0].changed_part, 0.05, 0.02);
  EXPECT_EQ(result.best[1].path, models_.File("family/base.safetensors"));
  EXPECT_EQ(result.candidate_count, 4U);
}

TEST_F(BaseSearchTest, AStrangerOfTheSameShapesIsRefused) {
  std::filesystem::remove_all(models_.File("family"));
  BaseSearchResult result = Run();
  ASSERT_EQ(result.best.size(), 1U);
  EXPECT_EQ(result.best[0].shared_part, 1);
  EXPECT_FALSE(result.best[0].pays());
}

TEST_F(BaseSearchTest, ArchivesAndShardsAreCandidates) {
  std::string child = models_.File("family/old/child.safetensors");
  CompressOptions options;
  options.thread_count = 1;
  ASSERT_THAT(CompressFile(child, models_.File("child.fly"), options), IsOk());
  std::filesystem::remove(child);
  EXPECT_EQ(Run().best.at(0).path, models_.File("child.fly"));

  std::filesystem::create_directories(models_.File("sharded"));
  Entries entries = Tuned(Model(1), 4, 11);
  Entries second(entries.begin() + 3, entries.end());
  entries.resize(3);
  Write(models_.File("sharded/model-00001-of-00002.safetensors"), entries);
  Write(models_.File("sharded/model-00002-of-00002.safetensors"), second);
  std::filesystem::remove(models_.File("child.fly"));
  EXPECT_EQ(Run().best.at(0).path, models_.File("sharded"));
}

TEST_F(BaseSearchTest, LinksToFilesAreFollowedOnce) {
  // As the cache of a hub keeps them.
  std::filesystem::create_directories(models_.File("blobs"));
  std::filesystem::rename(models_.File("family/old/child.safetensors"), models_.File("blobs/0123"));
  for (const char* name : {"family/one.safetensors", "family/two.safetensors"}) {
    std::filesystem::create_symlink(models_.File("blobs/0123"), models_.File(name));
  }
  BaseSearchResult result = Run();
  EXPECT_EQ(result.best.at(0).path, models_.File("family/one.safetensors"));
  EXPECT_EQ(result.candidate_count, 4U);
}

TEST_F(BaseSearchTest, TheVariantItselfAndWhatIsExcludedAreNoCandidates) {
  BaseSearchOptions options{.directories = {variant_.path(), models_.path()}, .exclude = {models_.File("family/old")}};
  BaseSearchResult result = Search(variant_.File("variant.safetensors"), options);
  EXPECT_EQ(result.best.at(0).path, models_.File("family/base.safetensors"));
}

TEST_F(BaseSearchTest, OfAModelWithoutFloatsNothingIsFound) {
  WriteFile(variant_.File("notes.txt"), "no weights");
  EXPECT_THAT(Search(variant_.File("notes.txt"), {.directories = {models_.path()}}).best, IsEmpty());
}

}  // namespace
}  // namespace flyweight
