#include "container/zip.h"

#include <gtest/gtest.h>

#include <string>

#include "container/annotate_test_tools.h"
#include "container/zip_test_files.h"

namespace flyweight {
namespace {

const std::string kBlob(5000, 'b');

struct Row {
  std::string name;
  std::string file;
  std::string expected;
};

std::string Rendered(const std::string& file) { return Render(AnnotateText(file), 0); }

std::string Npy(std::string_view type, std::string_view shape, size_t data_bytes) {
  std::string header =
      "{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': " + std::string(shape) + ", }";
  header.resize(117, ' ');
  return std::string("\x93NUMPY\x01\x00v\x00", 10) + header + "\n" + std::string(data_bytes, 'n');
}

TEST(AnnotateZip, GivesLargeMembersExtentsOfTheirOwn) {
  ZipOptions follow;
  follow.sizes_follow = true;
  ZipOptions wide;
  wide.zip64 = true;
  ZipOptions padded;
  padded.extra = std::string("FB\x04\x00ZZZZ", 8);
  const Row rows[] = {
      {"One", ZipWriter().Add("a", kBlob).File(), "zip: raw 31 | raw 5000 | raw 69"},
      {"Comment", ZipWriter().Add("a", kBlob).File("hello"), "zip: raw 31 | raw 5000 | raw 74"},
      {"CommentThatLooksLikeAnEnd", ZipWriter().Add("a", kBlob).File("PK\x05\x06 and more text than an end has"),
       "zip: raw 31 | raw 5000 | raw 103"},
      {"Zip64End", ZipWriter().Add("a", kBlob).File("", true), "zip: raw 31 | raw 5000 | raw 145"},
      {"Zip64Sizes", ZipWriter().Add("a", kBlob, wide).File("x", true), "zip: raw 51 | raw 5000 | raw 174"},
      {"DataDescriptor", ZipWriter().Add("a", kBlob, follow).File(), "zip: raw 31 | raw 5000 | raw 85"},
      {"Padding", ZipWriter().Add("a", kBlob, padded).File(), "zip: raw 39 | raw 5000 | raw 69"},
      {"TwoMembers", ZipWriter().Add("a", kBlob).Add("b", kBlob).File(),
       "zip: raw 31 | raw 5000 | raw 31 | raw 5000 | raw 116"},
      {"SmallOnesAreNot", ZipWriter().Add("a", kBlob.substr(1000)).Add("b", kBlob).File(),
       "zip: raw 4062 | raw 5000 | raw 116"},
      {"JustLargeEnough", ZipWriter().Add("a", kBlob.substr(0, 4096)).File(), "zip: raw 31 | raw 4096 | raw 69"},
      {"TwoOfOneName", ZipWriter().Add("a", kBlob).Add("a", kBlob).File(),
       "zip: raw 31 | raw 5000 | raw 31 | raw 5000 | raw 116"},
  };
  for (const Row& row : rows) EXPECT_EQ(Rendered(row.file), row.expected) << row.name;
}

TEST(AnnotateZip, LeavesOutMembersItCannotTrust) {
  auto with = [](const ZipOptions& options) { return ZipWriter().Add("odd", kBlob, options).Add("b", kBlob).File(); };
  ZipOptions deflated;
  deflated.method = 8;
  ZipOptions encrypted;
  encrypted.flags = 1;
  ZipOptions other_name;
  other_name.name_in_local = "eve";
  ZipOptions smaller;
  smaller.size_difference = -1000;
  for (const ZipOptions& options : {deflated, encrypted, other_name, smaller})
    EXPECT_EQ(Rendered(with(options)), "zip: raw 5064 | raw 5000 | raw 118");
}

TEST(AnnotateZip, IsRawWhereTheFileIsNotOneZipFile) {
  ZipOptions deflated;
  deflated.method = 8;
  ZipOptions earlier;
  earlier.offset_difference = -31;
  ZipOptions later;
  later.offset_difference = 100000;
  ZipOptions larger;
  larger.size_difference = 1000;
  ZipOptions long_name;
  long_name.name_in_local = std::string(200, 'n');
  const std::string sound = ZipWriter().Add("a", kBlob).File();
  auto patched = [&](size_t from_end, uint32_t value) {
    std::string file = sound;
    StoreLe(file.data() + file.size() - from_end, value);
    return file;
  };
  const Row rows[] = {
      {"NothingStored", ZipWriter().Add("a", kBlob, deflated).File(), ""},
      {"NoMembers", ZipWriter().File(), ""},
      {"OnlySmallMembers", ZipWriter().Add("a", "x").File(), ""},
      {"BytesInFront", "x" + sound, ""},
      {"BytesBehind", sound + "x", ""},
      {"TwoZipFiles", sound + sound, ""},
      {"Overlap", ZipWriter().Add("a", kBlob).Add("b", kBlob, earlier).File(), ""},
      {"SameMemberTwice", ZipWriter().Add("a", kBlob).Add("a", "", earlier).File(), ""},
      {"OffsetBehindTheEnd", ZipWriter().Add("a", kBlob, later).File(), ""},
      {"ReachesIntoTheDirectory", ZipWriter().Add("a", kBlob, larger).File(), ""},
      {"ReachesIntoTheNext", ZipWriter().Add("a", kBlob, larger).Add("b", kBlob).File(), ""},
      {"SeveralDisks", patched(18, 1), ""},
      {"WrongCount", patched(12, 2 | 2 << 16), ""},
      {"DirectorySizeTooLarge", patched(10, 0x7FFFFFFF), ""},
      {"DirectoryOffsetTooLarge", patched(6, 0xFFFFFFF0), ""},
      {"SaturatedWithoutZip64", patched(6, 0xFFFFFFFF), ""},
  };
  for (const Row& row : rows) EXPECT_EQ(Rendered(row.file), "raw: raw " + std::to_string(row.file.size())) << row.name;
}

TEST(AnnotateZip, ReadsArraysOfNumpy) {
  const std::string w = Npy("<f4", "(2, 3)", 24);
  EXPECT_EQ(Rendered(ZipWriter().Add("w.npy", w).Add("deep/b.npy", Npy("<i8", "(1,)", 8)).File()),
            "npz: raw 163 | w F32[2,3] 24 | raw 168 | deep/b I64[1] 8 | raw 129");
  EXPECT_EQ(Rendered(ZipWriter().Add("w.npy", w).Add("x", kBlob).File()),
            "npz: raw 163 | w F32[2,3] 24 | raw 31 | raw 5000 | raw 120");
  EXPECT_EQ(Rendered(ZipWriter().Add("w.npy", "no array").File()), "raw: raw 116");
  EXPECT_EQ(Rendered(ZipWriter().Add("w.npy", kBlob).File()), "zip: raw 35 | raw 5000 | raw 73");
}

TEST(AnnotateZip, CoversTheFileWhateverIsChanged) {
  ZipOptions follow;
  follow.sizes_follow = true;
  const std::string file =
      ZipWriter().Add("w.npy", Npy("<f4", "(2, 3)", 24)).Add("b", "small", follow).Add("c", kBlob).File("end", true);
  size_t still = CountMutantsThatAreStill(ContainerFormat::kNpz, file, 3000);
  EXPECT_GT(still, 300U);
  EXPECT_LT(still, 2900U);
  ExpectCoverWhereverItIsCut(ZipWriter().Add("w.npy", Npy("<f4", "(2, 3)", 24)).File());
}

TEST(AnnotateZip, PassesOnErrorsOfReading) {
  const std::string file = ZipWriter().Add("w.npy", Npy("<f4", "(2, 3)", 24)).Add("c", kBlob).File();
  for (uint64_t readable : {uint64_t{4096}, uint64_t{file.size() - 1}}) {
    Result<FileMap> map = Annotate(FakeFile(file, file.size(), readable));
    ASSERT_FALSE(map.ok());
    EXPECT_EQ(map.error().code, ErrorCode::kIo);
  }
}

TEST(AnnotateZip, TenThousandMembers) {
  ZipWriter writer;
  for (int i = 0; i < 10000; i++) writer.Add("member" + std::to_string(i), "content");
  const std::string file = writer.Add("last", kBlob).File("", true);
  FileMap map = AnnotateText(file);
  EXPECT_EQ(map.extents.size(), 3U);
  ExpectExactCover(map, file.size());
}

}  // namespace
}  // namespace flyweight
