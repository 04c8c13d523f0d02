#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>

#include "flyweight/pipeline.h"
#include "flyweight/repair.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/safetensors_file.h"
#include "support/temp_dir.h"
#include "support/weights.h"
#include "tensor/cast.h"

// Extents that are made of others: pieces and casts, from the source to every way of reading them.

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using test::Pattern;
using test::Random;
using test::ReadFile;
using test::SafetensorsEntry;
using test::TempDir;
using test::WriteFile;
using Bytes = std::vector<std::byte>;

constexpr uint64_t kColumns = 500;
constexpr uint64_t kRowBytes = 2 * kColumns;

Bytes Weights(uint64_t rows, uint64_t seed) {
  Random random(seed);
  return test::MakeTensor(DType::kBF16, rows, kColumns, Pattern::kWeights, random);
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

SafetensorsEntry Matrix(const std::string& name, const Bytes& content) {
  return {name, "BF16", {content.size() / kRowBytes, kColumns}, content};
}

/// A matrix with another row in place of each of `rows`.
Bytes Edited(Bytes matrix, const std::vector<uint64_t>& rows) {
  Bytes other = Weights(rows.size(), 99);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(other.begin() + static_cast<ptrdiff_t>(i * kRowBytes), kRowBytes,
                matrix.begin() + static_cast<ptrdiff_t>(rows[i] * kRowBytes));
  }
  return matrix;
}

/// Compresses a model, and checks every way of reading it. Returns the listing.
ArchiveListing CheckModel(const Bytes& model, Level level = Level::kBalanced) {
  TempDir directory;
  std::string archive = directory.File("m.fly");
  WriteFile(directory.File("m"), model);
  Bytes first;
  for (size_t thread_count : {1, 3}) {
    CompressOptions options;
    options.level = level;
    options.thread_count = thread_count;
    options.overwrite = true;
    EXPECT_THAT(CompressFile(directory.File("m"), archive, options), IsOk());
    if (first.empty()) first = ReadFile(archive);
    EXPECT_TRUE(ReadFile(archive) == first) << "threads must not change bytes";
    DecompressOptions decompress;
    decompress.thread_count = thread_count;
    decompress.overwrite = true;
    EXPECT_THAT(DecompressFile(archive, directory.File("back"), decompress), IsOk());
    EXPECT_TRUE(ReadFile(directory.File("back")) == model);
  }
  for (VerifyMode mode : {VerifyMode::kFull, VerifyMode::kFast, VerifyMode::kSample}) {
    VerifyOptions options;
    options.mode = mode;
    options.sample_fraction = 1;
    EXPECT_THAT(VerifyFile(archive, options), IsOk());
  }
  auto opened = Archive::OpenBytes(first);
  EXPECT_THAT(opened, IsOk());
  Bytes restored(model.size());
  EXPECT_THAT(opened.value().DecodeFile(restored, 2, true), IsOk());
  EXPECT_TRUE(restored == model);
  uint64_t offset = 0;
  Random random(7);
  const ArchiveListing& listing = opened.value().listing();
  for (size_t i = 0; i < listing.extents.size(); ++i) {
    uint64_t size = listing.extents[i].decoded_bytes;
    for (auto [begin, count] :
         {std::pair{uint64_t{0}, size}, {random.Below(size), uint64_t{1}}, {size / 3, size / 2}}) {
      Bytes part(count);
      EXPECT_THAT(opened.value().DecodeExtent(i, begin, part, 2), IsOk());
      EXPECT_TRUE(std::equal(part.begin(), part.end(), model.begin() + static_cast<ptrdiff_t>(offset + begin)));
    }
    offset += size;
  }
  return listing;
}

const ListedTensor& Named(const ArchiveListing& listing, const std::string& name) {
  return *std::ranges::find(listing.extents, name, &ListedTensor::name);
}

