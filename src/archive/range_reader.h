#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "archive/reader.h"
#include "base/aligned_buffer.h"
#include "codec/patch_record.h"

namespace flyweight {

/// Decodes ranges of extents of any place, also of those that are made of others: pieces, casts and patches. Keeps the
/// records and chunks that it used last, so that ranges read in order decode each chunk about once. Memory: a few
/// chunks, however many patches stand on each other. One a thread.
class RangeReader {
 public:
  /// `reader` must outlive it.
  explicit RangeReader(const ArchiveReader& reader) : reader_(&reader) {}

  /// Told of bytes of the extent that cannot be decoded and are zeros in the target.
  using Lose = std::function<void(uint64_t begin, uint64_t size_bytes, const Error& error)>;

  /// Decodes bytes [begin, begin + target.size()) of an extent. Precondition: they lie in the extent. Errors: those of
  /// ArchiveReader::DecodeChunk, unless there is `lose`; kCorrupt where pieces or a cast are of a lossy record;
  /// kBaseMismatch where a base is needed that was not set, or is another.
  Status Read(const IndexExtent& extent, uint64_t begin, MutableByteSpan target, CodecScratch& scratch,
              const Lose& lose = {});

  /// How chunks of patches are checked from here on.
  void set_stored_check(StoredCheck stored_check) { stored_check_ = stored_check; }

 private:
  enum class Lossy : uint8_t { kRefuse, kTake };

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
                    const Lose& lose, Lossy lossy);
  /// One of the patches that a chunk is decoded through.
  struct PatchLink {
    const IndexExtent* extent = nullptr;
    std::shared_ptr<const OpenRecord> record;
    uint64_t chunk = 0;
    BaseRange range;         ///< what of the base the chunk is made from
    MutableByteSpan target;  ///< the whole chunk
    MutableByteSpan base;    ///< the range; begins where the target does, or overlaps it nowhere
  };

  Status ReadBase(uint64_t row, uint64_t begin, MutableByteSpan target, CodecScratch& scratch);
  /// Decodes a whole chunk of a patched extent, in place as far as chunk and base are as long.
  Status DecodePatched(const IndexExtent& extent, uint64_t chunk, MutableByteSpan target, CodecScratch& scratch);
  Status FollowPatches(const IndexExtent& extent, uint64_t chunk);
  void PlaceLinks(MutableByteSpan target);
  Status ReadUnderPatches(const PatchLink& last, CodecScratch& scratch);
  Status DecodeWhole(const IndexExtent& holder, const OpenRecord& record, uint64_t chunk, MutableByteSpan target,
                     CodecScratch& scratch);
  Status ReadFromChunk(const IndexExtent& holder, const OpenRecord& record, uint64_t begin, MutableByteSpan target,
                       CodecScratch& scratch);
  Result<std::shared_ptr<const OpenRecord>> OpenRecordOf(const IndexExtent& holder, Lossy lossy);
  Result<const std::byte*> ChunkOf(const IndexExtent& holder, const OpenRecord& record, uint64_t chunk,
                                   CodecScratch& scratch);

  static constexpr size_t kRecordMaxCount = 4;
  static constexpr size_t kPatchRecordMaxCount = 64;
  static constexpr size_t kChunkMaxCount = 4;
  const ArchiveReader* reader_;
  uint64_t clock_ = 0;
  size_t record_max_count_ = kRecordMaxCount;
  std::vector<CachedRecord> records_;
  std::vector<CachedChunk> chunks_;
  PieceCursor cursor_;
  AlignedBuffer wide_;
  AlignedBuffer narrow_;
  AlignedBuffer spare_;
  std::vector<PatchLink> links_;
  AlignedBuffer between_[2];  ///< what patches give that does not fit in place
  StoredCheck stored_check_ = StoredCheck::kOnFailure;
};

}  // namespace flyweight
