#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "archive/parity_test_tools.h"
#include "archive_parts.h"
#include "codec/lossy_record.h"
#include "lossy/error_sums.h"
#include "lossy/lossy_report.h"
#include "lossy/quantise.h"
#include "lossy_patch_sample.h"
#include "patch_archive.h"
#include "patch_sample.h"
#include "support/block_weights.h"
#include "support/weights.h"

// Makes the golden files that the library's own encoder writes: every dtype and pattern of tests/support/weights.h, in
// small tensors. A file that exists is never written again: what was released must stay readable as it is.

namespace flyweight::test {
namespace {

struct NamedTensor {
  std::string name;
  DType dtype;
  size_t row_count;
  size_t column_count;
  Pattern pattern;
  uint32_t chunk_elements;  ///< 0: as the library chooses
  std::optional<LossyChoice> lossy = std::nullopt;
  Level level = Level::kBalanced;
  std::optional<Bytes> content = std::nullopt;  ///< instead of the pattern's
};

/// The same plan with smaller chunks: what makes records of several chunks small enough to keep.
Result<RecordPlan> WithChunks(RecordPlan plan, uint32_t chunk_elements) {
  if (chunk_elements == 0) return plan;
  Bytes& head = plan.head_bytes;
  StoreLe(head.data() + 12, chunk_elements);
  StoreLe(head.data() + head.size() - 8, Xxh3(ByteSpan(head).first(head.size() - 8)));
  FLYWEIGHT_ASSIGN(plan.head, ParseRecordHead(head));
  return plan;
}

Result<RecordPlan> Plan(const NamedTensor& tensor, ByteSpan content, const Shape& shape, CodecScratch& scratch) {
  MemorySource source(content);
  if (!tensor.lossy.has_value())
    return PlanRecord(source, 0, content.size(), tensor.dtype, shape, tensor.level, scratch);
  return PlanLossyRecord(source, 0, content.size(), tensor.dtype, shape, *tensor.lossy, scratch);
}

/// Writes the tensor; `content` becomes what decoding gives.
Result<IndexExtent> WriteTensor(ArchiveWriter& writer, const NamedTensor& tensor, MutableByteSpan content) {
  CodecScratch scratch;
  Shape shape = {tensor.row_count, tensor.column_count};
  FLYWEIGHT_ASSIGN(RecordPlan plan, Plan(tensor, content, shape, scratch));
  FLYWEIGHT_ASSIGN(plan, WithChunks(std::move(plan), tensor.chunk_elements));
  FLYWEIGHT_TRY(writer.BeginRecord(plan));
  Bytes frame(FrameBound(plan.head.chunk_bytes));
  Sha256Stream digest;
  for (uint64_t i = 0; i < plan.head.chunk_count; ++i) {
    MutableByteSpan chunk = content.subspan(i * plan.head.chunk_bytes, plan.head.ChunkDecodedBytes(i));
    ChunkEntry entry = EncodeFrame(plan, i, chunk, frame, scratch);
    if (tensor.lossy.has_value()) {
      Bytes source = Copy(chunk);
      entry = EncodeLossyFrame(plan, i, source, frame, chunk, scratch);
    }
    FLYWEIGHT_TRY(writer.AppendFrame(ByteSpan(frame).first(entry.frame_bytes), entry));
    digest.Update(Sha256(chunk));
  }
  FLYWEIGHT_ASSIGN(ArchiveWriter::RecordPlace place, writer.EndRecord());
  IndexExtent extent = AsTensor({}, tensor.name, tensor.dtype, shape);
  extent.decoded_bytes = content.size();
  extent.digest_algorithm = DigestAlgorithm::kSha256Tree;
  extent.digest = digest.Finish();
  extent.place = PlaceKind::kRecord;
  extent.record_offset = place.offset;
  extent.record_bytes = place.record_bytes;
  extent.record_check = place.record_check;
  return extent;
}

Result<Sample> MakeArchive(const std::string& name, const std::vector<NamedTensor>& tensors) {
  MemorySink sink;
  ArchiveWriter writer(sink);
  bool is_lossy = tensors.front().lossy.has_value();
  ArchiveHeader header;
  bool has_later_codecs =
      std::ranges::any_of(tensors, [](const NamedTensor& t) { return t.level != Level::kBalanced; });
  if (has_later_codecs) header.required_features |= wire::kFeatureCodecs;
  if (is_lossy) header.required_features |= wire::kFeatureLossy;
  FLYWEIGHT_TRY(writer.Begin(header));
  Bytes whole, original;
  std::vector<LossyRow> rows;
  std::vector<IndexExtent> extents;
  Random random(name.size() + tensors.size());
  for (const NamedTensor& tensor : tensors) {
    Bytes content = tensor.content.has_value()
                        ? *tensor.content
                        : MakeTensor(tensor.dtype, tensor.row_count, tensor.column_count, tensor.pattern, random);
    Bytes source = content;
    FLYWEIGHT_ASSIGN(IndexExtent extent, WriteTensor(writer, tensor, content));
    original.insert(original.end(), source.begin(), source.end());
    if (is_lossy) {
      ErrorSums errors = MeasureErrors(tensor.dtype, source, content);
      rows.push_back({static_cast<uint32_t>(extents.size()), *tensor.lossy, errors.max_abs, errors.Rms()});
    }
    extents.push_back(std::move(extent));
    whole.insert(whole.end(), content.begin(), content.end());
  }
  ArchiveIndex index;
  index.files.push_back(FileOf(name + ".bin", std::move(extents)));
  index.files[0].has_sha256 = true;
  index.files[0].sha256 = Sha256(whole);
  if (is_lossy) {
    index.files[0].attributes.push_back(
        {wire::kAttributeOriginal, WriteOriginalFile({original.size(), Sha256(original)})});
    index.files[0].attributes.push_back({wire::kAttributeLossy, WriteLossyRows(rows)});
  }
  FLYWEIGHT_TRY(writer.Finish(index));
  return Sample{std::move(sink.bytes()), {std::move(whole)}};
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& letter : lower) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return lower;
}

/// A method on every dtype and pattern that it takes: halves must not overflow, blocks need finite elements.
std::vector<NamedTensor> LossyTensors(const LossyChoice& choice) {
  std::vector<NamedTensor> tensors;
  bool is_blocks = choice.method == LossyMethod::kBlocks;
  for (DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
    if (!CanBeLossy(dtype, choice.method)) continue;
    for (Pattern pattern : kAllPatterns) {
      bool is_finite = pattern == Pattern::kWeights || pattern == Pattern::kSparse || pattern == Pattern::kZeros ||
                       pattern == Pattern::kConstant || pattern == Pattern::kDenormals;
      bool overflows = pattern == Pattern::kRandomBits || pattern == Pattern::kWideExponents;
      if (is_blocks ? !is_finite : overflows) continue;
      std::string name = std::string(Describe(dtype).name) + "." + std::string(PatternName(pattern));
      tensors.push_back({name, dtype, 13, 75, pattern, 0, choice});
    }
    // Several chunks, the last of which ends inside a block.
    tensors.push_back({"chunks", dtype, 60, 95, Pattern::kWeights, 4096, choice});
  }
  return tensors;
}

/// Words in classes: with and without zeros, tables of a chunk's own, chunks that end inside of rows.
std::vector<NamedTensor> ClassTensors() {
  std::vector<NamedTensor> tensors;
  for (DType dtype :
       {DType::kBF16, DType::kF16, DType::kF32, DType::kC64, DType::kF8E4M3, DType::kF8E5M2, DType::kF8E4M3FNUZ}) {
    std::string name(Describe(dtype).name);
    for (Pattern pattern : {Pattern::kWeights, Pattern::kSparse, Pattern::kSpecials, Pattern::kWideExponents})
      tensors.push_back(
          {name + "." + std::string(PatternName(pattern)), dtype, 24, 192, pattern, 0, std::nullopt, Level::kHigh});
    tensors.push_back({name + ".chunks", dtype, 40, 250, Pattern::kWeights, 1700, std::nullopt, Level::kHigh});
    tensors.push_back({name + ".sparse_chunks", dtype, 40, 250, Pattern::kSparse, 1700, std::nullopt, Level::kHigh});
    tensors.push_back({name + ".balanced", dtype, 40, 150, Pattern::kSparse, 0});
  }
  tensors.push_back({"large", DType::kBF16, 100, 100, Pattern::kWeights, 0, std::nullopt, Level::kHigh});
  return tensors;
}

/// Numbers that grow slowly, at each width.
std::vector<NamedTensor> SmoothTensors() {
  std::vector<NamedTensor> tensors;
  for (DType dtype : {DType::kU16, DType::kI32, DType::kI64, DType::kF64}) {
    size_t width = static_cast<size_t>(Describe(dtype).bits) / 8;
    Bytes content(5000 * width);
    uint64_t value = 77;
    for (size_t i = 0; i < 5000; ++i) {
      value += i * i % 11 - 3;
      std::memcpy(content.data() + i * width, &value, width);
    }
    tensors.push_back({std::string(Describe(dtype).name), dtype, 50, 100, Pattern::kWeights, 0, std::nullopt,
                       Level::kBalanced, std::move(content)});
  }
  return tensors;
}

/// Weights in blocks, that were BF16 before or not, in chunks that end inside of blocks.
std::vector<NamedTensor> BlockTensors() {
  Random random(1);
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& name, DType dtype, Bytes content, uint32_t chunk_elements) {
    size_t block_count = content.size() / FindBlockLayout(dtype)->block_bytes;
    auto elements = static_cast<size_t>(Describe(dtype).block_elements);
    tensors.push_back({std::string(Describe(dtype).name) + "." + name, dtype, block_count, elements, Pattern::kWeights,
                       chunk_elements, std::nullopt, Level::kBalanced, std::move(content)});
  };
  for (bool rounded : {false, true}) {
    add(rounded ? "bf16" : "f32", DType::kGgmlQ41, MakeQ41(300, rounded, random), 3000);
    add(rounded ? "bf16" : "f32", DType::kGgmlQ80, MakeQ80(100, rounded, random), 3000);
  }
  add("outliers", DType::kGgmlQ80, MakeOutliersQ80(700, random), 20000);
  return tensors;
}

