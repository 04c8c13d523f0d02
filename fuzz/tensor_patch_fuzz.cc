#include "flyweight/patch_buffer.h"

#include "archive/reader.h"
#include "archive_input.h"
#include "codec/base_check.h"
#include "codec/patch_record.h"

// Hostile patches of tensors in memory, with sound checksums and a base that suits them: applying them in place stays
// inside the tensors, and what is refused before it is written leaves them as they were.

namespace flyweight::fuzz {
namespace {

constexpr uint64_t kMaxTargetBytes = 1 << 20;
constexpr size_t kMaxTensors = 32;

/// What the tensors hold before a patch comes.
void FillWithPattern(MutableByteSpan bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(0x3c ^ (i * 7) ^ (i >> 8));
}

/// Makes every frame say that it was made from the pattern.
void SealBaseChecks(std::vector<std::byte>& image) {
  MemorySource source(image);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  if (!reader.ok()) return;
  for (const IndexFile& file : reader.value().index().files) {
    for (const IndexExtent& extent : file.extents) {
      if (extent.place != PlaceKind::kPatched || extent.decoded_bytes > kMaxTargetBytes) continue;
      Result<OpenRecord> record = reader.value().OpenRecordOf(extent);
      if (!record.ok() || !PatchBaseOf(record.value().head).has_value()) continue;
      ExactBuffer base(static_cast<size_t>(extent.decoded_bytes));
      FillWithPattern(base.span());
      for (size_t chunk = 0; chunk < record.value().table.size(); ++chunk) {
        MutableByteSpan frame(image.data() + record.value().frame_offsets[chunk],
                              record.value().table[chunk].frame_bytes);
        BaseRange range = BaseRangeOf(record.value().head, chunk);
        if (!BaseCheckOf(frame).has_value() || range.begin_bytes + range.size_bytes > base.span().size()) continue;
        ByteSpan base_chunk =
            base.span().subspan(static_cast<size_t>(range.begin_bytes), static_cast<size_t>(range.size_bytes));
        StoreLe(frame.data() + kFrameHeaderBytes, Xxh3(base_chunk));
        SetFrameHash(frame);
      }
    }
  }
}

void Apply(const TensorPatch& patch, bool check_first) {
  std::vector<ExactBuffer> memory;
  std::vector<TensorTarget> targets;
  for (const PatchedTensor& tensor : patch.tensors()) {
    memory.emplace_back(static_cast<size_t>(tensor.size_bytes));
    FillWithPattern(memory.back().span());
    targets.push_back({tensor.name, tensor.dtype, tensor.shape, memory.back().span()});
  }
  ApplyOptions options;
  options.thread_count = 1;
  options.check_first = check_first;
  Result<ApplySummary> summary = patch.ApplyInPlace(targets, options);
  if (!check_first || summary.ok() || summary.error().code != ErrorCode::kAlreadyApplied) return;
  for (ExactBuffer& buffer : memory) {
    ExactBuffer before(buffer.span().size());
    FillWithPattern(before.span());
    FLYWEIGHT_FUZZ_CHECK(SameBytes(buffer.span(), before.span()));
  }
}

void CheckPatch(ByteSpan image) {
  ExactBuffer exact(image);
  Result<TensorPatch> patch = TensorPatch::Open(exact.span());
  if (!patch.ok()) return;
  uint64_t size_bytes = 0;
  for (const PatchedTensor& tensor : patch.value().tensors()) {
    if (tensor.size_bytes > kMaxTargetBytes || tensor.base_bytes > kMaxTargetBytes) return;
    size_bytes += tensor.size_bytes;
  }
  if (size_bytes > kMaxTargetBytes || patch.value().tensors().size() > kMaxTensors) return;
  for (bool check_first : {true, false}) Apply(patch.value(), check_first);
  for (size_t i = 0; i < patch.value().tensors().size(); ++i) {
    const PatchedTensor& tensor = patch.value().tensors()[i];
    ExactBuffer base(static_cast<size_t>(tensor.base_bytes)), target(static_cast<size_t>(tensor.size_bytes));
    FillWithPattern(base.span());
    (void)patch.value().Decode(i, base.span(), target.span(), 1);
  }
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight;
  using namespace flyweight::fuzz;
  ByteSpan input = std::as_bytes(std::span(data, size_bytes));
  std::vector<std::byte> image(input.begin(), input.end());
  SealImage(image);
  MemorySource source(image);
  if (Result<ArchiveReader> reader = ArchiveReader::Open(source); reader.ok()) {
    for (const IndexFile& file : reader.value().index().files) {
      for (const IndexExtent& extent : file.extents) {
        if (!extent.has_record()) continue;
        // Hashes inside the records; where that makes another record_check the patch is refused, which is right too.
        (void)SealRecord(MutableByteSpan(image).subspan(static_cast<size_t>(extent.record_offset),
                                                        static_cast<size_t>(extent.record_bytes)));
      }
    }
  }
  SealBaseChecks(image);
  CheckPatch(image);
  return 0;
}
