#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

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

Bytes Weights(uint64_t rows, uint64_t columns, uint64_t seed) {
  Random random(seed);
  return test::MakeTensor(DType::kBF16, rows, columns, Pattern::kWeights, random);
}

/// What of an entry has to come back: everything but the inode, of which only who shares it counts.
std::string Snapshot(const std::string& path, std::map<ino_t, std::string>& first_names) {
  struct stat status;
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  std::string text = std::to_string(status.st_mode) + " " + std::to_string(status.st_mtim.tv_sec) + "." +
                     std::to_string(status.st_mtim.tv_nsec);
  if (S_ISLNK(status.st_mode)) return text + " -> " + std::filesystem::read_symlink(path).string();
  if (!S_ISREG(status.st_mode)) return text;
  auto [first, is_new] = first_names.emplace(status.st_ino, path.substr(path.rfind('/')));
  if (!is_new) return text + " is " + first->second;
  return text + " " + test::ReadText(path);
}

std::map<std::string, std::string> Snapshot(const std::string& root) {
  std::map<std::string, std::string> entries;
  std::map<ino_t, std::string> first_names;
  std::vector<std::string> paths = {root};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) paths.push_back(entry.path().string());
  std::ranges::sort(paths);
  for (const std::string& path : paths) entries[path.substr(root.size())] = Snapshot(path, first_names);
  return entries;
}

void SetTime(const std::string& path, time_t seconds, long nanoseconds) {
  timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
}

/// A directory with one of everything.
std::string MakeModelDirectory(const TempDir& directory) {
  std::string root = directory.File("model");
  std::filesystem::create_directories(root + "/sub/empty");
  Bytes shared = Weights(200, 300, 1);
  WriteFile(root + "/a.safetensors", test::BuildSafetensors({{"w", "BF16", {200, 300}, shared}}));
  WriteFile(root + "/sub/b.safetensors", test::BuildSafetensors({{"own", "BF16", {50, 300}, Weights(50, 300, 2)},
                                                                 {"w", "BF16", {200, 300}, shared}}));
  WriteFile(root + "/sub/\xff not utf-8", RandomBytes(700, 3));
  WriteFile(root + "/config.json", "{}\n");
  WriteFile(root + "/zero", "");
  std::filesystem::create_symlink("../blobs/missing", root + "/model.safetensors");
  std::filesystem::create_hard_link(root + "/a.safetensors", root + "/hard");
  EXPECT_EQ(chmod((root + "/zero").c_str(), 04751), 0);
  EXPECT_EQ(chmod((root + "/sub").c_str(), 02750), 0);
  SetTime(root + "/config.json", -1000, 123456789);
  SetTime(root + "/model.safetensors", 1234567890, 987654321);
  SetTime(root + "/sub/empty", 13569563045, 1);
  SetTime(root + "/sub", 1500000000, 5);
  SetTime(root, 1600000000, 7);
  return root;
}

TEST(CompressTree, GivesTheDirectoryBack) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  std::map<std::string, std::string> before = Snapshot(root);
  std::string first;
  for (size_t thread_count : {1, 2, 5}) {
    CompressOptions compress;
    compress.thread_count = thread_count;
    compress.overwrite = true;
    auto summary = Compress({root}, directory.File("model.fly"), compress);
    ASSERT_THAT(summary, IsOk());
    EXPECT_EQ(summary.value().file_count, 10U);
    std::string archive = test::ReadText(directory.File("model.fly"));
    if (first.empty()) first = archive;
    EXPECT_TRUE(archive == first) << "threads must not change bytes";

    DecompressOptions decompress;
    decompress.thread_count = thread_count;
    std::string out = directory.File("out" + std::to_string(thread_count));
    ASSERT_THAT(DecompressFile(directory.File("model.fly"), out, decompress), IsOk());
    EXPECT_EQ(Snapshot(out), before);
  }
  EXPECT_EQ(Snapshot(root), before) << "the source is left alone";
  EXPECT_THAT(VerifyFile(directory.File("model.fly"), {.thread_count = 2}), IsOk());
}

TEST(CompressTree, StoresEqualTensorsOnce) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  ASSERT_THAT(Compress({root}, directory.File("model.fly"), {}), IsOk());
  auto listing = ListArchive(directory.File("model.fly"));
  ASSERT_THAT(listing, IsOk());
  EXPECT_TRUE(listing.value().is_tree);
  std::vector<std::string> shared;
  for (const ListedTensor& extent : listing.value().extents) {
    if (extent.is_shared) shared.push_back(listing.value().files[extent.file].name + ":" + extent.name);
  }
  EXPECT_THAT(shared, ElementsAre("sub/b.safetensors:w"));
}