std::vector<std::pair<std::string, std::vector<NamedTensor>>> AllArchives() {
  std::vector<std::pair<std::string, std::vector<NamedTensor>>> archives;
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32, DType::kC64}) {
    std::string name = "encoded_" + Lower(Describe(dtype).name);
    std::vector<NamedTensor> patterns;
    for (Pattern pattern : kAllPatterns)
      patterns.push_back({std::string(PatternName(pattern)), dtype, 20, 256, pattern, 0});
    archives.emplace_back(name, patterns);
    // Chunks that end inside of rows, and inside of iterations.
    std::vector<NamedTensor> chunked;
    for (Pattern pattern : {Pattern::kWeights, Pattern::kSpecials}) {
      chunked.push_back({std::string(PatternName(pattern)), dtype, 40, 150, pattern, 1700});
    }
    archives.emplace_back(name + "_chunks", chunked);
  }
  std::vector<NamedTensor> others;
  for (int number = 0; number <= static_cast<int>(DType::kF6E3M2); ++number) {
    auto dtype = static_cast<DType>(number);
    for (Pattern pattern : {Pattern::kWeights, Pattern::kSparse, Pattern::kConstant, Pattern::kRandomBits}) {
      others.push_back(
          {std::string(Describe(dtype).name) + "." + std::string(PatternName(pattern)), dtype, 20, 64, pattern, 512});
    }
  }
  archives.emplace_back("encoded_all_dtypes", others);
  archives.emplace_back("encoded_classes", ClassTensors());
  archives.emplace_back("encoded_smooth", SmoothTensors());
  archives.emplace_back("encoded_blocks", BlockTensors());
  archives.emplace_back("lossy_fp16", LossyTensors({LossyMethod::kF16, 16, false, 0}));
  archives.emplace_back("lossy_bf16", LossyTensors({LossyMethod::kBF16, 16, false, 0}));
  archives.emplace_back("lossy_int8", LossyTensors({LossyMethod::kBlocks, 8, false, 64}));
  archives.emplace_back("lossy_int4", LossyTensors({LossyMethod::kBlocks, 4, false, 32}));
  archives.emplace_back("lossy_int4_minima", LossyTensors({LossyMethod::kBlocks, 4, true, 64}));
  archives.emplace_back("lossy_int2_int5", [] {
    std::vector<NamedTensor> tensors = LossyTensors({LossyMethod::kBlocks, 2, true, 16});
    for (NamedTensor& tensor : LossyTensors({LossyMethod::kBlocks, 5, false, 4096})) tensors.push_back(tensor);
    return tensors;
  }());
  return archives;
}

