#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "container/annotate_test_tools.h"
#include "container/pickle_test_files.h"
#include "container/torch_storages.h"
#include "container/zip_test_files.h"
#include "support/temp_dir.h"

// Crafted files of PyTorch, and those in tests/containers, which PyTorch wrote.

namespace flyweight {
namespace {

using namespace pickle;

/// "name DTYPE[shape] bytes" of all tensors that the pickle of these opcodes knows, "; " between storages.
std::string Storages(const std::string& opcodes) {
  const std::string pickle = File(opcodes);
  Result<PickleTree> tree = ScanPickle(AsBytes(pickle));
  if (!tree.ok()) return "no pickle: " + tree.error().message;
  std::string text;
  for (const TorchStorage& storage : FindTorchStorages(tree.value(), "")) {
    text += text.empty() ? "" : "; ";
    std::string separator = std::string(storage.key) + ": ";
    uint64_t sum_bytes = 0;
    for (const TorchTensor& tensor : storage.tensors) {
      Extent extent{.size_bytes = tensor.size_bytes,
                    .is_tensor = true,
                    .name = tensor.name,
                    .dtype = storage.dtype,
                    .shape = tensor.shape};
      text += std::exchange(separator, " | ") + Render(extent);
      sum_bytes += tensor.size_bytes;
    }
    EXPECT_EQ(sum_bytes, storage.size_bytes);
  }
  return text;
}

struct Row {
  std::string opcodes;
  std::string expected;
};

std::string F32(std::string_view key, int32_t count, int32_t offset, const std::vector<int32_t>& sizes,
                const std::vector<int32_t>& strides) {
  return Tensor(Storage("FloatStorage", key, count), offset, sizes, strides);
}

TEST(TorchStorages, AreNamedByTheirPath) {
  const std::string v = Vector("FloatStorage", "0", 2);
  const std::string object = Global("m", "Class") + ")\x81";
  const Row rows[] = {
      {Dict({{"a", v}}), "a"},
      {Dict({{"a", Dict({{"b", List({"N", v})}})}}), "a.b.1"},
      {Dict({{"a", Tuple({"N", "N", v})}}), "a.2"},
      {"}" + Int(-7) + v + "s", "-7"},
      {"}(N" + std::string("N\x88") + v + "u", "1"},
      {v, "storage.0"},
      {List({v}), "0"},
      {object + Dict({{"w", v}}) + "b", "w"},
      {object + Dict({{"_modules", Dict({{"l", object + Dict({{"_parameters", Dict({{"w", v}})}}) + "b"}})}}) + "b",
       "l.w"},
      {Dict({{"_modules", Dict({{"w", v}})}}), "_modules.w"},
      {object + Tuple({"N", Dict({{"w", v}})}) + "b", "w"},
      {kNoHooks + "(" + Text("k") + v + "u", "k"},
      {Call(Global("collections", "OrderedDict"), {List({List({Text("k"), v})})}), "k"},
      {Dict({{"p", Call(Global("torch._utils", "_rebuild_parameter"), {v, "\x88", kNoHooks})}}), "p"},
      {Dict({{"x", Call(Global("m", "f"), {"N", v})}}), "x.1"},
      {Dict({{"t",
              Call(Global("torch._tensor", "_rebuild_from_type_v2"),
                   {Global("torch._utils", "_rebuild_tensor_v2"), Global("m", "Sub"),
                    Tuple({Storage("FloatStorage", "0", 2), Int(0), Ints({2}), Ints({1}), "\x89", kNoHooks}), "}"})}}),
       "t"},
      {Dict({{"s", Storage("FloatStorage", "0", 2)}}), "s"},
      {Dict({{"a", "]q\x05h\x05" + std::string("a") + v + "a"}}), "a.1"},
      {"}(" + Text(std::string(2000, 'k')) + v + "u", "0"},
  };
  for (const Row& row : rows) EXPECT_EQ(Storages(row.opcodes), "0: " + row.expected + " F32[2] 8");
}

TEST(TorchStorages, TakeTheShapeOfTheTensorsThatFillThem) {
  const Row rows[] = {
      {Dict({{"a", F32("0", 6, 0, {2, 3}, {3, 1})}}), "0: a F32[2,3] 24"},
      {Dict({{"a", F32("0", 6, 0, {2, 3}, {1, 2})}}), "0: storage.0 F32[6] 24"},
      {Dict({{"a", F32("0", 6, 0, {2, 1, 3}, {3, 99, 1})}}), "0: a F32[2,1,3] 24"},
      {Dict({{"a", F32("0", 1, 0, {}, {})}}), "0: a F32[] 4"},
      {Dict({{"a", F32("0", 0, 0, {0, 5}, {5, 1})}}), "0: a F32[0,5] 0"},
      {Dict({{"a", F32("0", 6, 2, {2, 2}, {2, 1})}}), "0: storage.0 F32[6] 24"},
      {Dict({{"a", F32("0", 6, 0, {4}, {1})}}), "0: storage.0 F32[6] 24"},
      {Dict({{"a", F32("0", 6, 0, {6}, {0})}}), "0: storage.0 F32[6] 24"},
      {Dict({{"a", F32("0", 6, 0, {7}, {1})}}), "0: storage.0 F32[6] 24"},
      {Dict({{"a", F32("0", 6, 0, {6}, {1})}, {"b", F32("0", 6, 0, {2, 3}, {3, 1})}}), "0: a F32[6] 24"},
      {Dict({{"a", F32("0", 6, 0, {2}, {1})}, {"b", F32("0", 6, 0, {2, 3}, {3, 1})}}), "0: b F32[2,3] 24"},
      {Dict({{"b", F32("0", 6, 4, {2}, {1})}, {"a", F32("0", 6, 0, {2, 2}, {2, 1})}}), "0: a F32[2,2] 16 | b F32[2] 8"},
      {Dict({{"b", F32("0", 6, 4, {2}, {1})}, {"a", F32("0", 6, 0, {4}, {1})}, {"c", F32("0", 6, 4, {1, 2}, {2, 1})}}),
       "0: a F32[4] 16 | b F32[2] 8"},
      {Dict({{"b", F32("0", 6, 3, {3}, {1})}, {"a", F32("0", 6, 0, {4}, {1})}}), "0: storage.0 F32[6] 24"},
      {Dict({{"b", F32("0", 6, 5, {1}, {1})}, {"a", F32("0", 6, 0, {4}, {1})}}), "0: storage.0 F32[6] 24"},
      {Dict({{"b", F32("0", 6, 4, {2}, {1})}, {"a", F32("0", 6, 0, {4}, {1})}, {"c", F32("0", 6, 1, {0}, {1})}}),
       "0: a F32[4] 16 | b F32[2] 8"},
      {Dict({{"a", F32("0", 2, 0, {2}, {1})}, {"b", F32("1", 3, 0, {3}, {1})}}), "0: a F32[2] 8; 1: b F32[3] 12"},
  };
  for (const Row& row : rows) EXPECT_EQ(Storages(row.opcodes), row.expected);
}

TEST(TorchStorages, HaveTheTypesOfPyTorch) {
  const std::pair<const char*, const char*> classes[] = {
      {"FloatStorage", "F32[2] 8"},         {"DoubleStorage", "F64[2] 16"},
      {"HalfStorage", "F16[2] 4"},          {"BFloat16Storage", "BF16[2] 4"},
      {"ByteStorage", "U8[2] 2"},           {"CharStorage", "I8[2] 2"},
      {"ShortStorage", "I16[2] 4"},         {"IntStorage", "I32[2] 8"},
      {"LongStorage", "I64[2] 16"},         {"BoolStorage", "BOOL[2] 2"},
      {"ComplexFloatStorage", "C64[2] 16"}, {"ComplexDoubleStorage", "OPAQUE[2] 32"},
      {"QInt8Storage", "OPAQUE[2] 2"},      {"QUInt8Storage", "OPAQUE[2] 2"},
      {"QInt32Storage", "OPAQUE[2] 8"},     {"QUInt4x2Storage", "OPAQUE[2] 2"},
      {"UntypedStorage", "OPAQUE[2] 2"},
  };
  for (const auto& [type, expected] : classes)
    EXPECT_EQ(Storages(Dict({{"a", Vector(type, "0", 2)}})), "0: a " + std::string(expected));
  EXPECT_EQ(Storages(Dict({{"a", Vector("StringStorage", "0", 2)}})), "");

  const std::pair<const char*, const char*> dtypes[] = {
      {"float8_e4m3fn", "F8_E4M3[8] 8"},
      {"float8_e5m2", "F8_E5M2[8] 8"},
      {"float8_e8m0fnu", "F8_E8M0[8] 8"},
      {"float8_e4m3fnuz", "F8_E4M3FNUZ[8] 8"},
      {"float8_e5m2fnuz", "F8_E5M2FNUZ[8] 8"},
      {"uint16", "U16[4] 8"},
      {"uint32", "U32[2] 8"},
      {"uint64", "U64[1] 8"},
      {"complex32", "OPAQUE[2] 8"},
      {"float4_e2m1fn_x2", "F4[16] 8"},
  };
  const int32_t counts[] = {8, 8, 8, 8, 8, 4, 2, 1, 2, 8};
  for (size_t i = 0; i < std::size(dtypes); i++)
    EXPECT_EQ(Storages(Dict({{"a", TensorOfDType(dtypes[i].first, "0", 8, {counts[i]}, {1})}})),
              "0: a " + std::string(dtypes[i].second));
  EXPECT_EQ(Storages(Dict({{"a", TensorOfDType("uint3", "0", 8, {8}, {1})}})), "0: a OPAQUE[8] 8");
  EXPECT_EQ(Storages(Dict({{"a", TensorOfDType("uint32", "0", 7, {1}, {1})}})), "");
}

TEST(TorchStorages, ThatContradictThemselvesAreOpaqueOrLeftOut) {
  EXPECT_EQ(Storages(Dict({{"a", Vector("FloatStorage", "0", 2)}, {"b", Vector("IntStorage", "0", 2)}})),
            "0: storage.0 OPAQUE[8] 8");
  EXPECT_EQ(Storages(Dict(
                {{"a", TensorOfDType("uint16", "0", 8, {4}, {1})}, {"b", TensorOfDType("uint32", "0", 8, {2}, {1})}})),
            "0: storage.0 OPAQUE[8] 8");
  EXPECT_EQ(Storages(Dict({{"a", Vector("FloatStorage", "0", 2)}, {"b", Vector("FloatStorage", "0", 3)}})), "");
  EXPECT_EQ(Storages(Dict({{"a", Vector("FloatStorage", "0", -1)}})), "");
  const std::string huge = "\x8a\x08" + Number(uint64_t{1} << 62, 8);
  EXPECT_EQ(
      Storages(
          Dict({{"a", Tuple({Text("storage"), Global("torch", "FloatStorage"), Text("0"), Text("cpu"), huge}) + "Q"}})),
      "");
  EXPECT_EQ(Storages(Dict({{"a", F32("0", 4, -1, {4}, {1})}})), "0: storage.0 F32[4] 16");
  EXPECT_EQ(Storages(Dict({{"a", F32("0", 4, 0, {2147483647, 2147483647, 2147483647}, {1, 1, 1})}})),
            "0: storage.0 F32[4] 16");
  EXPECT_EQ(Storages(Dict({{"a", F32("0", 4, 0, {4, 1}, {1})}})), "0: storage.0 F32[4] 16");
}

TEST(TorchStorages, WalkNeitherInCirclesNorForEver) {
  // A list in itself, and a tree whose paths double with each level.
  std::string doubling = Vector("FloatStorage", "0", 2) + "q\x01";
  for (int level = 0; level < 60; level++) doubling += "q\x01" + std::string("0]q\x02(h\x01h\x01") + "eq\x01";
  EXPECT_EQ(Storages(doubling).substr(0, 7), "0: 0.0.");
  std::string deep;
  for (int level = 0; level < 100000; level++) deep += "]";
  deep += Vector("FloatStorage", "0", 2);
  for (int level = 0; level < 100000; level++) deep += "a";
  EXPECT_EQ(Storages(deep), "");
}

std::string Checkpoint() {
  return File(Dict({{"w", F32("0", 6, 0, {2, 3}, {3, 1})}, {"b", Vector("HalfStorage", "1", 3)}}));
}

ZipWriter TorchFile(const std::string& pickle, size_t first_bytes = 24) {
  return ZipWriter().Add("m/data.pkl", pickle).Add("m/data/0", std::string(first_bytes, 'w')).Add("m/data/1", "bbbbbb");
}

std::string Tensors(const std::string& file) {
  FileMap map = AnnotateText(file);
  ExpectExactCover(map, file.size());
  std::string text(ContainerFormatName(map.format));
  for (const Extent& extent : map.extents) {
    if (extent.is_tensor) text += "; " + Render(extent);
  }
  return text;
}

TEST(AnnotateTorchZip, TypesTheMembersOfAPickle) {
  const std::string both = "pytorch; w F32[2,3] 24; b F16[3] 6";
  EXPECT_EQ(Tensors(TorchFile(Checkpoint()).File()), both);
  EXPECT_EQ(Tensors(TorchFile(Checkpoint()).Add("m/byteorder", "little").File("", true)), both);
  EXPECT_EQ(Tensors(TorchFile(Checkpoint()).Add("m/byteorder", "big").File()),
            "pytorch; w OPAQUE[2,3] 24; b OPAQUE[3] 6");
  EXPECT_EQ(Tensors(TorchFile(Checkpoint(), 23).File()), "pytorch; b F16[3] 6");
  EXPECT_EQ(Tensors(TorchFile(Checkpoint()).Add("m/data/1", "bbbbbb").File()), "pytorch; w F32[2,3] 24");
  EXPECT_EQ(Tensors(TorchFile(Checkpoint()).Add("n/data.pkl", Checkpoint()).File()), "raw");
  EXPECT_EQ(Tensors(TorchFile("no pickle").File()), "pytorch");
  EXPECT_EQ(Tensors(TorchFile(Checkpoint().substr(0, 100)).File()), "pytorch");
  ZipOptions deflated;
  deflated.method = 8;
  EXPECT_EQ(
      Tensors(ZipWriter().Add("m/data.pkl", Checkpoint(), deflated).Add("m/data/0", std::string(5000, 'w')).File()),
      "zip");
}

TEST(AnnotateTorchZip, TypesTheConstantsOfTorchScript) {
  const std::string constants = File(Tuple({Vector("LongStorage", "0", 1)}));
  EXPECT_EQ(Tensors(TorchFile(Checkpoint()).Add("m/constants/0", "12345678").Add("m/constants.pkl", constants).File()),
            "pytorch; w F32[2,3] 24; b F16[3] 6; constants.0 I64[1] 8");
}

TEST(AnnotateTorchZip, KeepsUnknownMembersApart) {
  FileMap map = AnnotateText(TorchFile("no pickle", 5000).File());
  EXPECT_EQ(map.extents.size(), 3U);
}

std::string Legacy(const std::string& pickle, const std::string& keys, const std::string& data, bool little = true) {
  const std::string magic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);
  return File(magic) + File("M\xe9\x03") + File(Dict({{"little_endian", little ? "\x88" : "\x89"}})) + pickle +
         File(keys) + data;
}

std::string WithCount(uint64_t count, const std::string& data) { return Number(count, 8) + data; }

TEST(AnnotateTorchLegacy, TypesTheStoragesInTheOrderOfTheKeys) {
  const std::string w(24, 'w');
  const std::string b(6, 'b');
  const std::string keys = List({Text("1"), Text("0")});
  const std::string data = WithCount(3, b) + WithCount(6, w);
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), keys, data)), "pytorch-legacy; b F16[3] 6; w F32[2,3] 24");
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), keys, data + "tail")), "pytorch-legacy; b F16[3] 6; w F32[2,3] 24");
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), keys, data, false)), "pytorch-legacy; b OPAQUE[3] 6; w OPAQUE[2,3] 24");
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), keys, data.substr(0, 40))), "pytorch-legacy; b F16[3] 6");
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), keys, WithCount(3, b) + WithCount(7, w))), "pytorch-legacy; b F16[3] 6");
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), List({Text("1"), Text("2")}), data)), "pytorch-legacy; b F16[3] 6");
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), List({Text("1"), Text("1")}), data)), "pytorch-legacy; b F16[3] 6");
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), List({}), data)), "pytorch-legacy");
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), "N", data)), "raw");
  EXPECT_EQ(Tensors(Legacy("no pickle", keys, data)), "raw");
  EXPECT_EQ(Tensors(Legacy(Checkpoint(), keys, data).substr(0, 60)), "raw");
}

