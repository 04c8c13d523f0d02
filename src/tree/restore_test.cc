#include "tree/restore.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "support/child_process.h"
#include "tree/hidden_directory.h"
#include "tree/tree_test_tools.h"

namespace flyweight {
namespace {

namespace fs = std::filesystem;
using test::AddFile;
using test::DirectoryEntry;
using test::FailsWith;
using test::FileEntry;
using test::IsOk;
using test::NoticeLog;
using test::RestorerOrDie;
using test::RootsOrDie;
using test::WalkOrDie;
using Paths = std::vector<std::string>;

void SetTimes(const std::string& path, timespec accessed, timespec modified) {
  timespec times[2] = {accessed, modified};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

// Every kind, odd modes and times; what the tests of copying start from.
void MakeSpecimen(const test::TempDir& dir) {
  fs::create_directories(dir.File("tree/a/empty"));
  fs::create_directories(dir.File("tree/locked"));
  test::WriteFile(dir.File("tree/a/f"), "content");
  test::WriteFile(dir.File("tree/locked/setuid"), "#!");
  test::WriteFile(dir.File("tree/a/\xFF\xFE name\n"), "raw");
  fs::create_hard_link(dir.File("tree/a/f"), dir.File("tree/z"));
  fs::create_symlink("missing/elsewhere", dir.File("tree/dangling"));
  fs::create_symlink("/etc/passwd", dir.File("tree/absolute"));
  fs::create_symlink("a/f", dir.File("tree/model.safetensors"));
  chmod(dir.File("tree/locked/setuid").c_str(), 06755);
  chmod(dir.File("tree/a/f").c_str(), 0);
  SetTimes(dir.File("tree/a/f"), {-1, 5}, {-2'000'000'000, 999'999'999});
  SetTimes(dir.File("tree/locked/setuid"), {13'569'465'600, 7}, {13'569'465'600, 1});  // year 2400
  SetTimes(dir.File("tree/dangling"), {11, 12}, {13, 14});
  SetTimes(dir.File("tree/a/empty"), {21, 22}, {-23, 24});
  SetTimes(dir.File("tree/a"), {31, 32}, {33, 34});
  chmod(dir.File("tree/locked").c_str(), 01555);
  chmod(dir.File("tree/a").c_str(), 02750);
  chmod(dir.File("tree").c_str(), 0711);
  SetTimes(dir.File("tree/locked"), {41, 42}, {43, 44});
  SetTimes(dir.File("tree"), {51, 52}, {53, 54});
}

// Access times too; of the first walk, since reading a link changes its own.
void ExpectSameTrees(const std::vector<TreeEntry>& a, const std::vector<TreeEntry>& b) {
  EXPECT_EQ(test::DescribeAll(a), test::DescribeAll(b));
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].stat.accessed, b[i].stat.accessed) << a[i].path;
}

TEST(TreeRestorer, GivesATreeBackWithAllThatItHad) {
  test::TempDir dir;
  MakeSpecimen(dir);
  TreeRoots roots = RootsOrDie({dir.File("tree")});
  std::vector<TreeEntry> entries = WalkOrDie(roots);
  NoticeLog log;
  auto restorer = RestorerOrDie(dir.File("copy"), false, log.Callback());
  EXPECT_THAT(test::CopyTree(roots, entries, *restorer), IsOk());
  restorer.reset();
  ExpectSameTrees(entries, WalkOrDie(RootsOrDie({dir.File("copy")})));
  EXPECT_EQ(test::ReadText(dir.File("copy/z")), "content");
  EXPECT_EQ(test::StatOf(dir.File("copy/z")).st_ino, test::StatOf(dir.File("copy/a/f")).st_ino);
  EXPECT_EQ(dir.Names(), (Paths{"copy", "tree"}));
  EXPECT_TRUE(log.all().empty());
}

TEST(TreeRestorer, DoesSoForAUserWithoutPrivilegesAndAnyUmask) {
  test::TempDir dir;
  ASSERT_EQ(chmod(dir.path().c_str(), 0777), 0);
  int status = test::RunInChild([&] {
    if (!test::DropPrivileges()) return test::kChildSkips;
    umask(0);
    MakeSpecimen(dir);
    chmod(dir.File("tree/a/f").c_str(), 0400);
    umask(0777);
    std::string copy = dir.File("copy");
    TreeRoots roots = RootsOrDie({dir.File("tree")});
    std::vector<TreeEntry> entries = WalkOrDie(roots);
    Result<std::unique_ptr<TreeRestorer>> restorer = TreeRestorer::Create(copy, {});
    if (!restorer.ok()) return 1;
    Status copied = test::CopyTree(roots, entries, *restorer.value());
    if (!copied.ok()) return 2;
    return test::DescribeAll(WalkOrDie(RootsOrDie({copy}))) == test::DescribeAll(entries) ? 0 : 3;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "cannot become another user";
  EXPECT_EQ(test::ExitStatus(status), 0);
}

TEST(TreeRestorer, ShowsNothingUnderTheNameBeforeTheEnd) {
  test::TempDir dir;
  auto restorer = RestorerOrDie(dir.File("out"));
  EXPECT_THAT(restorer->AddDirectory(DirectoryEntry("", 0755)), IsOk());
  EXPECT_THAT(restorer->AddDirectory(DirectoryEntry("d", 0777)), IsOk());
  auto file = std::move(restorer->OpenFile(FileEntry("d/f", 3, 06777))).value();
  EXPECT_EQ(dir.Names(), Paths{".out.flyweight-tree"});
  EXPECT_EQ(test::StatOf(dir.File(".out.flyweight-tree")).st_mode & 07777U, 0700U);
  EXPECT_EQ(test::StatOf(dir.File(".out.flyweight-tree/d/f")).st_mode & 07777U, 0600U);
  EXPECT_THAT(file->WriteAt(0, AsBytes("abc")), IsOk());
  EXPECT_THAT(file->Close(), IsOk());
  EXPECT_THAT(restorer->Finish(), IsOk());
  EXPECT_EQ(dir.Names(), Paths{"out"});
  EXPECT_EQ(test::StatOf(dir.File("out")).st_mode & 07777U, 0755U);
  EXPECT_EQ(test::StatOf(dir.File("out/d")).st_mode & 07777U, 0777U);
  EXPECT_EQ(test::StatOf(dir.File("out/d/f")).st_mode & 07777U, 06777U);
  EXPECT_THAT(restorer->Finish(), FailsWith(ErrorCode::kInternal));
}

TEST(TreeRestorer, LeavesNothingWhenItIsAbandoned) {
  test::TempDir dir;
  auto restorer = RestorerOrDie(dir.File("out"));
  EXPECT_THAT(restorer->AddDirectory(DirectoryEntry("d")), IsOk());
  EXPECT_THAT(AddFile(*restorer, "d/f", "abc", 0), IsOk());
  EXPECT_THAT(restorer->AddSymlink(test::SymlinkEntry("d/l", "/etc")), IsOk());
  restorer.reset();
  EXPECT_TRUE(dir.Names().empty());
}

TEST(TreeRestorer, WritesFilesFromSeveralThreads) {
  test::TempDir dir;
  auto restorer = RestorerOrDie(dir.File("out"));
  constexpr size_t kThreads = 4, kFiles = 20;
  std::vector<Status> statuses(kThreads);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::string name = "d" + std::to_string(t);
      Status& status = statuses[t];
      status = restorer->AddDirectory(DirectoryEntry(name));
      for (size_t i = 0; i < kFiles && status.ok(); ++i) {
        status = AddFile(*restorer, name + "/" + std::to_string(i), name);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Status& status : statuses) EXPECT_THAT(status, IsOk());
  EXPECT_THAT(restorer->Finish(), IsOk());
  std::vector<TreeEntry> entries = WalkOrDie(RootsOrDie({dir.File("out")}));
  EXPECT_EQ(entries.size(), 1 + kThreads * (kFiles + 1));
  EXPECT_EQ(test::ReadText(dir.File("out/d3/19")), "d3");
}

TEST(TreeRestorer, RefusesToFinishWithAnIncompleteFile) {
  test::TempDir dir;
  auto restorer = RestorerOrDie(dir.File("out"));
  auto file = std::move(restorer->OpenFile(FileEntry("f", 3))).value();
  EXPECT_THAT(file->WriteAt(0, AsBytes("ab")), IsOk());
  EXPECT_THAT(file->Close(), FailsWith(ErrorCode::kInternal));
  EXPECT_THAT(restorer->Finish(), FailsWith(ErrorCode::kInternal));
  file.reset();
  EXPECT_THAT(restorer->Finish(), FailsWith(ErrorCode::kInternal));
  EXPECT_FALSE(fs::exists(dir.File("out")));
}

TEST(TreeRestorer, GoesOnWithoutADiscardedFile) {
  test::TempDir dir;
  auto restorer = RestorerOrDie(dir.File("out"));
  EXPECT_THAT(AddFile(*restorer, "good", "1"), IsOk());
  auto file = std::move(restorer->OpenFile(FileEntry("bad", 3))).value();
  EXPECT_THAT(file->Discard(), IsOk());
  EXPECT_THAT(restorer->Finish(), IsOk());
  EXPECT_EQ(fs::exists(dir.File("out/bad")), false);
  EXPECT_EQ(test::ReadText(dir.File("out/good")), "1");
}

TEST(TreeFile, ReadsBackAndGivesBackWhatItReserved) {
  test::TempDir dir;
  auto restorer = RestorerOrDie(dir.File("out"));
  auto file = std::move(restorer->OpenFile(FileEntry("f", 3))).value();
  EXPECT_THAT(file->Reserve(8 << 20), IsOk());
  EXPECT_THAT(file->Reserve(UINT64_MAX), FailsWith(ErrorCode::kIo));
  EXPECT_THAT(file->WriteAt(1, AsBytes("bc")), IsOk());
  EXPECT_THAT(file->WriteAt(0, AsBytes("a")), IsOk());
  std::string text(3, '?');
  EXPECT_THAT(file->ReadBack()->ReadAt(0, std::as_writable_bytes(std::span(text))), IsOk());
  EXPECT_EQ(text, "abc");
  EXPECT_THAT(file->Close(), IsOk());
  EXPECT_THAT(file->Close(), FailsWith(ErrorCode::kInternal));
  EXPECT_THAT(restorer->Finish(), IsOk());
  EXPECT_LT(test::StatOf(dir.File("out/f")).st_blocks * 512, 1 << 20);
}

TEST(TreeRestorer, TakesTheNameOfAnEmptyDirectoryAndNoOther) {
  test::TempDir dir;
  fs::create_directories(dir.File("empty"));
  fs::create_directories(dir.File("full/x"));
  test::WriteFile(dir.File("file"), "precious");
  fs::create_symlink("empty", dir.File("link"));
  auto restorer = RestorerOrDie(dir.File("empty/"));
  EXPECT_THAT(AddFile(*restorer, "f", "1"), IsOk());
  EXPECT_THAT(restorer->Finish(), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("empty/f")), "1");
  for (const char* name : {"full", "file", "link"}) {
    EXPECT_THAT(TreeRestorer::Create(dir.File(name), {}), FailsWith(ErrorCode::kExists)) << name;
  }
  for (const char* name : {"file", "link"}) {
    EXPECT_THAT(TreeRestorer::Create(dir.File(name), {.overwrite = true}), FailsWith(ErrorCode::kExists)) << name;
  }
  EXPECT_EQ(dir.Names(), (Paths{"empty", "file", "full", "link"}));
}

TEST(TreeRestorer, RefusesPathsThatNameNoDirectoryToBe) {
  test::TempDir dir;
  for (const std::string& path : {std::string(), std::string("/"), std::string(dir.path() + "/a\0b", 20)}) {
    EXPECT_FALSE(TreeRestorer::Create(path, {}).ok()) << path;
  }
  EXPECT_THAT(TreeRestorer::Create(dir.File("missing/out"), {}), FailsWith(ErrorCode::kIo));
}

TEST(TreeRestorer, DoesNotReplaceWhatCameMeanwhile) {
  test::TempDir dir;
  auto restorer = RestorerOrDie(dir.File("out"));
  EXPECT_THAT(AddFile(*restorer, "f", "1"), IsOk());
  fs::create_directories(dir.File("out"));
  test::WriteFile(dir.File("out/theirs"), "2");
  EXPECT_THAT(restorer->Finish(), FailsWith(ErrorCode::kExists));
  restorer.reset();
  EXPECT_EQ(dir.Names(), Paths{"out"});
  EXPECT_EQ(test::ReadText(dir.File("out/theirs")), "2");
}

TEST(TreeRestorer, LetsOneRunAtATimeRestoreATarget) {
  test::TempDir dir;
  auto first = RestorerOrDie(dir.File("out"));
  EXPECT_THAT(AddFile(*first, "f", "1"), IsOk());
  Result<std::unique_ptr<TreeRestorer>> second = TreeRestorer::Create(dir.File("out"), {});
  ASSERT_THAT(second, FailsWith(ErrorCode::kExists));
  EXPECT_NE(second.error().message.find("another run"), std::string::npos);
  EXPECT_THAT(first->Finish(), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("out/f")), "1");
}

TEST(TreeRestorer, RemovesWhatAKilledRunLeft) {
  test::TempDir dir;
  test::WriteFile(dir.File("precious"), "1");
  int status = test::RunInChild([&] {
    Result<std::unique_ptr<TreeRestorer>> restorer = TreeRestorer::Create(dir.File("out"), {});
    if (!restorer.ok() || !restorer.value()->AddDirectory(DirectoryEntry("d")).ok()) return 1;
    if (!AddFile(*restorer.value(), "d/f", "half").ok()) return 2;
    if (!restorer.value()->AddSymlink(test::SymlinkEntry("d/l", "../../precious")).ok()) return 3;
    kill(getpid(), SIGKILL);
    return 4;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_TRUE(fs::exists(dir.File(".out.flyweight-tree/d/f")));
  ASSERT_EQ(chmod(dir.File(".out.flyweight-tree/d").c_str(), 0), 0);
  ASSERT_EQ(chmod(dir.File(".out.flyweight-tree").c_str(), 0), 0);
  auto restorer = RestorerOrDie(dir.File("out"));
  EXPECT_THAT(AddFile(*restorer, "g", "whole"), IsOk());
  EXPECT_THAT(restorer->Finish(), IsOk());
  EXPECT_EQ(dir.Names(), (Paths{"out", "precious"}));
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({dir.File("out")}))), (Paths{"", "g"}));
  EXPECT_EQ(test::ReadText(dir.File("precious")), "1");
}

TEST(TreeRestorer, RemovesWhatAKilledRunLeftInsideTheTarget) {
  test::TempDir dir;
  fs::create_directories(dir.File("out/.out.flyweight-tree/d"));
  auto restorer = RestorerOrDie(dir.File("out"));
  EXPECT_THAT(AddFile(*restorer, "g", "whole"), IsOk());
  EXPECT_THAT(restorer->Finish(), IsOk());
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({dir.path()}))), (Paths{"", "out", "out/g"}));
}

