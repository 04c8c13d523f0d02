#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "tree/restore.h"
#include "tree/tree_test_tools.h"

// What archives made by an enemy ask for, and what a neighbour does meanwhile.

namespace flyweight {
namespace {

namespace fs = std::filesystem;
using test::AddFile;
using test::DirectoryEntry;
using test::FailsWith;
using test::FileEntry;
using test::HardLinkEntry;
using test::IsOk;
using test::SymlinkEntry;
using Paths = std::vector<std::string>;

// A target to restore to, and beside it a directory that must stay as it is.
class HostileTree : public testing::Test {
 protected:
  HostileTree() {
    fs::create_directories(dir_.File("sentinel/sub"));
    test::WriteFile(dir_.File("sentinel/f"), "precious");
    before_ = Sentinel();
    restorer_ = test::RestorerOrDie(dir_.File("out"));
  }
  ~HostileTree() override {
    EXPECT_EQ(Sentinel(), before_);
    EXPECT_EQ(test::ReadText(dir_.File("sentinel/f")), "precious");
  }
  std::vector<std::string> Sentinel() const {
    return test::DescribeAll(test::WalkOrDie(test::RootsOrDie({dir_.File("sentinel")})));
  }
  std::string Hidden(const std::string& path) const { return dir_.File(".out.flyweight-tree/" + path); }

  test::TempDir dir_;
  std::vector<std::string> before_;
  std::unique_ptr<TreeRestorer> restorer_;
};

std::vector<std::string> BadPaths() {
  std::string million;
  for (int i = 0; i < 1'000'000; ++i) million += "a/";
  return {"..",
          "../sentinel/x",
          "a/../../sentinel/x",
          "/tmp/flyweight-absolute",
          "/",
          "a//b",
          "a/",
          "./a",
          ".",
          std::string("nul\0byte", 8),
          std::string(300, 'n'),
          million + "a",
          std::string(70'000, 'a')};
}

TEST_F(HostileTree, RefusesPathsThatLeadAstray) {
  for (const std::string& path : BadPaths()) {
    std::string shown = path.substr(0, 40);
    EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry(path)), FailsWith(ErrorCode::kCorrupt)) << shown;
    EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry(path, "x")), FailsWith(ErrorCode::kCorrupt)) << shown;
    EXPECT_THAT(restorer_->OpenFile(FileEntry(path, 0)), FailsWith(ErrorCode::kCorrupt)) << shown;
    EXPECT_THAT(restorer_->AddHardLink(HardLinkEntry(path), "f"), FailsWith(ErrorCode::kCorrupt)) << shown;
    EXPECT_THAT(restorer_->AddHardLink(HardLinkEntry("ok"), path), FailsWith(ErrorCode::kCorrupt)) << shown;
  }
  EXPECT_TRUE(fs::is_empty(Hidden("")));
  EXPECT_FALSE(fs::exists("/tmp/flyweight-absolute"));
}

TEST_F(HostileTree, AllowsNamesThatOtherSystemsReserve) {
  for (const char* name : {"CON", "nul", "trailing.", "a:b", "back\\slash", "\xFF", "...", "-rf", "new\nline"}) {
    EXPECT_THAT(AddFile(*restorer_, name, name), IsOk()) << name;
  }
  EXPECT_THAT(restorer_->Finish(), IsOk());
  EXPECT_EQ(test::ReadText(dir_.File("out/back\\slash")), "back\\slash");
}

TEST_F(HostileTree, WritesNothingBelowLinksOfItsOwn) {
  EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry("up", "../sentinel")), IsOk());
  EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry("absolute", dir_.File("sentinel"))), IsOk());
  EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry("file", "../sentinel/f")), IsOk());
  EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry("self", ".")), IsOk());
  for (const std::string link : {"up", "absolute", "file", "self"}) {
    EXPECT_THAT(AddFile(*restorer_, link + "/x", "evil"), FailsWith(ErrorCode::kCorrupt)) << link;
    EXPECT_THAT(AddFile(*restorer_, link + "/sub/x", "evil"), FailsWith(ErrorCode::kCorrupt)) << link;
    EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry(link + "/x", 0)), FailsWith(ErrorCode::kCorrupt)) << link;
    EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry(link + "/x", "y")), FailsWith(ErrorCode::kCorrupt)) << link;
    EXPECT_THAT(restorer_->AddHardLink(HardLinkEntry("h"), link + "/f"), FailsWith(ErrorCode::kCorrupt)) << link;
    // The same names again, as something else: the link must neither be followed nor replaced.
    EXPECT_THAT(AddFile(*restorer_, link, "evil"), FailsWith(ErrorCode::kCorrupt)) << link;
    EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry(link, 0)), FailsWith(ErrorCode::kCorrupt)) << link;
  }
  EXPECT_THAT(restorer_->Finish(), IsOk());
  EXPECT_EQ(fs::read_symlink(dir_.File("out/up")), "../sentinel");
}

