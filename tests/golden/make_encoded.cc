#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "archive_parts.h"
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

Result<IndexExtent> WriteTensor(ArchiveWriter& writer, const NamedTensor& tensor, ByteSpan content) {
  CodecScratch scratch;
  Shape shape = {tensor.row_count, tensor.column_count};
  FLYWEIGHT_ASSIGN(RecordPlan plan, PlanRecord(MemorySource(content), 0, content.size(), tensor.dtype, shape,
                                               Level::kBalanced, scratch));
  FLYWEIGHT_ASSIGN(plan, WithChunks(std::move(plan), tensor.chunk_elements));
  FLYWEIGHT_TRY(writer.BeginRecord(plan));
  Bytes frame(FrameBound(plan.head.chunk_bytes));
  Sha256Stream digest;
  for (uint64_t i = 0; i < plan.head.chunk_count; ++i) {
    ByteSpan chunk = content.subspan(i * plan.head.chunk_bytes, plan.head.ChunkDecodedBytes(i));
    ChunkEntry entry = EncodeFrame(plan, i, chunk, frame, scratch);
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
  FLYWEIGHT_TRY(writer.Begin());
  Bytes whole;
  std::vector<IndexExtent> extents;
  Random random(name.size() + tensors.size());
  for (const NamedTensor& tensor : tensors) {
    Bytes content = MakeTensor(tensor.dtype, tensor.row_count, tensor.column_count, tensor.pattern, random);
    FLYWEIGHT_ASSIGN(IndexExtent extent, WriteTensor(writer, tensor, content));
    extents.push_back(std::move(extent));
    whole.insert(whole.end(), content.begin(), content.end());
  }
  ArchiveIndex index;
  index.files.push_back(FileOf(name + ".bin", std::move(extents)));
  index.files[0].has_sha256 = true;
  index.files[0].sha256 = Sha256(whole);
  FLYWEIGHT_TRY(writer.Finish(index));
  return Sample{std::move(sink.bytes()), {std::move(whole)}};
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& letter : lower) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return lower;
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
  return archives;
}

int Run() {
  std::filesystem::path folder = std::filesystem::path(FLYWEIGHT_SOURCE_DIR) / "tests/golden/v1";
  nlohmann::json manifest = nlohmann::json::object();
  if (std::ifstream in(folder / "manifest.json"); in) manifest = nlohmann::json::parse(in);
  for (const auto& [name, tensors] : AllArchives()) {
    std::filesystem::path path = folder / (name + ".fly");
    if (std::filesystem::exists(path)) continue;
    auto sample = MakeArchive(name, tensors);
    auto decoded = sample.ok() ? DecodeAll(sample.value().archive) : Result<Decoded>(sample.error());
    if (!decoded.ok() || decoded.value().files != sample.value().files) {
      std::fprintf(stderr, "%s: %s\n", name.c_str(),
                   decoded.ok() ? "decodes to other bytes" : decoded.error().message.c_str());
      return 1;
    }
    const Bytes& archive = sample.value().archive;
    std::FILE* file = std::fopen(path.c_str(), "wbx");
    if (file == nullptr || std::fwrite(archive.data(), 1, archive.size(), file) != archive.size() ||
        std::fclose(file) != 0)
      return 1;
    const Bytes& content = sample.value().files[0];
    manifest[name + ".fly"] = {
        {"archive_sha256", ToHex(Sha256(archive))},
        {"files", {{{"name", name + ".bin"}, {"bytes", content.size()}, {"sha256", ToHex(Sha256(content))}}}}};
    std::printf("%s.fly: %zu of %zu bytes\n", name.c_str(), archive.size(), content.size());
  }
  std::ofstream(folder / "manifest.json") << manifest.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace flyweight::test

int main() { return flyweight::test::Run(); }