TEST(TreeRestorer, LeavesAloneWhatHasTheHiddenNameAndIsNotItsOwn) {
  test::TempDir dir;
  fs::create_directories(dir.File("elsewhere"));
  test::WriteFile(dir.File("elsewhere/f"), "1");
  fs::create_symlink("elsewhere", dir.File(".out.flyweight-tree"));
  EXPECT_THAT(TreeRestorer::Create(dir.File("out"), {}), FailsWith(ErrorCode::kExists));
  EXPECT_EQ(test::ReadText(dir.File("elsewhere/f")), "1");
  fs::create_directories(dir.File(".foreign.flyweight-tree"));
  if (chown(dir.File(".foreign.flyweight-tree").c_str(), 65534, 65534) != 0) GTEST_SKIP() << "may not chown";
  EXPECT_THAT(TreeRestorer::Create(dir.File("foreign"), {}), FailsWith(ErrorCode::kExists));
}

TEST(TreeRestorer, FindsAHiddenNameForTheLongestTarget) {
  test::TempDir dir;
  std::string name(255, 'n');
  auto restorer = RestorerOrDie(dir.File(name));
  ASSERT_EQ(dir.Names().size(), 1U);
  EXPECT_TRUE(dir.Names()[0].ends_with(".flyweight-tree"));
  EXPECT_THAT(restorer->Finish(), IsOk());
  EXPECT_EQ(dir.Names(), Paths{name});
}

