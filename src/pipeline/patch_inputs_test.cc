#include "flyweight/base_search.h"
#include "flyweight/extract.h"
#include "flyweight/lineage.h"
#include "flyweight/repair.h"
#include "flyweight/serve_plan.h"
#include "pipeline/patch_test_tools.h"

// What patches stand on: never overwritten by what is made from it, told from another, and not needed to repair them.

namespace flyweight {
namespace {

using namespace test;  // NOLINT: a test
using testing::ElementsAre;
using testing::HasSubstr;

/// A base, and two versions as patches on one another.
class PatchInputs : public testing::Test {
 protected:
  void SetUp() override {
    Tensors tensors = TunedTensors(BaseTensors(), 5);
    WriteFile(base_, BuildSafetensors(BaseTensors()));
    WriteFile(Path("v1"), BuildSafetensors(tensors));
    WriteFile(Path("v2"), BuildSafetensors(TunedTensors(std::move(tensors), 50)));
    ASSERT_THAT(MakePatch(Path("v1"), {base_}, first_), IsOk());
    ASSERT_THAT(MakePatch(Path("v2"), {base_, first_}, second_), IsOk());
  }
  std::string Path(const std::string& name) const { return directory_.File(name); }

  /// A base of which one bit, that no sample hits, of an unchanged tensor is another.
  std::string FlippedBase() {
    Tensors tensors = BaseTensors();
    tensors[4].bytes[5000] ^= std::byte{1};
    WriteFile(Path("flipped.safetensors"), BuildSafetensors(tensors));
    return Path("flipped.safetensors");
  }

