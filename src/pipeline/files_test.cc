#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/hash.h"
#include "flyweight/pipeline.h"
#include "support/child_process.h"
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
using test::ReadFile;
using test::TempDir;
using test::WriteFile;
using testing::ElementsAre;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

Bytes RandomBytes(size_t size, uint64_t seed) {
  Random random(seed);
  return test::MakeIntegerWords(1, size, Pattern::kRandomBits, random);
}

/// A model with tensors of many sizes and types: empty, inline, of one chunk and of several.
Bytes SmallModel() {
  Random random(1);
  auto entry = [&](std::string name, std::string dtype, DType type, uint64_t rows, uint64_t columns) {
    return test::SafetensorsEntry{std::move(name),
                                  std::move(dtype),
                                  {rows, columns},
                                  test::MakeTensor(type, rows, columns, Pattern::kWeights, random)};
  };
  return test::BuildSafetensors({entry("empty", "F32", DType::kF32, 0, 7), entry("tiny", "F32", DType::kF32, 4, 4),
                                 entry("bf16", "BF16", DType::kBF16, 300, 1000),
                                 entry("f32", "F32", DType::kF32, 90, 700), entry("f16", "F16", DType::kF16, 64, 65),
                                 entry("int", "I64", DType::kI64, 10, 30), entry("odd", "F9_X", DType::kU8, 30, 30)},
                                {{"format", "pt"}});
}

/// Compresses, lists what stands in the directory afterwards, restores and compares.
void ExpectRoundTrip(const Bytes& content, size_t thread_count) {
  TempDir directory;
  std::string source = directory.File("model.safetensors");
  std::string archive = source + ".fly";
  std::string restored = directory.File("restored");
  WriteFile(source, content);
  CompressOptions compress;
  compress.thread_count = thread_count;
  Result<CompressSummary> compressed = CompressFile(source, archive, compress);
  ASSERT_THAT(compressed, IsOk());
  EXPECT_EQ(compressed.value().source_bytes, content.size());
  EXPECT_EQ(compressed.value().archive_bytes, ReadFile(archive).size());
  EXPECT_THAT(VerifyFile(archive, {.thread_count = thread_count}), IsOk());
  DecompressOptions decompress;
  decompress.thread_count = thread_count;
  Result<DecompressSummary> decompressed = DecompressFile(archive, restored, decompress);
  ASSERT_THAT(decompressed, IsOk());
  EXPECT_EQ(decompressed.value().file_bytes, content.size());
  EXPECT_EQ(decompressed.value().archive_bytes, compressed.value().archive_bytes);
  EXPECT_TRUE(ReadFile(restored) == content);
  EXPECT_EQ(directory.Names().size(), 3U) << "temporary files are left";
}

TEST(CompressFile, RoundTripsAModel) {
  for (size_t thread_count : {1, 2, 5}) ExpectRoundTrip(SmallModel(), thread_count);
}

TEST(CompressFile, RoundTripsFilesOfAnySize) {
  for (size_t size : {0, 1, 2, 63, 64, 65, 4095, 4096, 65537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 19}) {
    SCOPED_TRACE(size);
    ExpectRoundTrip(RandomBytes(size, size), 2);
  }
}

TEST(CompressFile, RoundTripsMalformedModels) {
  Bytes model = SmallModel();
  Random random(7);
  for (size_t cut : {size_t{1}, size_t{7}, size_t{8}, size_t{9}, size_t{100}, model.size() - 1}) {
    SCOPED_TRACE(cut);
    ExpectRoundTrip(Bytes(model.begin(), model.begin() + static_cast<ptrdiff_t>(cut)), 2);
  }
  Bytes longer = model;
  longer.insert(longer.end(), 1000, std::byte{7});
  ExpectRoundTrip(longer, 2);
  for (int i = 0; i < 12; ++i) {
    Bytes damaged = model;
    for (int flips = 0; flips < 3; ++flips) damaged[random.Below(500)] ^= std::byte{1} << random.Below(8);
    SCOPED_TRACE(i);
    ExpectRoundTrip(damaged, 2);
  }
}

TEST(CompressFile, WritesTheSameBytesForAnyNumberOfThreads) {
  TempDir directory;
  std::string source = directory.File("model");
  WriteFile(source, SmallModel());
  Bytes expected;
  for (size_t thread_count : {1, 2, 3, 5, 9}) {
    CompressOptions options;
    options.thread_count = thread_count;
    options.overwrite = true;
    ASSERT_THAT(CompressFile(source, directory.File("out"), options), IsOk());
    Bytes written = ReadFile(directory.File("out"));
    if (expected.empty()) expected = written;
    EXPECT_TRUE(written == expected) << thread_count << " threads";
  }
}

