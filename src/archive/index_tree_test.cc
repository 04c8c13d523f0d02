#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "archive/index.h"
#include "archive_parts.h"

namespace flyweight::test {
namespace {

constexpr uint64_t kRecordsEnd = 10000;

IndexFile Entry(EntryKind kind, std::string path) {
  IndexFile file;
  file.name = std::move(path);
  file.entry.kind = kind;
  file.entry.mode = 0755;
  if (kind == EntryKind::kSymlink) file.link_target = "somewhere";
  return file;
}

IndexFile DirectoryEntry(std::string path) { return Entry(EntryKind::kDirectory, std::move(path)); }
IndexFile FileEntry(std::string path) { return Entry(EntryKind::kFile, std::move(path)); }

/// Root, a file, a directory with two entries and a name that sorts between "d" and "d/x" as bytes, links.
ArchiveIndex Tree() {
  ArchiveIndex index;
  index.is_tree = true;
  IndexFile link = Entry(EntryKind::kHardLink, "e");
  link.hard_link_to = 1;
  index.files = {DirectoryEntry(""),
                 FileEntry("a"),
                 DirectoryEntry("d"),
                 FileEntry("d/x"),
                 FileEntry("d/y"),
                 FileEntry("d-"),
                 link,
                 Entry(EntryKind::kSymlink, "s")};
  index.files[1].entry.modified = {-5, 999'999'999};
  index.files[1].entry.accessed = {INT64_MAX, 0};
  index.files[1].entry.mode = 07777;
  return index;
}

TEST(IndexTree, RoundTripsEntriesTimesAndLinks) {
  Bytes body = SerializeIndex(Tree());
  auto parsed = ParseIndex(body, kRecordsEnd, true);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(parsed.value().is_tree);
  ASSERT_EQ(parsed.value().files.size(), Tree().files.size());
  for (size_t i = 0; i < Tree().files.size(); ++i) {
    const IndexFile& file = parsed.value().files[i];
    EXPECT_EQ(file.name, Tree().files[i].name);
    EXPECT_EQ(file.entry, Tree().files[i].entry) << file.name;
    EXPECT_EQ(file.link_target, Tree().files[i].link_target);
    EXPECT_EQ(file.hard_link_to, Tree().files[i].hard_link_to);
  }
  EXPECT_EQ(SerializeIndex(parsed.value()), body);
}

TEST(IndexTree, KeepsAttributesThatItDoesNotRead) {
  ArchiveIndex index = Tree();
  index.files[1].attributes.push_back({wire::kAttributeOriginal, Noise(40, 1)});
  auto parsed = ParseIndex(SerializeIndex(index), kRecordsEnd, true);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  ASSERT_EQ(parsed.value().files[1].attributes.size(), 1u);
  EXPECT_EQ(parsed.value().files[1].attributes[0].value, Noise(40, 1));
}

TEST(IndexTree, TruncationAtEveryByteIsAnError) {
  Bytes body = SerializeIndex(Tree());
  for (size_t size = 0; size < body.size(); ++size) {
    EXPECT_FALSE(ParseIndex(ByteSpan(body).first(size), kRecordsEnd, true).ok()) << size;
  }
}

TEST(IndexTree, AnArchiveOfAFileHasNoEntries) {
  EXPECT_FALSE(ParseIndex(SerializeIndex(Tree()), kRecordsEnd, false).ok());
  ArchiveIndex index;
  index.files.push_back(FileOf("a", {}));
  EXPECT_FALSE(ParseIndex(SerializeIndex(index), kRecordsEnd, true).ok());
}

struct BadTree {
  const char* name;
  std::function<void(ArchiveIndex&)> spoil;
};

class IndexTreeRefuses : public ::testing::TestWithParam<BadTree> {};

TEST_P(IndexTreeRefuses, WhenWritingAndWhenReading) {
  ArchiveIndex index = Tree();
  GetParam().spoil(index);
  EXPECT_FALSE(ValidateIndex(index, kRecordsEnd).ok());
  EXPECT_FALSE(ParseIndex(SerializeIndex(index), kRecordsEnd, true).ok());
}

void Insert(ArchiveIndex& index, size_t at, IndexFile file) {
  index.files.insert(index.files.begin() + static_cast<ptrdiff_t>(at), std::move(file));
}

const BadTree kBadTrees[] = {
    {"NoRoot", [](ArchiveIndex& index) { index.files.erase(index.files.begin()); }},
    {"NoEntries", [](ArchiveIndex& index) { index.files.clear(); }},
    {"RootIsAFile", [](ArchiveIndex& index) { index.files[0].entry.kind = EntryKind::kFile; }},
    {"SecondRoot", [](ArchiveIndex& index) { Insert(index, 1, DirectoryEntry("")); }},
    {"DotDot", [](ArchiveIndex& index) { index.files[1].name = ".."; }},
    {"Dot", [](ArchiveIndex& index) { index.files[1].name = "."; }},
    {"DotDotBelow", [](ArchiveIndex& index) { index.files[3].name = "d/.."; }},
    {"Absolute", [](ArchiveIndex& index) { index.files[1].name = "/a"; }},
    {"OnlySlash", [](ArchiveIndex& index) { index.files[1].name = "/"; }},
    {"EmptyComponent", [](ArchiveIndex& index) { index.files[3].name = "d//x"; }},
    {"SlashAtTheEnd", [](ArchiveIndex& index) { index.files[3].name = "d/x/"; }},
    {"Nul", [](ArchiveIndex& index) { index.files[1].name = std::string("a\0b", 3); }},
    {"LongComponent", [](ArchiveIndex& index) { index.files[1].name = std::string(256, 'a'); }},
    {"SameNameTwice", [](ArchiveIndex& index) { Insert(index, 2, FileEntry("a")); }},
    {"OutOfOrder", [](ArchiveIndex& index) { std::swap(index.files[3], index.files[4]); }},
    {"ParentMissing", [](ArchiveIndex& index) { index.files[3].name = "b/x"; }},
    {"ParentComesLater", [](ArchiveIndex& index) { std::swap(index.files[2], index.files[3]); }},
    {"ParentIsAFile", [](ArchiveIndex& index) { index.files[2].entry.kind = EntryKind::kFile; }},
    {"ParentIsALink",
     [](ArchiveIndex& index) {
       index.files[2].entry.kind = EntryKind::kSymlink;
       index.files[2].link_target = "/";
     }},
    {"DirectoryComesBack", [](ArchiveIndex& index) { Insert(index, 6, FileEntry("d/z")); }},
    {"LinkToNothing", [](ArchiveIndex& index) { index.files[7].link_target.clear(); }},
    {"LinkWithNul", [](ArchiveIndex& index) { index.files[7].link_target = std::string("a\0b", 3); }},
    {"LinkTooLong", [](ArchiveIndex& index) { index.files[7].link_target = std::string(4096, 'a'); }},
    {"HardLinkToItself", [](ArchiveIndex& index) { index.files[6].hard_link_to = 6; }},
    {"HardLinkToADirectory", [](ArchiveIndex& index) { index.files[6].hard_link_to = 2; }},
    {"HardLinkToALaterFile", [](ArchiveIndex& index) { index.files[6].hard_link_to = 7; }},
    {"HardLinkOutOfRange", [](ArchiveIndex& index) { index.files[6].hard_link_to = UINT32_MAX; }},
    {"ModeOf13Bits", [](ArchiveIndex& index) { index.files[1].entry.mode = 010000; }},
    {"SecondOfNanoseconds", [](ArchiveIndex& index) { index.files[1].entry.modified.nanoseconds = 1'000'000'000; }},
    {"DirectoryWithContent",
     [](ArchiveIndex& index) {
       index.files[2].extents = {InlineExtent(Noise(3, 1))};
       index.files[2].file_bytes = 3;
     }},
    {"LinkWithSha256", [](ArchiveIndex& index) { index.files[7].has_sha256 = true; }},
};

INSTANTIATE_TEST_SUITE_P(Bad, IndexTreeRefuses, ::testing::ValuesIn(kBadTrees),
                         [](const ::testing::TestParamInfo<BadTree>& bad) { return std::string(bad.param.name); });

}  // namespace
}  // namespace flyweight::test
