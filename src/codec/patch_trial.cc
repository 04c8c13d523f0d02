#include "codec/patch_trial.h"

#include <algorithm>

#include "codec/patch_chunk.h"
#include "codec/patch_record.h"

namespace flyweight {
namespace {

Status ReadChunk(const SourcedTensor& tensor, uint64_t begin, uint64_t size_bytes, AlignedBuffer& buffer) {
  buffer.Resize(size_bytes);
  if (size_bytes == 0) return {};
  return tensor.source.ReadAt(tensor.offset + begin, {buffer.data(), size_bytes});
}

}  // namespace

Result<PatchTrial> TryPatchRecord(const RecordPlan& record, const SourcedTensor& tensor, const SourcedTensor& base,
                                  uint64_t most_chunks, CodecScratch& scratch) {
  AlignedBuffer chunk, base_chunk, payload;
  const RecordHead& head = record.head;
  PatchTrial trial;
  trial.chunk_count = std::min(most_chunks, head.chunk_count);
  uint64_t frame_bytes = 0, chunk_bytes = 0;
  for (uint64_t s = 0; s < trial.chunk_count; ++s) {
    const uint64_t i = s * head.chunk_count / trial.chunk_count;
    const uint64_t size = head.ChunkDecodedBytes(i);
    const BaseRange range = BaseRangeOf(head, i);
    FLYWEIGHT_TRY(ReadChunk(tensor, i * head.chunk_bytes, size, chunk));
    FLYWEIGHT_TRY(ReadChunk(base, range.begin_bytes, range.size_bytes, base_chunk));
    payload.Resize(FrameBound(size));
    const EncodedChunk encoded =
        EncodePatchChunk(head, record.level, i, {chunk.data(), size}, {base_chunk.data(), range.size_bytes},
                         {payload.data(), FrameBound(size) - kFrameHeaderBytes}, scratch.impl());
    frame_bytes += kFrameHeaderBytes + encoded.payload_bytes;
    chunk_bytes += size;
    if (encoded.codec != CodecId::kPatchSame) ++trial.changed_count;
    if (encoded.codec == CodecId::kPatchDense) ++trial.dense_count;
  }
  trial.record_bytes = record.head_bytes.size() + head.chunk_count * kChunkEntryBytes;
  if (chunk_bytes != 0) {
    trial.record_bytes += static_cast<uint64_t>(static_cast<double>(frame_bytes) / static_cast<double>(chunk_bytes) *
                                                static_cast<double>(tensor.size_bytes));
  }
  return trial;
}

}  // namespace flyweight