TEST(TreeRestorer, RestoresInsideATargetThatNothingMayBeWrittenBeside) {
  test::TempDir dir;
  fs::create_directories(dir.File("parent/out"));
  ASSERT_EQ(chmod(dir.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(dir.File("parent/out").c_str(), 0777), 0);
  int status = test::RunInChild([&] {
    if (!test::DropPrivileges()) return test::kChildSkips;
    Result<std::unique_ptr<TreeRestorer>> restorer = TreeRestorer::Create(dir.File("parent/out"), {});
    if (!restorer.ok() || !restorer.value()->AddDirectory(DirectoryEntry("d", 0555)).ok()) return 1;
    if (!AddFile(*restorer.value(), "d/f", "1").ok()) return 2;
    return restorer.value()->Finish().ok() ? 0 : 3;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "cannot become another user";
  EXPECT_EQ(test::ExitStatus(status), 0);
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({dir.File("parent")}))), (Paths{"", "out", "out/d", "out/d/f"}));
  EXPECT_EQ(test::StatOf(dir.File("parent/out/d")).st_mode & 07777U, 0555U);
}

TEST(TreeRestorer, GoesHundredsOfLevelsDeep) {
  constexpr int kDepth = 200;
  test::TempDir dir;
  fs::create_directories(dir.File("tree"));
  ASSERT_TRUE(test::MakeDeepChain(dir.File("tree"), kDepth));
  TreeRoots roots = RootsOrDie({dir.File("tree")});
  std::vector<TreeEntry> entries = WalkOrDie(roots);
  RestorerOrDie(dir.File("abandoned"))->AddDirectory(DirectoryEntry("d")).ok();
  for (bool finish : {false, true}) {
    auto restorer = RestorerOrDie(dir.File("copy"));
    for (size_t i = 0; i + 1 < entries.size(); ++i) ASSERT_THAT(restorer->AddDirectory(entries[i]), IsOk());
    ASSERT_THAT(AddFile(*restorer, entries.back(), "deep"), IsOk());
    if (finish) {
      EXPECT_THAT(restorer->Finish(), IsOk());
    }
    restorer.reset();
    EXPECT_EQ(fs::exists(dir.File("copy")), finish);
  }
  EXPECT_EQ(dir.Names(), (Paths{"copy", "tree"}));
  EXPECT_EQ(test::DescribeAll(WalkOrDie(RootsOrDie({dir.File("copy")}))), test::DescribeAll(entries));
  OwnedDescriptor top = OpenAt(AT_FDCWD, dir.path().c_str(), O_RDONLY | O_DIRECTORY);
  EXPECT_THAT(RemoveContents(top.get(), dir.path()), IsOk());
}

TEST(TreeRestorer, TakesHundredsOfFiles) {
  test::TempDir dir;
  auto restorer = RestorerOrDie(dir.File("out"));
  constexpr size_t kDirectories = 20, kFilesEach = 30;
  for (size_t d = 0; d < kDirectories; ++d) {
    std::string name = "d" + std::to_string(d);
    ASSERT_THAT(restorer->AddDirectory(DirectoryEntry(name)), IsOk());
    for (size_t f = 0; f < kFilesEach; ++f) {
      ASSERT_THAT(AddFile(*restorer, name + "/" + std::to_string(f), ""), IsOk());
    }
  }
  EXPECT_THAT(restorer->Finish(), IsOk());
  std::vector<TreeEntry> entries = WalkOrDie(RootsOrDie({dir.File("out")}));
  EXPECT_EQ(entries.size(), 1 + kDirectories * (kFilesEach + 1));
  EXPECT_TRUE(std::ranges::is_sorted(entries, PathLess, &TreeEntry::path));
}

}  // namespace
}  // namespace flyweight
