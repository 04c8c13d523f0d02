#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "archive_input.h"
#include "container/gguf_test_files.h"
#include "container/npy_test_files.h"
#include "container/onnx_test_files.h"
#include "flyweight/pipeline.h"
#include "record_input.h"
#include "support/block_weights.h"
#include "torch_seeds.h"

// Writes the seeds of all fuzz targets: flyweight_fuzz_seeds fuzz/corpus

namespace flyweight::fuzz {
namespace {

using Bytes = std::vector<std::byte>;

class SeedFolder {
 public:
  SeedFolder(std::filesystem::path folder, std::string target) : folder_(std::move(folder) / target) {
    std::filesystem::create_directories(folder_);
  }
  void Add(const std::string& name, ByteSpan bytes) {
    std::ofstream(folder_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  std::filesystem::path folder_;
};

/// About normal, with a spread that differs from row to row as in trained weights.
std::vector<float> Weights(size_t count, size_t columns) {
  std::mt19937 random(7);
  std::vector<float> weights(count);
  for (size_t i = 0; i < count; i++) {
    float sum = -6.0F;
    for (int j = 0; j < 12; j++) sum += static_cast<float>(random() >> 8) * 0x1p-24F;
    weights[i] = sum * 0.02F * static_cast<float>(1 + i / columns % 5);
  }
  return weights;
}

uint16_t ToHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t exponent = std::clamp<uint32_t>(bits >> 23 & 255, 113, 142) - 112;
  return static_cast<uint16_t>((bits >> 31) << 15 | exponent << 10 | (bits >> 13 & 1023));
}

float ToBFloat(float value) { return std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0xFFFF0000U); }

Bytes WeightBytes(DType dtype, size_t count) {
  ByteWriter writer;
  for (float value : Weights(count, 64)) {
    if (dtype == DType::kBF16) {
      writer.Write(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
    } else if (dtype == DType::kF16) {
      writer.Write(ToHalf(value));
    } else {
      writer.Write(value);
    }
  }
  return writer.Release();
}

Bytes RoundedWeightBytes(size_t count) {
  ByteWriter writer;
  for (float value : Weights(count, 64)) writer.Write(ToBFloat(value));
  return writer.Release();
}

/// Each column has a scale of its own, and now and then a weight is far away from all others.
Bytes ColumnWeightBytes(size_t count, size_t columns) {
  ByteWriter writer;
  std::vector<float> weights = Weights(count, count);
  for (size_t i = 0; i < count; i++) {
    float outlier = i % 501 == 500 ? 0x1p40F : 1.0F;
    float value = weights[i] * std::ldexp(outlier, static_cast<int>(i % columns % 7) * 3);
    writer.Write(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
  }
  return writer.Release();
}

Bytes Integers(size_t count) {
  ByteWriter writer;
  for (size_t i = 0; i < count; i++) writer.Write<uint64_t>(i * i % 50021);
  return writer.Release();
}

/// Small integers times a scale of their group, one of them far away from all others.
Bytes ScaledBytes(DType dtype, size_t count, size_t group) {
  ByteWriter writer;
  std::vector<float> weights = Weights(count, count);
  for (size_t i = 0; i < count; i++) {
    float scale = std::ldexp(static_cast<float>(33 + i / group % 31), -12);
    float value = std::nearbyint(weights[i] * 100.0F) * scale + (i == count / 2 ? 0x1p20F / 3.0F : 0.0F);
    if (dtype == DType::kF32) {
      writer.Write(value);
    } else {
      writer.Write(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
    }
  }
  return writer.Release();
}

Bytes FewIntegers(size_t count) {
  ByteWriter writer;
  for (size_t i = 0; i < count; i++) writer.Write<uint64_t>(i * i % 23 * 0x123456789ULL);
  return writer.Release();
}

Bytes Text(std::string_view text) {
  ByteSpan bytes = AsBytes(text);
  return {bytes.begin(), bytes.end()};
}

struct Content {
  std::string name;
  DType dtype;
  Shape shape;
  Bytes bytes;
};

Content Blocks(const std::string& name, DType dtype) {
  test::Random random(1);
  const BlockLayout& layout = *FindBlockLayout(dtype);
  Content content{name, dtype, {}, test::MakeSkewedBlocks(layout, 8000 / layout.block_bytes, random)};
  if (dtype == DType::kGgmlQ41) content.bytes = test::MakeQ41(200, true, random);
  if (dtype == DType::kGgmlQ80) content.bytes = test::MakeOutliersQ80(600, random);
  content.shape = {content.bytes.size() / layout.block_bytes, static_cast<size_t>(Describe(dtype).block_elements)};
  return content;
}

std::vector<Content> Contents() {
  std::string words;
  for (int i = 0; i < 60; i++) words += "the quick brown fox " + std::to_string(i * i) + " ";
  return {
      {"bf16", DType::kBF16, {80, 64}, WeightBytes(DType::kBF16, 80 * 64)},
      {"bf16_tail", DType::kBF16, {1000}, WeightBytes(DType::kBF16, 1000)},
      {"bf16_few", DType::kBF16, {13}, WeightBytes(DType::kBF16, 13)},
      {"f16", DType::kF16, {64, 64}, WeightBytes(DType::kF16, 64 * 64)},
      {"f32", DType::kF32, {10, 64}, WeightBytes(DType::kF32, 10 * 64)},
      {"f32_rounded", DType::kF32, {80, 64}, RoundedWeightBytes(80 * 64)},
      {"bf16_columns", DType::kBF16, {64, 80}, ColumnWeightBytes(64 * 80, 80)},
      {"c64", DType::kC64, {40, 64}, RoundedWeightBytes(80 * 64)},
      {"i64", DType::kI64, {300}, Integers(300)},
      {"f32_scaled", DType::kF32, {10, 64}, ScaledBytes(DType::kF32, 10 * 64, 32)},
      {"bf16_scaled", DType::kBF16, {40, 64}, ScaledBytes(DType::kBF16, 40 * 64, 64)},
      {"i64_few", DType::kI64, {400}, FewIntegers(400)},
      {"zeros", DType::kF32, {500}, Bytes(2000)},
      {"text", DType::kOpaque, {}, Text(words)},
      {"bytes", DType::kU8, {256}, WeightBytes(DType::kF32, 64)},
      Blocks("q4_1", DType::kGgmlQ41),
      Blocks("q8_0", DType::kGgmlQ80),
      Blocks("q4_k", DType::kGgmlQ4K),
      Blocks("q5_0", DType::kGgmlQ50),
  };
}

Bytes RecordSeed(const Content& content, Level level = Level::kBalanced) {
  CodecScratch scratch;
  MemorySource source(content.bytes);
  Result<RecordPlan> plan = PlanRecord(source, 0, source.size(), content.dtype, content.shape, level, scratch);
  FLYWEIGHT_FUZZ_CHECK(plan.ok() && plan.value().head.chunk_count == 1);
  Bytes frame(static_cast<size_t>(FrameBound(content.bytes.size())));
  ChunkEntry entry = EncodeFrame(plan.value(), 0, content.bytes, frame, scratch);
  frame.resize(entry.frame_bytes);
  return WriteRecordInput(plan.value().head_bytes, {frame});
}

/// The words of `content` in ascending order of their values, so that each tells about the next.
Content Ascending(Content content) {
  std::vector<uint16_t> words(content.bytes.size() / 2);
  std::memcpy(words.data(), content.bytes.data(), 2 * words.size());
  auto order = [](uint16_t word) { return word < 0x8000 ? word + 0x8000 : 0xFFFF - word; };
  std::sort(words.begin(), words.end(), [&](uint16_t a, uint16_t b) { return order(a) < order(b); });
  std::memcpy(content.bytes.data(), words.data(), 2 * words.size());
  return content;
}

/// Records whose chunk is mixed.
std::vector<std::pair<std::string, Bytes>> MixedSeeds() {
  const Content contents[] = {
      {"bf16", DType::kBF16, {60, 40}, ColumnWeightBytes(60 * 40, 40)},
      Ascending({"bf16_ascending", DType::kBF16, {30, 40}, WeightBytes(DType::kBF16, 30 * 40)}),
      {"f16", DType::kF16, {60, 40}, WeightBytes(DType::kF16, 60 * 40)},
      {"f32", DType::kF32, {60, 40}, WeightBytes(DType::kF32, 60 * 40)},
      {"f8", DType::kF8E5M2, {60, 40}, WeightBytes(DType::kF32, 600)},
  };
  std::vector<std::pair<std::string, Bytes>> seeds;
  for (const Content& content : contents) {
    Bytes seed = RecordSeed(content, Level::kMax);
    size_t frame = sizeof(uint32_t) + LoadLe<uint32_t>(seed.data());
    if (seed.at(frame + sizeof(uint32_t)) == std::byte{6}) seeds.emplace_back("mixed_" + content.name, seed);
  }
  return seeds;
}

/// Records in classes: of every layout, and one with a mask of zeros whose signs count.
std::vector<std::pair<std::string, Bytes>> ClassSeeds() {
  std::vector<Content> contents = {
      {"bf16", DType::kBF16, {120, 40}, WeightBytes(DType::kBF16, 120 * 40)},
      {"f16", DType::kF16, {120, 40}, WeightBytes(DType::kF16, 120 * 40)},
      {"f32", DType::kF32, {120, 40}, WeightBytes(DType::kF32, 120 * 40)},
      {"f8", DType::kF8E4M3, {120, 40}, WeightBytes(DType::kF32, 1200)},
  };
  Content zeros = contents[0];
  zeros.name = "zeros";
  for (size_t i = 0; i + 1 < zeros.bytes.size(); i += 6) {
    zeros.bytes[i] = std::byte{0};
    zeros.bytes[i + 1] &= std::byte{0x80};
  }
  contents.push_back(zeros);
  std::vector<std::pair<std::string, Bytes>> seeds;
  for (const Content& content : contents)
    seeds.emplace_back("classes_" + content.name, RecordSeed(content, Level::kHigh));
  return seeds;
}

/// Table exponents that F16 has no bits for: all instruction sets must drop the same ones.
Bytes WideExponentSeed(const Content& content) {
  constexpr size_t kFirstExponent = 4 + 32 + 8 + 2;  // seed length field, record head, float fields, n and m
  Bytes seed = RecordSeed(content);
  FLYWEIGHT_FUZZ_CHECK(content.dtype == DType::kF16 && seed[4 + 10] == std::byte{1});
  for (size_t i = 0; i < static_cast<size_t>(seed[kFirstExponent - 2]); i++)
    seed[kFirstExponent + i] |= std::byte{0x60};
  return seed;
}

Bytes RoundTripSeed(const Content& content, uint8_t columns, uint8_t growth) {
  ByteWriter writer;
  writer.Write(static_cast<uint8_t>(content.dtype));
  writer.Write(columns);
  writer.Write(growth);
  writer.Append(ByteSpan(content.bytes).first(std::min<size_t>(content.bytes.size(), 512)));
  return writer.Release();
}

Bytes File(std::string_view json, const Bytes& data) {
  ByteWriter writer;
  writer.Write<uint64_t>(json.size());
  writer.Append(AsBytes(json));
  writer.Append(data);
  return writer.Release();
}

std::string Entry(std::string_view name, std::string_view dtype, std::string_view shape, size_t begin, size_t end) {
  return "\"" + std::string(name) + R"(":{"dtype":")" + std::string(dtype) + R"(","shape":)" + std::string(shape) +
         R"(,"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

std::vector<std::pair<std::string, Bytes>> SafetensorsFiles() {
  Bytes weights = WeightBytes(DType::kBF16, 640);
  Bytes twice = weights;
  twice.insert(twice.end(), weights.begin(), weights.end());
  std::string a = Entry("a", "F32", "[2]", 0, 8);
  return {
      {"metadata", File(R"({"__metadata__":{"format":"pt"},)" + a + "}  ", Bytes(8))},
      {"weights", File("{" + Entry("w", "BF16", "[10,64]", 0, 1280) + "}", weights)},
      {"tied",
       File("{" + Entry("w", "BF16", "[10,64]", 0, 1280) + "," + Entry("v", "BF16", "[640]", 1280, 2560) + "}", twice)},
      {"hole_and_tail", File("{" + a + "," + Entry("b", "I8", "[3]", 11, 14) + "}", Bytes(20))},
      {"empty_tensors", File("{" + Entry("z", "F16", "[0,5]", 0, 0) + "," + a + "}", Bytes(8))},
      {"odd_dtypes",
       File("{" + Entry("x", "F9", "[1]", 0, 3) + "," + Entry("y", "F6_E2M3", "[4]", 3, 6) + "}", Bytes(6))},
      {"duplicate", File("{" + a + "," + a + "}", Bytes(8))},
      {"overflow", File("{" + Entry("a", "F64", "[4294967296,4294967296]", 0, 8) + "}", Bytes(8))},
      {"nested", File(R"({"__metadata__":{"a":[[{"b":[1,-2.5e3,null,true]}]]}})", Bytes())},
      {"no_model", Text("no model at all")},
  };
}

using NamedFiles = std::vector<std::pair<std::string, Bytes>>;

NamedFiles GgufFiles() {
  auto one = [](uint32_t alignment) { return GgufWriter().Alignment(alignment).Tensor("a", {32, 2}, 2, 0); };
  GgufWriter deep;
  std::string value = deep.Array(4, 1, deep.U32(1));
  for (int i = 0; i < 9; i++) value = deep.Array(9, 1, value);
  return {
      {"version1", Text(ManySidedGguf(1))},
      {"version2", Text(ManySidedGguf(2))},
      {"version3", Text(ManySidedGguf(3))},
      {"big_endian", Text(ManySidedGguf(3, true))},
      {"alignment_0", Text(one(0).File(36))},
      {"alignment_24", Text(one(24).File(36))},
      {"alignment_64", Text(one(64).File(36))},
      {"same_key_twice", Text(GgufWriter().Value("k", 0, "a").Value("k", 0, "b").Tensor("a", {4}, 24, 0).File(4))},
      {"negative_type", Text(GgufWriter().Tensor("a", {4}, UINT32_MAX, 0).File(36))},
      {"nested_too_deep", Text(deep.Value("k", 9, value).File(4))},
      {"overlap", Text(GgufWriter().Tensor("a", {4}, 24, 0).Tensor("b", {2}, 0, 2).Tensor("c", {0}, 1, 3).File(20))},
      {"overflow", Text(GgufWriter().Tensor("a", {UINT64_MAX, 2}, 8, 0).Tensor("b", {64}, 24, ~31ULL).File(36))},
  };
}

NamedFiles NpyFiles() {
  return {
      {"f4", Text(NpyFile(NpyDict("'<f4'", "False", "(3, 2)"), 24))},
      {"fortran", Text(NpyFile(NpyDict("'<f2'", "True", "(3, 2)"), 14, 2))},
      {"big_endian", Text(NpyFile(NpyDict("'>i8'", "False", "(2,)"), 16, 3))},
      {"text", Text(NpyFile(NpyDict("'<U3'", "False", "()"), 12))},
      {"dates", Text(NpyFile(NpyDict("'<M8[ns]'", "False", "(1L,)"), 8))},
      {"structured", Text(NpyFile(NpyDict("[('a', '<f4')]", "False", "(2,)"), 8))},
      {"objects", Text(NpyFile(NpyDict("'|O'", "False", "(1,)"), 8))},
      {"overflow", Text(NpyFile(NpyDict("'<c16'", "False", "(4294967296, 4294967296)"), 8))},
  };
}

NamedFiles OnnxFiles() {
  std::string graph = ProtobufWriter().Bytes(5, OnnxRawTensor({2, 3}, 16, "w", 12));
  std::string deep = graph;
  for (int i = 0; i < 10; i++) {
    std::string branch = ProtobufWriter().Bytes(6, deep);
    deep = ProtobufWriter().Bytes(1, OnnxNode("if", branch));
  }
  return {
      {"many_sided", Text(ManySidedOnnx())},
      {"one_tensor", Text(OnnxModel(graph))},
      {"deep", Text(OnnxModel(deep + graph))},
      {"script", Text("\x07\x05\x41\x02\x42\x01\x89\x08"
                      "12345678")},
      {"script_of_a_branch", Text("\x07\x01\x82\x01o\x05\x06\x05\x41\x03\x42\x03\x89\x03"
                                  "abc")},
  };
}

Bytes Compress(const Bytes& file) {
  Bytes archive;
  Status status = CompressFileBytes(file, "seed", Level::kBalanced, 1, [&](ByteSpan piece) {
    archive.insert(archive.end(), piece.begin(), piece.end());
    return Status::Ok();
  });
  FLYWEIGHT_FUZZ_CHECK(status.ok());
  return archive;
}

Bytes ImageSeed(const Bytes& archive) {
  Bytes seed{static_cast<std::byte>(ArchiveInputKind::kImage)};
  seed.insert(seed.end(), archive.begin(), archive.end());
  return seed;
}

Bytes PartsSeed(const Bytes& archive) {
  MemorySource source(archive);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  FLYWEIGHT_FUZZ_CHECK(reader.ok());
  uint64_t records_end =
      LoadLe<uint64_t>(archive.data() + archive.size() - wire::kFooterBytes + wire::kFooterFirstIndexOffset);
  Bytes body = SerializeIndex(reader.value().index());
  ByteWriter writer;
  writer.Write(static_cast<uint8_t>(ArchiveInputKind::kParts));
  writer.Write(static_cast<uint32_t>(body.size()));
  writer.Append(body);
  writer.Append(ByteSpan(archive).first(static_cast<size_t>(records_end)).subspan(wire::kHeaderBytes));
  return writer.Release();
}

void WriteTorchSeeds(const std::filesystem::path& corpus) {
  SeedFolder torch(corpus, "torch");
  for (const auto& [name, pickle] : PickleSeeds()) torch.Add(name, AsBytes(pickle));
  SeedFolder zip(corpus, "zip");
  for (const auto& [name, file] : ZipSeeds()) zip.Add(name, AsBytes(file));
}

/// What fuzz/patch_fuzz.cc makes pairs of: floats and others, bases of another size or type, few and many changes, and
/// some bytes to change.
void WritePatchSeeds(const std::filesystem::path& corpus) {
  SeedFolder patch(corpus, "patch");
  const DType dtypes[] = {DType::kBF16, DType::kF16, DType::kF32, DType::kC64, DType::kF64, DType::kU8, DType::kF8E4M3};
  for (DType dtype : dtypes) {
    for (uint8_t density : {0, 1, 60}) {
      for (int16_t surplus : {0, -900}) {
        ByteWriter writer;
        writer.Write(static_cast<uint8_t>(dtype));
        writer.Write(uint8_t{0});
        writer.Write(uint8_t{95});
        writer.Write(uint16_t{9000});
        writer.Write(surplus);
        writer.Write(density);
        writer.Write(uint8_t{6});
        for (uint8_t which : {1, 2, 0}) {
          writer.Write(which);
          writer.Write(static_cast<uint16_t>(977 * which + density));
          writer.Write(uint8_t{16});
        }
        const std::string name = std::string(Describe(dtype).name) + "_" + std::to_string(density);
        patch.Add(name + (surplus == 0 ? "" : "_short"), writer.bytes());
      }
    }
  }
}

void WriteSeeds(const std::filesystem::path& corpus) {
  WritePatchSeeds(corpus);
  WriteTorchSeeds(corpus);
  SeedFolder record(corpus, "record");
  SeedFolder record_roundtrip(corpus, "record_roundtrip");
  for (const Content& content : Contents()) {
    record.Add(content.name, RecordSeed(content));
    if (content.dtype == DType::kF16) record.Add(content.name + "_wide_exponents", WideExponentSeed(content));
    record_roundtrip.Add(content.name, RoundTripSeed(content, 0, 0));
    record_roundtrip.Add(content.name + "_grown", RoundTripSeed(content, 64, 100));
  }
  for (const auto& [name, seed] : MixedSeeds()) record.Add(name, seed);
  record_roundtrip.Add("bf16_two_chunks", RoundTripSeed(Contents().front(), 60, 200));
  for (const auto& [name, seed] : ClassSeeds()) record.Add(name, seed);
  record_roundtrip.Add("bf16_two_chunks", RoundTripSeed(Contents().front(), 60, 200));
  SeedFolder safetensors(corpus, "safetensors");
  SeedFolder archive(corpus, "archive");
  SeedFolder roundtrip(corpus, "roundtrip");
  for (const auto& [name, file] : SafetensorsFiles()) {
    safetensors.Add(name, file);
    roundtrip.Add(name, file);
    archive.Add(name + "_image", ImageSeed(Compress(file)));
    archive.Add(name + "_parts", PartsSeed(Compress(file)));
  }
  const std::pair<std::string, NamedFiles> containers[] = {
      {"gguf", GgufFiles()}, {"npy", NpyFiles()}, {"onnx", OnnxFiles()}};
  for (const auto& [format, files] : containers) {
    SeedFolder folder(corpus, format);
    for (const auto& [name, file] : files) folder.Add(name, file);
    roundtrip.Add(format, files.front().second);
  }
}

}  // namespace
}  // namespace flyweight::fuzz

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    std::fprintf(stderr, "usage: flyweight_fuzz_seeds CORPUS_FOLDER\n");
    return 2;
  }
  flyweight::fuzz::WriteSeeds(arguments[1]);
  return 0;
}
