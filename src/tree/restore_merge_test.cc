#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>

#include "support/child_process.h"
#include "tree/restore.h"
#include "tree/tree_test_tools.h"

// Restoring into a directory that holds something.

namespace flyweight {
namespace {

namespace fs = std::filesystem;
using test::AddFile;
using test::DirectoryEntry;
using test::FailsWith;
using test::HardLinkEntry;
using test::IsOk;
using test::RestorerOrDie;
using test::SymlinkEntry;
using Paths = std::vector<std::string>;

class MergedTree : public testing::Test {
 protected:
  MergedTree() {
    fs::create_directories(dir_.File("out/both"));
    fs::create_directories(dir_.File("outside"));
    test::WriteFile(dir_.File("out/both/theirs"), "theirs");
    test::WriteFile(dir_.File("out/both/f"), "old");
    test::WriteFile(dir_.File("outside/f"), "precious");
    chmod(dir_.File("out").c_str(), 0701);
    restorer_ = RestorerOrDie(dir_.File("out"), /*overwrite=*/true);
    EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("", 0755)), IsOk());
    EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("both", 02750)), IsOk());
    EXPECT_THAT(AddFile(*restorer_, "both/f", "new", 0640), IsOk());
  }
  Paths Walked() const { return test::PathsOf(test::WalkOrDie(test::RootsOrDie({dir_.File("out")}))); }

  test::TempDir dir_;
  std::unique_ptr<TreeRestorer> restorer_;
};

TEST_F(MergedTree, ReplacesFilesAndKeepsWhatItDoesNotName) {
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("new", 0511)), IsOk());
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("new/sub", 0500)), IsOk());
  EXPECT_THAT(AddFile(*restorer_, "new/sub/g", "g"), IsOk());
  EXPECT_THAT(restorer_->AddHardLink(HardLinkEntry("h"), "both/f"), IsOk());
  EXPECT_EQ(test::ReadText(dir_.File("out/both/f")), "old");
  EXPECT_THAT(restorer_->Finish(), IsOk());
  restorer_.reset();
  EXPECT_EQ(Walked(), (Paths{"", "both", "both/f", "both/theirs", "h", "new", "new/sub", "new/sub/g"}));
  EXPECT_EQ(test::ReadText(dir_.File("out/both/f")), "new");
  EXPECT_EQ(test::ReadText(dir_.File("out/both/theirs")), "theirs");
  EXPECT_EQ(test::StatOf(dir_.File("out/h")).st_ino, test::StatOf(dir_.File("out/both/f")).st_ino);
  EXPECT_EQ(test::StatOf(dir_.File("out/both")).st_mode & 07777U, 02750U);
  EXPECT_EQ(test::StatOf(dir_.File("out/both")).st_mtim.tv_sec, DirectoryEntry("").stat.modified.seconds);
  EXPECT_EQ(test::StatOf(dir_.File("out/both/f")).st_mode & 07777U, 0640U);
  EXPECT_EQ(test::StatOf(dir_.File("out/new/sub")).st_mode & 07777U, 0500U);
  EXPECT_EQ(test::StatOf(dir_.File("out")).st_mode & 07777U, 0701U);  // it was there before: its own
  EXPECT_EQ(dir_.Names(), (Paths{"out", "outside"}));
}

TEST_F(MergedTree, ReplacesALinkAndNotWhatItLeadsTo) {
  fs::remove(dir_.File("out/both/f"));
  fs::create_symlink("../../outside/f", dir_.File("out/both/f"));
  EXPECT_THAT(restorer_->Finish(), IsOk());
  EXPECT_EQ(test::ReadText(dir_.File("out/both/f")), "new");
  EXPECT_FALSE(fs::is_symlink(dir_.File("out/both/f")));
  EXPECT_EQ(test::ReadText(dir_.File("outside/f")), "precious");
}

