#include "flyweight/lineage.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "pipeline/patch_test_tools.h"

// Chains of patches in files of their own: ordering, finding, re-basing, pruning.

namespace flyweight {
namespace {

using namespace test;  // NOLINT: a test
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A sharded base and ten versions after it, each a directory of two shards and a patch on the one before.
class Chain : public testing::Test {
 protected:
  static constexpr int kLinkCount = 10;

  static void SetUpTestSuite() {
    made_ = new TempDir();
    Tensors tensors = BaseTensors();
    WriteVersion(0, tensors);
    for (int version = 1; version <= kLinkCount; ++version) {
      Tune(tensors[static_cast<size_t>(version) % 3], 9, static_cast<uint64_t>(version) + 70);
      WriteVersion(version, tensors);
      std::vector<std::string> bases = {made_->File("v0")};
      for (int link = 1; link < version; ++link) bases.push_back(made_->File(PatchName(link)));
      ASSERT_THAT(MakePatch(made_->File("v" + std::to_string(version)), bases, made_->File(PatchName(version))),
                  IsOk());
    }
  }
  static void TearDownTestSuite() { delete made_; }

  static std::string PatchName(int version) { return "p" + std::to_string(version) + ".fly"; }

  static void WriteVersion(int version, const Tensors& tensors) {
    std::string directory = made_->File("v" + std::to_string(version));
    std::filesystem::create_directories(directory);
    // Shards are cut elsewhere in every other version.
    ptrdiff_t cut = 1 + version % 2;
    Tensors first(tensors.begin(), tensors.begin() + cut);
    Tensors second(tensors.begin() + cut, tensors.end());
    WriteFile(directory + "/model-00001-of-00002.safetensors", BuildSafetensors(first));
    WriteFile(directory + "/model-00002-of-00002.safetensors", BuildSafetensors(second));
    WriteFile(directory + "/config.json", "{\"version\": " + std::to_string(version) + "}");
  }

  void SetUp() override {
    for (int version = 1; version <= kLinkCount; ++version) {
      std::filesystem::copy_file(made_->File(PatchName(version)), Path(PatchName(version)));
    }
  }

  std::string Path(const std::string& name) const { return directory_.File(name); }
  static std::string Base() { return made_->File("v0"); }

  std::vector<std::string> Patches(int first, int last) const {
    std::vector<std::string> patches;
    for (int version = first; version <= last; ++version) patches.push_back(Path(PatchName(version)));
    return patches;
  }

  /// Restores with what is given in front and compares.
  void ExpectVersion(int version, std::vector<std::string> bases, const std::string& patch) {
    DecompressOptions options;
    options.bases = std::move(bases);
    ASSERT_THAT(DecompressFile(patch, Path("out"), options), IsOk());
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(made_->File("v" + std::to_string(version)))) {
      EXPECT_TRUE(ReadFile(entry.path().string()) == ReadFile(Path("out/" + entry.path().filename().string())));
      ++count;
    }
    EXPECT_EQ(count, 3U);
    std::filesystem::remove_all(Path("out"));
  }

  Error ApplyError(const std::vector<std::string>& patches) {
    std::vector<std::string> before = directory_.Names();
    Result<DecompressSummary> applied = ApplyPatches(Base(), patches, Path("out"), {});
    EXPECT_EQ(directory_.Names(), before) << "something was left behind";
    return applied.ok() ? Error{ErrorCode::kInternal, 0, "it was applied"} : applied.error();
  }

