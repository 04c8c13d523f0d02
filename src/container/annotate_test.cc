#include "container/annotate.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "container/safetensors.h"
#include "container/safetensors_test_files.h"

namespace flyweight {
namespace {

std::string Render(const Extent& extent) {
  if (!extent.is_tensor) return "raw " + std::to_string(extent.size_bytes);
  std::string text = extent.name + " " + std::string(Describe(extent.dtype).name) + "[";
  for (size_t i = 0; i < extent.shape.size(); i++) text += (i == 0 ? "" : ",") + std::to_string(extent.shape[i]);
  return text + "] " + std::to_string(extent.size_bytes);
}

/// "head" stands for a first raw extent of the length field and the JSON; sizes are in bytes.
std::string Render(const FileMap& map, std::string_view file) {
  std::string text;
  for (const Extent& extent : map.extents) {
    bool is_head = map.format == ContainerFormat::kSafetensors && extent.offset == 0 &&
                   extent.size_bytes == 8 + LoadLe<uint64_t>(file.data());
    text += (text.empty() ? "" : " | ") + (is_head ? "head" : Render(extent));
  }
  return map.format == ContainerFormat::kRaw ? "not safetensors: " + text : text;
}

struct Row {
  std::string name;
  std::string file;
  std::string expected;  ///< "RAW" = one raw extent that covers all
};

std::string A(std::string_view dtype, std::string_view shape, std::string_view begin, std::string_view end) {
  return R"({"a":)" + EntryJson(dtype, shape, begin, end) + "}";
}

std::string Two(const std::string& a, const std::string& b) { return R"({"a":)" + a + R"(,"b":)" + b + "}"; }

std::string WithLength(std::string file, uint64_t header_bytes) {
  StoreLe(file.data(), header_bytes);
  return file;
}

std::string Repeat(std::string_view text, size_t count) {
  std::string repeated;
  for (size_t i = 0; i < count; i++) repeated += text;
  return repeated;
}

const std::string kF32 = EntryJson("F32", "[2]", "0", "8");
const std::string kI8 = EntryJson("I8", "[4]", "8", "12");

std::vector<Row> SoundFiles() {
  return {
      {"TwoTensors", SafetensorsFile(Two(kF32, kI8), 12), "head | a F32[2] 8 | b I8[4] 4"},
      {"NamesOutOfOffsetOrder", SafetensorsFile(Two(kI8, kF32), 12), "head | b F32[2] 8 | a I8[4] 4"},
      {"Scalar", SafetensorsFile(A("F64", "[]", "0", "8"), 8), "head | a F64[] 8"},
      {"NoTensors", SafetensorsFile("{}", 0), "head"},
      {"HeaderPaddedWithSpaces", SafetensorsFile(A("F32", "[2]", "0", "8") + "      ", 8), "head | a F32[2] 8"},
      {"LeadingWhiteSpace", SafetensorsFile(" \n\t\r" + A("F32", "[2]", "0", "8"), 8), "head | a F32[2] 8"},
      {"WhiteSpaceBeyondTheFirst4096Bytes", SafetensorsFile(Repeat(" ", 5000) + A("F32", "[2]", "0", "8"), 8),
       "head | a F32[2] 8"},
      {"UnalignedDataStart", SafetensorsFile(A("F32", "[2]", "0", "8") + " ", 8), "head | a F32[2] 8"},
      {"UnalignedTensor", SafetensorsFile(Two(EntryJson("U8", "[1]", "0", "1"), EntryJson("F32", "[1]", "1", "5")), 5),
       "head | a U8[1] 1 | b F32[1] 4"},
      {"Metadata", SafetensorsFile(R"({"__metadata__":{"format":"pt"},"a":)" + kF32 + "}", 8), "head | a F32[2] 8"},
      {"MetadataAtTheEnd", SafetensorsFile(R"({"a":)" + kF32 + R"(,"__metadata__":{"format":"pt"}})", 8),
       "head | a F32[2] 8"},
      {"MetadataOfOddTypes",
       SafetensorsFile(R"({"__metadata__":{"x":[1,-2.5,null,{"dtype":{"shape":[]}}],"y":true},"a":)" + kF32 + "}", 8),
       "head | a F32[2] 8"},
      {"MetadataThatIsNoObject", SafetensorsFile(R"({"__metadata__":[-1e5],"a":)" + kF32 + "}", 8),
       "head | a F32[2] 8"},
      {"MetadataNull", SafetensorsFile(R"({"__metadata__":null,"a":)" + kF32 + "}", 8), "head | a F32[2] 8"},
      {"UnknownKeysOfAnEntry",
       SafetensorsFile(
           R"({"a":{"x":{"y":[[-1]]},"dtype":"F32","z":[{}],"shape":[2],"w":-1.5,"data_offsets":[0,8],"v":{}}})", 8),
       "head | a F32[2] 8"},
      {"EscapedName", SafetensorsFile(R"({"\u0061\/\u00e9":)" + kF32 + "}", 8), "head | a/\xc3\xa9 F32[2] 8"},
      {"EmptyName", SafetensorsFile(R"({"":)" + kF32 + "}", 8), "head |  F32[2] 8"},
      {"UnknownDType", SafetensorsFile(A("F7_E9M9", "[3,5]", "0", "7"), 7), "head | a OPAQUE[3,5] 7"},
      {"DTypesAreCaseSensitive", SafetensorsFile(A("f32", "[2]", "0", "8"), 8), "head | a OPAQUE[2] 8"},
      {"AliasesOfDTypesAreUnknown", SafetensorsFile(A("float32", "[2]", "0", "8"), 8), "head | a OPAQUE[2] 8"},
      {"HalfBytesThatFillBytes", SafetensorsFile(A("F4", "[3,2]", "0", "3"), 3), "head | a F4[3,2] 3"},
      {"SixBitsThatFillBytes",
       SafetensorsFile(Two(EntryJson("F6_E2M3", "[4]", "0", "3"), EntryJson("F6_E3M2", "[8]", "3", "9")), 9),
       "head | a F6_E2M3[4] 3 | b F6_E3M2[8] 6"},
  };
}

std::vector<Row> PartlyRawFiles() {
  return {
      {"TrailingBytes", SafetensorsFile(A("F32", "[2]", "0", "8"), 13), "head | a F32[2] 8 | raw 5"},
      {"TrailingBytesWithoutTensors", SafetensorsFile("{}", 5), "head | raw 5"},
      {"HoleInFront", SafetensorsFile(A("F32", "[2]", "4", "12"), 12), "head | raw 4 | a F32[2] 8"},
      {"HoleBetween", SafetensorsFile(Two(kF32, EntryJson("I8", "[4]", "11", "15")), 15),
       "head | a F32[2] 8 | raw 3 | b I8[4] 4"},
      {"ShapeTooLarge", SafetensorsFile(Two(EntryJson("F32", "[3]", "0", "8"), kI8), 12), "head | raw 8 | b I8[4] 4"},
      {"ShapeTooSmall", SafetensorsFile(Two(EntryJson("F32", "[]", "0", "8"), kI8), 12), "head | raw 8 | b I8[4] 4"},
      {"ShapeOverflows",
       SafetensorsFile(Two(EntryJson("F32", "[4294967296,4294967296]", "0", "8"), kI8), 12),  // 2^66 bytes, 0 mod 2^64
       "head | raw 8 | b I8[4] 4"},
      {"ShapeOverflowsToItsSize",
       SafetensorsFile(Two(EntryJson("F32", "[4611686018427387906]", "0", "8"), kI8), 12),  // 2^64 + 8 bytes
       "head | raw 8 | b I8[4] 4"},
      {"HalfBytesLeftOver", SafetensorsFile(Two(EntryJson("F4", "[3]", "0", "8"), kI8), 12),
       "head | raw 8 | b I8[4] 4"},
      {"SixBitsLeftOver", SafetensorsFile(Two(EntryJson("F6_E2M3", "[5]", "0", "8"), kI8), 12),
       "head | raw 8 | b I8[4] 4"},
      {"NeighbouringRawRangesAreOne",
       SafetensorsFile(Two(EntryJson("F32", "[1]", "0", "8"), EntryJson("I8", "[1]", "9", "12")), 20), "head | raw 20"},
      {"DataCutInsideATensor", SafetensorsFile(Two(kF32, kI8), 11), "head | a F32[2] 8 | raw 3"},
      {"DataCutAway", SafetensorsFile(Two(kF32, kI8), 0), "head"},
      {"EndFarBeyondTheFile",
       SafetensorsFile(Two(kF32, EntryJson("I8", "[18446744073709551607]", "8", "18446744073709551615")), 20),
       "head | a F32[2] 8 | raw 12"},
      {"OpaqueBeyondTheFile", SafetensorsFile(Two(kF32, EntryJson("X", "[]", "9", "9223372036854775808")), 20),
       "head | a F32[2] 8 | raw 12"},
      {"RankOver255",
       SafetensorsFile(Two(EntryJson("U8", "[" + Repeat("1,", 255) + "1]", "0", "1"), EntryJson("U8", "[2]", "1", "3")),
                       3),
       "head | raw 1 | b U8[2] 2"},
      {"NameOver65535Bytes", SafetensorsFile(R"({"b":)" + kF32 + ",\"" + Repeat("n", 65536) + "\":" + kI8 + "}", 12),
       "head | b F32[2] 8 | raw 4"},
  };
}

std::vector<Row> FilesWithEmptyTensors() {
  std::string at_0 = EntryJson("F32", "[0,7]", "0", "0");
  std::string at_8 = EntryJson("F32", "[0]", "8", "8");
  return {
      {"EmptyTensorAlone", SafetensorsFile(A("F32", "[0,7]", "0", "0"), 0), "head | a F32[0,7] 0"},
      {"EmptyTensorInFront", SafetensorsFile(Two(kF32, at_0), 8), "head | b F32[0,7] 0 | a F32[2] 8"},
      {"EmptyTensorAtTheEnd", SafetensorsFile(Two(at_8, kF32), 8), "head | b F32[2] 8 | a F32[0] 0"},
      {"EmptyTensorBetween", SafetensorsFile(R"({"c":)" + kI8 + R"(,"a":)" + at_8 + R"(,"b":)" + kF32 + "}", 12),
       "head | b F32[2] 8 | a F32[0] 0 | c I8[4] 4"},
      {"EmptyTensorsOfOnePlaceAreSortedByName",
       SafetensorsFile(R"({"z":)" + at_0 + R"(,"a":)" + at_0 + R"(,"m":)" + at_0 + "}", 0),
       "head | a F32[0,7] 0 | m F32[0,7] 0 | z F32[0,7] 0"},
      {"EmptyTensorInAHole", SafetensorsFile(A("F32", "[0]", "8", "8"), 10), "head | raw 8 | a F32[0] 0 | raw 2"},
      {"EmptyTensorBeyondTheFile", SafetensorsFile(A("F32", "[0]", "8", "8"), 7), "head | raw 7"},
      {"EmptyRangeOfATensorThatIsNot", SafetensorsFile(A("F32", "[1]", "0", "0"), 0), "head"},
      {"EmptyTensorInsideAnother", SafetensorsFile(Two(kF32, EntryJson("F32", "[0]", "4", "4")), 8), "RAW"},
      {"EmptyTensorWithAHugeDimension", SafetensorsFile(A("F32", "[18446744073709551615,0]", "0", "0"), 0),
       "head | a F32[18446744073709551615,0] 0"},
      {"EmptyOpaqueTensor", SafetensorsFile(A("X", "[1]", "0", "0"), 0), "head | a OPAQUE[1] 0"},
  };
}

std::vector<Row> FilesThatAreRaw() {
  std::string good = SafetensorsFile(A("F32", "[2]", "0", "8"), 8);
  return {
      {"Empty", "", "RAW"},
      {"SevenBytes", std::string(7, '\0'), "RAW"},
      {"LengthAlone", std::string("\x02\0\0\0\0\0\0\0", 8), "RAW"},
      {"Text", "This is a text and no model at all.", "RAW"},
      {"LengthZero", WithLength(good, 0), "RAW"},
      {"LengthOneShort", WithLength(good, LoadLe<uint64_t>(good.data()) - 1), "RAW"},
      {"LengthOneLong", WithLength(good, LoadLe<uint64_t>(good.data()) + 1), "RAW"},
      {"LengthBeyondTheFile", WithLength(good, good.size() - 7), "RAW"},
      {"Length2To63", WithLength(good, uint64_t{1} << 63), "RAW"},
      {"LengthAllOnes", WithLength(good, ~uint64_t{0}), "RAW"},
      {"DuplicateTensor", SafetensorsFile(Two(kF32, kI8).replace(1, 3, R"("b")"), 12), "RAW"},
      {"DuplicateTensorAfterEscapes", SafetensorsFile(R"({"a":)" + kF32 + R"(,"\u0061":)" + kI8 + "}", 12), "RAW"},
      {"DuplicateMetadata", SafetensorsFile(R"({"__metadata__":{},"__metadata__":{},"a":)" + kF32 + "}", 8), "RAW"},
      {"DuplicateField", SafetensorsFile(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
       "RAW"},
      {"DuplicateInMetadata", SafetensorsFile(R"({"__metadata__":{"x":"1","x":"2"},"a":)" + kF32 + "}", 8), "RAW"},
      {"DuplicateDeepInMetadata",
       SafetensorsFile(R"({"__metadata__":{"x":[{"y":{"z":1,"z":1}}]},"a":)" + kF32 + "}", 8), "RAW"},
      {"Overlap", SafetensorsFile(Two(kF32, EntryJson("I8", "[4]", "7", "11")), 11), "RAW"},
      {"SameRangeTwice", SafetensorsFile(Two(kF32, kF32), 8), "RAW"},
      {"OverlapBeyondTheFile",
       SafetensorsFile(R"({"c":)" + kF32 + "," +
                           Two(EntryJson("I8", "[4]", "20", "24"), EntryJson("I8", "[4]", "22", "26")).substr(1),
                       8),
       "RAW"},
      {"OffsetsRunBackwards", SafetensorsFile(A("F32", "[2]", "8", "0"), 8), "RAW"},
      {"NegativeOffset", SafetensorsFile(A("F32", "[2]", "-8", "0"), 8), "RAW"},
      {"MinusZero", SafetensorsFile(A("F32", "[2]", "-0", "8"), 8), "RAW"},
      {"FloatOffset", SafetensorsFile(A("F32", "[2]", "0.0", "8"), 8), "RAW"},
      {"ExponentOffset", SafetensorsFile(A("F32", "[2]", "0", "8e0"), 8), "RAW"},
      {"OffsetOf2To64", SafetensorsFile(A("F32", "[2]", "0", "18446744073709551616"), 8), "RAW"},
      {"OffsetOf400Digits", SafetensorsFile(A("F32", "[2]", "0", Repeat("9", 400)), 8), "RAW"},
      {"OffsetAsText", SafetensorsFile(A("F32", "[2]", "0", R"("8")"), 8), "RAW"},
      {"OneOffset", SafetensorsFile(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}})", 8), "RAW"},
      {"ThreeOffsets", SafetensorsFile(A("F32", "[2]", "0,4", "8"), 8), "RAW"},
      {"NestedOffsets", SafetensorsFile(A("F32", "[2]", "[0]", "8"), 8), "RAW"},
      {"NegativeDimension", SafetensorsFile(A("F32", "[-2,-1]", "0", "8"), 8), "RAW"},
      {"FloatDimension", SafetensorsFile(A("F32", "[2.0]", "0", "8"), 8), "RAW"},
      {"DimensionOf2To64", SafetensorsFile(A("F32", "[0,18446744073709551616]", "0", "0"), 0), "RAW"},
      {"DimensionNull", SafetensorsFile(A("F32", "[null]", "0", "8"), 8), "RAW"},
      {"ShapeIsNoArray", SafetensorsFile(A("F32", "2", "0", "8"), 8), "RAW"},
      {"DTypeIsNoText", SafetensorsFile(R"({"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}})", 8), "RAW"},
      {"NoDType", SafetensorsFile(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8), "RAW"},
      {"NoShape", SafetensorsFile(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8), "RAW"},
      {"NoOffsets", SafetensorsFile(R"({"a":{"dtype":"F32","shape":[2]}})", 8), "RAW"},
      {"EntryIsNoObject", SafetensorsFile(R"({"a":[0,8]})", 8), "RAW"},
      {"EntryIsANumber", SafetensorsFile(R"({"a":8})", 8), "RAW"},
      {"RootIsAnArray", SafetensorsFile("[" + kF32 + "]", 8), "RAW"},
      {"TwoRoots", SafetensorsFile(A("F32", "[2]", "0", "8") + "{}", 8), "RAW"},
      {"BrokenJson", SafetensorsFile(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},})", 8), "RAW"},
      {"Comment", SafetensorsFile("{/**/}", 0), "RAW"},
      {"ByteOrderMark", SafetensorsFile("\xef\xbb\xbf" + A("F32", "[2]", "0", "8"), 8), "RAW"},
      {"PaddedWithZeroBytes", SafetensorsFile(A("F32", "[2]", "0", "8") + std::string(3, '\0'), 8), "RAW"},
      {"InvalidUtf8Name", SafetensorsFile("{\"\xff\":" + kF32 + "}", 8), "RAW"},
      {"LoneSurrogateName", SafetensorsFile(R"({"\ud800":)" + kF32 + "}", 8), "RAW"},
  };
}

