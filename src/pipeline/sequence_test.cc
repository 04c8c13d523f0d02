#include <algorithm>
#include <filesystem>
#include <map>

#include "flyweight/lineage.h"
#include "pipeline/patch_test_tools.h"
#include "pipeline/sequence_bases.h"

// Versions of a model in one archive.

namespace flyweight {
namespace {

using namespace test;  // NOLINT: a test
using testing::ElementsAre;
using testing::HasSubstr;

IndexFile Entry(const std::string& name, EntryKind kind = EntryKind::kFile, uint64_t size_bytes = 100) {
  IndexFile file;
  file.name = name;
  file.entry.kind = kind;
  file.file_bytes = size_bytes;
  return file;
}

std::vector<std::string> VersionNames(const std::vector<IndexFile>& files) {
  ArchiveIndex index;
  index.is_tree = true;
  index.files = files;
  std::vector<std::string> names;
  for (const TreeVersion& version : FindVersions(index)) names.push_back(version.name);
  return names;
}

TEST(NaturalLess, CountsRunsOfDigitsAsNumbers) {
  std::vector<std::string> names = {
      "b", "step-10", "step-9", "step-010", "a", "step-9-x", "step-100000000000000000000"};
  std::ranges::sort(names, NaturalLess);
  EXPECT_THAT(names, ElementsAre("a", "b", "step-9", "step-9-x", "step-010", "step-10", "step-100000000000000000000"));
}

TEST(FindVersions, TakesDirectoriesWhoseNamesDifferInNumbers) {
  EXPECT_THAT(VersionNames({Entry("", EntryKind::kDirectory), Entry("checkpoint-10/m"), Entry("checkpoint-100/m"),
                            Entry("checkpoint-9/m"), Entry("checkpoint-9/n"), Entry("config.json"), Entry("final/m")}),
              ElementsAre("checkpoint-9", "checkpoint-10", "checkpoint-100"));
}

TEST(FindVersions, TakesFilesAndTheLargestFamily) {
  EXPECT_THAT(VersionNames({Entry("log1.txt"), Entry("log2.txt"), Entry("step2.pt", EntryKind::kFile, 900),
                            Entry("step11.pt", EntryKind::kFile, 900)}),
              ElementsAre("step2.pt", "step11.pt"));
  EXPECT_THAT(VersionNames({Entry("a"), Entry("model.pt"), Entry("v1/m")}), ElementsAre());
}

/// A run with checkpoints of two shards each.
class Sequence : public testing::Test {
 protected:
  static constexpr int kVersionCount = 11;

  static std::string NameOf(int version) { return "checkpoint-" + std::to_string(10 * version); }

  void SetUp() override {
    Tensors tensors = BaseTensors();
    for (int version = 1; version <= kVersionCount; ++version) {
      std::string directory = run_ + "/" + NameOf(version);
      std::filesystem::create_directories(directory);
      Random random(static_cast<uint64_t>(version) + 50);
      Tune(tensors[1], 8, random.Bits());
      Tune(tensors[2], 8, random.Bits());
      if (version == 4) Tune(tensors[0], 8, random.Bits());
      WriteFile(directory + "/model-00001-of-00002.safetensors", BuildSafetensors({tensors[0], tensors[1]}));
      WriteFile(directory + "/model-00002-of-00002.safetensors",
                BuildSafetensors({tensors[2], tensors[3], tensors[4]}));
      WriteFile(directory + "/trainer_state.json", "{\"step\": " + std::to_string(10 * version) + "}");
    }
  }

  Status Archive(uint32_t key_every) {
    CompressOptions options;
    options.key_every = key_every;
    options.overwrite = true;
    options.thread_count = 2;
    Result<CompressSummary> made = CompressFile(run_, archive_, options);
    return made.ok() ? Status::Ok() : Status(made.take_error());
  }

  void ExpectEqualTrees(const std::string& a, const std::string& b) {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(a)) {
      if (!entry.is_regular_file()) continue;
      std::string other = b + entry.path().string().substr(a.size());
      EXPECT_TRUE(ReadFile(entry.path().string()) == ReadFile(other)) << other;
      ++count;
    }
    EXPECT_GE(count, 3U);
  }

  /// The deepest patch on each tensor.
  std::map<std::string, uint32_t> Depths() {
    std::map<std::string, uint32_t> depths;
    Result<ArchiveListing> listing = ListArchive(archive_);
    EXPECT_THAT(listing, IsOk());
    for (const ListedTensor& tensor : listing.value().extents) {
      if (tensor.is_tensor) depths[tensor.name] = std::max(depths[tensor.name], tensor.patch_depth);
    }
    return depths;
  }