  static TempDir* made_;
  TempDir directory_;
};

TempDir* Chain::made_ = nullptr;

TEST_F(Chain, TenLinksRestoreEveryVersion) {
  for (int version = 1; version <= kLinkCount; ++version) {
    std::vector<std::string> bases = {Base()};
    for (const std::string& patch : Patches(1, version - 1)) bases.push_back(patch);
    ExpectVersion(version, bases, Path(PatchName(version)));
  }
}

TEST_F(Chain, WrongOrderMissingAndDoubledLinksAreRefused) {
  std::vector<std::string> patches = Patches(1, 5);
  std::swap(patches[1], patches[2]);
  Error wrong_order = ApplyError(patches);
  EXPECT_EQ(wrong_order.code, ErrorCode::kBaseMismatch);
  EXPECT_THAT(wrong_order.message, HasSubstr("order"));
  patches = Patches(1, 5);
  patches.erase(patches.begin() + 2);
  EXPECT_EQ(ApplyError(patches).code, ErrorCode::kBaseMismatch);
  patches = Patches(1, 5);
  patches.insert(patches.begin() + 2, patches[1]);
  Error doubled = ApplyError(patches);
  EXPECT_EQ(doubled.code, ErrorCode::kBaseMismatch);
  EXPECT_THAT(doubled.message, HasSubstr("applied already"));
}

TEST_F(Chain, TheLineageIsReadFromHeaders) {
  Result<Lineage> lineage = ReadLineage({directory_.path(), made_->path()}, {});
  ASSERT_THAT(lineage, IsOk());
  std::vector<uint32_t> depths;
  for (const LineageEntry& entry : lineage.value().entries) {
    if (!entry.path.starts_with(directory_.path())) continue;
    depths.push_back(entry.depth);
    EXPECT_EQ(entry.name, PatchName(static_cast<int>(entry.depth)));
    ASSERT_TRUE(entry.parent.has_value());
    EXPECT_EQ(lineage.value().entries[*entry.parent].identity_hex, entry.base_identity_hex);
  }
  EXPECT_EQ(depths.size(), size_t{kLinkCount});
  const LineageEntry& root = lineage.value().entries.front();
  EXPECT_TRUE(root.is_guess) << "the directory of that name";
  EXPECT_EQ(root.path, Base());
}

TEST_F(Chain, AMissingLinkIsAnEntryWithoutPath) {
  std::filesystem::remove(Path(PatchName(4)));
  Result<Lineage> lineage = ReadLineage({directory_.path()}, {});
  ASSERT_THAT(lineage, IsOk());
  std::vector<std::string> missing;
  for (const LineageEntry& entry : lineage.value().entries) {
    if (entry.is_missing()) missing.push_back(entry.name);
  }
  EXPECT_THAT(missing, testing::UnorderedElementsAre("v0", PatchName(4)));
  Result<std::vector<std::string>> bases = FindBases(Path(PatchName(7)), {directory_.path()}, 1);
  ASSERT_THAT(bases, FailsWith(ErrorCode::kBaseMismatch));
  EXPECT_THAT(bases.error().message, HasSubstr(PatchName(4)));
}

TEST_F(Chain, TheChainIsFoundAndOrderedByIdentity) {
  // Names say nothing here.
  TempDir renamed;
  for (int version = 1; version <= kLinkCount; ++version) {
    std::filesystem::rename(Path(PatchName(version)), renamed.File("x" + std::to_string(99 - version) + ".fly"));
  }
  std::string last = renamed.File("x" + std::to_string(99 - kLinkCount) + ".fly");
  Result<std::vector<std::string>> bases = FindBases(last, {renamed.path(), made_->path() + "/v0"}, 1);
  ASSERT_THAT(bases, IsOk());
  ASSERT_EQ(bases.value().size(), size_t{kLinkCount});
  EXPECT_EQ(bases.value().front(), Base());
  ExpectVersion(kLinkCount, bases.value(), last);
}

TEST_F(Chain, SeveralPatchesBecomeOneOnAnotherBase) {
  std::vector<std::string> lineage = {Base()};
  for (const std::string& patch : Patches(1, 6)) lineage.push_back(patch);
  CompressOptions options;
  options.thread_count = 2;
  options.bases = {Base()};
  ASSERT_THAT(Rebase(lineage, Path("merged.fly"), options), IsOk());
  ExpectVersion(6, {Base()}, Path("merged.fly"));
  // A newer base: that is, back in time.
  options.bases = {made_->File("v9")};
  ASSERT_THAT(Rebase(lineage, Path("back.fly"), options), IsOk());
  ExpectVersion(6, {made_->File("v9")}, Path("back.fly"));
  options.bases = {};
  ASSERT_THAT(Rebase(lineage, Path("alone.fly"), options), IsOk());
  ExpectVersion(6, {}, Path("alone.fly"));
  EXPECT_LT(std::filesystem::file_size(Path("merged.fly")), std::filesystem::file_size(Path("alone.fly")) / 2);
}

TEST_F(Chain, ARebasedArchiveIsWhatCompressingTheVersionGives) {
  std::vector<std::string> lineage = {Base()};
  for (const std::string& patch : Patches(1, 3)) lineage.push_back(patch);
  CompressOptions options;
  ASSERT_THAT(Rebase(lineage, Path("alone.fly"), options), IsOk());
  ASSERT_THAT(CompressFile(made_->File("v3"), Path("direct.fly"), options), IsOk());
  Result<ArchiveListing> alone = ListArchive(Path("alone.fly"));
  Result<ArchiveListing> direct = ListArchive(Path("direct.fly"));
  ASSERT_THAT(alone, IsOk());
  ASSERT_THAT(direct, IsOk());
  ASSERT_EQ(alone.value().extents.size(), direct.value().extents.size());
  for (size_t i = 0; i < alone.value().extents.size(); ++i) {
    EXPECT_EQ(alone.value().extents[i].stored_bytes, direct.value().extents[i].stored_bytes);
    EXPECT_EQ(alone.value().extents[i].digest_hex, direct.value().extents[i].digest_hex);
  }
}

TEST_F(Chain, PruningKeepsWhatIsKeptRestorable) {
  PruneOptions options;
  options.keep = {PatchName(3), PatchName(8)};
  options.keep_last = 1;
  options.base_directories = {made_->path() + "/v0"};
  options.thread_count = 2;
  Result<PruneReport> planned = [&] {
    PruneOptions dry = options;
    dry.dry_run = true;
    return Prune(directory_.path(), dry);
  }();
  ASSERT_THAT(planned, IsOk());
  EXPECT_EQ(planned.value().steps.size(), 3U + 7U);
  EXPECT_EQ(directory_.Names().size(), size_t{kLinkCount});
  Result<PruneReport> pruned = Prune(directory_.path(), options);
  ASSERT_THAT(pruned, IsOk());
  EXPECT_THAT(directory_.Names(), ElementsAre(PatchName(10), PatchName(3), PatchName(8)));
  EXPECT_EQ(pruned.value().kept_count, 3U);
  ExpectVersion(3, {Base()}, Path(PatchName(3)));
  ExpectVersion(8, {Base(), Path(PatchName(3))}, Path(PatchName(8)));
  ExpectVersion(10, {Base(), Path(PatchName(3)), Path(PatchName(8))}, Path(PatchName(10)));
}

TEST_F(Chain, WhatStandsOnARemovedBaseIsMadeWhole) {
  TempDir place;
  CompressOptions options;
  ASSERT_THAT(CompressFile(made_->File("v0"), place.File("v0.fly"), options), IsOk());
  ASSERT_THAT(MakePatch(made_->File("v1"), {place.File("v0.fly")}, place.File("v1.fly")), IsOk());
  ASSERT_THAT(CompressFile(made_->File("v2"), place.File("alone.fly"), options), IsOk());
  PruneOptions prune;
  prune.keep = {"v1.*"};
  ASSERT_THAT(Prune(place.path(), prune), IsOk());
  EXPECT_THAT(place.Names(), ElementsAre("alone.fly", "v1.fly")) << "what stands alone is left alone";
  ExpectVersion(1, {}, place.File("v1.fly"));
}

TEST_F(Chain, NothingIsPrunedWhereSomethingElsewhereNeedsIt) {
  TempDir elsewhere;
  std::filesystem::rename(Path(PatchName(5)), elsewhere.File(PatchName(5)));
  PruneOptions options;
  options.keep = {PatchName(1)};
  options.base_directories = {elsewhere.path(), made_->path() + "/v0"};
  Result<PruneReport> pruned = Prune(directory_.path(), options);
  ASSERT_THAT(pruned, FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(pruned.error().message, HasSubstr(PatchName(5)));
  EXPECT_EQ(directory_.Names().size(), size_t{kLinkCount} - 1);
}

TEST_F(Chain, NothingIsPrunedWhereTheBaseIsMissing) {
  PruneOptions options;
  options.keep = {PatchName(6)};
  ASSERT_THAT(Prune(directory_.path(), options), FailsWith(ErrorCode::kBaseMismatch));
  EXPECT_EQ(directory_.Names().size(), size_t{kLinkCount});
  EXPECT_THAT(Prune(directory_.path(), {}), FailsWith(ErrorCode::kInvalidArgument));
}

}  // namespace
}  // namespace flyweight