TEST(CompressTree, TakesSeveralInputsUnderTheirNames) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  WriteFile(directory.File("z.json"), "{\"a\": 1}");
  ASSERT_THAT(Compress({directory.File("z.json"), root}, directory.File("both.fly"), {}), IsOk());
  ASSERT_THAT(DecompressFile(directory.File("both.fly"), directory.File("out"), {}), IsOk());
  EXPECT_EQ(Snapshot(directory.File("out/model")), Snapshot(root));
  EXPECT_EQ(test::ReadText(directory.File("out/z.json")), "{\"a\": 1}");
}

TEST(CompressTree, LeavesItsOwnOutputOut) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  std::string target = root + "/inside.fly";
  ASSERT_THAT(Compress({root}, target, {}), IsOk());
  auto first = ListArchive(target);
  ASSERT_THAT(first, IsOk());
  CompressOptions again;
  again.overwrite = true;
  ASSERT_THAT(Compress({root}, target, again), IsOk());
  auto second = ListArchive(target);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second.value().files.size(), first.value().files.size());
}

TEST(CompressTree, WarnsOfWhatItLeavesOut) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  ASSERT_EQ(mkfifo((root + "/pipe").c_str(), 0600), 0);
  std::vector<Notice> notices;
  CompressOptions options;
  options.notice = [&](const Notice& notice) { notices.push_back(notice); };
  ASSERT_THAT(Compress({root}, directory.File("model.fly"), options), IsOk());
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_THAT(notices[0].reason, HasSubstr("pipe"));
  EXPECT_FALSE(notices[0].is_error);
}

TEST(CompressTree, RemovesTheSourceOnlyWhenAsked) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  std::map<std::string, std::string> before = Snapshot(root);
  CompressOptions options;
  options.remove_source = true;
  ASSERT_THAT(Compress({root}, directory.File("model.fly"), options), IsOk());
  EXPECT_THAT(directory.Names(), ElementsAre("model.fly"));
  ASSERT_THAT(DecompressFile(directory.File("model.fly"), root, {}), IsOk());
  EXPECT_EQ(Snapshot(root), before);
}

TEST(CompressTree, KeepsASourceOfWhichSomethingWasLeftOut) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  ASSERT_EQ(mkfifo((root + "/pipe").c_str(), 0600), 0);
  std::map<std::string, std::string> before = Snapshot(root);
  std::vector<Notice> notices;
  CompressOptions options;
  options.remove_source = true;
  options.notice = [&](const Notice& notice) { notices.push_back(notice); };
  ASSERT_THAT(Compress({root}, directory.File("model.fly"), options), IsOk());
  EXPECT_EQ(Snapshot(root), before);
  ASSERT_EQ(notices.size(), 2U);
  EXPECT_TRUE(notices.back().is_error);
  EXPECT_THAT(notices.back().reason, HasSubstr("kept"));
}

TEST(CompressTree, NeverReplacesAnArchiveWhereItRemovesTheSource) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  WriteFile(directory.File("model.fly"), "the only copy");
  CompressOptions options;
  options.remove_source = true;
  options.overwrite = true;
  EXPECT_THAT(Compress({root}, directory.File("model.fly"), options), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_EQ(test::ReadText(directory.File("model.fly")), "the only copy");
  EXPECT_TRUE(std::filesystem::exists(root + "/config.json"));
}

TEST(CompressTree, NoticesANameThatMovesMeanwhile) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  bool moved = false;
  CompressOptions options;
  options.thread_count = 1;
  options.progress = [&](const Progress&) {
    if (!moved) std::filesystem::rename(root + "/zero", root + "/sub/zero");
    moved = true;
  };
  EXPECT_THAT(Compress({root}, directory.File("model.fly"), options), FailsWith(ErrorCode::kSourceChanged));
  EXPECT_THAT(directory.Names(), ElementsAre("model"));
}

TEST(CompressTree, NoticesAFileThatChanges) {
  TempDir directory;
  std::string root = directory.File("model");
  std::filesystem::create_directory(root);
  for (int i = 0; i < 4; ++i) WriteFile(root + "/" + std::to_string(i), RandomBytes(3 << 20, 10 + i));
  bool changed = false;
  CompressOptions options;
  options.thread_count = 1;
  options.progress = [&](const Progress&) {
    if (!changed) WriteFile(root + "/3", "other content");
    changed = true;
  };
  EXPECT_THAT(Compress({root}, directory.File("model.fly"), options), FailsWith(ErrorCode::kSourceChanged));
  EXPECT_THAT(directory.Names(), ElementsAre("model"));
}