  TempDir directory_;
  std::string run_ = directory_.File("run");
  std::string archive_ = directory_.File("run.fly");
};

TEST_F(Sequence, RestoresEveryVersion) {
  ASSERT_THAT(Archive(kVersionCount), IsOk());
  uint64_t one_version = std::filesystem::file_size(run_ + "/" + NameOf(1) + "/model-00001-of-00002.safetensors") +
                         std::filesystem::file_size(run_ + "/" + NameOf(1) + "/model-00002-of-00002.safetensors");
  // The first version takes some two thirds, each of the others a seventh of what changed.
  EXPECT_LT(std::filesystem::file_size(archive_), one_version * 5 / 2);
  EXPECT_EQ(Depths()["layer.0.weight"], uint32_t{kVersionCount} - 1) << "chains of 10 links";
  EXPECT_EQ(Depths()["embed.weight"], 1U);
  EXPECT_EQ(Depths()["norm.weight"], 0U);
  ASSERT_THAT(DecompressFile(archive_, directory_.File("back"), {}), IsOk());
  ExpectEqualTrees(run_, directory_.File("back"));
  EXPECT_THAT(VerifyFile(archive_, {}), IsOk());
}

TEST_F(Sequence, RestoresOneVersionByItself) {
  ASSERT_THAT(Archive(10), IsOk());
  for (int version : {1, 2, 10, 11}) {
    DecompressOptions options;
    options.members = {NameOf(version)};
    std::string target = directory_.File("one" + std::to_string(version));
    ASSERT_THAT(DecompressFile(archive_, target, options), IsOk());
    ExpectEqualTrees(run_ + "/" + NameOf(version), target + "/" + NameOf(version));
    EXPECT_FALSE(std::filesystem::exists(target + "/" + NameOf(version % 11 + 1)));
  }
}

TEST_F(Sequence, AFurtherVersionStandsOnOneInTheArchive) {
  ASSERT_THAT(Archive(10), IsOk());
  std::string last = run_ + "/" + NameOf(kVersionCount);
  std::string next = directory_.File("next");
  std::filesystem::copy(last, next, std::filesystem::copy_options::recursive);
  Tensors tensors = {MakeEntry("new.weight", DType::kBF16, {16, 512}, 9)};
  WriteFile(next + "/extra.safetensors", BuildSafetensors(tensors));
  ASSERT_THAT(MakePatch(next, {archive_ + "/" + NameOf(kVersionCount)}, directory_.File("next.fly")), IsOk());
  EXPECT_LT(std::filesystem::file_size(directory_.File("next.fly")), 40000U);
  DecompressOptions options;
  options.bases = {archive_ + "/" + NameOf(kVersionCount) + "/"};
  ASSERT_THAT(DecompressFile(directory_.File("next.fly"), directory_.File("back"), options), IsOk());
  ExpectEqualTrees(next, directory_.File("back"));
  // The version on the disk is the same base; another version is not.
  options.bases = {last};
  ASSERT_THAT(DecompressFile(directory_.File("next.fly"), directory_.File("back2"), options), IsOk());
  options.bases = {archive_ + "/" + NameOf(1)};
  EXPECT_THAT(DecompressFile(directory_.File("next.fly"), directory_.File("back3"), options),
              FailsWith(ErrorCode::kBaseMismatch));
  options.bases = {archive_ + "/none"};
  EXPECT_THAT(DecompressFile(directory_.File("next.fly"), directory_.File("back3"), options),
              FailsWith(ErrorCode::kInvalidArgument));
}

TEST_F(Sequence, KeyFramesBoundTheChain) {
  ASSERT_THAT(Archive(4), IsOk());
  EXPECT_EQ(Depths()["layer.0.weight"], 3U);
  uint64_t short_chains = std::filesystem::file_size(archive_);
  ASSERT_THAT(Archive(100), IsOk());
  EXPECT_LT(std::filesystem::file_size(archive_), short_chains);
  ASSERT_THAT(Archive(1), IsOk());
  EXPECT_EQ(Depths()["layer.0.weight"], 0U);
}

TEST_F(Sequence, AVersionThatComesBackIsNoRing) {
  // In the order of names checkpoint-100 stands before checkpoint-20, and holds the bytes of both.
  for (const char* shard : {"/model-00001-of-00002.safetensors", "/model-00002-of-00002.safetensors"}) {
    std::filesystem::copy_file(run_ + "/" + NameOf(2) + shard, run_ + "/" + NameOf(10) + shard,
                               std::filesystem::copy_options::overwrite_existing);
  }
  ASSERT_THAT(Archive(100), IsOk());
  ASSERT_THAT(DecompressFile(archive_, directory_.File("back"), {}), IsOk());
  ExpectEqualTrees(run_, directory_.File("back"));
}

TEST_F(Sequence, BytesDoNotDependOnThreads) {
  ASSERT_THAT(Archive(10), IsOk());
  Bytes two = ReadFile(archive_);
  CompressOptions options;
  options.key_every = 10;
  options.thread_count = 1;
  ASSERT_THAT(CompressFile(run_, directory_.File("one.fly"), options), IsOk());
  EXPECT_TRUE(two == ReadFile(directory_.File("one.fly")));
}

TEST_F(Sequence, ADirectoryWithoutVersionsIsRefused) {
  std::filesystem::create_directories(directory_.File("plain"));
  WriteFile(directory_.File("plain/model.safetensors"), BuildSafetensors(BaseTensors()));
  CompressOptions options;
  options.key_every = 10;
  Result<CompressSummary> made = CompressFile(directory_.File("plain"), directory_.File("plain.fly"), options);
  ASSERT_THAT(made, FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(made.error().message, HasSubstr("no versions"));
  EXPECT_FALSE(std::filesystem::exists(directory_.File("plain.fly")));
}

}  // namespace
}  // namespace flyweight
