#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "support/child_process.h"
#include "tree/tree_test_tools.h"
#include "tree/walk.h"

namespace flyweight {
namespace {

namespace fs = std::filesystem;
using test::FailsWith;
using test::IsOk;
using test::NoticeLog;
using test::RootsOrDie;
using test::WalkOrDie;
using Paths = std::vector<std::string>;

// A directory d with a file f, walked.
class WalkedTree : public testing::Test {
 protected:
  WalkedTree() {
    fs::create_directories(dir_.File("tree/d"));
    fs::create_directories(dir_.File("outside"));
    test::WriteFile(dir_.File("tree/d/f"), "content");
    test::WriteFile(dir_.File("outside/f"), "content");
    fs::create_symlink("d/f", dir_.File("tree/link"));
    roots_.emplace(RootsOrDie({dir_.File("tree")}));
    entries_ = WalkOrDie(*roots_);  // "", d, d/f, link
  }
  const TreeEntry& file() const { return entries_[2]; }
  std::string FilePath() const { return dir_.File("tree/d/f"); }

  test::TempDir dir_;
  std::optional<TreeRoots> roots_;
  std::vector<TreeEntry> entries_;
};

TEST_F(WalkedTree, OpensWhatIsUnchanged) {
  Result<std::unique_ptr<FileSource>> source = OpenTreeFile(*roots_, file());
  ASSERT_THAT(source, IsOk());
  std::string text(7, '?');
  EXPECT_THAT(source.value()->ReadAt(0, std::as_writable_bytes(std::span(text))), IsOk());
  EXPECT_EQ(text, "content");
  EXPECT_THAT(source.value()->CheckUnchanged(), IsOk());
  for (const TreeEntry& entry : entries_) EXPECT_THAT(CheckTreeEntry(*roots_, entry), IsOk()) << entry.path;
}

TEST_F(WalkedTree, NoticesFilesThatChanged) {
  std::vector<std::function<void()>> changes = {
      [&] { test::WriteFile(FilePath(), "longer content"); },
      [&] { test::WriteFile(FilePath(), "Content"); },
      [&] { fs::remove(FilePath()); },
      [&] { test::WriteFile(FilePath(), "content"); },
      [&] { fs::remove(FilePath()), fs::create_symlink("../../outside/f", FilePath()); },
      [&] { fs::remove(FilePath()), fs::create_directory(FilePath()); },
      [&] { fs::remove(FilePath()), mkfifo(FilePath().c_str(), 0600); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    changes[i]();
    EXPECT_THAT(OpenTreeFile(*roots_, file()), FailsWith(ErrorCode::kSourceChanged)) << i;
    EXPECT_THAT(CheckTreeEntry(*roots_, file()), FailsWith(ErrorCode::kSourceChanged)) << i;
  }
}

TEST_F(WalkedTree, FollowsNoDirectoryThatBecameALink) {
  fs::remove_all(dir_.File("tree/d"));
  fs::create_symlink("../outside", dir_.File("tree/d"));
  TreeRoots fresh = RootsOrDie({dir_.File("tree")});  // remembers no directory yet
  EXPECT_THAT(OpenTreeFile(fresh, file()), FailsWith(ErrorCode::kSourceChanged));
  EXPECT_THAT(CheckTreeEntry(fresh, entries_[1]), FailsWith(ErrorCode::kSourceChanged));
}

TEST_F(WalkedTree, NoticesALinkThatLeadsElsewhere) {
  fs::remove(dir_.File("tree/link"));
  fs::create_symlink("elsewhere", dir_.File("tree/link"));
  EXPECT_THAT(CheckTreeEntry(*roots_, entries_[3]), FailsWith(ErrorCode::kSourceChanged));
}

TEST_F(WalkedTree, OpensNoDirectoriesAndLinks) {
  EXPECT_THAT(OpenTreeFile(*roots_, entries_[1]), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(OpenTreeFile(*roots_, entries_[3]), FailsWith(ErrorCode::kInvalidArgument));
}

TEST_F(WalkedTree, IsRemovedWhole) {
  NoticeLog log;
  RemovedTree removed = RemoveTree(*roots_, entries_, log.Callback());
  EXPECT_EQ(removed.removed_count, 4U);
  EXPECT_EQ(removed.left_count, 0U);
  EXPECT_TRUE(log.all().empty());
  EXPECT_EQ(dir_.Names(), Paths{"outside"});
  EXPECT_EQ(test::ReadText(dir_.File("outside/f")), "content");
}

TEST_F(WalkedTree, KeepsWhatChangedOrCameWhenRemoved) {
  test::WriteFile(FilePath(), "newer");
  test::WriteFile(dir_.File("tree/new"), "");
  NoticeLog log;
  RemovedTree removed = RemoveTree(*roots_, entries_, log.Callback());
  EXPECT_EQ(removed.removed_count, 1U);  // the link
  EXPECT_EQ(removed.left_count, 3U);
  EXPECT_EQ(log.Count(TreeSeverity::kError), 1U);
  EXPECT_EQ(log.Count(TreeSeverity::kWarning), 2U);
  EXPECT_TRUE(log.Mentions("was written to"));
  EXPECT_EQ(test::ReadText(FilePath()), "newer");
  EXPECT_TRUE(fs::exists(dir_.File("tree/new")));
}

TEST_F(WalkedTree, RemovesNothingThroughALink) {
  fs::rename(dir_.File("tree/d"), dir_.File("moved"));
  fs::create_symlink("../moved", dir_.File("tree/d"));  // leads to the very same files
  TreeRoots fresh = RootsOrDie({dir_.File("tree")});
  NoticeLog log;
  RemovedTree removed = RemoveTree(fresh, entries_, log.Callback());
  EXPECT_EQ(removed.removed_count, 1U);
  EXPECT_EQ(test::ReadText(dir_.File("moved/f")), "content");
}

TEST(RemoveTree, TakesSeveralInputsAndHardLinks) {
  test::TempDir dir;
  fs::create_directories(dir.File("a"));
  test::WriteFile(dir.File("a/f"), "1");
  test::WriteFile(dir.File("g"), "2");
  fs::create_hard_link(dir.File("a/f"), dir.File("a/h"));
  test::WriteFile(dir.File("stays"), "3");
  TreeRoots roots = RootsOrDie({dir.File("a"), dir.File("g")});
  RemovedTree removed = RemoveTree(roots, WalkOrDie(roots), {});
  EXPECT_EQ(removed.removed_count, 4U);
  EXPECT_EQ(removed.left_count, 0U);
  EXPECT_EQ(dir.Names(), Paths{"stays"});
}

TEST(RemoveTree, ReportsADirectoryThatMayNotBeWritten) {
  test::TempDir dir;
  fs::create_directories(dir.File("a"));
  test::WriteFile(dir.File("a/f"), "1");
  ASSERT_EQ(chmod(dir.path().c_str(), 0755), 0);
  int status = test::RunInChild([&] {
    if (!test::DropPrivileges()) return test::kChildSkips;
    TreeRoots roots = RootsOrDie({dir.File("a")});
    NoticeLog log;
    Result<std::vector<TreeEntry>> entries = WalkTree(roots, {}, {});
    if (!entries.ok()) return 1;
    RemovedTree removed = RemoveTree(roots, entries.value(), log.Callback());
    return removed.removed_count == 0 && removed.left_count == 2 && log.Mentions("a/f") ? 0 : 2;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "cannot become another user";
  EXPECT_EQ(test::ExitStatus(status), 0);
  EXPECT_TRUE(fs::exists(dir.File("a/f")));
}

}  // namespace
}  // namespace flyweight