/// Archives with parity: as the library chooses, and of several codewords, which it only makes for gigabytes.
Result<std::vector<std::pair<std::string, Bytes>>> ParityArchives() {
  FLYWEIGHT_ASSIGN(Bytes chosen, MakeParityArchive(6000, 100, 1));
  FLYWEIGHT_ASSIGN(Bytes plain, MakeParityArchive(6000, 0, 2));
  ParityLayout fields;
  fields.block_bytes = 512;
  fields.codeword_count = 4;
  fields.parity_rows = 3;
  fields.info_parity_cells = 5;
  FLYWEIGHT_ASSIGN(Bytes codewords, AddParity(plain, fields));
  return std::vector<std::pair<std::string, Bytes>>{{"encoded_parity", chosen},
                                                    {"encoded_parity_codewords", codewords}};
}

/// A fine-tune of `base`: most elements move by little, as the words of their width do.
Bytes Tuned(const Bytes& base, size_t width, uint64_t stride, uint64_t seed) {
  Bytes tuned = base;
  Random random(seed);
  for (size_t at = 0; at + width <= tuned.size(); at += width * (1 + random.Below(2 * stride - 1))) {
    uint64_t word = 0;
    std::memcpy(&word, tuned.data() + at, width);
    word += 1 + random.Below(6);
    std::memcpy(tuned.data() + at, &word, width);
  }
  return tuned;
}