class AnnotateTable : public testing::TestWithParam<Row> {};

TEST_P(AnnotateTable, GivesTheExpectedMap) {
  const Row& row = GetParam();
  MemorySource source(AsBytes(row.file));
  Result<FileMap> map = Annotate(source);
  ASSERT_TRUE(map.ok()) << map.error().message;
  EXPECT_TRUE(ValidateFileMap(map.value(), row.file.size()).ok());
  std::string all_raw = row.file.empty() ? "" : "raw " + std::to_string(row.file.size());
  EXPECT_EQ(Render(map.value(), row.file), row.expected == "RAW" ? "not safetensors: " + all_raw : row.expected);
}

std::string RowName(const testing::TestParamInfo<Row>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Sound, AnnotateTable, testing::ValuesIn(SoundFiles()), RowName);
INSTANTIATE_TEST_SUITE_P(PartlyRaw, AnnotateTable, testing::ValuesIn(PartlyRawFiles()), RowName);
INSTANTIATE_TEST_SUITE_P(EmptyTensors, AnnotateTable, testing::ValuesIn(FilesWithEmptyTensors()), RowName);
INSTANTIATE_TEST_SUITE_P(Raw, AnnotateTable, testing::ValuesIn(FilesThatAreRaw()), RowName);

}  // namespace
}  // namespace flyweight