TEST(AnnotateTorchLegacy, FollowsPicklesLongerThanOneWindow) {
  std::string many = "}(";
  for (int i = 0; i < 20000; i++) many += Text("key" + std::to_string(i)) + Int(i);
  many += Text("w") + Vector("ByteStorage", "0", 4) + "u";
  EXPECT_EQ(Tensors(Legacy(File(many), List({Text("0")}), WithCount(4, "wwww"))), "pytorch-legacy; w U8[4] 4");
}

TEST(AnnotateTorch, CoversTheFileWhateverIsChanged) {
  const std::string zip = TorchFile(Checkpoint()).Add("m/byteorder", "little").File("", true);
  EXPECT_GT(CountMutantsThatAreStill(ContainerFormat::kTorchZip, zip, 3000), 300U);
  ExpectCoverWhereverItIsCut(zip);
  const std::string legacy =
      Legacy(Checkpoint(), List({Text("1"), Text("0")}), WithCount(3, "bbbbbb") + WithCount(6, std::string(24, 'w')));
  EXPECT_GT(CountMutantsThatAreStill(ContainerFormat::kTorchLegacy, legacy, 3000), 300U);
  ExpectCoverWhereverItIsCut(legacy);
}

TEST(AnnotateTorch, PassesOnErrorsOfReading) {
  const std::string zip = TorchFile(Checkpoint(), 5000).File();
  const std::string legacy = Legacy(File(Dict({{"x", "B" + Number(9000, 4) + std::string(9000, 'x')}})), "]", "");
  for (const std::string& file : {zip, legacy}) {
    Result<FileMap> map = Annotate(FakeFile(file, file.size(), 4096));
    ASSERT_FALSE(map.ok());
    EXPECT_EQ(map.error().code, ErrorCode::kIo);
  }
}