/// Patches of every kind of dtype on rows of a base, on each other, on extents, and what is the base's. Returns the
/// bytes of the rows too.
std::pair<Sample, Bytes> PatchesOnABase() {
  PatchArchive archive;
  Bytes rows;
  Random random(7);
  std::vector<std::pair<DType, Bytes>> bases;
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32, DType::kF64, DType::kI32, DType::kU8, DType::kF8E4M3}) {
    Bytes base = MakeTensor(dtype, 40, 150, Pattern::kWeights, random);
    archive.AddRow(dtype, base);
    rows.insert(rows.end(), base.begin(), base.end());
    bases.emplace_back(dtype, std::move(base));
  }
  for (size_t row = 0; row < bases.size(); ++row) {
    const auto& [dtype, base] = bases[row];
    size_t width = static_cast<size_t>(Describe(dtype).bits) / 8;
    Bytes dense = Tuned(base, width, 2, row);
    Bytes sparse = Tuned(dense, width, 100, row + 50);
    Bytes grown = sparse;
    grown.insert(grown.end(), base.begin(), base.begin() + static_cast<ptrdiff_t>(width) * 500);
    archive.AddOfBase(dtype, base, row);
    size_t on_row = archive.AddPatch(dtype, dense, dtype, base, true, row);
    size_t on_patch = archive.AddPatch(dtype, sparse, dtype, dense, false, on_row);
    archive.AddPatch(dtype, grown, dtype, sparse, false, on_patch);
    size_t whole = archive.AddWhole(dtype, dense);
    archive.AddPatch(dtype, Bytes(dense.begin(), dense.end() - static_cast<ptrdiff_t>(width) * 700), dtype, dense,
                     false, whole);
  }
  archive.table().name = "base";
  return {archive.Finish("encoded_patches.bin"), rows};
}