TEST(CompressFile, GivesTheArchiveModeAndTimeOfTheSourceAndBack) {
  TempDir directory;
  std::string source = directory.File("a");
  WriteFile(source, "weights");
  ASSERT_EQ(chmod(source.c_str(), 0640), 0);
  timespec times[2] = {{1000000000, 0}, {1234567890, 123456789}};
  ASSERT_EQ(utimensat(AT_FDCWD, source.c_str(), times, 0), 0);
  ASSERT_THAT(CompressFile(source, directory.File("b"), {}), IsOk());
  ASSERT_THAT(DecompressFile(directory.File("b"), directory.File("c"), {}), IsOk());
  for (const char* name : {"b", "c"}) {
    struct stat status;
    ASSERT_EQ(stat(directory.File(name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0640U);
    EXPECT_EQ(status.st_mtim.tv_sec, 1234567890);
    EXPECT_EQ(status.st_mtim.tv_nsec, 123456789);
  }
}

TEST(CompressFile, LeavesAnExistingTargetAlone) {
  TempDir directory;
  WriteFile(directory.File("a"), "weights");
  WriteFile(directory.File("b"), "precious");
  EXPECT_THAT(CompressFile(directory.File("a"), directory.File("b"), {}), FailsWith(ErrorCode::kExists));
  EXPECT_EQ(test::ReadText(directory.File("b")), "precious");
  EXPECT_THAT(directory.Names(), ElementsAre("a", "b"));
}

TEST(CompressFile, RefusesToReplaceItsSource) {
  TempDir directory;
  std::string source = directory.File("a");
  WriteFile(source, "weights");
  ASSERT_EQ(link(source.c_str(), directory.File("hard").c_str()), 0);
  ASSERT_EQ(symlink(source.c_str(), directory.File("soft").c_str()), 0);
  CompressOptions options;
  options.overwrite = true;
  for (const char* target : {"a", "hard", "soft"}) {
    EXPECT_THAT(CompressFile(source, directory.File(target), options), FailsWith(ErrorCode::kInvalidArgument));
  }
  EXPECT_EQ(test::ReadText(source), "weights");
}

TEST(CompressFile, NamesWhatItCannotRead) {
  TempDir directory;
  std::string target = directory.File("out");
  EXPECT_THAT(CompressFile(directory.File("missing"), target, {}), FailsWith(ErrorCode::kIo));
  EXPECT_THAT(CompressFile("/dev/null", target, {}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(directory.Names(), ElementsAre());
}

TEST(CompressFile, NoticesASourceThatGrows) {
  TempDir directory;
  std::string source = directory.File("a");
  WriteFile(source, RandomBytes(3 << 20, 3));
  bool grown = false;
  CompressOptions options;
  options.thread_count = 1;
  options.progress = [&](const Progress&) {
    if (!grown) std::ofstream(source, std::ios::app) << "more";
    grown = true;
  };
  EXPECT_THAT(CompressFile(source, directory.File("b"), options), FailsWith(ErrorCode::kSourceChanged));
  EXPECT_TRUE(grown);
  EXPECT_THAT(directory.Names(), ElementsAre("a"));
}

TEST(CompressFile, NoticesASourceThatShrinks) {
  TempDir directory;
  std::string source = directory.File("a");
  WriteFile(source, RandomBytes(3 << 20, 3));
  CompressOptions options;
  options.thread_count = 1;
  options.progress = [&](const Progress&) { ASSERT_EQ(truncate(source.c_str(), 1000), 0); };
  EXPECT_THAT(CompressFile(source, directory.File("b"), options), FailsWith(ErrorCode::kSourceChanged));
  EXPECT_THAT(directory.Names(), ElementsAre("a"));
}

TEST(CompressFile, ComparesWhatItWroteWithTheSource) {
  TempDir directory;
  std::string source = directory.File("a");
  WriteFile(source, RandomBytes(3 << 20, 4));
  struct stat before;
  ASSERT_EQ(stat(source.c_str(), &before), 0);
  bool changed = false;
  CompressOptions options;
  options.thread_count = 1;
  options.progress = [&](const Progress& progress) {
    if (changed || progress.done_bytes < (3U << 20)) return;
    // One bit in the last byte, with the time put back: only a comparison can notice.
    std::fstream file(source, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-1, std::ios::end);
    char last = static_cast<char>(file.get());
    file.seekp(-1, std::ios::end);
    file.put(static_cast<char>(last ^ 1));
    file.close();
    timespec times[2] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(utimensat(AT_FDCWD, source.c_str(), times, 0), 0);
    changed = true;
  };
  EXPECT_THAT(CompressFile(source, directory.File("b"), options), FailsWith(ErrorCode::kInternal));
  EXPECT_TRUE(changed);
  EXPECT_THAT(directory.Names(), ElementsAre("a"));
}

TEST(CompressFile, ReportsProgressThatOnlyGrows) {
  TempDir directory;
  WriteFile(directory.File("a"), RandomBytes(5 << 20, 5));
  uint64_t last = 0;
  uint64_t total = 0;
  std::vector<std::string> stages;
  CompressOptions options;
  options.thread_count = 2;
  options.progress = [&](const Progress& progress) {
    EXPECT_GE(progress.done_bytes, last);
    last = progress.done_bytes;
    total = progress.total_bytes;
    if (stages.empty() || stages.back() != progress.stage) stages.emplace_back(progress.stage);
  };
  ASSERT_THAT(CompressFile(directory.File("a"), directory.File("b"), options), IsOk());
  EXPECT_EQ(last, total);
  EXPECT_THAT(stages, ElementsAre("compress", "verify"));
}

TEST(CompressFile, LeavesNothingWhereTheDiskIsFull) {
  TempDir directory;
  WriteFile(directory.File("a"), RandomBytes(3 << 20, 6));
  test::FileSizeLimit limit(1 << 20);
  EXPECT_THAT(CompressFile(directory.File("a"), directory.File("b"), {}), FailsWith(ErrorCode::kIo));
  EXPECT_THAT(directory.Names(), ElementsAre("a"));
}

TEST(DecompressFile, LeavesNothingWhereTheDiskIsFull) {
  TempDir directory;
  WriteFile(directory.File("a"), Bytes(3 << 20));
  ASSERT_THAT(CompressFile(directory.File("a"), directory.File("b"), {}), IsOk());
  test::FileSizeLimit limit(1 << 20);
  EXPECT_THAT(DecompressFile(directory.File("b"), directory.File("c"), {}), FailsWith(ErrorCode::kIo));
  EXPECT_THAT(directory.Names(), ElementsAre("a", "b"));
}

TEST(DecompressFile, LeavesAnExistingTargetAlone) {
  TempDir directory;
  WriteFile(directory.File("a"), "weights");
  WriteFile(directory.File("c"), "precious");
  ASSERT_THAT(CompressFile(directory.File("a"), directory.File("b"), {}), IsOk());
  EXPECT_THAT(DecompressFile(directory.File("b"), directory.File("c"), {}), FailsWith(ErrorCode::kExists));
  EXPECT_EQ(test::ReadText(directory.File("c")), "precious");
}

TEST(DecompressFile, RefusesWhatIsNoArchive) {
  TempDir directory;
  WriteFile(directory.File("a"), RandomBytes(5000, 8));
  Result<DecompressSummary> result = DecompressFile(directory.File("a"), directory.File("b"), {});
  ASSERT_THAT(result, FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(result.error().message, HasSubstr("not a flyweight archive"));
  EXPECT_THAT(directory.Names(), ElementsAre("a"));
}

TEST(DecompressFile, NeverGivesOtherBytesWhateverBitIsFlipped) {
  TempDir directory;
  Random random(9);
  Bytes model = test::BuildSafetensors(
      {{"w", "BF16", {30, 40}, test::MakeTensor(DType::kBF16, 30, 40, Pattern::kWeights, random)},
       {"tiny", "U8", {3}, RandomBytes(3, 1)}});
  WriteFile(directory.File("a"), model);
  ASSERT_THAT(CompressFile(directory.File("a"), directory.File("b"), {}), IsOk());
  Bytes archive = ReadFile(directory.File("b"));
  DecompressOptions options;
  options.overwrite = true;
  size_t survivors = 0;
  for (size_t at = 0; at < archive.size(); ++at) {
    Bytes damaged = archive;
    damaged[at] ^= std::byte{1} << random.Below(8);
    Bytes restored(model.size());
    Result<Archive> opened = Archive::OpenBytes(damaged);
    bool survives = opened.ok() && opened.value().file_bytes() == restored.size() &&
                    opened.value().DecodeFile(restored, 1, true).ok();
    survivors += survives;
    ASSERT_TRUE(!survives || restored == model) << "byte " << at;
    if (at % 23 != 0) continue;  // files cost more than memory

    WriteFile(directory.File("damaged"), damaged);
    EXPECT_FALSE(VerifyFile(directory.File("damaged"), {.thread_count = 1}).ok()) << "byte " << at;
    EXPECT_EQ(DecompressFile(directory.File("damaged"), directory.File("c"), options).ok(), survives) << "byte " << at;
    ASSERT_TRUE(!survives || ReadFile(directory.File("c")) == model) << "byte " << at;
  }
  EXPECT_GT(survivors, 0U) << "header and index exist twice, so some damage is survived";
}

TEST(DecompressFile, RefusesEveryTruncation) {
  TempDir directory;
  WriteFile(directory.File("a"), RandomBytes(300, 2));
  ASSERT_THAT(CompressFile(directory.File("a"), directory.File("b"), {}), IsOk());
  Bytes archive = ReadFile(directory.File("b"));
  for (size_t size = 0; size < archive.size(); ++size) {
    EXPECT_FALSE(Archive::OpenBytes(std::span(archive).first(size)).ok()) << size;
    if (size % 23 != 0) continue;
    WriteFile(directory.File("cut"), std::span(archive).first(size));
    EXPECT_FALSE(DecompressFile(directory.File("cut"), directory.File("c"), {}).ok()) << size;
  }
  EXPECT_THAT(directory.Names(), ElementsAre("a", "b", "cut"));
}

TEST(ListArchive, SaysWhatTheIndexSays) {
  TempDir directory;
  Bytes model = SmallModel();
  WriteFile(directory.File("model.safetensors"), model);
  ASSERT_THAT(CompressFile(directory.File("model.safetensors"), directory.File("b"), {}), IsOk());
  Result<ArchiveListing> listing = ListArchive(directory.File("b"));
  ASSERT_THAT(listing, IsOk());
  EXPECT_EQ(listing.value().files.front().name, "model.safetensors");
  EXPECT_EQ(listing.value().files.front().container_format, "safetensors");
  EXPECT_EQ(listing.value().file_bytes, model.size());
  EXPECT_EQ(listing.value().archive_bytes, ReadFile(directory.File("b")).size());
  EXPECT_EQ(listing.value().files.front().sha256_hex, ToHex(Sha256(model)));
  EXPECT_TRUE(listing.value().damage.empty());
  std::vector<std::string> names;
  for (const ListedTensor& extent : listing.value().extents) {
    if (!extent.is_tensor) continue;
    names.push_back(extent.name);
    EXPECT_EQ(extent.digest_hex.size(), 64U);
  }
  EXPECT_THAT(names, ElementsAre("empty", "tiny", "bf16", "f32", "f16", "int", "odd"));
}

TEST(ListArchive, GivesTensorDigestsThatAreTreesOverChunks) {
  TempDir directory;
  Random random(3);
  Bytes weights = test::MakeTensor(DType::kBF16, 300, 1000, Pattern::kWeights, random);
  WriteFile(directory.File("a"), test::BuildSafetensors({{"w", "BF16", {300, 1000}, weights}}));
  ASSERT_THAT(CompressFile(directory.File("a"), directory.File("b"), {}), IsOk());
  constexpr size_t kChunkBytes = size_t{256} * 1024 * 2;
  Bytes leaves;
  for (size_t at = 0; at < weights.size(); at += kChunkBytes) {
    Digest leaf = Sha256(std::span(weights).subspan(at, std::min(kChunkBytes, weights.size() - at)));
    leaves.insert(leaves.end(), leaf.begin(), leaf.end());
  }
  Result<ArchiveListing> listing = ListArchive(directory.File("b"));
  ASSERT_THAT(listing, IsOk());
  ASSERT_EQ(leaves.size(), 64U);
  EXPECT_EQ(listing.value().extents.back().digest_hex, ToHex(Sha256(leaves)));
}

TEST(IsArchive, LooksAtTheFirstBytes) {
  TempDir directory;
  WriteFile(directory.File("a"), "weights of a network");
  WriteFile(directory.File("short"), "we");
  ASSERT_THAT(CompressFile(directory.File("a"), directory.File("b"), {}), IsOk());
  EXPECT_TRUE(IsArchive(directory.File("b")).value());
  EXPECT_FALSE(IsArchive(directory.File("a")).value());
  EXPECT_FALSE(IsArchive(directory.File("short")).value());
  EXPECT_THAT(IsArchive(directory.File("missing")), FailsWith(ErrorCode::kIo));
}

}  // namespace
}  // namespace flyweight
