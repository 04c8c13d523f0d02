#include <algorithm>
#include <string>

#include "archive/range_reader.h"
#include "archive/reader.h"
#include "archive/wire.h"
#include "base/aligned_buffer.h"
#include "base/checked.h"
#include "codec/lossy_record.h"
#include "codec/patch_record.h"

namespace flyweight {
namespace {

/// What the first read of a record takes: head and chunk table of most tensors.
constexpr uint64_t kFirstReadBytes = 4096;

/// One a thread, kept from chunk to chunk: fresh memory costs more than decoding.
struct ReadBuffers {
  AlignedBuffer frame;
  AlignedBuffer chunk;
};

ReadBuffers& ThreadBuffers() {
  thread_local ReadBuffers buffers;
  return buffers;
}

/// Bytes [offset, offset + size_bytes) of the source: a view where it is in memory, else `storage` filled with them.
Result<ByteSpan> Fetch(const ByteSource& source, uint64_t offset, uint64_t size_bytes,
                       std::vector<std::byte>& storage) {
  auto size = static_cast<size_t>(size_bytes);
  ByteSpan memory = source.InMemory();
  if (!memory.empty()) return memory.subspan(static_cast<size_t>(offset), size);
  storage.resize(size);
  FLYWEIGHT_TRY(source.ReadAt(offset, storage));
  return ByteSpan(storage);
}

/// Gives an error inside a record its place in the archive.
Error Shift(Error error, uint64_t record_offset) {
  error.offset += record_offset;
  return error;
}

Result<ByteSpan> FetchHead(const ByteSource& source, const IndexExtent& extent, std::vector<std::byte>& storage) {
  uint64_t first_bytes = std::min(kFirstReadBytes, extent.record_bytes);
  FLYWEIGHT_ASSIGN(ByteSpan first, Fetch(source, extent.record_offset, first_bytes, storage));
  auto peeked = PeekRecordHeadBytes(first);
  if (!peeked.ok()) return Shift(peeked.take_error(), extent.record_offset);
  uint32_t head_bytes = peeked.value();
  if (head_bytes > extent.record_bytes) {
    return Error{ErrorCode::kCorrupt, extent.record_offset, "the record's head is longer than the record"};
  }
  if (head_bytes <= first_bytes) return first.first(head_bytes);
  return Fetch(source, extent.record_offset, head_bytes, storage);
}

/// Places the frames one behind the other and checks that head, frames and table are all there is.
Status PlaceFrames(const IndexExtent& extent, uint64_t head_bytes, OpenRecord& record) {
  uint64_t offset = extent.record_offset + head_bytes;
  uint64_t table_offset = extent.record_offset + extent.record_bytes - record.table.size() * kChunkEntryBytes;
  record.frame_offsets.reserve(record.table.size());
  for (const ChunkEntry& entry : record.table) {
    record.frame_offsets.push_back(offset);
    if (entry.frame_bytes > table_offset - offset) {
      return Error{ErrorCode::kCorrupt, offset, "the record's frames do not fit into it"};
    }
    offset += entry.frame_bytes;
  }
  if (offset != table_offset) return Error{ErrorCode::kCorrupt, offset, "the record has bytes that belong to no frame"};
  return Status::Ok();
}

/// Calls `decode(frame, readable_bytes)` with the frame of a chunk; errors get their place in the archive.
template <typename Decode>
Status WithFrame(const ByteSource& source, const OpenRecord& record, uint64_t chunk_index, const Decode& decode) {
  auto index = static_cast<size_t>(chunk_index);
  uint32_t frame_bytes = record.table[index].frame_bytes;
  uint64_t offset = record.frame_offsets[index];
  Status status;
  if (ByteSpan memory = source.InMemory(); !memory.empty()) {
    ByteSpan readable = memory.subspan(static_cast<size_t>(offset));
    status = decode(readable.first(frame_bytes), readable.size());
  } else {
    AlignedBuffer& buffer = ThreadBuffers().frame;
    buffer.Resize(frame_bytes + kDecodePaddingBytes);
    MutableByteSpan frame(buffer.data(), frame_bytes);
    FLYWEIGHT_TRY(source.ReadAt(offset, frame));
    status = decode(frame, frame.size() + kDecodePaddingBytes);
  }
  if (status.ok()) return status;
  return WithContext(Shift(status.take_error(), offset), "chunk " + std::to_string(chunk_index));
}

/// A patch must say what it is made from, and that must be what the index says.
Status CheckPatch(const ArchiveReader& reader, const IndexExtent& extent, const RecordHead& head) {
  std::optional<PatchBase> patch = PatchBaseOf(head);
  if (patch.has_value() != (extent.place == PlaceKind::kPatched)) {
    return Error{ErrorCode::kCorrupt, extent.record_offset,
                 patch.has_value() ? "the record is a patch but the index does not say so"
                                   : "the record is no patch but the index says so"};
  }
  if (!patch.has_value()) return Status::Ok();
  auto number = static_cast<size_t>(extent.base_number);
  uint64_t base_bytes = extent.base_is_outside ? reader.base_table()->rows[number].size_bytes
                                               : reader.ExtentAt(extent.base_number).decoded_bytes;
  if (patch->size_bytes == base_bytes) return Status::Ok();
  return Error{ErrorCode::kCorrupt, extent.record_offset,
               "the record is a patch of " + std::to_string(patch->size_bytes) + " bytes, its base has " +
                   std::to_string(base_bytes)};
}

}  // namespace

Result<OpenRecord> ArchiveReader::OpenRecordOf(const IndexExtent& extent) const {
  std::vector<std::byte> head_storage;
  FLYWEIGHT_ASSIGN(ByteSpan head, FetchHead(*source_, extent, head_storage));
  OpenRecord record;
  auto parsed = ParseRecordHead(head);
  if (!parsed.ok()) return Shift(parsed.take_error(), extent.record_offset);
  record.head = std::move(parsed).value();
  if (record.head.decoded_bytes != extent.record_decoded_bytes()) {
    return Error{ErrorCode::kCorrupt, extent.record_offset,
                 "the record gives " + std::to_string(record.head.decoded_bytes) + " bytes, the index says " +
                     std::to_string(extent.record_decoded_bytes())};
  }
  FLYWEIGHT_TRY(CheckPatch(*this, extent, record.head));
  if (LossyChoiceOf(record.head).has_value() && !is_lossy_) {
    return Error{ErrorCode::kCorrupt, extent.record_offset, "the record is lossy but the archive does not say so"};
  }
  uint64_t rest_bytes = extent.record_bytes - head.size();
  if (record.head.chunk_count > rest_bytes / (kFrameHeaderBytes + kChunkEntryBytes)) {
    return Error{ErrorCode::kCorrupt, extent.record_offset,
                 "the record is too small for its " + std::to_string(record.head.chunk_count) + " chunks"};
  }

  uint64_t table_bytes = record.head.chunk_count * kChunkEntryBytes;
  std::vector<std::byte> table_storage;
  uint64_t table_offset = extent.record_offset + extent.record_bytes - table_bytes;
  FLYWEIGHT_ASSIGN(ByteSpan table, Fetch(*source_, table_offset, table_bytes, table_storage));
  if (RecordCheck(head, table) != extent.record_check) {
    return Error{ErrorCode::kChecksumMismatch, extent.record_offset,
                 "the record's head or chunk table is not the one that the index names"};
  }
  auto rows = ParseChunkTable(record.head, table);
  if (!rows.ok()) return Shift(rows.take_error(), table_offset);
  record.table = std::move(rows).value();
  FLYWEIGHT_TRY(PlaceFrames(extent, head.size(), record));
  return record;
}

Status ArchiveReader::DecodeChunk(const OpenRecord& record, uint64_t chunk_index, MutableByteSpan target,
                                  CodecScratch& scratch, StoredCheck stored_check) const {
  const ChunkEntry& entry = record.table[static_cast<size_t>(chunk_index)];
  return WithFrame(*source_, record, chunk_index, [&](ByteSpan frame, size_t readable_bytes) {
    return DecodeFrame(record.head, chunk_index, frame, readable_bytes, entry, target, scratch, stored_check);
  });
}

Status ArchiveReader::DecodePatchChunk(const OpenRecord& record, uint64_t chunk_index, ByteSpan base_chunk,
                                       MutableByteSpan target, CodecScratch& scratch, StoredCheck stored_check) const {
  const ChunkEntry& entry = record.table[static_cast<size_t>(chunk_index)];
  return WithFrame(*source_, record, chunk_index, [&](ByteSpan frame, size_t readable_bytes) {
    return DecodePatchFrame(record.head, chunk_index, frame, readable_bytes, entry, base_chunk, target, scratch,
                            stored_check);
  });
}

Status ArchiveReader::ScrubChunk(const OpenRecord& record, uint64_t chunk_index) const {
  auto index = static_cast<size_t>(chunk_index);
  const ChunkEntry& entry = record.table[index];
  uint64_t offset = record.frame_offsets[index];
  AlignedBuffer& buffer = ThreadBuffers().frame;
  buffer.Resize(entry.frame_bytes);
  MutableByteSpan frame(buffer.data(), entry.frame_bytes);
  FLYWEIGHT_TRY(source_->ReadAt(offset, frame));
  Status status = ScrubFrame(frame, entry);
  if (status.ok()) return status;
  return WithContext(Shift(status.take_error(), offset), "chunk " + std::to_string(chunk_index));
}

Status ArchiveReader::DecodeRange(const IndexExtent& extent, uint64_t begin, MutableByteSpan target,
                                  CodecScratch& scratch) const {
  auto end = CheckedAdd(begin, target.size());
  if (!end || *end > extent.decoded_bytes) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "bytes " + std::to_string(begin) + " to " + std::to_string(begin) + " + " +
                     std::to_string(target.size()) + " are not inside an extent of " +
                     std::to_string(extent.decoded_bytes) + " bytes"};
  }
  const IndexExtent& holder = Resolve(extent);
  if (target.empty()) return Status::Ok();
  if (holder.place == PlaceKind::kInline) {
    std::copy_n(holder.inline_bytes.begin() + static_cast<ptrdiff_t>(begin), target.size(), target.begin());
    return Status::Ok();
  }
  if (holder.place != PlaceKind::kRecord) return RangeReader(*this).Read(holder, begin, target, scratch);

  FLYWEIGHT_ASSIGN(OpenRecord record, OpenRecordOf(holder));
  for (uint64_t done = 0; done < target.size();) {
    uint64_t position = begin + done;
    uint64_t chunk_index = position / record.head.chunk_bytes;
    uint64_t skip = position - chunk_index * record.head.chunk_bytes;
    uint64_t chunk_bytes = record.head.ChunkDecodedBytes(chunk_index);
    uint64_t taken = std::min<uint64_t>(chunk_bytes - skip, target.size() - done);
    MutableByteSpan piece = target.subspan(static_cast<size_t>(done), static_cast<size_t>(taken));
    if (taken == chunk_bytes) {
      FLYWEIGHT_TRY(DecodeChunk(record, chunk_index, piece, scratch));
    } else {
      AlignedBuffer& buffer = ThreadBuffers().chunk;
      buffer.Resize(static_cast<size_t>(chunk_bytes));
      FLYWEIGHT_TRY(
          DecodeChunk(record, chunk_index, MutableByteSpan(buffer.data(), static_cast<size_t>(chunk_bytes)), scratch));
      std::copy_n(buffer.data() + skip, piece.size(), piece.begin());
    }
    done += taken;
  }
  return Status::Ok();
}

}  // namespace flyweight