  TempDir directory_;
  std::string base_ = directory_.File("base.safetensors");
  std::string first_ = directory_.File("p1.fly");
  std::string second_ = directory_.File("p2.fly");
};

TEST_F(PatchInputs, AreNotOverwrittenByWhatIsRestored) {
  std::filesystem::create_hard_link(base_, Path("hard"));
  std::filesystem::create_symlink(first_, Path("soft"));
  DecompressOptions options{.overwrite = true};
  Bytes before[] = {ReadFile(base_), ReadFile(first_), ReadFile(second_)};
  for (const std::string& target : {base_, first_, second_, Path("hard"), Path("soft")}) {
    EXPECT_THAT(ApplyPatches(base_, {first_, second_}, target, options), FailsWith(ErrorCode::kInvalidArgument))
        << target;
    DecompressOptions with_base = options;
    with_base.bases = {base_, first_};
    EXPECT_THAT(DecompressFile(second_, target, with_base), FailsWith(ErrorCode::kInvalidArgument)) << target;
    Result<Archive> archive = Archive::OpenPath(second_, {base_, first_});
    ASSERT_THAT(archive, IsOk());
    std::vector<size_t> extents = {0};
    ExtractOptions extract;
    extract.overwrite = true;
    EXPECT_THAT(ExtractExtents(archive.value(), extents, {}, target, extract), FailsWith(ErrorCode::kInvalidArgument))
        << target;
    EXPECT_THAT(Rebase({base_, first_, second_}, target, {.overwrite = true}), FailsWith(ErrorCode::kInvalidArgument))
        << target;
  }
  EXPECT_TRUE(ReadFile(base_) == before[0] && ReadFile(first_) == before[1] && ReadFile(second_) == before[2]);
  EXPECT_THAT(ApplyPatches(base_, {first_, second_}, Path("v2"), options), IsOk());
}

TEST_F(PatchInputs, AreNotOverwrittenByWhatTheyAreMovedOnto) {
  CompressOptions options{.overwrite = true, .bases = {Path("v1")}};
  EXPECT_THAT(Rebase({base_, first_, second_}, Path("v1"), options), FailsWith(ErrorCode::kInvalidArgument));
}

TEST_F(PatchInputs, ThatAreDirectoriesStayAsTheyAre) {
  std::filesystem::create_directory(Path("bd"));
  std::filesystem::create_directory(Path("vd"));
  std::filesystem::copy(base_, Path("bd/m.safetensors"));
  std::filesystem::copy(Path("v1"), Path("vd/m.safetensors"));
  std::filesystem::create_directory_symlink(Path("bd"), Path("link"));
  ASSERT_THAT(MakePatch(Path("vd"), {Path("bd")}, Path("vp.fly")), IsOk());
  DecompressOptions options{.overwrite = true};
  for (const char* target : {"bd", "bd/", "link", "bd/new", "link/deep/new", "bd/../bd/m.safetensors"}) {
    EXPECT_THAT(ApplyPatches(Path("bd"), {Path("vp.fly")}, Path(target), options),
                FailsWith(ErrorCode::kInvalidArgument))
        << target;
  }
  // The base is a file of the directory that the tree would be merged into.
  EXPECT_THAT(ApplyPatches(Path("bd/m.safetensors"), {Path("vp.fly")}, Path("bd"), options),
              FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_TRUE(ReadFile(Path("bd/m.safetensors")) == ReadFile(base_));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(Path("bd")), {}), 1);
  EXPECT_THAT(ApplyPatches(Path("bd"), {Path("vp.fly")}, Path("beside"), options), IsOk());
  EXPECT_THAT(ApplyPatches(Path("bd"), {Path("vp.fly")}, Path("beside"), options), IsOk());
}

TEST_F(PatchInputs, ThatAreOthersAreNamedWhereATensorThatStaysDiffers) {
  Result<DecompressSummary> applied = ApplyPatches(FlippedBase(), {first_}, Path("out"), {});
  ASSERT_THAT(applied, FailsWith(ErrorCode::kBaseMismatch));
  EXPECT_THAT(applied.error().message, HasSubstr("'head.weight' of 'flipped.safetensors'"));
  applied = ApplyPatches(Path("flipped.safetensors"), {first_, second_}, Path("out"), {});
  EXPECT_THAT(applied, FailsWith(ErrorCode::kBaseMismatch));
  EXPECT_THAT(VerifyFile(first_, {.bases = {Path("flipped.safetensors")}}), FailsWith(ErrorCode::kBaseMismatch));
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
}

TEST_F(PatchInputs, ThatAreOthersAreNotServed) {
  EXPECT_THAT(PlanServing(base_, {first_}, {}), IsOk());
  EXPECT_THAT(PlanServing(FlippedBase(), {first_}, {}), FailsWith(ErrorCode::kBaseMismatch));
}

TEST_F(PatchInputs, AreNotNeededToRepair) {
  CompressOptions options{.overwrite = true, .bases = {base_}, .recovery_permille = 100};
  ASSERT_THAT(CompressFile(Path("v1"), first_, options), IsOk());
  Bytes whole = ReadFile(first_);
  RepairReport report;
  RepairOptions alone;
  alone.overwrite = true;
  RepairOptions with_base = alone;
  with_base.bases = {base_};
  RepairOptions with_another = alone;
  with_another.bases = {Path("v2")};
  ASSERT_THAT(RepairFile(first_, first_, {}, report), IsOk());
  EXPECT_FALSE(report.found_damage());
  EXPECT_TRUE(report.lacks_base);
  for (size_t at = 10; at < whole.size(); at += whole.size() / 7) {
    Bytes damaged = whole;
    damaged[at] ^= std::byte{4};
    WriteFile(Path("damaged.fly"), damaged);
    ASSERT_THAT(RepairFile(Path("damaged.fly"), Path("mended.fly"), alone, report), IsOk()) << at;
    EXPECT_TRUE(report.found_damage() && report.lacks_base) << at;
    EXPECT_TRUE(ReadFile(Path("mended.fly")) == whole) << at;
    ASSERT_THAT(RepairFile(Path("damaged.fly"), Path("mended.fly"), with_base, report), IsOk());
    EXPECT_FALSE(report.lacks_base) << at;
  }
  EXPECT_THAT(RepairFile(Path("damaged.fly"), base_, with_base, report), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(RepairFile(first_, Path("mended.fly"), with_another, report), FailsWith(ErrorCode::kBaseMismatch));
}

TEST_F(PatchInputs, ThatHoldTheVariantItselfAreNoBase) {
  std::filesystem::create_directory(Path("models"));
  ASSERT_THAT(CompressFile(Path("v1"), Path("models/copy.fly"), {}), IsOk());
  ASSERT_THAT(CompressFile(base_, Path("models/base.fly"), {}), IsOk());
  BaseSearchOptions options;
  options.directories = {Path("models")};
  Result<BaseSearchResult> found = FindBase(Path("v1"), options);
  ASSERT_THAT(found, IsOk());
  EXPECT_THAT(found.value().same, ElementsAre(Path("models/copy.fly")));
  ASSERT_EQ(found.value().best.size(), 1U);
  EXPECT_EQ(found.value().best.front().path, Path("models/base.fly"));
}

}  // namespace
}  // namespace flyweight
