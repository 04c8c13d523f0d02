#include "container/gguf.h"

#include <gtest/gtest.h>

#include "container/annotate_test_tools.h"
#include "container/gguf_header.h"
#include "container/gguf_test_files.h"

namespace flyweight {
namespace {

struct Row {
  std::string name;
  std::string file;
  std::string expected;  ///< without "gguf: "; "RAW" = one raw extent that covers all
  size_t head_bytes = 0;
};

Row Make(std::string name, const GgufWriter& writer, size_t data_bytes, std::string expected) {
  return {std::move(name), writer.File(data_bytes), std::move(expected), writer.HeadBytes()};
}

GgufWriter Two(uint32_t version = 3, bool big_endian = false) {
  return GgufWriter(version, big_endian).Tensor("a", {2, 3}, 0, 0).Tensor("b", {5}, 24, 32);
}

/// Tensor "a" as given, then a sound "s" at offset 32.
GgufWriter WithSound(const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
  return GgufWriter().Tensor("a", dims, type, offset).Tensor("s", {4}, 24, 32);
}

GgufWriter OneValue(uint32_t type, const std::string& value) { return Two().Value("key", type, value); }

std::string Nested(const GgufWriter& w, size_t depth) {
  std::string value = w.Array(4, 1, w.U32(1));
  for (size_t i = 1; i < depth; i++) value = w.Array(9, 1, value);
  return value;
}

constexpr const char* kTwo = "head | a F32[3,2] 24 | raw 8 | b I8[5] 5";

std::vector<Row> SoundFiles() {
  GgufWriter w;
  return {
      Make("Version3", Two(), 37, kTwo),
      Make("Version2", Two(2), 37, kTwo),
      Make("Version1", Two(1), 37, kTwo),
      Make("BigEndian", Two(3, true), 37, "head | a OPAQUE[3,2] 24 | raw 8 | b I8[5] 5"),
      Make("BigEndianVersion1", Two(1, true), 37, "head | a OPAQUE[3,2] 24 | raw 8 | b I8[5] 5"),
      Make("BigEndianBlocks", GgufWriter(3, true).Tensor("q", {64}, 2, 0), 36, "head | q OPAQUE[64] 36"),
      Make("TailIsRaw", Two(), 60, "head | a F32[3,2] 24 | raw 8 | b I8[5] 5 | raw 23"),
      Make("OrderOfTheTableIsNotThatOfTheData", GgufWriter().Tensor("b", {5}, 24, 32).Tensor("a", {2, 3}, 0, 0), 37,
           kTwo),
      Make("PaddingInFront", GgufWriter().Tensor("a", {4}, 24, 32), 36, "head + 32 | a I8[4] 4"),
      Make("OffsetThatIsNotAligned", GgufWriter().Tensor("a", {4}, 24, 0).Tensor("b", {1}, 0, 5), 9,
           "head | a I8[4] 4 | raw 1 | b F32[1] 4"),
      Make("Scalar", GgufWriter().Tensor("a", {}, 28, 0), 8, "head | a F64[] 8"),
      Make("FourDimensionsSlowestFirst", GgufWriter().Tensor("a", {2, 3, 4, 5}, 1, 0), 240,
           "head | a F16[5,4,3,2] 240"),
      Make("PlainTypes",
           GgufWriter()
               .Tensor("f32", {1}, 0, 0)
               .Tensor("f16", {1}, 1, 4)
               .Tensor("i8", {1}, 24, 6)
               .Tensor("i16", {1}, 25, 7)
               .Tensor("i32", {1}, 26, 9)
               .Tensor("i64", {1}, 27, 13)
               .Tensor("f64", {1}, 28, 21)
               .Tensor("bf16", {1}, 30, 29),
           31,
           "head | f32 F32[1] 4 | f16 F16[1] 2 | i8 I8[1] 1 | i16 I16[1] 2 | i32 I32[1] 4 | i64 I64[1] 8 | "
           "f64 F64[1] 8 | bf16 BF16[1] 2"),
      Make("BlockTypes", GgufWriter().Tensor("a", {256, 2}, 12, 0).Tensor("b", {64, 1}, 8, 288), 356,
           "head | a GGML_Q4_K[2,256] 288 | b GGML_Q8_0[1,64] 68"),
      Make("WithdrawnTypesAreOpaque", GgufWriter().Tensor("a", {32}, 31, 0).Tensor("b", {64}, 38, 32), 68,
           "head | a OPAQUE[32] 18 | raw 14 | b OPAQUE[64] 36"),
      Make("NoTensors", GgufWriter().Value("key", 4, w.U32(1)), 0, "head"),
      {"NoTensorsAndNoPadding", GgufWriter().Value("key", 4, w.U32(1)).Header(), "raw 43"},
      Make("EmptyTensor", GgufWriter().Tensor("a", {4}, 24, 0).Tensor("e", {0, 7}, 0, 0), 4,
           "head | e F32[7,0] 0 | a I8[4] 4"),
      Make("EmptyName", GgufWriter().Tensor("", {4}, 24, 0), 4, "head |  I8[4] 4"),
      Make("NameOfOddBytes", GgufWriter().Tensor("\x1b[31m\xff", {4}, 24, 0), 4, "head | \x1b[31m\xff I8[4] 4"),
      Make("Alignment8", Two().Alignment(8), 37, kTwo),
      Make("Alignment4096", Two().Alignment(4096), 37, kTwo),
      Make("KeyOfTheLengthOfAlignment", Two().Value("general.alignmenT", 4, w.U32(3)), 37, kTwo),
      Make("SameKeyTwice", Two().Value("key", 4, w.U32(3)).Value("key", 8, w.Text("x")), 37, kTwo),
      Make("StringArray", OneValue(9, w.Array(8, 2, w.Text("") + w.Text("token"))), 37, kTwo),
      Make("EmptyArray", OneValue(9, w.Array(8, 0, "")), 37, kTwo),
      Make("EmptyArrayOfArrays", OneValue(9, w.Array(9, 0, "")), 37, kTwo),
      Make("ArraysInAnArray", OneValue(9, w.Array(9, 2, w.Array(0, 3, "abc") + w.Array(8, 1, w.Text("x")))), 37, kTwo),
      Make("DeepArrays", OneValue(9, Nested(w, kGgufMaxNesting)), 37, kTwo),
      // A template that runs commands where it is rendered (CVE-2024-34359) is text that nobody looks at.
      Make("ChatTemplate",
           Two().Value("tokenizer.chat_template", 8, w.Text("{{ x.__class__.__base__.__subclasses__() }}\x1b[2J")), 37,
           kTwo),
  };
}

std::vector<Row> ValueTypes() {
  std::vector<Row> rows;
  const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  for (uint32_t type = 0; type < std::size(sizes); type++) {
    if (sizes[type] == 0) continue;
    std::string number = std::to_string(type);
    rows.push_back(Make("ValueOfType" + number, OneValue(type, std::string(sizes[type], 'v')), 37, kTwo));
    rows.push_back(Make("ArrayOfType" + number,
                        OneValue(9, GgufWriter().Array(type, 3, std::string(3 * sizes[type], 'v'))), 37, kTwo));
  }
  return rows;
}

constexpr uint64_t kTop = uint64_t{1} << 63;

std::vector<Row> PartlyRawFiles() {
  const char* kOnlySound = "head + 32 | s I8[4] 4";
  std::string long_name(65536, 'n');
  return {
      Make("UnknownType", WithSound({4}, 200, 0), 36, kOnlySound),
      Make("TypesFromBeforeGguf", WithSound({16}, 4, 0), 36, kOnlySound),
      Make("NegativeType", WithSound({4}, UINT32_MAX, 0), 36, kOnlySound),
      Make("TypeThatWrapsToAKnownNumber", WithSound({4}, 65536 - 64 + 12, 0), 36, kOnlySound),
      Make("RowsThatAreNotWholeBlocks", WithSound({31}, 2, 0), 36, kOnlySound),
      Make("BlocksThatSpanRows", WithSound({16, 2}, 2, 0), 36, kOnlySound),
      Make("ScalarOfABlockType", WithSound({}, 2, 0), 36, kOnlySound),
      Make("BehindTheFile", WithSound({4}, 24, 36), 36, kOnlySound),
      Make("ReachesPastTheFile", WithSound({5}, 24, 32), 36, kOnlySound),
      Make("EmptyBehindTheFile", WithSound({0}, 24, 37), 36, kOnlySound),
      Make("OffsetPastTheFile", WithSound({4}, 24, kTop), 36, kOnlySound),               // CVE-2026-7482
      Make("OffsetAllOnes", WithSound({4}, 24, UINT64_MAX), 36, kOnlySound),             // CVE-2025-53630
      Make("EndWrapsToTheFront", WithSound({64}, 24, UINT64_MAX - 31), 36, kOnlySound),  // CVE-2026-27940
      Make("ProductWraps", WithSound({kTop, 2}, 0, 0), 36, kOnlySound),
      Make("ProductWrapsToItsSize", WithSound({(uint64_t{1} << 62) + 1}, 0, 0), 36, kOnlySound),
      Make("BytesOfBlocksWrap", WithSound({(UINT64_MAX - 255) / 32 * 32}, 8, 0), 36, kOnlySound),
      Make("DimensionThatIsNegativeAsANumber", WithSound({UINT64_MAX}, 24, 0), 36, kOnlySound),
      Make("Overlap", GgufWriter().Tensor("a", {4}, 24, 0).Tensor("b", {4}, 24, 3), 10, "head | a I8[4] 4 | raw 6"),
      Make("SameRangeTwice", GgufWriter().Tensor("b", {4}, 24, 0).Tensor("a", {4}, 24, 0), 4, "head | a I8[4] 4"),
      Make("EmptyInsideAnother", GgufWriter().Tensor("a", {4}, 24, 0).Tensor("e", {0}, 24, 2), 4, "head | a I8[4] 4"),
      Make("NameOver65535Bytes", GgufWriter().Tensor(long_name, {4}, 24, 0).Tensor("s", {4}, 24, 4), 8,
           "head + 4 | s I8[4] 4"),
      Make("DataCutInsideATensor", Two(), 36, "head | a F32[3,2] 24 | raw 12"),
      Make("DataCutAway", Two(), 0, "head"),
      {"CutInThePadding", Two().Header(), "raw 98"},
  };
}

Row Raw(std::string name, const GgufWriter& writer) { return {std::move(name), writer.File(64), "RAW"}; }

GgufWriter Counts(uint64_t tensor_count, uint64_t value_count) {
  GgufWriter writer = Two();
  writer.tensor_count = tensor_count;
  writer.value_count = value_count;
  return writer;
}

Row Spoiled(std::string name, size_t offset, const std::string& bytes) {
  return {std::move(name), Two().File(64).replace(offset, bytes.size(), bytes), "RAW"};
}

// Counts and lengths that were believed (CVE-2024-21802, -21825, -21836, -23496, -23605), then everything else.
std::vector<Row> FilesThatAreRaw() {
  GgufWriter w;
  constexpr size_t kFirstName = 24;
  return {
      Raw("TensorCount2To63", Counts(kTop, 0)),
      Raw("TensorCountAllOnes", Counts(UINT64_MAX, 0)),
      {"OneTensorTooMany", Counts(3, 0).Header(), "RAW"},
      Raw("ValueCount2To63", Counts(2, kTop)),
      Raw("ValueCountAllOnes", Counts(2, UINT64_MAX)),
      Spoiled("NameLength2To63", kFirstName, w.U64(kTop)),
      Spoiled("NameLengthAllOnes", kFirstName, w.U64(UINT64_MAX)),
      Spoiled("NameLengthPastTheFile", kFirstName, w.U64(145)),
      Spoiled("RankAllOnes", kFirstName + 9, w.U32(UINT32_MAX)),
      Spoiled("RankOver255", kFirstName + 9, w.U32(256)),
      {"KeyLengthAllOnes", OneValue(4, w.U32(0)).File(64).replace(24, 8, w.U64(UINT64_MAX)), "RAW"},
      Raw("TextLengthAllOnes", OneValue(8, w.U64(UINT64_MAX))),
      Raw("TextLengthWraps", OneValue(8, w.U64(UINT64_MAX - 7))),
      Raw("ArrayCountAllOnes", OneValue(9, w.Array(0, UINT64_MAX, ""))),
      Raw("ArrayBytesWrapToZero", OneValue(9, w.Array(10, uint64_t{1} << 61, ""))),
      Raw("ArrayBytesWrapToEight", OneValue(9, w.Array(10, (uint64_t{1} << 61) + 1, w.U64(0)))),
      Raw("StringArrayCountAllOnes", OneValue(9, w.Array(8, UINT64_MAX, ""))),
      Raw("NestedArrayCountAllOnes", OneValue(9, w.Array(9, UINT64_MAX, ""))),
      Raw("ArraysTooDeep", OneValue(9, Nested(w, kGgufMaxNesting + 1))),
      Raw("ArraysFarTooDeep", OneValue(9, Nested(w, 2000))),
      Raw("UnknownValueType", OneValue(13, w.U64(0))),
      Raw("NegativeValueType", OneValue(UINT32_MAX, w.U64(0))),
      Raw("UnknownElementType", OneValue(9, w.Array(13, 1, w.U64(0)))),
      Raw("Alignment0", Two().Alignment(0)),
      Raw("Alignment4", Two().Alignment(4)),
      Raw("Alignment24", Two().Alignment(24)),
      Raw("AlignmentOdd", Two().Alignment(33)),
      Raw("AlignmentTwice", Two().Alignment(32).Alignment(32)),
      Raw("AlignmentOf64Bits", Two().Value("general.alignment", 10, w.U64(32))),
      Raw("AlignmentAsText", Two().Value("general.alignment", 8, w.Text("32"))),
      Raw("SameNameTwice", GgufWriter().Tensor("a", {4}, 24, 0).Tensor("a", {4}, 24, 4)),
      Raw("Version0", Two(0)),
      Raw("Version4", Two(4)),
      Spoiled("Magic", 0, "GGUf"),
      Spoiled("MagicOfTheOldFormat", 0, "ggjt"),
      {"Empty", "", "RAW"},
      {"MagicAlone", "GGUF", "RAW"},
      {"MagicAndVersion", std::string("GGUF\3\0\0\0", 8), "RAW"},
  };
}

class GgufTable : public testing::TestWithParam<Row> {};

TEST_P(GgufTable, GivesTheExpectedMap) {
  const Row& row = GetParam();
  FileMap map = AnnotateText(row.file);
  ExpectExactCover(map, row.file.size());
  std::string raw = row.file.empty() ? "raw" : "raw: raw " + std::to_string(row.file.size());
  EXPECT_EQ(Render(map, row.head_bytes), row.expected == "RAW" ? raw : "gguf: " + row.expected);
  EXPECT_EQ(Render(AnnotateSource(FakeFile(row.file)), row.head_bytes), Render(map, row.head_bytes));
}

std::string RowName(const testing::TestParamInfo<Row>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Sound, GgufTable, testing::ValuesIn(SoundFiles()), RowName);
INSTANTIATE_TEST_SUITE_P(Values, GgufTable, testing::ValuesIn(ValueTypes()), RowName);
INSTANTIATE_TEST_SUITE_P(PartlyRaw, GgufTable, testing::ValuesIn(PartlyRawFiles()), RowName);
INSTANTIATE_TEST_SUITE_P(Raw, GgufTable, testing::ValuesIn(FilesThatAreRaw()), RowName);

TEST(Gguf, KnowsEveryBlockTypeByItsNumber) {
  size_t found = 0;
  for (uint32_t type = 0; type < 64; type++) {
    auto dtype = static_cast<DType>(kGgmlDTypeBase + type);
    if (Describe(dtype).dtype != dtype) continue;
    uint64_t row = static_cast<uint64_t>(Describe(dtype).block_elements);
    GgufWriter writer = GgufWriter().Tensor("a", {row, 3}, type, 0);
    FileMap map = AnnotateText(writer.File(static_cast<size_t>(Describe(dtype).block_bytes) * 3));
    ASSERT_EQ(map.extents.size(), 2U) << type;
    EXPECT_EQ(map.extents[1].dtype, dtype);
    EXPECT_EQ(map.extents[1].shape, (Shape{3, row}));
    found++;
  }
  EXPECT_EQ(found, 26U);
}

// A dimension must not become an int on its way (CVE-2026-53923).
TEST(Gguf, AnnotatesTensorsOfMoreThan2To31Elements) {
  for (uint64_t power : {31U, 32U, 40U}) {
    for (uint64_t delta : {uint64_t{0} - 1, uint64_t{0}, uint64_t{1}}) {
      uint64_t count = (uint64_t{1} << power) + delta;
      GgufWriter writer = GgufWriter().Tensor("a", {count}, 1, 0).Tensor("b", {32, count}, 2, 2 * count);
      std::string head = writer.File(0);
      FakeFile file(head, head.size() + 20 * count, head.size() + 40000);
      FileMap map = AnnotateSource(file);
      std::string text = std::to_string(count);
      EXPECT_EQ(Render(map, head.size()), "gguf: head | a F16[" + text + "] " + std::to_string(2 * count) +
                                              " | b GGML_Q4_0[" + text + ",32] " + std::to_string(18 * count));
    }
  }
}

TEST(Gguf, HugeNumbersAreNeverTakenForSizes) {
  std::vector<uint64_t> numbers = {2, 32, 256};
  for (uint64_t power : {uint64_t{1} << 31, uint64_t{1} << 32, kTop, uint64_t{0}}) {
    for (uint64_t delta : {uint64_t{0} - 2, uint64_t{0} - 1, uint64_t{0}, uint64_t{1}})
      numbers.push_back(power + delta);
  }
  for (uint64_t x : numbers) {
    for (uint64_t y : numbers) {
      for (uint32_t type : {0U, 2U, 12U, 31U}) {
        std::string file = WithSound({x, y}, type, 0).Tensor("c", {x}, type, y).File(36);
        FileMap map = AnnotateText(file);
        ASSERT_NO_FATAL_FAILURE(ExpectExactCover(map, file.size())) << x << " " << y;
        ASSERT_GE(TensorCount(map), 1U) << x << " " << y;
      }
    }
  }
}

TEST(Gguf, CoversTheFileWhereverItIsCut) {
  ASSERT_EQ(TensorCount(AnnotateText(ManySidedGguf())), 4U);
  for (uint32_t version : {1U, 2U, 3U}) ExpectCoverWhereverItIsCut(ManySidedGguf(version, version == 2));
}

TEST(Gguf, CoversTheFileWhateverIsChanged) {
  size_t still_gguf = CountMutantsThatAreStill(ContainerFormat::kGguf, ManySidedGguf(), 10000);
  EXPECT_GT(still_gguf, 2000U);  // else the mutations never reach behind the header
  EXPECT_LT(still_gguf, 9500U);
}

TEST(Gguf, ReadsNoDataOfTensors) {
  std::string head = GgufWriter().Tensor("a", {1 << 20}, 24, 0).File(0);
  FileMap map = AnnotateSource(FakeFile(head, head.size() + (1 << 20), 20000));
  EXPECT_EQ(TensorCount(map), 1U);
}

TEST(Gguf, PassesOnErrorsOfReading) {
  GgufWriter writer;
  writer.Value("key", 8, writer.Text(std::string(100000, 'x'))).Tensor("a", {4}, 24, 0);
  std::string file = writer.File(4);
  for (uint64_t readable_bytes : {uint64_t{4096}, uint64_t{60000}}) {
    Result<FileMap> map = Annotate(FakeFile(file, file.size(), readable_bytes));
    ASSERT_FALSE(map.ok());
    EXPECT_EQ(map.error().code, ErrorCode::kIo);
  }
}

TEST(Gguf, TableOver16MiBIsRaw) {
  std::string name(65000, 'n');
  GgufWriter writer;
  while (writer.tensor_count < 255) writer.Tensor(std::to_string(writer.tensor_count) + name, {4}, 24, 0);
  EXPECT_EQ(AnnotateText(writer.File(4)).format, ContainerFormat::kGguf);
  while (writer.tensor_count < 260) writer.Tensor(std::to_string(writer.tensor_count) + name, {4}, 24, 0);
  EXPECT_EQ(AnnotateText(writer.File(4)).format, ContainerFormat::kRaw);
}

TEST(Gguf, VocabularyOfAMillionTokensIsPassedOver) {
  GgufWriter writer;
  std::string tokens;
  for (int i = 0; i < 1'000'000; i++) tokens += writer.Text("abc");
  writer.Value("tokens", 9, writer.Array(8, 1'000'000, tokens)).Tensor("a", {4}, 24, 0);
  EXPECT_EQ(TensorCount(AnnotateText(writer.File(4))), 1U);
}

}  // namespace
}  // namespace flyweight