/// The lines of a file of tests/containers: "name DTYPE shape offset bytes", between tabs; see its README.
std::vector<std::vector<std::string>> ReadExpected(const std::filesystem::path& path) {
  std::vector<std::vector<std::string>> lines;
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);) {
    std::vector<std::string>& fields = lines.emplace_back();
    std::istringstream parts(line);
    for (std::string field; std::getline(parts, field, '\t');) fields.push_back(field);
  }
  return lines;
}

std::string ShapeText(const Shape& shape) {
  std::string text;
  for (uint64_t dimension : shape) text += (text.empty() ? "" : ",") + std::to_string(dimension);
  return "[" + text + "]";
}

bool Fits(const Extent& extent, const std::vector<std::string>& expected) {
  bool any_storage = expected[0] == "storage.*" && extent.name.starts_with("storage.");
  return extent.is_tensor && (any_storage || extent.name == expected[0]) &&
         Describe(extent.dtype).name == expected[1] && ShapeText(extent.shape) == expected[2] &&
         (expected[3] == "-" || std::to_string(extent.offset) == expected[3]) &&
         std::to_string(extent.size_bytes) == expected[4];
}

TEST(AnnotateTorch, SeesInRealFilesWhatPyTorchSees) {
  size_t file_count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(FLYWEIGHT_SOURCE_DIR "/tests/containers")) {
    if (entry.path().extension() != ".expected") continue;
    std::filesystem::path path = entry.path();
    const std::string file = test::ReadText(path.replace_extension().string());
    FileMap map = AnnotateText(file);
    ExpectExactCover(map, file.size());
    std::vector<std::vector<std::string>> expected = ReadExpected(entry.path());
    ASSERT_FALSE(expected.empty()) << path;
    EXPECT_EQ(ContainerFormatName(map.format), expected[0][0]) << path;
    EXPECT_EQ(TensorCount(map), expected.size() - 1) << path;
    for (size_t i = 1; i < expected.size(); i++) {
      ASSERT_EQ(expected[i].size(), 5U);
      EXPECT_TRUE(std::ranges::any_of(map.extents, [&](const Extent& extent) { return Fits(extent, expected[i]); }))
          << path << ": " << expected[i][0];
    }
    file_count++;
  }
  EXPECT_GE(file_count, 6U);
}

}  // namespace
}  // namespace flyweight