TEST_F(MergedTree, MovesNothingWhereALinkStandsForADirectory) {
  fs::create_directories(dir_.File("out/linked"));
  EXPECT_THAT(AddFile(*restorer_, "a-first", "1"), IsOk());
  fs::rename(dir_.File("out/both"), dir_.File("outside/both"));
  fs::create_symlink("../outside/both", dir_.File("out/both"));
  Result<void> finished = restorer_->Finish();
  ASSERT_THAT(finished, FailsWith(ErrorCode::kExists));
  EXPECT_NE(finished.error().message.find("out/both"), std::string::npos);
  restorer_.reset();
  EXPECT_EQ(Walked(), (Paths{"", "both", "linked"}));  // not even what sorts before it
  EXPECT_EQ(test::ReadText(dir_.File("outside/both/f")), "old");
}

TEST_F(MergedTree, MovesNothingWhereFilesAndDirectoriesMeet) {
  EXPECT_THAT(AddFile(*restorer_, "x", "1"), IsOk());
  EXPECT_THAT(AddFile(*restorer_, "a-first", "1"), IsOk());
  fs::create_directories(dir_.File("out/x"));
  EXPECT_THAT(restorer_->Finish(), FailsWith(ErrorCode::kExists));
  fs::remove(dir_.File("out/x"));
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("y")), IsOk());
  test::WriteFile(dir_.File("out/y"), "file");
  EXPECT_THAT(restorer_->Finish(), FailsWith(ErrorCode::kExists));
  EXPECT_EQ(Walked(), (Paths{"", "both", "both/f", "both/theirs", "y"}));
  EXPECT_EQ(test::ReadText(dir_.File("out/both/f")), "old");
  fs::remove(dir_.File("out/y"));
  EXPECT_THAT(restorer_->Finish(), IsOk());  // it can be tried again
  EXPECT_EQ(test::ReadText(dir_.File("out/both/f")), "new");
}

TEST_F(MergedTree, LinksReplaceFiles) {
  test::WriteFile(dir_.File("out/s"), "file");
  EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry("s", "both/f")), IsOk());
  EXPECT_THAT(restorer_->Finish(), IsOk());
  EXPECT_EQ(fs::read_symlink(dir_.File("out/s")), "both/f");
}

TEST_F(MergedTree, IsOneRenameWhereTheTargetIsGone) {
  fs::remove_all(dir_.File("out"));
  EXPECT_THAT(restorer_->Finish(), IsOk());
  EXPECT_EQ(Walked(), (Paths{"", "both", "both/f"}));
  EXPECT_EQ(test::StatOf(dir_.File("out")).st_mode & 07777U, 0755U);
}

TEST(TreeRestorer, RestoresOntoAMountPoint) {
  test::TempDir dir;
  fs::create_directories(dir.File("out"));
  int status = test::RunInChild([&] {
    bool mounted = unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                   mount("none", dir.File("out").c_str(), "tmpfs", 0, "size=1m") == 0;
    if (!mounted) return test::kChildSkips;
    Result<std::unique_ptr<TreeRestorer>> restorer = TreeRestorer::Create(dir.File("out"), {});
    if (!restorer.ok() || !restorer.value()->AddDirectory(DirectoryEntry("", 0751)).ok()) return 1;
    if (!AddFile(*restorer.value(), "f", "1").ok() || !restorer.value()->Finish().ok()) return 2;
    restorer.value().reset();
    if (test::PathsOf(test::WalkOrDie(test::RootsOrDie({dir.File("out")}))) != Paths{"", "f"}) return 3;
    if ((test::StatOf(dir.File("out")).st_mode & 07777U) != 0751) return 4;
    // And a full file system is an error that leaves nothing.
    restorer = TreeRestorer::Create(dir.File("out"), {.overwrite = true});
    auto file = std::move(restorer.value()->OpenFile(test::FileEntry("big", 2 << 20))).value();
    if (file->Reserve(2 << 20).ok()) return 5;
    if (file->WriteAt(0, std::vector<std::byte>(2 << 20)).ok()) return 6;
    file.reset();
    restorer.value().reset();
    return test::PathsOf(test::WalkOrDie(test::RootsOrDie({dir.File("out")}))) == Paths{"", "f"} ? 0 : 7;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "may not mount a small file system";
  EXPECT_EQ(test::ExitStatus(status), 0);
}

}  // namespace
}  // namespace flyweight