TEST_F(HostileTree, RefusesEntriesBelowFilesAndMissingDirectories) {
  EXPECT_THAT(AddFile(*restorer_, "f", "1"), IsOk());
  EXPECT_THAT(AddFile(*restorer_, "f/x", "2"), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(AddFile(*restorer_, "f/x/y", "2"), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(AddFile(*restorer_, "missing/x", "2"), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("missing/x")), FailsWith(ErrorCode::kCorrupt));
}

TEST_F(HostileTree, RefusesANameTwice) {
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("")), IsOk());
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("")), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("d")), IsOk());
  EXPECT_THAT(AddFile(*restorer_, "f", "first"), IsOk());
  for (const char* name : {"d", "f"}) {
    EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry(name)), FailsWith(ErrorCode::kCorrupt));
    EXPECT_THAT(AddFile(*restorer_, name, "second"), FailsWith(ErrorCode::kCorrupt));
    EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry(name, "x")), FailsWith(ErrorCode::kCorrupt));
    EXPECT_THAT(restorer_->AddHardLink(HardLinkEntry(name), "f"), FailsWith(ErrorCode::kCorrupt));
  }
  EXPECT_THAT(restorer_->Finish(), IsOk());
  EXPECT_EQ(test::ReadText(dir_.File("out/f")), "first");
}

TEST_F(HostileTree, RefusesHardLinksToAnythingButItsFiles) {
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("d")), IsOk());
  EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry("s", dir_.File("sentinel/f"))), IsOk());
  for (const char* earlier : {"", "d", "s", "missing", "../sentinel/f", "d/../s"}) {
    EXPECT_THAT(restorer_->AddHardLink(HardLinkEntry("h"), earlier), FailsWith(ErrorCode::kCorrupt)) << earlier;
  }
  EXPECT_THAT(restorer_->AddHardLink(HardLinkEntry("h"), dir_.File("sentinel/f")), FailsWith(ErrorCode::kCorrupt));
}

TEST_F(HostileTree, RefusesAttributesThatNoFileHas) {
  TreeEntry bits = FileEntry("f", 0);
  bits.stat.mode = 0xFFFF;
  TreeEntry now = DirectoryEntry("d");
  now.stat.modified.nanoseconds = (1U << 30) - 1;  // UTIME_NOW
  TreeEntry kind = FileEntry("f", 0);
  kind.stat.kind = static_cast<EntryKind>(9);
  EXPECT_THAT(restorer_->OpenFile(bits), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(restorer_->OpenFile(kind), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(restorer_->AddDirectory(now), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(restorer_->AddDirectory(FileEntry("f", 0)), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(restorer_->AddDirectory(FileEntry("", 0)), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry("s", "")), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry("s", std::string(5000, 'x'))), FailsWith(ErrorCode::kCorrupt));
  EXPECT_TRUE(fs::is_empty(Hidden("")));
}

TEST_F(HostileTree, SurvivesTimesThatNoFileSystemHolds) {
  TreeEntry file = FileEntry("f", 0);
  file.stat.modified = {INT64_MAX, 999'999'999};
  file.stat.accessed = {INT64_MIN, 0};
  EXPECT_THAT(AddFile(*restorer_, file, ""), IsOk());
  EXPECT_THAT(restorer_->Finish(), IsOk());
}

TEST_F(HostileTree, RefusesTheNameOfItsHiddenDirectory) {
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry(".out.flyweight-tree")), FailsWith(ErrorCode::kCorrupt));
}

TEST_F(HostileTree, FollowsNoLinkThatANeighbourPutsInItsWay) {
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("d", 0)), IsOk());
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("e")), IsOk());  // so that d is not remembered
  EXPECT_THAT(AddFile(*restorer_, "e/f", "1"), IsOk());
  fs::remove(Hidden("d"));
  fs::create_symlink("../sentinel", Hidden("d"));
  EXPECT_THAT(AddFile(*restorer_, "d/x", "evil"), FailsWith(ErrorCode::kCorrupt));
  EXPECT_FALSE(restorer_->Finish().ok());  // the mode of d must not go to the sentinel
  EXPECT_FALSE(fs::exists(dir_.File("out")));
}

// Exchanges a directory of the growing tree and a link to the sentinel, over and over.
class Swapper {
 public:
  Swapper(std::string directory, std::string link) : directory_(std::move(directory)), link_(std::move(link)) {
    thread_ = std::thread([this] {
      while (!stop_) {
        if (renameat2(AT_FDCWD, directory_.c_str(), AT_FDCWD, link_.c_str(), RENAME_EXCHANGE) == 0) ++swap_count_;
      }
    });
  }
  uint64_t Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return swap_count_;
  }
  ~Swapper() { Stop(); }

 private:
  std::string directory_, link_;
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> swap_count_ = 0;
  std::thread thread_;
};