using Path = std::filesystem::path;

/// Writes one that is not there yet; `files` is what it must give.
bool WriteGolden(const Path& folder, const std::string& name, const std::string& file_name, const Bytes& archive,
                 const std::vector<Bytes>& files, nlohmann::json& manifest, const Bytes& base = {}) {
  Path path = folder / (name + ".fly");
  if (std::filesystem::exists(path)) return true;
  auto decoded = DecodeAll(archive, base);
  if (!decoded.ok() || decoded.value().files != files) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(),
                 decoded.ok() ? "decodes to other bytes" : decoded.error().message.c_str());
    return false;
  }
  std::FILE* file = std::fopen(path.c_str(), "wbx");
  if (file == nullptr || std::fwrite(archive.data(), 1, archive.size(), file) != archive.size() ||
      std::fclose(file) != 0)
    return false;
  const Bytes& content = files[0];
  manifest[name + ".fly"] = {
      {"archive_sha256", ToHex(Sha256(archive))},
      {"files", {{{"name", file_name}, {"bytes", content.size()}, {"sha256", ToHex(Sha256(content))}}}}};
  if (!base.empty()) {
    manifest[name + ".fly"]["base"] = name + ".base";
    std::ofstream(folder / (name + ".base"), std::ios::binary)
        .write(reinterpret_cast<const char*>(base.data()), static_cast<std::streamsize>(base.size()));
  }
  std::printf("%s.fly: %zu of %zu bytes\n", name.c_str(), archive.size(), content.size());
  return true;
}

int Run() {
  Path folder = Path(FLYWEIGHT_SOURCE_DIR) / "tests/golden/v1";
  nlohmann::json manifest = nlohmann::json::object();
  if (std::ifstream in(folder / "manifest.json"); in) manifest = nlohmann::json::parse(in);
  for (const auto& [name, tensors] : AllArchives()) {
    if (std::filesystem::exists(folder / (name + ".fly"))) continue;
    auto sample = MakeArchive(name, tensors);
    if (!sample.ok()) return std::fprintf(stderr, "%s\n", sample.error().message.c_str()), 1;
    if (!WriteGolden(folder, name, name + ".bin", sample.value().archive, sample.value().files, manifest)) return 1;
  }
  if (!std::filesystem::exists(folder / "lossy_patches.fly")) {
    auto sample = MakeLossyPatches("lossy_patches");
    if (!sample.ok()) return std::fprintf(stderr, "%s\n", sample.error().message.c_str()), 1;
    const auto& [archive, files] = sample.value();
    if (!WriteGolden(folder, "lossy_patches", "lossy_patches.bin", archive, files, manifest)) return 1;
  }
  if (!std::filesystem::exists(folder / "patch_records.fly")) {
    auto sample = MakePatches("patch_records");
    if (!sample.ok()) return std::fprintf(stderr, "%s\n", sample.error().message.c_str()), 1;
    const auto& [archive, files] = sample.value();
    if (!WriteGolden(folder, "patch_records", "patch_records.bin", archive, files, manifest)) return 1;
  }
  auto parity = ParityArchives();
  if (!parity.ok()) return std::fprintf(stderr, "%s\n", parity.error().message.c_str()), 1;
  for (const auto& [name, archive] : parity.value()) {
    auto decoded = DecodeAll(archive);
    if (!decoded.ok() || !WriteGolden(folder, name, "noise", archive, decoded.value().files, manifest)) return 1;
  }
  auto [patches, rows] = PatchesOnABase();
  if (!WriteGolden(folder, "encoded_patches", "encoded_patches.bin", patches.archive, patches.files, manifest, rows)) {
    return 1;
  }
  std::ofstream(folder / "manifest.json") << manifest.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace flyweight::test

int main() { return flyweight::test::Run(); }
