#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "archive/writer.h"
#include "archive_parts.h"
#include "codec/lossy_patch_record.h"
#include "codec/lossy_record.h"
#include "lossy/delta_steps.h"
#include "lossy/error_sums.h"
#include "lossy/lossy_report.h"
#include "support/weights.h"

// An archive of tensors and of lossy patches on them.

namespace flyweight::test {

/// A tensor that moves by noise, and how it becomes a lossy patch.
struct LossyPatchTensor {
  DType dtype = DType::kF32;
  uint64_t row_count = 0;
  uint64_t column_count = 0;
  LossyDeltaChoice choice = {};

  Shape shape() const { return {row_count, column_count}; }
};

/// An extent on its way: its chunks were written and `digest` knows them.
struct WrittenRecord {
  Sha256Stream digest;
  ArchiveWriter::RecordPlace place = {};
};

inline IndexExtent DescribeWritten(std::string name, const LossyPatchTensor& tensor, uint64_t size_bytes,
                                   WrittenRecord& written) {
  IndexExtent extent = AsTensor({}, std::move(name), tensor.dtype, tensor.shape());
  extent.decoded_bytes = size_bytes;
  extent.digest_algorithm = DigestAlgorithm::kSha256Tree;
  extent.digest = written.digest.Finish();
  extent.place = PlaceKind::kRecord;
  extent.record_offset = written.place.offset;
  extent.record_bytes = written.place.record_bytes;
  extent.record_check = written.place.record_check;
  return extent;
}

inline Result<IndexExtent> WriteBase(ArchiveWriter& writer, const LossyPatchTensor& tensor, ByteSpan content) {
  CodecScratch scratch;
  FLYWEIGHT_ASSIGN(RecordPlan plan, PlanRecord(MemorySource(content), 0, content.size(), tensor.dtype, tensor.shape(),
                                               Level::kBalanced, scratch));
  FLYWEIGHT_TRY(writer.BeginRecord(plan));
  WrittenRecord written;
  for (uint64_t i = 0; i < plan.head.chunk_count; ++i) {
    ByteSpan chunk = content.subspan(i * plan.head.chunk_bytes, plan.head.ChunkDecodedBytes(i));
    std::vector<std::byte> frame(FrameBound(chunk.size()));
    ChunkEntry entry = EncodeFrame(plan, i, chunk, frame, scratch);
    FLYWEIGHT_TRY(writer.AppendFrame(ByteSpan(frame).first(entry.frame_bytes), entry));
    written.digest.Update(Sha256(chunk));
  }
  FLYWEIGHT_ASSIGN(written.place, writer.EndRecord());
  return DescribeWritten("base", tensor, content.size(), written);
}

/// Writes a lossy patch on `base`, the extent before; `content` becomes what decoding gives.
inline Result<IndexExtent> WriteLossyPatch(ArchiveWriter& writer, const LossyPatchTensor& tensor, ByteSpan base,
                                           MutableByteSpan content, LossyRow& row) {
  CodecScratch scratch;
  MemorySource source(content), base_source(base);
  FLYWEIGHT_ASSIGN(PatchPlan plan,
                   PlanLossyPatchRecord(source, 0, content.size(), tensor.dtype, tensor.shape(), base_source, 0,
                                        base.size(), tensor.dtype, tensor.choice, scratch));
  const RecordHead& head = plan.record.head;
  FLYWEIGHT_TRY(writer.BeginRecord(plan.record));
  WrittenRecord written;
  double change = 0;
  ErrorSums errors;
  for (uint64_t i = 0; i < head.chunk_count; ++i) {
    MutableByteSpan chunk = content.subspan(i * head.chunk_bytes, head.ChunkDecodedBytes(i));
    std::vector<std::byte> given(chunk.begin(), chunk.end()), frame(FrameBound(chunk.size()));
    BaseRange range = BaseRangeOf(head, i);
    LossyPatchFrame made = EncodeLossyPatchFrame(
        plan.record, i, given, base.subspan(range.begin_bytes, range.size_bytes), frame, chunk, scratch);
    FLYWEIGHT_TRY(writer.AppendFrame(ByteSpan(frame).first(made.entry.frame_bytes), made.entry));
    written.digest.Update(Sha256(chunk));
    change += made.squared_change;
    errors.Add(MeasureErrors(tensor.dtype, given, chunk));
  }
  FLYWEIGHT_ASSIGN(written.place, writer.EndRecord());
  row.choice = *LossyChoiceOf(head);
  row.max_error = errors.max_abs;
  row.rms_error = errors.Rms();
  row.relative_error = static_cast<float>(std::sqrt(errors.squares / change));
  IndexExtent extent = DescribeWritten("patch", tensor, content.size(), written);
  extent.place = PlaceKind::kPatched;
  extent.base_number = row.extent - 1;
  extent.patch_depth = 1;
  return extent;
}

/// Each tensor and a lossy patch on it: every method, every dtype, contexts or none, exact elements, low bits, chunks.
inline Result<Sample> MakeLossyPatches(const std::string& name) {
  const LossyPatchTensor kTensors[] = {{DType::kF32, 70, 100, {DeltaMethod::kUniform, 1e-3F, 0}},
                                       {DType::kF32, 70, 100, {DeltaMethod::kUniform, 1e-6F, 0}},
                                       {DType::kF16, 600, 500, {DeltaMethod::kUniform, 3e-2F, 0}},
                                       {DType::kBF16, 1, 300, {DeltaMethod::kUniform, 1e-3F, 0}},
                                       {DType::kF32, 50, 90, {DeltaMethod::kInt4, 0, 0.02}},
                                       {DType::kBF16, 60, 90, {DeltaMethod::kSparse, 0, 0.1}},
                                       {DType::kF32, 40, 120, {DeltaMethod::kOneBit, 0, 0}}};
  MemorySink sink;
  ArchiveWriter writer(sink);
  ArchiveHeader header;
  header.required_features = wire::kFeatureCodecs | wire::kFeatureLossy | wire::kFeaturePatches;
  FLYWEIGHT_TRY(writer.Begin(header));
  std::vector<std::byte> whole, original;
  std::vector<LossyRow> rows;
  std::vector<IndexExtent> extents;
  Random random(1);
  for (const LossyPatchTensor& tensor : kTensors) {
    // That of several chunks would make a large file.
    const Pattern pattern = tensor.row_count > 100 ? Pattern::kConstant : Pattern::kSpecials;
    std::vector<std::byte> base = MakeTensor(tensor.dtype, tensor.row_count, tensor.column_count, pattern, random);
    std::vector<std::byte> moved = base;
    std::vector<int32_t> steps(tensor.row_count * tensor.column_count);
    for (int32_t& step : steps) step = static_cast<int32_t>(1000 * random.Gaussian());
    AddDeltaSteps(tensor.dtype, steps.data(), steps.size(), tensor.dtype == DType::kF32 ? 1e-6F : 1e-5F, moved.data());
    FLYWEIGHT_ASSIGN(IndexExtent extent, WriteBase(writer, tensor, base));
    extents.push_back(std::move(extent));
    original.insert(original.end(), base.begin(), base.end());
    original.insert(original.end(), moved.begin(), moved.end());
    LossyRow row;
    row.extent = static_cast<uint32_t>(extents.size());
    FLYWEIGHT_ASSIGN(IndexExtent patch, WriteLossyPatch(writer, tensor, base, moved, row));
    extents.push_back(std::move(patch));
    rows.push_back(row);
    whole.insert(whole.end(), base.begin(), base.end());
    whole.insert(whole.end(), moved.begin(), moved.end());
  }
  ArchiveIndex index;
  index.files.push_back(FileOf(name + ".bin", std::move(extents)));
  IndexFile& file = index.files[0];
  file.has_sha256 = true;
  file.sha256 = Sha256(whole);
  file.attributes.push_back({wire::kAttributeOriginal, WriteOriginalFile({original.size(), Sha256(original)})});
  file.attributes.push_back({wire::kAttributeLossy, WriteLossyRows(rows)});
  FLYWEIGHT_TRY(writer.Finish(index));
  return Sample{std::move(sink.bytes()), {std::move(whole)}};
}

}  // namespace flyweight::test