TEST(DecompressTree, LeavesAnExistingTargetAlone) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  ASSERT_THAT(Compress({root}, directory.File("model.fly"), {}), IsOk());
  std::filesystem::create_directory(directory.File("out"));
  WriteFile(directory.File("out/config.json"), "precious");
  EXPECT_THAT(DecompressFile(directory.File("model.fly"), directory.File("out"), {}), FailsWith(ErrorCode::kExists));
  EXPECT_EQ(test::ReadText(directory.File("out/config.json")), "precious");
  DecompressOptions overwrite;
  overwrite.overwrite = true;
  WriteFile(directory.File("out/stays"), "mine");
  ASSERT_THAT(DecompressFile(directory.File("model.fly"), directory.File("out"), overwrite), IsOk());
  EXPECT_EQ(test::ReadText(directory.File("out/config.json")), "{}\n");
  EXPECT_EQ(test::ReadText(directory.File("out/stays")), "mine");
}

TEST(DecompressTree, TakesOnlyWhatIsNamed) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  ASSERT_THAT(Compress({root}, directory.File("model.fly"), {}), IsOk());
  DecompressOptions options;
  options.members = {"sub/*.safetensors", "config.json"};
  ASSERT_THAT(DecompressFile(directory.File("model.fly"), directory.File("out"), options), IsOk());
  std::vector<std::string> names;
  for (const auto& [name, snapshot] : Snapshot(directory.File("out"))) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("", "/config.json", "/sub", "/sub/b.safetensors"));

  options.members = {"hard"};
  ASSERT_THAT(DecompressFile(directory.File("model.fly"), directory.File("linked"), options), IsOk());
  EXPECT_EQ(ReadFile(directory.File("linked/hard")), ReadFile(root + "/a.safetensors"));

  options.members = {"config.json"};
  ASSERT_THAT(DecompressFile(directory.File("model.fly"), directory.File("one"), options), IsOk());
  EXPECT_EQ(test::ReadText(directory.File("one")), "{}\n");

  options.members = {"missing"};
  EXPECT_THAT(DecompressFile(directory.File("model.fly"), directory.File("none"), options),
              FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_FALSE(std::filesystem::exists(directory.File("none")));
}

TEST(DecompressTree, RefusesMoreThanTheLimit) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  ASSERT_THAT(Compress({root}, directory.File("model.fly"), {}), IsOk());
  DecompressOptions options;
  options.max_output_bytes = 1000;
  EXPECT_THAT(DecompressFile(directory.File("model.fly"), directory.File("out"), options),
              FailsWith(ErrorCode::kLimitExceeded));
  EXPECT_THAT(directory.Names(), ElementsAre("model", "model.fly"));
}

TEST(DecompressTree, LeavesNothingOfADamagedArchive) {
  TempDir directory;
  std::string root = MakeModelDirectory(directory);
  ASSERT_THAT(Compress({root}, directory.File("model.fly"), {}), IsOk());
  Bytes archive = ReadFile(directory.File("model.fly"));
  archive[archive.size() / 2] ^= std::byte{4};
  WriteFile(directory.File("bad.fly"), archive);
  EXPECT_FALSE(DecompressFile(directory.File("bad.fly"), directory.File("out"), {}).ok());
  EXPECT_THAT(directory.Names(), ElementsAre("bad.fly", "model", "model.fly"));
}

TEST(CompressFile, StoresTiedTensorsOnce) {
  TempDir directory;
  Bytes tied = Weights(300, 300, 5);
  WriteFile(directory.File("m"), test::BuildSafetensors({{"embed", "BF16", {300, 300}, tied},
                                                         {"head", "BF16", {300, 300}, tied},
                                                         {"other", "BF16", {300, 300}, Weights(300, 300, 6)}}));
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), {}), IsOk());
  auto listing = ListArchive(directory.File("m.fly"));
  ASSERT_THAT(listing, IsOk());
  ASSERT_EQ(listing.value().extents.size(), 4U);
  EXPECT_TRUE(listing.value().extents[2].is_shared);
  EXPECT_FALSE(listing.value().extents[3].is_shared);
  ASSERT_THAT(DecompressFile(directory.File("m.fly"), directory.File("back"), {}), IsOk());
  EXPECT_EQ(ReadFile(directory.File("back")), ReadFile(directory.File("m")));
}

TEST(CompressFile, KeepsTheSourceWhereItsArchiveCannotBeComparedFirst) {
  TempDir directory;
  WriteFile(directory.File("m"), "weights");
  CompressOptions options;
  options.remove_source = true;
  options.verify = false;
  EXPECT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options),
              FailsWith(ErrorCode::kInvalidArgument));
  options.verify = true;
  ASSERT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options), IsOk());
  EXPECT_THAT(directory.Names(), ElementsAre("m.fly"));
}

}  // namespace
}  // namespace flyweight
