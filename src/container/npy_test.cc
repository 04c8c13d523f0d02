#include "container/npy.h"

#include <gtest/gtest.h>

#include "container/annotate_test_tools.h"
#include "container/npy_header.h"
#include "container/npy_test_files.h"

namespace flyweight {
namespace {

struct Row {
  std::string name;
  std::string file;
  std::string expected;  ///< without "npy: head | "; "RAW" = one raw extent that covers all
};

std::string Dict(std::string_view descr, std::string_view order, std::string_view shape) {
  return NpyDict(descr, order, shape);
}

Row Make(std::string name, std::string_view descr, std::string_view shape, size_t data_bytes, std::string expected) {
  return {std::move(name), NpyFile(Dict(descr, "False", shape), data_bytes), std::move(expected)};
}

Row OfText(std::string name, const std::string& text, std::string expected) {
  return {std::move(name), NpyFile(text, 8), std::move(expected)};
}

std::vector<Row> SoundFiles() {
  const std::string two_by_one = Dict("'<f4'", "False", "(2, 1)");
  return {
      Make("F16", "'<f2'", "(3, 2)", 12, "array F16[3,2] 12"),
      Make("F32", "'<f4'", "(3, 2)", 24, "array F32[3,2] 24"),
      Make("F64", "'<f8'", "(3,)", 24, "array F64[3] 24"),
      Make("C64", "'<c8'", "(3,)", 24, "array C64[3] 24"),
      Make("Bool", "'|b1'", "(3,)", 3, "array BOOL[3] 3"),
      Make("U8", "'|u1'", "(3,)", 3, "array U8[3] 3"),
      Make("I8", "'|i1'", "(3,)", 3, "array I8[3] 3"),
      Make("U16", "'<u2'", "(3,)", 6, "array U16[3] 6"),
      Make("I16", "'<i2'", "(3,)", 6, "array I16[3] 6"),
      Make("U32", "'<u4'", "(3,)", 12, "array U32[3] 12"),
      Make("I32", "'<i4'", "(3,)", 12, "array I32[3] 12"),
      Make("U64", "'<u8'", "(3,)", 24, "array U64[3] 24"),
      Make("I64", "'<i8'", "(3,)", 24, "array I64[3] 24"),
      Make("BFloat16OfMlDtypes", "'<V2'", "(3,)", 6, "array BF16[3] 6"),
      Make("BigEndian", "'>f4'", "(3,)", 12, "array OPAQUE[3] 12"),
      Make("BigEndianBytes", "'>i1'", "(3,)", 3, "array I8[3] 3"),
      Make("ComplexOfDoubles", "'<c16'", "(3,)", 48, "array OPAQUE[3] 48"),
      Make("LongDouble", "'<f16'", "(3,)", 48, "array OPAQUE[3] 48"),
      Make("Text", "'<U5'", "(3,)", 60, "array OPAQUE[3] 60"),
      Make("ByteText", "'|S5'", "(3,)", 15, "array OPAQUE[3] 15"),
      Make("Void", "'|V2'", "(3,)", 6, "array OPAQUE[3] 6"),
      Make("Dates", "'<M8[ns]'", "(3,)", 24, "array OPAQUE[3] 24"),
      Make("TextOfNoCharacters", "'<U0'", "(3,)", 0, "array OPAQUE[3] 0"),
      Make("Scalar", "'<f4'", "()", 4, "array F32[] 4"),
      Make("Empty", "'<f4'", "(0, 3)", 0, "array F32[0,3] 0"),
      Make("EmptyOfAHugeDimension", "'<c16'", "(18446744073709551615, 0)", 0, "array OPAQUE[18446744073709551615,0] 0"),
      Make("Python2Numbers", "'<f4'", "(3L, 2L)", 24, "array F32[3,2] 24"),
      Make("TailIsRaw", "'|u1'", "(3,)", 5, "array U8[3] 3 | raw 2"),
      {"FortranOrderIsTheTranspose", NpyFile(Dict("'<f4'", "True", "(3, 2)"), 24), "array F32[2,3] 24"},
      {"Version2", NpyFile(two_by_one, 8, 2), "array F32[2,1] 8"},
      {"Version3", NpyFile(two_by_one, 8, 3), "array F32[2,1] 8"},
      {"HeaderOver128Bytes", NpyFile(two_by_one + std::string(500, ' '), 8), "array F32[2,1] 8"},
      OfText("KeysInAnyOrder", "{'shape': (2,), 'fortran_order': False, 'descr': '<f4'}", "array F32[2] 8"),
      OfText("DoubleQuotesAndNoSpaces", R"({"descr":"<f4","fortran_order":False,"shape":(2,)})", "array F32[2] 8"),
      OfText("LineEnd", two_by_one + "  \n", "array F32[2,1] 8"),
  };
}

std::vector<Row> FilesThatAreRaw() {
  const std::string sound = NpyFile(Dict("'<f4'", "False", "(2,)"), 8);
  const std::string item = "'descr': '<f4', ";
  const std::string order = "'fortran_order': False, ";
  const std::string shape = "'shape': (2,), ";
  return {
      {"Empty", "", "RAW"},
      {"MagicAlone", sound.substr(0, 6), "RAW"},
      {"CutBeforeTheLength", sound.substr(0, 8), "RAW"},
      {"DataCut", sound.substr(0, sound.size() - 1), "RAW"},
      {"Magic", std::string(sound).replace(0, 1, "\x92"), "RAW"},
      {"Version0", NpyFile(Dict("'<f4'", "False", "(2,)"), 8, 0), "RAW"},
      {"Version4", NpyFile(Dict("'<f4'", "False", "(2,)"), 8, 4), "RAW"},
      {"LengthPastTheFile", std::string(sound).replace(8, 2, "\xff\xff"), "RAW"},
      {"LengthAllOnes", NpyFile(Dict("'<f4'", "False", "(2,)"), 8, 2).replace(8, 4, "\xff\xff\xff\xff"), "RAW"},
      {"HeaderOver64KiB", NpyFile(Dict("'<f4'", "False", "(2,)") + std::string(65536, ' '), 8, 2), "RAW"},
      Make("Objects", "'|O'", "(1,)", 8, "RAW"),
      Make("ObjectsOf8Bytes", "'|O8'", "(1,)", 8, "RAW"),
      Make("Structured", "[('a', '<f4'), ('b', '<i4')]", "(1,)", 8, "RAW"),
      Make("UnknownKind", "'<x4'", "(2,)", 8, "RAW"),
      Make("NoByteOrder", "'f4'", "(2,)", 8, "RAW"),
      Make("NoSize", "'<f'", "(2,)", 8, "RAW"),
      Make("SizeThenMore", "'<f4x'", "(2,)", 8, "RAW"),
      Make("DateThenMore", "'<M8[ns'", "(1,)", 8, "RAW"),
      Make("SizeOver64Bits", "'<f18446744073709551620'", "(2,)", 8, "RAW"),
      Make("TextSizeWraps", "'<U4611686018427387905'", "(2,)", 8, "RAW"),
      Make("ItemsWrap", "'|V9223372036854775808'", "(2,)", 8, "RAW"),
      Make("ProductWraps", "'<f4'", "(4294967296, 4294967296)", 8, "RAW"),
      Make("ProductWrapsToItsSize", "'<f4'", "(4611686018427387906,)", 8, "RAW"),
      Make("DimensionOver64Bits", "'<f4'", "(18446744073709551618,)", 8, "RAW"),
      Make("NegativeDimension", "'<f4'", "(-2,)", 8, "RAW"),
      Make("FloatDimension", "'<f4'", "(2.0,)", 8, "RAW"),
      Make("ShapeIsANumber", "'<f4'", "(2)", 8, "RAW"),
      Make("ShapeIsAList", "'<f4'", "[2]", 8, "RAW"),
      Make("ShapeWithoutCommas", "'<f4'", "(1 2)", 8, "RAW"),
      Make("ShapeOfACommaAlone", "'<f4'", "(,)", 4, "RAW"),
      Make("ShapeNeverEnds", "'<f4'", "(2,", 8, "RAW"),
      Make("RankOver255", "'|u1'", "(" + NpyRepeat("1,", 256) + ")", 1, "RAW"),
      {"OrderIsANumber", NpyFile(Dict("'<f4'", "0", "(2,)"), 8), "RAW"},
      OfText("NoDict", "[]", "RAW"),
      OfText("EmptyDict", "{}", "RAW"),
      OfText("NoDescr", "{" + order + shape + "}", "RAW"),
      OfText("NoOrder", "{" + item + shape + "}", "RAW"),
      OfText("NoShape", "{" + item + order + "}", "RAW"),
      OfText("KeyTwice", "{" + item + order + shape + shape + "}", "RAW"),
      OfText("UnknownKey", "{" + item + order + shape + "'x': 1}", "RAW"),
      OfText("KeyThatIsNoText", "{1: 2, " + item + order + shape + "}", "RAW"),
      OfText("NoCommas", "{'descr': '<f4' 'fortran_order': False 'shape': (2,)}", "RAW"),
      OfText("Escape", R"({'descr': '\x3cf4', )" + order + shape + "}", "RAW"),
      OfText("OpenQuote", "{'descr", "RAW"),
      OfText("SomethingBehind", "{" + item + order + shape + "} x", "RAW"),
      OfText("ZeroByteBehind", "{" + item + order + shape + "}" + std::string(1, '\0'), "RAW"),
      OfText("NeverEnds", "{" + item + order + shape, "RAW"),
      OfText("OnlySpaces", std::string(64, ' '), "RAW"),
  };
}

class NpyTable : public testing::TestWithParam<Row> {};

TEST_P(NpyTable, GivesTheExpectedMap) {
  const Row& row = GetParam();
  FileMap map = AnnotateText(row.file);
  ExpectExactCover(map, row.file.size());
  std::string raw = row.file.empty() ? "raw" : "raw: raw " + std::to_string(row.file.size());
  std::string rendered = Render(map, NpyHeadBytes(row.file));
  EXPECT_EQ(map.format == ContainerFormat::kRaw ? Render(map, 0) : rendered,
            row.expected == "RAW" ? raw : "npy: head | " + row.expected);
  EXPECT_EQ(Render(AnnotateSource(FakeFile(row.file)), 0), Render(map, 0));
}

std::string RowName(const testing::TestParamInfo<Row>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Sound, NpyTable, testing::ValuesIn(SoundFiles()), RowName);
INSTANTIATE_TEST_SUITE_P(Raw, NpyTable, testing::ValuesIn(FilesThatAreRaw()), RowName);

TEST(NpyAt, GoesOnBehindTheExtentsThatAreThere) {
  std::string member = NpyFile(Dict("'<f4'", "False", "(2,)"), 8);
  std::string file = "local header" + member + "behind";
  std::vector<Extent> extents = {{.offset = 0, .size_bytes = 12, .name = {}, .shape = {}}};
  Result<bool> done = AnnotateNpyAt(MemorySource(AsBytes(file)), 12, member.size() + 2, "arr_0", extents);
  ASSERT_TRUE(done.ok() && done.value());
  FileMap map{ContainerFormat::kNpz, extents};
  EXPECT_EQ(Render(map, 12 + NpyHeadBytes(member)), "npz: head | arr_0 F32[2] 8 | raw 2");
  ExpectExactCover(map, 12 + member.size() + 2);
}

TEST(NpyAt, GoesOnBehindATensor) {
  std::string member = NpyFile(Dict("'|u1'", "False", "(2,)"), 2);
  std::vector<Extent> extents = {{.offset = 0, .size_bytes = 3, .is_tensor = true, .name = "t", .shape = {3}}};
  Result<bool> done = AnnotateNpyAt(MemorySource(AsBytes("abc" + member)), 3, member.size(), "u", extents);
  ASSERT_TRUE(done.ok() && done.value());
  FileMap map{ContainerFormat::kNpz, extents};
  EXPECT_EQ(Render(map, 0), "npz: t OPAQUE[3] 3 | raw " + std::to_string(NpyHeadBytes(member)) + " | u U8[2] 2");
}

TEST(NpyAt, LeavesExtentsAloneWhereThereIsNoArray) {
  std::string member = NpyFile(Dict("'<f4'", "False", "(2,)"), 8);
  std::vector<Extent> extents = {{.offset = 0, .size_bytes = 3, .name = {}, .shape = {}}};
  // One byte less than the array takes, though the file has more.
  Result<bool> done = AnnotateNpyAt(MemorySource(AsBytes("abc" + member + "more")), 3, member.size() - 1, "a", extents);
  ASSERT_TRUE(done.ok());
  EXPECT_FALSE(done.value());
  EXPECT_EQ(extents.size(), 1U);
  EXPECT_EQ(extents[0].size_bytes, 3U);
}

TEST(NpyAt, PassesOnErrorsOfReading) {
  std::string file = NpyFile(Dict("'<f4'", "False", "(2,)") + std::string(500, ' '), 8);
  for (uint64_t readable_bytes : {uint64_t{0}, uint64_t{128}}) {
    std::vector<Extent> extents;
    Result<bool> done = AnnotateNpyAt(FakeFile(file, file.size(), readable_bytes), 0, file.size(), "a", extents);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, ErrorCode::kIo);
    EXPECT_TRUE(extents.empty());
  }
}

TEST(Npy, CoversTheFileWhereverItIsCut) { ExpectCoverWhereverItIsCut(NpyFile(Dict("'<f4'", "True", "(2, 3)"), 30)); }

TEST(Npy, CoversTheFileWhateverIsChanged) {
  std::string file = NpyFile(Dict("'<f2'", "False", "(2, 3)"), 14);
  size_t still_npy = CountMutantsThatAreStill(ContainerFormat::kNpy, file, 10000);
  EXPECT_GT(still_npy, 300U);  // most changes fall into the dict, of which every byte matters
  EXPECT_LT(still_npy, 9000U);
}

}  // namespace
}  // namespace flyweight