TEST(Sharing, StoresAGrownVocabularyOnce) {
  Bytes old = Weights(2000, 1);
  ArchiveListing listing = CheckModel(test::BuildSafetensors(
      {Matrix("behind", old + Weights(8, 2)), Matrix("old", old), Matrix("front", Weights(8, 3) + old)}));
  EXPECT_EQ(Named(listing, "behind").shared_bytes, 0U);
  EXPECT_EQ(Named(listing, "old").shared_bytes, old.size());
  EXPECT_EQ(Named(listing, "old").stored_bytes, 0U);
  EXPECT_EQ(Named(listing, "front").shared_bytes, old.size());
  EXPECT_LT(Named(listing, "front").stored_bytes, 9000U);
  EXPECT_FALSE(Named(listing, "front").is_shared) << "not all of it is stored elsewhere";
}

TEST(Sharing, StoresOnlyTheRowsThatWereEdited) {
  Bytes old = Weights(2000, 1);
  std::vector<uint64_t> rows = {0, 1, 500, 777, 778, 1200, 1999};
  ArchiveListing listing =
      CheckModel(test::BuildSafetensors({Matrix("a", old), Matrix("b", Edited(old, rows)), Matrix("c", old)}));
  EXPECT_EQ(Named(listing, "b").shared_bytes, old.size() - rows.size() * kRowBytes);
  EXPECT_TRUE(Named(listing, "c").is_shared);
}

TEST(Sharing, PiecesOfPiecesAndTheSameAsPieces) {
  Bytes old = Weights(1500, 1);
  Bytes edited = Edited(old, {700});
  Bytes twice = Edited(edited, {100, 700});
  ArchiveListing listing = CheckModel(test::BuildSafetensors(
      {Matrix("a", old), Matrix("b", edited), Matrix("c", edited), Matrix("d", twice), Matrix("e", twice + edited)}));
  EXPECT_EQ(Named(listing, "b").shared_bytes, old.size() - kRowBytes);
  EXPECT_TRUE(Named(listing, "c").is_shared);
  EXPECT_EQ(Named(listing, "d").shared_bytes, old.size() - 2 * kRowBytes);
  EXPECT_GE(Named(listing, "e").shared_bytes, 2 * old.size() - 4 * kRowBytes);
}

TEST(Sharing, FindsRepeatsInsideOneExtentAtAnyDistance) {
  Bytes tile = Weights(419, 1);
  tile.resize(419430);
  Bytes model;
  for (int i = 0; i < 12; ++i) model = model + tile;
  model.resize(model.size() - 12346);
  ArchiveListing listing = CheckModel(model);
  ASSERT_EQ(listing.extents.size(), 1U);
  EXPECT_EQ(listing.extents[0].shared_bytes, model.size() - tile.size());
}

TEST(Sharing, FindsWhatRepeatsNearby) {
  Random random(1);
  Bytes tile = test::MakeIntegerWords(1, 1001, Pattern::kRandomBits, random);
  Bytes model;
  for (int i = 0; i < 2000; ++i) model = model + tile;
  ArchiveListing listing = CheckModel(model);
  EXPECT_GT(listing.extents[0].shared_bytes, model.size() - 200000);
}

TEST(Sharing, FindsRepeatsOverFilesOfATree) {
  TempDir directory;
  std::filesystem::create_directories(directory.File("t"));
  Bytes old = Weights(1500, 1);
  WriteFile(directory.File("t/1"), test::BuildSafetensors({Matrix("w", old)}));
  WriteFile(directory.File("t/2"), test::BuildSafetensors({Matrix("w", Edited(old, {3, 700}))}));
  ASSERT_THAT(Compress({directory.File("t")}, directory.File("t.fly"), {}), IsOk());
  EXPECT_LT(std::filesystem::file_size(directory.File("t.fly")), old.size() * 4 / 5);
  ASSERT_THAT(VerifyFile(directory.File("t.fly"), {}), IsOk());
  DecompressOptions only;
  only.members = {"2"};
  ASSERT_THAT(DecompressFile(directory.File("t.fly"), directory.File("2"), only), IsOk());
  EXPECT_TRUE(ReadFile(directory.File("2")) == ReadFile(directory.File("t/2")));
}

