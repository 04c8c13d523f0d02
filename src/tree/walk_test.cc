#include "tree/walk.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "support/child_process.h"
#include "tree/hidden_directory.h"
#include "tree/tree_test_tools.h"

namespace flyweight {
namespace {

namespace fs = std::filesystem;
using test::FailsWith;
using test::IsOk;
using test::NoticeLog;
using test::RootsOrDie;
using test::WalkOrDie;
using Paths = std::vector<std::string>;

void SetTimes(const std::string& path, timespec accessed, timespec modified) {
  timespec times[2] = {accessed, modified};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

size_t OpenDescriptorCount() {
  return static_cast<size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

TEST(WalkTree, ListsEveryKindInOrder) {
  test::TempDir dir;
  fs::create_directories(dir.File("empty"));
  fs::create_directories(dir.File("a/deeper"));
  test::WriteFile(dir.File("a/deeper/z"), "123");
  test::WriteFile(dir.File("a.b"), "");
  test::WriteFile(dir.File("a/name\xFF\n"), "1");
  fs::create_symlink("nowhere", dir.File("dangling"));
  fs::create_symlink("/etc", dir.File("absolute"));
  fs::create_symlink("a", dir.File("link.safetensors"));
  fs::create_hard_link(dir.File("a/deeper/z"), dir.File("z-again"));
  TreeRoots roots = RootsOrDie({dir.path()});
  NoticeLog log;
  std::vector<TreeEntry> entries = WalkOrDie(roots, {}, log.Callback());
  EXPECT_EQ(test::PathsOf(entries), (Paths{"", "a", "a/deeper", "a/deeper/z", "a/name\xFF\n", "a.b", "absolute",
                                           "dangling", "empty", "link.safetensors", "z-again"}));
  EXPECT_TRUE(std::ranges::is_sorted(entries, PathLess, &TreeEntry::path));
  EXPECT_EQ(entries[0].stat.kind, EntryKind::kDirectory);
  EXPECT_EQ(entries[2].stat.kind, EntryKind::kDirectory);
  EXPECT_EQ(entries[3].stat.kind, EntryKind::kFile);
  EXPECT_EQ(entries[3].size_bytes, 3U);
  EXPECT_EQ(entries[6].link_target, "/etc");
  EXPECT_EQ(entries[7].link_target, "nowhere");
  EXPECT_EQ(entries[8].stat.kind, EntryKind::kDirectory);
  EXPECT_EQ(entries[9].stat.kind, EntryKind::kSymlink);
  EXPECT_EQ(entries[10].stat.kind, EntryKind::kHardLink);
  EXPECT_EQ(entries[10].hard_link_to, 3U);
  EXPECT_EQ(entries[10].size_bytes, 3U);
  EXPECT_TRUE(log.all().empty());
}

TEST(WalkTree, KeepsTwelveModeBitsAndNanoseconds) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "x");
  fs::create_directory(dir.File("sticky"));
  ASSERT_EQ(chmod(dir.File("f").c_str(), 06751), 0);
  ASSERT_EQ(chmod(dir.File("sticky").c_str(), 01777), 0);
  SetTimes(dir.File("f"), {1, 2}, {-3, 999'999'999});
  SetTimes(dir.File("sticky"), {5, 6}, {13'569'465'600, 1});  // year 2400
  std::vector<TreeEntry> entries = WalkOrDie(RootsOrDie({dir.path()}));
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[1].stat.mode, 06751);
  EXPECT_EQ(entries[1].stat.modified, (FileTime{-3, 999'999'999}));
  EXPECT_EQ(entries[1].stat.accessed, (FileTime{1, 2}));
  EXPECT_EQ(entries[2].stat.mode, 01777);
  EXPECT_EQ(entries[2].stat.modified, (FileTime{13'569'465'600, 1}));
  EXPECT_EQ(entries[2].stat.accessed, (FileTime{5, 6}));
}

TEST(WalkTree, ChangesNoAccessTime) {
  test::TempDir dir;
  fs::create_directory(dir.File("d"));
  test::WriteFile(dir.File("d/f"), "x");
  SetTimes(dir.File("d/f"), {1, 2}, {1'000'000'000, 0});  // older than modified: relatime would update it
  SetTimes(dir.File("d"), {1, 2}, {1'000'000'000, 0});
  TreeRoots roots = RootsOrDie({dir.path()});
  std::vector<TreeEntry> entries = WalkOrDie(roots);
  Result<std::unique_ptr<FileSource>> file = OpenTreeFile(roots, entries[2]);
  ASSERT_THAT(file, IsOk());
  std::byte byte;
  EXPECT_THAT(file.value()->ReadAt(0, std::span(&byte, 1)), IsOk());
  EXPECT_EQ(test::StatOf(dir.File("d")).st_atim.tv_sec, 1);
  EXPECT_EQ(test::StatOf(dir.File("d/f")).st_atim.tv_sec, 1);
}

TEST(WalkTree, PutsSeveralInputsUnderTheirNames) {
  test::TempDir dir;
  fs::create_directories(dir.File("one/sub"));
  fs::create_directories(dir.File("two"));
  test::WriteFile(dir.File("one/f"), "1");
  test::WriteFile(dir.File("two/g"), "2");
  fs::create_symlink("one", dir.File("link"));
  SetTimes(dir.File("one"), {7, 0}, {7, 0});
  SetTimes(dir.File("two/g"), {9, 0}, {9, 5});
  TreeRoots roots = RootsOrDie({dir.File("two/g"), dir.File("one/"), dir.File("link")});
  std::vector<TreeEntry> entries = WalkOrDie(roots);
  EXPECT_EQ(test::PathsOf(entries), (Paths{"", "g", "link", "one", "one/f", "one/sub"}));
  EXPECT_EQ(entries[2].stat.kind, EntryKind::kSymlink);
  EXPECT_EQ(entries[0].stat.mode, 0755);
  EXPECT_EQ(entries[0].stat.modified, entries[2].stat.modified);  // the newest input
  EXPECT_EQ(roots.DiskPath("one/f"), dir.File("one/f"));
  EXPECT_EQ(roots.DiskPath("g"), dir.File("two/g"));
  for (size_t i : {1U, 4U}) EXPECT_THAT(OpenTreeFile(roots, entries[i]), IsOk());
  EXPECT_THAT(roots.HoldName("three"), FailsWith(ErrorCode::kInvalidArgument));
}

TEST(WalkTree, FollowsAnInputWithASlashBehindItAndTheOnlyOne) {
  test::TempDir dir;
  fs::create_directories(dir.File("real/sub"));
  test::WriteFile(dir.File("f"), "");
  fs::create_symlink("real", dir.File("link"));
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({dir.File("link")}))), (Paths{"", "sub"}));
  TreeRoots roots = RootsOrDie({dir.File("link/"), dir.File("f")});
  EXPECT_EQ(test::PathsOf(WalkOrDie(roots)), (Paths{"", "f", "link", "link/sub"}));
}

TEST(WalkTree, TakesASingleFileAndADirectoryCalledDot) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "1");
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({dir.File("f")}))), (Paths{"", "f"}));
  fs::path old_directory = fs::current_path();
  fs::current_path(dir.path());
  std::string own_name = fs::path(dir.path()).filename();
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({"."}))), (Paths{"", "f"}));
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({".", "f"}))), (Paths{"", "f", own_name, own_name + "/f"}));
  fs::current_path(old_directory);
}

