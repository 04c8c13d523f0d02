#include "container/onnx.h"

#include <gtest/gtest.h>

#include "container/annotate_test_tools.h"
#include "container/onnx_test_files.h"

namespace flyweight {
namespace {

using Proto = ProtobufWriter;

struct Row {
  std::string name;
  std::string file;
  std::string expected;  ///< the tensors, without the raw extents around them; "RAW" = one raw extent that covers all
};

std::string Tensors(const FileMap& map) {
  std::string text;
  for (const Extent& extent : map.extents) {
    if (extent.is_tensor) text += (text.empty() ? "" : " | ") + Render(extent);
  }
  return text;
}

/// With tensors of any size annotated.
FileMap AnnotateAll(const ByteSource& source) {
  std::vector<std::byte> first_bytes(static_cast<size_t>(std::min<uint64_t>(source.size(), 4096)));
  EXPECT_TRUE(source.ReadAt(0, first_bytes).ok());
  Result<std::optional<FileMap>> map = AnnotateOnnxTensors(source, first_bytes, 0);
  EXPECT_TRUE(map.ok());
  return map.ok() && map.value().has_value() ? *map.value() : RawFileMap(source.size());
}

FileMap AnnotateAll(const std::string& file) { return AnnotateAll(MemorySource(AsBytes(file))); }

std::string Initializer(const std::string& tensor) { return Proto().Bytes(5, tensor); }

const std::string kSound = OnnxRawTensor({2}, 1, "s", 8);

/// A tensor as given and a sound one behind it.
Row WithSound(std::string name, const std::string& tensor, const std::string& expected = "") {
  return {std::move(name), OnnxModel(Initializer(tensor) + Initializer(kSound)),
          expected + (expected.empty() ? "" : " | ") + "s F32[2] 8"};
}

Row Typed(std::string name, uint64_t type, size_t item_bytes, const std::string& dtype) {
  size_t size_bytes = 3 * item_bytes;
  return {std::move(name), OnnxModel(Initializer(OnnxRawTensor({3}, type, "a", size_bytes))),
          "a " + dtype + "[3] " + std::to_string(size_bytes)};
}

std::vector<Row> ElementTypes() {
  return {
      Typed("F32", 1, 4, "F32"),
      Typed("U8", 2, 1, "U8"),
      Typed("I8", 3, 1, "I8"),
      Typed("U16", 4, 2, "U16"),
      Typed("I16", 5, 2, "I16"),
      Typed("I32", 6, 4, "I32"),
      Typed("I64", 7, 8, "I64"),
      Typed("Bool", 9, 1, "BOOL"),
      Typed("F16", 10, 2, "F16"),
      Typed("F64", 11, 8, "F64"),
      Typed("U32", 12, 4, "U32"),
      Typed("U64", 13, 8, "U64"),
      Typed("C64", 14, 8, "C64"),
      Typed("C128", 15, 16, "OPAQUE"),
      Typed("BF16", 16, 2, "BF16"),
      Typed("F8E4M3", 17, 1, "F8_E4M3"),
      Typed("F8E4M3FNUZ", 18, 1, "F8_E4M3FNUZ"),
      Typed("F8E5M2", 19, 1, "F8_E5M2"),
      Typed("F8E5M2FNUZ", 20, 1, "F8_E5M2FNUZ"),
      Typed("F8E8M0", 24, 1, "F8_E8M0"),
      WithSound("U4", OnnxRawTensor({3}, 21, "a", 2), "a OPAQUE[3] 2"),
      WithSound("I4", OnnxRawTensor({4}, 22, "a", 2), "a OPAQUE[4] 2"),
      WithSound("F4", OnnxRawTensor({4}, 23, "a", 2), "a F4[4] 2"),
      WithSound("F4WithHalfAByteLeft", OnnxRawTensor({3}, 23, "a", 2)),
      WithSound("U2", OnnxRawTensor({5}, 25, "a", 2), "a OPAQUE[5] 2"),
      WithSound("I2", OnnxRawTensor({5}, 26, "a", 2), "a OPAQUE[5] 2"),
      WithSound("Undefined", OnnxRawTensor({3}, 0, "a", 3)),
      WithSound("Text", OnnxRawTensor({3}, 8, "a", 3)),
      WithSound("UnknownType", OnnxRawTensor({3}, 27, "a", 3)),
      WithSound("TypeAllOnes", OnnxRawTensor({3}, UINT64_MAX, "a", 3)),
  };
}

std::string TensorWith(const std::string& data, uint64_t type = 1, const std::vector<uint64_t>& dims = {2}) {
  return Proto().Raw(OnnxTensorHead(dims, type, "a")).Raw(data);
}

std::vector<Row> DataFields() {
  const std::string eight = "12345678";
  const std::string raw_data = Proto().Bytes(9, eight);
  return {
      WithSound("PackedFloats", TensorWith(Proto().Bytes(4, eight)), "a F32[2] 8"),
      WithSound("PackedComplex", TensorWith(Proto().Bytes(4, eight), 14, {1}), "a C64[1] 8"),
      WithSound("PackedDoubles", TensorWith(Proto().Bytes(10, eight), 11, {1}), "a F64[1] 8"),
      WithSound("PackedComplexOfDoubles", TensorWith(Proto().Bytes(10, eight + eight), 15, {1}), "a OPAQUE[1] 16"),
      WithSound("FloatsThatAreNotPacked", TensorWith(Proto().Fixed32(4, "1234").Fixed32(4, "5678"))),
      WithSound("FloatsInPieces", TensorWith(Proto().Bytes(4, "1234").Bytes(4, "5678"))),
      WithSound("FloatsOfAnotherType", TensorWith(Proto().Bytes(4, eight), 10, {4})),
      WithSound("DoublesOfAnotherType", TensorWith(Proto().Bytes(10, eight), 13, {1})),
      WithSound("PackedIntegers", TensorWith(Proto().Bytes(5, eight), 2, {8})),
      WithSound("PackedLongs", TensorWith(Proto().Bytes(7, eight), 2, {8})),
      WithSound("PackedUnsignedLongs", TensorWith(Proto().Bytes(11, eight), 2, {8})),
      WithSound("Strings", TensorWith(Proto().Bytes(6, eight), 2, {8})),
      WithSound("RawDataTwice", TensorWith(raw_data + raw_data)),
      WithSound("RawDataAndFloats", TensorWith(std::string(Proto().Bytes(4, eight)) + raw_data)),
      WithSound("NoData", TensorWith("")),
      WithSound("DataOutside", TensorWith(Proto().Bytes(13, eight).Number(14, 1))),
      WithSound("DataBeforeTheRest", Proto().Bytes(9, eight).Raw(OnnxTensorHead({2}, 1, "a")), "a F32[2] 8"),
      WithSound("UnknownFields", TensorWith(Proto().Number(99, 1).Fixed64(98, eight).Bytes(97, "x").Raw(raw_data)),
                "a F32[2] 8"),
      WithSound("PackedDims",
                Proto()
                    .Bytes(1, Proto::Varint(2) + Proto::Varint(300))
                    .Number(2, 2)
                    .Bytes(8, "a")
                    .Bytes(9, std::string(600, 'x')),
                "a U8[2,300] 600"),
      WithSound("Scalar", OnnxRawTensor({}, 1, "a", 4), "a F32[] 4"),
      WithSound("Empty", OnnxRawTensor({0, 7}, 1, "a", 0), "a F32[0,7] 0"),
      WithSound("OneByteTooFew", OnnxRawTensor({2}, 1, "a", 7)),
      WithSound("OneByteTooMany", OnnxRawTensor({2}, 1, "a", 9)),
      WithSound("NegativeDimension", OnnxRawTensor({UINT64_MAX}, 1, "a", 8)),
      WithSound("ProductWrapsToItsSize", OnnxRawTensor({(uint64_t{1} << 62) + 2}, 1, "a", 8)),
      WithSound("BitsWrap", OnnxRawTensor({(uint64_t{1} << 62) + 4}, 22, "a", 2)),
      WithSound("RankOver255", OnnxRawTensor(std::vector<uint64_t>(256, 1), 2, "a", 1)),
      WithSound("NameOver65535Bytes", OnnxRawTensor({8}, 2, std::string(65536, 'n'), 8)),
  };
}

std::string Attribute(uint32_t field, const std::string& value) { return Proto().Bytes(1, "x").Bytes(field, value); }

/// A graph with one initialiser under `depth` graphs of branches.
std::string DeepGraph(int depth) {
  std::string graph = Initializer(OnnxRawTensor({2}, 1, "deep", 8));
  for (int i = 0; i < depth; i++) graph = Proto().Bytes(1, OnnxNode("if", Attribute(6, graph)));
  return graph;
}

std::vector<Row> Places() {
  const std::string unnamed = OnnxRawTensor({2}, 2, "", 2);
  const std::string in_node = Proto().Bytes(1, OnnxNode("out", Attribute(5, unnamed)));
  const std::string node_first = Proto().Bytes(5, Attribute(5, unnamed)).Bytes(2, "out");
  auto model_with = [](uint32_t field, const std::string& value) -> std::string {
    return Proto().Raw(OnnxModel(Initializer(kSound))).Bytes(field, value);
  };
  const std::string sparse = Proto().Bytes(1, OnnxRawTensor({2}, 1, "v", 8)).Bytes(2, OnnxRawTensor({2}, 7, "i", 16));
  return {
      {"InitialisersWithoutNames", OnnxModel(Initializer(unnamed) + Initializer(unnamed)), " U8[2] 2 |  U8[2] 2"},
      {"ConstantHasTheNameOfTheOutput", OnnxModel(in_node), "out U8[2] 2"},
      {"ConstantWithANameOfItsOwn", OnnxModel(Proto().Bytes(1, OnnxNode("out", Attribute(5, kSound)))), "s F32[2] 8"},
      {"ConstantBeforeTheOutput", OnnxModel(Proto().Bytes(1, node_first)), " U8[2] 2"},
      {"TensorsOfAnAttribute", OnnxModel(Proto().Bytes(1, OnnxNode("out", Attribute(10, kSound)))), "s F32[2] 8"},
      {"BranchesOfANode", OnnxModel(DeepGraph(1)), "deep F32[2] 8"},
      {"GraphsOfAnAttribute", OnnxModel(Proto().Bytes(1, OnnxNode("x", Attribute(11, Initializer(kSound))))),
       "s F32[2] 8"},
      {"DeepestGraph", OnnxModel(DeepGraph(kOnnxMaxGraphDepth - 1)), "deep F32[2] 8"},
      {"GraphTooDeep", OnnxModel(DeepGraph(kOnnxMaxGraphDepth) + Initializer(kSound)), "s F32[2] 8"},
      {"GraphFarTooDeep", OnnxModel(DeepGraph(3000) + Initializer(kSound)), "s F32[2] 8"},
      {"SparseInitialiser", OnnxModel(Proto().Bytes(15, sparse)), "v F32[2] 8 | i I64[2] 16"},
      {"Function", model_with(25, Proto().Bytes(1, "f").Bytes(7, OnnxNode("out", Attribute(5, unnamed)))),
       "s F32[2] 8 | out U8[2] 2"},
      {"Training", model_with(20, Proto().Bytes(1, Initializer(OnnxRawTensor({1}, 2, "t", 1)))),
       "s F32[2] 8 | t U8[1] 1"},
      {"UnknownFieldsOfTheGraph", OnnxModel(Proto().Number(99, 5).Bytes(98, "\xff\xff").Raw(Initializer(kSound))),
       "s F32[2] 8"},
  };
}

Row Raw(std::string name, std::string file) { return {std::move(name), std::move(file), "RAW"}; }

std::vector<Row> FilesThatAreRaw() {
  const std::string graph = Initializer(kSound);
  const std::string sound = OnnxModel(graph);
  const std::string long_varint = std::string(10, '\xff');
  auto in_tensor = [](const std::string& bytes) { return OnnxModel(Initializer(kSound + bytes)); };
  return {
      Raw("Empty", ""),
      Raw("OneByte", "\x08"),
      Raw("Zeros", std::string(100, '\0')),
      Raw("NoVersion", Proto().Bytes(7, graph)),
      Raw("NoGraph", Proto().Number(1, 9).Bytes(2, "producer")),
      Raw("NoTensors", OnnxModel(Proto().Bytes(2, "name"))),
      Raw("TwoGraphs", Proto().Raw(sound).Bytes(7, graph)),
      Raw("UnknownFieldOfTheModel", Proto().Raw(sound).Number(9, 1)),
      Raw("HighFieldOfTheModel", Proto().Raw(sound).Number(64 + 7, 1)),
      Raw("VersionAsText", Proto().Bytes(1, "9").Bytes(7, graph)),
      Raw("GraphAsANumber", Proto().Raw(sound).Number(7, 1)),
      Raw("BytesBehind", sound + "x"),
      Raw("ZeroBehind", sound + std::string(1, '\0')),
      Raw("GroupStart", sound + "\x0b"),
      Raw("GroupInTheGraph", OnnxModel(graph + "\x0b\x0c")),
      Raw("UnknownWireType", OnnxModel(graph + "\x0e")),
      Raw("FieldNumber0", OnnxModel(graph + std::string("\x00\x01", 2))),
      Raw("FieldNumberOver29Bits", OnnxModel(graph + "\x80\x80\x80\x80\x10\x01")),
      Raw("VarintNeverEnds", OnnxModel(graph + "\x08" + long_varint)),
      Raw("VarintOver64Bits", OnnxModel(graph + "\x08" + std::string(9, '\xff') + "\x02")),
      Raw("LengthAllOnes", OnnxModel(graph + "\x12" + std::string(9, '\xff') + "\x01")),
      Raw("LengthOneTooLong", OnnxModel(graph + "\x12\x02x")),
      Raw("TensorLongerThanItsGraph", OnnxModel(Proto().Raw(Proto::Varint(5 << 3 | 2)).Raw("\x7f").Raw(kSound))),
      Raw("TensorEndsInsideAVarint", in_tensor("\x10\xff")),
      Raw("DimsEndInsideAVarint", in_tensor("\x0a\x01\x80")),
      Raw("DimsAsFixedNumbers", in_tensor("\x0d"
                                          "1234")),
      Raw("TypeAsText", in_tensor("\x12\x01x")),
      Raw("NameAsANumber", in_tensor("\x40\x01")),
      Raw("RawDataAsANumber", in_tensor("\x48\x01")),
  };
}

class OnnxTable : public testing::TestWithParam<Row> {};

TEST_P(OnnxTable, GivesTheExpectedTensors) {
  const Row& row = GetParam();
  FileMap map = AnnotateAll(row.file);
  ExpectExactCover(map, row.file.size());
  EXPECT_EQ(map.format, row.expected == "RAW" ? ContainerFormat::kRaw : ContainerFormat::kOnnx);
  EXPECT_EQ(Tensors(map), row.expected == "RAW" ? "" : row.expected);
  EXPECT_EQ(Render(AnnotateAll(FakeFile(row.file)), 0), Render(map, 0));
}

std::string RowName(const testing::TestParamInfo<Row>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Types, OnnxTable, testing::ValuesIn(ElementTypes()), RowName);
INSTANTIATE_TEST_SUITE_P(Data, OnnxTable, testing::ValuesIn(DataFields()), RowName);
INSTANTIATE_TEST_SUITE_P(Places, OnnxTable, testing::ValuesIn(Places()), RowName);
INSTANTIATE_TEST_SUITE_P(Raw, OnnxTable, testing::ValuesIn(FilesThatAreRaw()), RowName);

TEST(Onnx, ExtentsHoldTheDataItself) {
  std::string file = OnnxModel(Initializer(kSound));
  FileMap map = AnnotateAll(file);
  ASSERT_EQ(map.extents.size(), 3U);
  EXPECT_EQ(file.substr(static_cast<size_t>(map.extents[1].offset), 8), std::string("\0\1\2\3\4\5\6\7", 8));
}

TEST(Onnx, TensorsOfLessThan128BytesAreRaw) {
  std::string small = Initializer(OnnxRawTensor({127}, 2, "small", 127));
  std::string large = Initializer(OnnxRawTensor({128}, 2, "large", 128));
  EXPECT_EQ(Tensors(AnnotateText(OnnxModel(small + large + small))), "large U8[128] 128");
  EXPECT_EQ(AnnotateText(OnnxModel(small + small)).format, ContainerFormat::kRaw);
}

TEST(Onnx, CoversTheFileWhereverItIsCut) {
  ASSERT_EQ(TensorCount(AnnotateText(ManySidedOnnx())), 4U);
  ExpectCoverWhereverItIsCut(ManySidedOnnx());
}

TEST(Onnx, CoversTheFileWhateverIsChanged) {
  size_t still_onnx = CountMutantsThatAreStill(ContainerFormat::kOnnx, ManySidedOnnx(), 10000);
  EXPECT_GT(still_onnx, 500U);
  EXPECT_LT(still_onnx, 9500U);
}

TEST(Onnx, ReadsNoDataOfTensors) {
  constexpr size_t kDataBytes = 1 << 20;
  std::string tensor = OnnxTensorHead({kDataBytes}, 2, "a");
  tensor += "\x4a" + Proto::Varint(kDataBytes);
  std::string graph = Proto::Varint(5 << 3 | 2) + Proto::Varint(tensor.size() + kDataBytes) + tensor;
  std::string head = "\x08\x09\x3a" + Proto::Varint(graph.size() + kDataBytes) + graph;
  FakeFile file(head, head.size() + kDataBytes, 20000);
  EXPECT_EQ(Tensors(AnnotateSource(file)), "a U8[1048576] 1048576");
}

TEST(Onnx, PassesOnErrorsOfReading) {
  std::string file = OnnxModel(Proto().Bytes(2, std::string(100000, 'x')).Raw(Initializer(kSound)));
  Result<FileMap> map = Annotate(FakeFile(file, file.size(), 50000));
  ASSERT_FALSE(map.ok());
  EXPECT_EQ(map.error().code, ErrorCode::kIo);
}

TEST(Onnx, FilesOf2GiBAreRaw) {
  std::string head = OnnxModel(Initializer(kSound));
  EXPECT_EQ(AnnotateSource(FakeFile(head, kOnnxMaxFileBytes, 1 << 20)).format, ContainerFormat::kRaw);
}

TEST(Onnx, SoManyTensorsThatMemoryWouldGrowAreRaw) {
  std::string graph;
  std::string tensor = Initializer(OnnxRawTensor({1}, 2, "", 1));
  for (int i = 0; i < 400'000; i++) graph += tensor;
  EXPECT_EQ(AnnotateAll(OnnxModel(graph)).format, ContainerFormat::kRaw);
  EXPECT_EQ(TensorCount(AnnotateAll(OnnxModel(graph.substr(0, 300'000 * tensor.size())))), 300'000U);
}

}  // namespace
}  // namespace flyweight