TEST_F(HostileTree, NeverLeavesTheTargetWhileDirectoriesAreSwappedForLinks) {
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("d")), IsOk());
  EXPECT_THAT(restorer_->AddDirectory(DirectoryEntry("e")), IsOk());
  fs::create_symlink("../sentinel", Hidden("decoy"));
  Swapper swapper(Hidden("d"), Hidden("decoy"));
  int added = 0, refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string name = std::to_string(i);
    EXPECT_THAT(restorer_->AddSymlink(SymlinkEntry("e/s" + name, "x")), IsOk());  // makes it open d anew
    bool ok = AddFile(*restorer_, "d/f" + name, "x").ok();
    ok = restorer_->AddDirectory(DirectoryEntry("d/d" + name, 0700)).ok() && ok;
    ok = restorer_->AddHardLink(HardLinkEntry("d/h" + name), "d/f" + name).ok() && ok;
    ++(ok ? added : refused);
  }
  restorer_->Finish().ok();  // may fail or not, but stays inside
  restorer_.reset();
  EXPECT_GT(swapper.Stop(), 0U);
  EXPECT_GT(added + refused, 0);
  for (const auto& entry : fs::recursive_directory_iterator(dir_.File("sentinel"))) {
    EXPECT_TRUE(entry.path().filename() == "f" || entry.path().filename() == "sub") << entry.path();
  }
}

TEST(HolderCache, OpensTheSameAsFromTheStartInAnyOrder) {
  test::TempDir dir;
  constexpr int kDepth = 400;  // more than two pieces of a path
  ASSERT_TRUE(test::MakeDeepChain(dir.path(), kDepth));
  fs::create_directories(dir.File("a/b"));
  fs::create_directories(dir.File("ab/b"));
  OwnedDescriptor top = OpenAt(AT_FDCWD, dir.path().c_str(), O_RDONLY | O_DIRECTORY);
  Paths paths = {"", "a", "a/b", "ab", "ab/b", "ab/missing", "ab/missing/b"};
  std::string deep;
  for (int i = 0; i < kDepth; ++i) paths.push_back(deep += (i > 0 ? "/" : "") + std::string(test::kDeepName));
  Paths backwards(paths.rbegin(), paths.rend());
  paths.insert(paths.end(), backwards.begin(), backwards.end());
  HolderCache cache;
  for (const std::string& path : paths) {
    std::shared_ptr<OwnedDescriptor> cached = cache.OpenIn(top.get(), path);
    OwnedDescriptor whole = OpenBeneath(top.get(), path, O_PATH | O_DIRECTORY);
    ASSERT_EQ(cached != nullptr, whole.valid()) << path;
    if (!whole.valid()) continue;
    struct stat a, b;
    ASSERT_EQ(fstat(cached->get(), &a), 0);
    ASSERT_EQ(fstat(whole.get(), &b), 0);
    ASSERT_EQ(IdentityOf(a), IdentityOf(b)) << path;
  }
  EXPECT_LT(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()), 40);
}

TEST(OpenBeneath, AgreesWithSingleSteps) {
  test::TempDir dir;
  fs::create_directories(dir.File("a/b"));
  test::WriteFile(dir.File("a/b/f"), "1");
  fs::create_symlink("a", dir.File("link"));
  fs::create_symlink("f", dir.File("a/b/l"));
  OwnedDescriptor top = OpenAt(AT_FDCWD, dir.path().c_str(), O_RDONLY | O_DIRECTORY);
  for (const char* path : {"", "a", "a/b", "a/b/f", "missing", "a/missing/f", "link/b", "link", "a/b/l", "a/b/f/x"}) {
    OwnedDescriptor whole = OpenBeneath(top.get(), path, O_RDONLY);
    int whole_errno = errno;
    OwnedDescriptor steps = OpenBeneathBySteps(top.get(), path, O_RDONLY);
    EXPECT_EQ(whole.valid(), steps.valid()) << path;
    bool must_agree = !whole.valid() && whole_errno != ELOOP;  // where steps find a link they see no directory
    EXPECT_EQ(must_agree ? whole_errno : 0, must_agree ? errno : 0) << path;
  }
  EXPECT_FALSE(OpenBeneathBySteps(top.get(), "link/b/f", O_RDONLY).valid());
  EXPECT_FALSE(OpenBeneath(top.get(), "link/b/f", O_RDONLY).valid());
}

}  // namespace
}  // namespace flyweight
