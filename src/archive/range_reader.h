#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "archive/reader.h"
#include "base/aligned_buffer.h"

namespace flyweight {

/// Decodes ranges of extents that are made of others: pieces and casts. Keeps the records and chunks that it used last,
/// so that ranges read in order decode each chunk about once. Memory: a few chunks. One a thread.
class RangeReader {
 public:
  /// `reader` must outlive it.
  explicit RangeReader(const ArchiveReader& reader) : reader_(&reader) {}

  /// Told of bytes of the extent that cannot be decoded and are zeros in the target.
  using Lose = std::function<void(uint64_t begin, uint64_t size_bytes, const Error& error)>;

  /// Decodes bytes [begin, begin + target.size()) of an extent. Preconditions: they lie in the extent, whose place is
  /// kPieces or kCast. Errors: those of ArchiveReader::DecodeChunk, unless there is `lose`; kCorrupt where it is made
  /// of a lossy record.
  Status Read(const IndexExtent& extent, uint64_t begin, MutableByteSpan target, CodecScratch& scratch,
              const Lose& lose = {});

 private:
  struct CachedRecord {
    const IndexExtent* holder = nullptr;
    std::shared_ptr<const OpenRecord> record;
    uint64_t last_used = 0;
  };
  struct CachedChunk {
    const IndexExtent* holder = nullptr;
    uint64_t chunk = 0;
    uint64_t last_used = 0;
    AlignedBuffer bytes;
  };
  /// Where reading of an extent's pieces went on to.
  struct PieceCursor {
    const IndexExtent* extent = nullptr;
    size_t piece = 0;
    uint64_t begin = 0;  ///< of the piece, in the extent
  };

  Status ReadPieces(const IndexExtent& extent, uint64_t begin, MutableByteSpan target, CodecScratch& scratch,
                    const Lose& lose);
  Status ReadCast(const IndexExtent& extent, uint64_t begin, MutableByteSpan target, CodecScratch& scratch,
                  const Lose& lose);
  /// Ranges of what the record of `holder` decodes to.
  Status ReadRecord(const IndexExtent& holder, uint64_t begin, MutableByteSpan target, CodecScratch& scratch,
                    const Lose& lose);
  Status ReadFromChunk(const IndexExtent& holder, const OpenRecord& record, uint64_t begin, MutableByteSpan target,
                       CodecScratch& scratch);
  Result<std::shared_ptr<const OpenRecord>> OpenRecordOf(const IndexExtent& holder);
  Result<const std::byte*> ChunkOf(const IndexExtent& holder, const OpenRecord& record, uint64_t chunk,
                                   CodecScratch& scratch);

  static constexpr size_t kRecordMaxCount = 4;
  static constexpr size_t kChunkMaxCount = 4;
  const ArchiveReader* reader_;
  uint64_t clock_ = 0;
  std::vector<CachedRecord> records_;
  std::vector<CachedChunk> chunks_;
  PieceCursor cursor_;
  AlignedBuffer wide_;
  AlignedBuffer narrow_;
};

}  // namespace flyweight