TEST(TreeRoots, RefusesInputsOfOneNameAndNamesBoth) {
  test::TempDir dir;
  fs::create_directories(dir.File("a/model"));
  fs::create_directories(dir.File("b/model"));
  Result<TreeRoots> roots = TreeRoots::Open({dir.File("a/model"), dir.File("b/model")});
  ASSERT_THAT(roots, FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_NE(roots.error().message.find(dir.File("a/model")), std::string::npos);
  EXPECT_NE(roots.error().message.find(dir.File("b/model")), std::string::npos);
}

TEST(TreeRoots, RefusesWhatIsMissingOrNameless) {
  test::TempDir dir;
  EXPECT_THAT(TreeRoots::Open({}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(TreeRoots::Open({""}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(TreeRoots::Open({"/", dir.path()}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(TreeRoots::Open({dir.File("missing")}), FailsWith(ErrorCode::kIo));
  EXPECT_THAT(TreeRoots::Open({dir.path(), dir.File("missing")}), FailsWith(ErrorCode::kIo));
}

TEST(WalkTree, LeavesOutPipesAndSocketsWithAWarning) {
  test::TempDir dir;
  ASSERT_EQ(mkfifo(dir.File("pipe").c_str(), 0600), 0);
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  dir.File("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(server);
  NoticeLog log;
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({dir.path()}), {}, log.Callback())), Paths{""});
  EXPECT_EQ(log.Count(TreeSeverity::kWarning), 2U);
  EXPECT_TRUE(log.Mentions(dir.File("pipe")));
  EXPECT_TRUE(log.Mentions(dir.File("socket")));
}

TEST(WalkTree, GoesOnBehindADirectoryThatCannotBeRead) {
  test::TempDir dir;
  fs::create_directories(dir.File("closed/inside"));
  fs::create_directories(dir.File("listable"));
  test::WriteFile(dir.File("listable/f"), "");
  test::WriteFile(dir.File("open"), "");
  ASSERT_EQ(chmod(dir.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(dir.File("closed").c_str(), 0), 0);
  ASSERT_EQ(chmod(dir.File("listable").c_str(), 0444), 0);
  int status = test::RunInChild([&] {
    if (!test::DropPrivileges()) return test::kChildSkips;
    NoticeLog log;
    Result<std::vector<TreeEntry>> entries = WalkTree(RootsOrDie({dir.path()}), {}, log.Callback());
    if (!entries.ok()) return 1;
    if (test::PathsOf(entries.value()) != Paths{"", "closed", "listable", "open"}) return 2;
    return log.Count(TreeSeverity::kError) == 2 && log.Mentions("closed") && log.Mentions("listable/f") ? 0 : 3;
  });
  ASSERT_EQ(chmod(dir.File("closed").c_str(), 0700), 0);
  ASSERT_EQ(chmod(dir.File("listable").c_str(), 0700), 0);
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "cannot become another user";
  EXPECT_EQ(test::ExitStatus(status), 0);
}

TEST(WalkTree, LeavesOutTheArchiveItselfByPathAndByIdentity) {
  test::TempDir dir;
  fs::create_directories(dir.File("sub"));
  test::WriteFile(dir.File("sub/x.fly"), "");
  test::WriteFile(dir.File("x.fly"), "");
  test::WriteFile(dir.File("y"), "");
  TreeRoots roots = RootsOrDie({dir.path()});
  EXPECT_EQ(test::PathsOf(WalkOrDie(roots, {.exclude_paths = {dir.File("sub/../x.fly"), dir.File("no/such")}})),
            (Paths{"", "sub", "sub/x.fly", "y"}));
  struct stat sub = test::StatOf(dir.File("sub"));
  EXPECT_EQ(test::PathsOf(WalkOrDie(roots, {.exclude = {IdentityOf(sub)}})), (Paths{"", "x.fly", "y"}));
  TreeRoots several = RootsOrDie({dir.File("sub"), dir.File("x.fly")});
  EXPECT_EQ(test::PathsOf(WalkOrDie(several, {.exclude_paths = {dir.File("x.fly")}})), (Paths{"", "sub", "sub/x.fly"}));
}

TEST(WalkTree, AsksTheFilterAndSkipsWhatADirectoryHolds) {
  test::TempDir dir;
  fs::create_directories(dir.File("no/inside"));
  fs::create_directories(dir.File("yes/inside"));
  WalkOptions options;
  options.keep = [](std::string_view path, EntryKind kind) { return kind == EntryKind::kDirectory && path != "no"; };
  test::WriteFile(dir.File("yes/file"), "");
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({dir.path()}), options)), (Paths{"", "yes", "yes/inside"}));
}

TEST(WalkTree, NoticesADirectoryThatBecameALink) {
  test::TempDir dir;
  fs::create_directories(dir.File("a"));
  fs::create_directories(dir.File("outside"));
  test::WriteFile(dir.File("outside/secret"), "");
  WalkOptions options;
  options.keep = [&](std::string_view path, EntryKind) {
    if (path == "a") {  // after it was looked at, before it is opened
      fs::remove(dir.File("a"));
      fs::create_symlink("outside", dir.File("a"));
    }
    return true;
  };
  EXPECT_THAT(WalkTree(RootsOrDie({dir.path()}), options, {}), FailsWith(ErrorCode::kSourceChanged));
}

TEST(WalkTree, NoticesADirectoryThatIsAnotherOne) {
  test::TempDir dir;
  fs::create_directories(dir.File("a"));
  fs::create_directories(dir.File("b"));
  WalkOptions options;
  options.keep = [&](std::string_view path, EntryKind) {
    if (path == "a") {
      fs::rename(dir.File("a"), dir.File("c"));
      fs::rename(dir.File("b"), dir.File("a"));
    }
    return true;
  };
  EXPECT_THAT(WalkTree(RootsOrDie({dir.path()}), options, {}), FailsWith(ErrorCode::kSourceChanged));
}

TEST(WalkTree, TellsOfANameThatVanishes) {
  test::TempDir dir;
  test::WriteFile(dir.File("a"), "");
  test::WriteFile(dir.File("b"), "");
  WalkOptions options;
  options.keep = [&](std::string_view path, EntryKind) {
    if (path == "a") fs::remove(dir.File("b"));
    return true;
  };
  NoticeLog log;
  EXPECT_EQ(test::PathsOf(WalkOrDie(RootsOrDie({dir.path()}), options, log.Callback())), (Paths{"", "a"}));
  EXPECT_EQ(log.Count(TreeSeverity::kError), 1U);
  EXPECT_TRUE(log.Mentions(dir.File("b")));
}

TEST(WalkTree, GoesHundredsOfLevelsDeepWithFewDescriptors) {
  constexpr int kDepth = 200;
  test::TempDir dir;
  ASSERT_TRUE(test::MakeDeepChain(dir.path(), kDepth));
  TreeRoots roots = RootsOrDie({dir.path()});
  size_t before = OpenDescriptorCount();
  size_t highest = 0;
  WalkOptions options;
  options.keep = [&](std::string_view path, EntryKind) {
    if (path.size() % 100 == 49) highest = std::max(highest, OpenDescriptorCount());
    return true;
  };
  std::vector<TreeEntry> entries = WalkOrDie(roots, options);
  ASSERT_EQ(entries.size(), size_t{kDepth} + 2);
  EXPECT_EQ(entries.back().path.size(), kDepth * sizeof test::kDeepName + 4);
  EXPECT_GT(highest, before + 20);
  EXPECT_LT(highest, before + 50);
  Result<std::unique_ptr<FileSource>> leaf = OpenTreeFile(roots, entries.back());
  ASSERT_THAT(leaf, IsOk());
  EXPECT_EQ(leaf.value()->size(), 4U);
  EXPECT_THAT(CheckTreeEntry(roots, entries.back()), IsOk());
  test::NoticeLog log;
  EXPECT_EQ(RemoveTree(roots, std::span(entries).subspan(1), log.Callback()).left_count, 0U);
  EXPECT_TRUE(dir.Names().empty());
}

TEST(WalkTree, StopsWherePathsGetTooLong) {
  test::TempDir dir;
  std::string name(250, 'n');
  OwnedDescriptor current = OpenAt(AT_FDCWD, dir.path().c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(mkdirat(current.get(), name.c_str(), 0755), 0);
    current = OpenAt(current.get(), name.c_str(), O_RDONLY | O_DIRECTORY);
  }
  NoticeLog log;
  std::vector<TreeEntry> entries = WalkOrDie(RootsOrDie({dir.path()}), {}, log.Callback());
  EXPECT_EQ(entries.size(), 1U + 65536 / 251);
  EXPECT_EQ(log.Count(TreeSeverity::kError), 1U);
  OwnedDescriptor top = OpenAt(AT_FDCWD, dir.path().c_str(), O_RDONLY | O_DIRECTORY);
  EXPECT_THAT(RemoveContents(top.get(), dir.path()), IsOk());
}

}  // namespace
}  // namespace flyweight