TEST(Sharing, LeavesContentWithoutRepeatsAlone) {
  Random random(3);
  for (Pattern pattern : {Pattern::kWeights, Pattern::kZeros, Pattern::kSparse, Pattern::kQuantised, Pattern::kConstant,
                          Pattern::kRandomBits}) {
    Bytes content = test::MakeTensor(DType::kBF16, 1500, kColumns, pattern, random);
    ArchiveListing listing = CheckModel(test::BuildSafetensors({Matrix("w", content)}));
    EXPECT_EQ(Named(listing, "w").shared_bytes, 0U) << test::PatternName(pattern);
  }
}

TEST(Sharing, IsLeftOutWhereSpeedIsWanted) {
  Bytes old = Weights(1000, 1);
  ArchiveListing listing =
      CheckModel(test::BuildSafetensors({Matrix("a", old), Matrix("b", old + Weights(1, 2))}), Level::kFast);
  EXPECT_EQ(Named(listing, "b").shared_bytes, 0U);
}

TEST(Sharing, WorksOnBuffers) {
  Bytes table = Weights(1000, 1);
  Bytes buffer = table + Weights(700, 2) + table + Weights(300, 3);
  Bytes archive;
  auto append = [&](std::span<const std::byte> bytes) {
    archive.insert(archive.end(), bytes.begin(), bytes.end());
    return Status::Ok();
  };
  TensorView view{.name = "", .dtype = DType::kBF16, .shape = {}, .bytes = buffer};
  ASSERT_THAT(CompressBuffer(view, Level::kBalanced, 2, append), IsOk());
  auto opened = Archive::OpenBytes(archive);
  ASSERT_THAT(opened, IsOk());
  EXPECT_EQ(opened.value().listing().extents[0].shared_bytes, table.size());
  Bytes restored(buffer.size());
  ASSERT_THAT(opened.value().DecodeFile(restored, 2, false), IsOk());
  EXPECT_TRUE(restored == buffer);
}

TEST(Sharing, SalvageLosesWhatIsMadeOfDamagedChunks) {
  TempDir directory;
  Bytes old = Weights(2000, 1);
  Bytes model = test::BuildSafetensors({Matrix("a", old), Matrix("b", Edited(old, {1000}))});
  WriteFile(directory.File("m"), model);
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), {}), IsOk());
  Bytes archive = ReadFile(directory.File("m.fly"));
  archive[archive.size() / 2] ^= std::byte{0x55};
  WriteFile(directory.File("m.fly"), archive);
  EXPECT_FALSE(VerifyFile(directory.File("m.fly"), {}).ok());
  EXPECT_FALSE(DecompressFile(directory.File("m.fly"), directory.File("back"), {}).ok());

  DecompressOptions options;
  options.salvage = true;
  auto summary = DecompressFile(directory.File("m.fly"), directory.File("back"), options);
  ASSERT_THAT(summary, IsOk());
  Bytes salvaged = ReadFile(directory.File("back") + ".damaged");
  ASSERT_EQ(salvaged.size(), model.size());
  for (const LostContent& lost : summary.value().lost) {
    std::copy_n(model.begin() + static_cast<ptrdiff_t>(lost.file_offset), lost.size_bytes,
                salvaged.begin() + static_cast<ptrdiff_t>(lost.file_offset));
  }
  EXPECT_TRUE(salvaged == model) << "all but what is said to be lost is right";
  EXPECT_GE(summary.value().lost.size(), 2U) << "the chunk was part of both tensors";
}

TEST(Sharing, RepairsRecordsOfPieces) {
  TempDir directory;
  Bytes old = Weights(2000, 1);
  WriteFile(directory.File("m"), test::BuildSafetensors({Matrix("a", old), Matrix("b", Weights(600, 2) + old)}));
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), {}), IsOk());
  Bytes archive = ReadFile(directory.File("m.fly"));
  Bytes damaged = archive;
  damaged[archive.size() - 4000] ^= std::byte{1};  // in the record of b
  WriteFile(directory.File("bad.fly"), damaged);
  RepairOptions options;
  options.other = directory.File("m.fly");
  RepairReport report;
  ASSERT_THAT(RepairFile(directory.File("bad.fly"), directory.File("good.fly"), options, report), IsOk());
  EXPECT_TRUE(ReadFile(directory.File("good.fly")) == archive);
}

