#include <cinttypes>
#include <cstdio>
#include <string>
#include <vector>

#include "archive/parity_test_tools.h"
#include "base/hash.h"
#include "codec/lossy_record.h"
#include "lossy/quantise.h"
#include "support/block_weights.h"
#include "support/weights.h"

// Prints a line a record: what it is of, the hash of its content, the hash of its bytes. Two processors on which the
// encoder gives the same bytes print the same.

namespace flyweight::test {
namespace {

struct Content {
  std::string name;
  DType dtype;
  Shape shape;
  Bytes bytes;
};

std::string NameOf(DType dtype, std::string_view what) {
  return std::string(Describe(dtype).name) + "." + std::string(what);
}

bool Print(const Content& content, const char* how, const Bytes& record) {
  return std::printf("%s %s %016" PRIx64 " %016" PRIx64 "\n", content.name.c_str(), how, Xxh3(content.bytes),
                     Xxh3(record)) > 0;
}

/// The record's bytes one behind the other; those of a lossy one are followed by what decoding gives.
bool PrintRecord(const Content& content, const char* how, const Result<RecordPlan>& planned, bool is_lossy,
                 CodecScratch& scratch) {
  if (!planned.ok()) {
    std::fprintf(stderr, "%s %s: %s\n", content.name.c_str(), how, planned.error().message.c_str());
    return false;
  }
  const RecordPlan& plan = planned.value();
  Bytes record = plan.head_bytes, frame(FrameBound(plan.head.chunk_bytes)), restored;
  for (uint64_t i = 0; i < plan.head.chunk_count; ++i) {
    ByteSpan chunk = ByteSpan(content.bytes).subspan(i * plan.head.chunk_bytes, plan.head.ChunkDecodedBytes(i));
    restored.resize(chunk.size());
    ChunkEntry entry = is_lossy ? EncodeLossyFrame(plan, i, chunk, frame, restored, scratch)
                                : EncodeFrame(plan, i, chunk, frame, scratch);
    record.insert(record.end(), frame.begin(), frame.begin() + entry.frame_bytes);
    if (is_lossy) record.insert(record.end(), restored.begin(), restored.end());
  }
  return Print(content, how, record);
}

bool PrintLevels(const Content& content, CodecScratch& scratch) {
  MemorySource source(content.bytes);
  bool ok = true;
  for (Level level : kAllLevels) {
    ok &= PrintRecord(content, std::string(LevelName(level)).c_str(),
                      PlanRecord(source, 0, content.bytes.size(), content.dtype, content.shape, level, scratch), false,
                      scratch);
  }
  return ok;
}

bool PrintLossy(const Content& content, const LossyChoice& choice, CodecScratch& scratch) {
  if (!CanBeLossy(content.dtype, choice.method)) return true;
  MemorySource source(content.bytes);
  return PrintRecord(content, NameOf(choice).c_str(),
                     PlanLossyRecord(source, 0, content.bytes.size(), content.dtype, content.shape, choice, scratch),
                     true, scratch);
}

Content MakePattern(DType dtype, size_t row_count, size_t column_count, Pattern pattern) {
  Random random(row_count + static_cast<size_t>(pattern));
  return {NameOf(dtype, PatternName(pattern)),
          dtype,
          {row_count, column_count},
          MakeTensor(dtype, row_count, column_count, pattern, random)};
}

/// Rows whose neighbours follow each other, which context mixing takes at the highest level; more than one chunk.
Content MakeWalks() {
  constexpr size_t kRows = 900, kColumns = 611;
  Random random(9);
  Bytes bytes;
  for (size_t row = 0; row < kRows; ++row) {
    double value = random.Gaussian();
    for (size_t column = 0; column < kColumns; ++column) {
      value = 0.8 * value + 0.6 * random.Gaussian();
      const uint64_t word = EncodeFloat(kFormatBF16, 0.02 * value);
      for (int shift : {0, 8}) bytes.push_back(static_cast<std::byte>(word >> shift & 255));
    }
  }
  return {NameOf(DType::kBF16, "Walks"), DType::kBF16, {kRows, kColumns}, bytes};
}

bool PrintPatterns(CodecScratch& scratch) {
  bool ok = true;
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32, DType::kC64, DType::kF64, DType::kF8E4M3, DType::kF8E5M2,
                      DType::kI8, DType::kI32, DType::kOpaque}) {
    for (Pattern pattern : kAllPatterns) ok &= PrintLevels(MakePattern(dtype, 40, 300, pattern), scratch);
    // More than one chunk.
    ok &= PrintLevels(MakePattern(dtype, 520, 512, Pattern::kWeights), scratch);
  }
  return PrintLevels(MakeWalks(), scratch) && ok;
}

bool PrintLossyPatterns(CodecScratch& scratch) {
  bool ok = true;
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32, DType::kF64}) {
    for (Pattern pattern : {Pattern::kWeights, Pattern::kSparse, Pattern::kConstant, Pattern::kDenormals}) {
      const Content content = MakePattern(dtype, 300, 301, pattern);
      for (const LossyChoice& choice :
           {LossyChoice{LossyMethod::kBlocks, 8, false, 64}, LossyChoice{LossyMethod::kBlocks, 4, true, 32},
            LossyChoice{LossyMethod::kBlocks, 2, true, 16}})
        ok &= PrintLossy(content, choice, scratch);
    }
    for (Pattern pattern : {Pattern::kWeights, Pattern::kSpecials, Pattern::kNanPayloads, Pattern::kDenormals}) {
      const Content content = MakePattern(dtype, 300, 301, pattern);
      ok &= PrintLossy(content, {LossyMethod::kF16, 16, false, 0}, scratch);
      ok &= PrintLossy(content, {LossyMethod::kBF16, 16, false, 0}, scratch);
    }
  }
  return ok;
}

bool PrintBlocks(CodecScratch& scratch) {
  Random random(1);
  bool ok = true;
  for (bool rounded : {false, true}) {
    ok &= PrintLevels({NameOf(DType::kGgmlQ41, rounded ? "bf16" : "f32"),
                       DType::kGgmlQ41,
                       {2000, 32},
                       MakeQ41(2000, rounded, random)},
                      scratch);
    ok &= PrintLevels({NameOf(DType::kGgmlQ80, rounded ? "bf16" : "f32"),
                       DType::kGgmlQ80,
                       {2000, 32},
                       MakeQ80(2000, rounded, random)},
                      scratch);
  }
  for (DType dtype : {DType::kGgmlQ4K, DType::kGgmlQ6K}) {
    const BlockLayout* layout = FindBlockLayout(dtype);
    if (layout == nullptr) continue;
    ok &= PrintLevels({NameOf(dtype, "skewed"), dtype, {500, 256}, MakeSkewedBlocks(*layout, 500, random)}, scratch);
  }
  return ok;
}

bool PrintParity() {
  auto archive = MakeParityArchive(60000, 100, 1);
  if (!archive.ok()) return false;
  return Print({"parity", DType::kOpaque, {}, {}}, "archive", archive.value());
}

}  // namespace
}  // namespace flyweight::test

int main() {
  flyweight::CodecScratch scratch;
  bool ok = flyweight::test::PrintPatterns(scratch);
  ok &= flyweight::test::PrintLossyPatterns(scratch);
  ok &= flyweight::test::PrintBlocks(scratch);
  ok &= flyweight::test::PrintParity();
  return ok ? 0 : 1;
}
