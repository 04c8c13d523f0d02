#include "tree/entry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/matchers.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;

TEST(PathLess, PutsADirectoryBeforeWhatItHoldsAndThatBeforeItsSiblings) {
  std::vector<std::string> sorted = {"",   "a",   "a/a", "a/b", "a/b/c", "a\x01",
                                     "a!", "a-b", "a.b", "ab",  "b",     "\xC3\xA9"};
  std::vector<std::string> shuffled = {"b",     "a.b", "a/b/c", "\xC3\xA9", "a",  "ab",
                                       "a\x01", "",    "a/b",   "a-b",      "a!", "a/a"};
  std::ranges::sort(shuffled, PathLess);
  EXPECT_EQ(shuffled, sorted);
}

TEST(PathLess, IsAStrictOrder) {
  EXPECT_FALSE(PathLess("a/b", "a/b"));
  EXPECT_FALSE(PathLess("", ""));
  EXPECT_TRUE(PathLess("", "a"));
  EXPECT_FALSE(PathLess("a", ""));
}

TEST(CheckEntryPath, TakesWhateverAFileSystemTakes) {
  std::string longest_name(255, 'n');
  std::string longest_path = longest_name;
  while (longest_path.size() + 256 <= 65535) longest_path += "/" + longest_name;
  for (const std::string& path :
       {std::string(), std::string("a"), std::string("a/b"), std::string("..."), std::string(".hidden"),
        std::string("a.."), std::string("CON"), std::string("nul.txt"), std::string("trailing."), std::string("a:b\\c"),
        std::string("\xFF\xFE\x01\n"), longest_name, longest_path}) {
    EXPECT_THAT(CheckEntryPath(path), IsOk()) << path.substr(0, 40);
  }
}

TEST(CheckEntryPath, RefusesWhatLeadsAstrayOrCannotBe) {
  std::string million;
  for (int i = 0; i < 1'000'000; ++i) million += "a/";
  million += "a";
  for (const std::string& path :
       {std::string("/"), std::string("/a"), std::string("a/"), std::string("a//b"), std::string("."),
        std::string(".."), std::string("a/./b"), std::string("a/../b"), std::string("../a"), std::string("a/.."),
        std::string("a\0b", 3), std::string(256, 'n'), "a/" + std::string(300, 'n') + "/b", std::string(65536, 'a'),
        million}) {
    EXPECT_THAT(CheckEntryPath(path), FailsWith(ErrorCode::kCorrupt)) << path.substr(0, 40);
  }
}

TEST(CheckEntryPath, ShowsOnlyTheBeginningOfAnEndlessName) {
  EXPECT_LT(CheckEntryPath(std::string(100'000, 'a')).error().message.size(), 500U);
}

TEST(CheckLinkTarget, TakesAnythingThatALinkCanHold) {
  EXPECT_THAT(CheckLinkTarget("/etc/passwd"), IsOk());
  EXPECT_THAT(CheckLinkTarget("../../.."), IsOk());
  EXPECT_THAT(CheckLinkTarget(std::string(4095, 'a')), IsOk());
  EXPECT_THAT(CheckLinkTarget(""), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(CheckLinkTarget(std::string(4096, 'a')), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(CheckLinkTarget(std::string_view("a\0b", 3)), FailsWith(ErrorCode::kCorrupt));
}

TEST(CheckEntryStat, RefusesWhatNoFileHas) {
  EntryStat stat{EntryKind::kHardLink, 07777, {INT64_MIN, 999'999'999}, {INT64_MAX, 0}};
  EXPECT_THAT(CheckEntryStat(stat), IsOk());
  EntryStat kind = stat, mode = stat, modified = stat, accessed = stat;
  kind.kind = static_cast<EntryKind>(4);
  mode.mode = 010000;
  modified.modified.nanoseconds = 1'000'000'000;
  accessed.accessed.nanoseconds = (1U << 30) - 2;  // UTIME_OMIT
  for (const EntryStat& bad : {kind, mode, modified, accessed}) {
    EXPECT_THAT(CheckEntryStat(bad), FailsWith(ErrorCode::kCorrupt));
  }
}

TEST(TreeEntry, StaysSmall) { EXPECT_LE(sizeof(TreeEntry), 144U); }

TEST(ParentPath, AndBaseNameSplitAtTheLastSlash) {
  EXPECT_EQ(ParentPath("a/b/c"), "a/b");
  EXPECT_EQ(BaseName("a/b/c"), "c");
  EXPECT_EQ(ParentPath("a"), "");
  EXPECT_EQ(BaseName("a"), "a");
}

}  // namespace
}  // namespace flyweight