Bytes CastOf(CastMethod method, const Bytes& wide) {
  Bytes narrow(wide.size() / 2);
  CastFromF32(method, wide, narrow);
  return narrow;
}

Bytes Masters(uint64_t seed, Pattern pattern = Pattern::kWeights) {
  Random random(seed);
  return test::MakeTensor(DType::kF32, 1100, kColumns, pattern, random);
}

SafetensorsEntry Entry(const std::string& name, const std::string& dtype, const Bytes& content) {
  return {name, dtype, {1100, kColumns}, content};
}

TEST(Sharing, StoresCastsOfAnF32TensorWithIt) {
  Bytes masters = Masters(1);
  Bytes specials = Masters(2, Pattern::kSpecials);
  Bytes nans = Masters(3, Pattern::kNanPayloads);
  ArchiveListing listing = CheckModel(test::BuildSafetensors({
      Entry("before", "BF16", CastOf(CastMethod::kBF16, masters)),
      Entry("masters", "F32", masters),
      Entry("behind", "F16", CastOf(CastMethod::kF16, masters)),
      Entry("truncated", "BF16", CastOf(CastMethod::kBF16Truncated, masters)),
      Entry("again", "BF16", CastOf(CastMethod::kBF16, masters)),
      Entry("special masters", "F32", specials),
      Entry("special", "BF16", CastOf(CastMethod::kBF16, specials)),
      Entry("nan masters", "F32", nans),
      Entry("nans", "F16", CastOf(CastMethod::kF16, nans)),
  }));
  for (const char* name : {"before", "behind", "truncated", "again", "special", "nans"}) {
    EXPECT_TRUE(Named(listing, name).is_shared) << name;
    EXPECT_EQ(Named(listing, name).stored_bytes, 0U) << name;
  }
  for (const char* name : {"masters", "special masters", "nan masters"}) EXPECT_FALSE(Named(listing, name).is_shared);
}

TEST(Sharing, AWordThatIsNoCastMakesATensorItsOwn) {
  Bytes masters = Masters(1);
  Bytes almost = CastOf(CastMethod::kBF16, masters);
  almost[almost.size() / 2 + 2] ^= std::byte{1};
  ArchiveListing listing =
      CheckModel(test::BuildSafetensors({Entry("almost", "BF16", almost), Entry("masters", "F32", masters)}));
  EXPECT_EQ(Named(listing, "almost").shared_bytes, 0U);
}

TEST(Sharing, CastsOfAnExtentOfPieces) {
  Random random(1);
  Bytes tile = test::MakeTensor(DType::kF32, 550, kColumns, Pattern::kWeights, random);
  Bytes masters = tile + tile;
  ArchiveListing listing = CheckModel(test::BuildSafetensors(
      {Entry("weights", "BF16", CastOf(CastMethod::kBF16, masters)), Entry("masters", "F32", masters)}));
  EXPECT_TRUE(Named(listing, "weights").is_shared);
  EXPECT_EQ(Named(listing, "masters").shared_bytes, tile.size());
}

TEST(Sharing, LossyArchivesShareWholeExtentsOnly) {
  TempDir directory;
  Bytes old = Weights(1500, 1);
  WriteFile(directory.File("m"), test::BuildSafetensors({Matrix("a", old), Matrix("b", Edited(old, {5}))}));
  CompressOptions options;
  options.lossy.method = LossyChoice{LossyMethod::kBlocks, 8, false, 64};
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options), IsOk());
  EXPECT_THAT(VerifyFile(directory.File("m.fly"), {}), IsOk());
  auto listing = ListArchive(directory.File("m.fly"));
  ASSERT_THAT(listing, IsOk());
  EXPECT_EQ(Named(listing.value(), "b").shared_bytes, 0U);
}

}  // namespace
}  // namespace flyweight
