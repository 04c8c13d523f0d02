#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "flyweight/level.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

namespace flyweight {

// A record is one extent's content: head | frames | chunk table (docs/format.md section 2). This file encodes and
// decodes it piece by piece, with no file in sight: the caller owns the order of reads and writes and runs chunks on as
// many threads as it likes.

inline constexpr size_t kRecordHeadMinBytes = 40;
inline constexpr size_t kRecordHeadMaxBytes = size_t{1} << 21;
inline constexpr size_t kFrameHeaderBytes = 24;
inline constexpr size_t kChunkEntryBytes = 12;
inline constexpr size_t kChunkMaxBytes = size_t{4} << 20;

/// Decoders may read, never use, this many bytes behind a frame.
inline constexpr size_t kDecodePaddingBytes = 1024;

/// One row of the chunk table.
struct ChunkEntry {
  uint32_t frame_bytes = 0;
  uint64_t decoded_xxh3 = 0;
};

/// Memory that one thread reuses from chunk to chunk. Opaque; make one a thread. A few are kept warm for the next that
/// is made.
class CodecScratch {
 public:
  CodecScratch();
  ~CodecScratch();
  CodecScratch(CodecScratch&&) noexcept;
  CodecScratch& operator=(CodecScratch&&) noexcept;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// What a record's head says, checked.
struct RecordHead {
  DType dtype = DType::kOpaque;
  uint64_t decoded_bytes = 0;
  uint64_t chunk_bytes = 0;  ///< decoded bytes of every chunk but the last
  uint64_t chunk_count = 0;

  struct Side;  ///< the transform's side information, ready for use
  std::shared_ptr<const Side> side;

  uint64_t ChunkDecodedBytes(uint64_t chunk_index) const {
    return chunk_index + 1 < chunk_count ? chunk_bytes : decoded_bytes - chunk_bytes * (chunk_count - 1);
  }
};

/// Decoded bytes of every chunk but the last, for a record of this dtype: 256 Ki elements (1 MiB of raw bytes for
/// kOpaque and block types).
uint64_t ChunkBytesFor(DType dtype);

/// Decides how a record is encoded, from a sample of its content, and writes its head. The same content always gives
/// the same plan. `source` at [offset, offset + size_bytes) is the content; `shape` is a hint and may be empty. Errors:
/// those of reading.
struct RecordPlan {
  Level level = Level::kBalanced;
  RecordHead head;
  std::vector<std::byte> head_bytes;
};
Result<RecordPlan> PlanRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                              const Shape& shape, Level level, CodecScratch& scratch);

/// Upper bound of a frame's bytes for a chunk of `decoded_bytes`.
uint64_t FrameBound(uint64_t decoded_bytes);

/// Encodes chunk `chunk_index`, whose bytes are `chunk`, into `frame` (header included). Returns the chunk's row of the
/// table, whose frame_bytes says how much of `frame` was written. Preconditions: chunk.size() ==
/// plan.head.ChunkDecodedBytes(chunk_index); frame.size() >= FrameBound(chunk.size()); no overlap. Cannot fail. The
/// frame depends on the record's content alone, not on ISA, thread or run.
ChunkEntry EncodeFrame(const RecordPlan& plan, uint64_t chunk_index, ByteSpan chunk, MutableByteSpan frame,
                       CodecScratch& scratch);

/// Serialises a chunk table.
std::vector<std::byte> WriteChunkTable(const std::vector<ChunkEntry>& entries);

/// Bytes of the head, read from its first 8 bytes. Errors: kTruncated, kCorrupt, kLimitExceeded.
Result<uint32_t> PeekRecordHeadBytes(ByteSpan first_bytes);

/// Parses and checks a whole head. Errors: kTruncated, kCorrupt, kChecksumMismatch, kUnsupportedFeature,
/// kLimitExceeded.
Result<RecordHead> ParseRecordHead(ByteSpan bytes);

/// Parses a chunk table. Errors: kCorrupt where the size does not fit the head or a frame size is out of bounds.
Result<std::vector<ChunkEntry>> ParseChunkTable(const RecordHead& head, ByteSpan bytes);

/// xxh3 of the head's bytes followed by those of the chunk table.
uint64_t RecordCheck(ByteSpan head_bytes, ByteSpan table_bytes);

/// When decoding compares a frame's stored bytes with their checksum. The decoded bytes are always compared with
/// theirs, so where these are right the other only tells that a byte is damaged on which nothing depends.
enum class StoredCheck : uint8_t {
  kOnFailure,  ///< only to say why decoding failed: a third less to read
  kAlways,
};

/// Decodes one frame into `target` and checks it against `entry`. `readable_bytes` (>= frame.size()) says how far
/// memory behind frame.data() may be read; with frame.size() + kDecodePaddingBytes a copy is saved. Precondition:
/// target.size() == head.ChunkDecodedBytes(chunk_index). Errors: kTruncated, kCorrupt, kChecksumMismatch,
/// kUnsupportedFeature; target's content is then undefined.
Status DecodeFrame(const RecordHead& head, uint64_t chunk_index, ByteSpan frame, size_t readable_bytes,
                   const ChunkEntry& entry, MutableByteSpan target, CodecScratch& scratch,
                   StoredCheck stored_check = StoredCheck::kOnFailure);

/// Checks a frame's header and the checksum of its encoded bytes without decoding it. Errors: kTruncated, kCorrupt,
/// kChecksumMismatch.
Status ScrubFrame(ByteSpan frame, const ChunkEntry& entry);

}  // namespace flyweight
