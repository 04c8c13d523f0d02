#include "archive/prefix.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "archive/header.h"
#include "archive/wire.h"
#include "base/checked.h"
#include "base/hash.h"

namespace flyweight {
namespace {

// docs/format.md section 2.2.
constexpr size_t kDecodedHashOffset = 8;
constexpr size_t kWindowBytes = 4096;
constexpr size_t kTablePieceBytes = kChunkEntryBytes * 4096;

/// The chunk table's row of a frame, from its header alone. Precondition: kFrameHeaderBytes bytes.
ChunkEntry EntryOf(ByteSpan header) {
  ChunkEntry entry;
  entry.frame_bytes = static_cast<uint32_t>(LoadLe<uint32_t>(header.data()) + kFrameHeaderBytes);
  entry.decoded_xxh3 = LoadLe<uint64_t>(header.data() + kDecodedHashOffset);
  return entry;
}

/// Small reads that lie near each other, as one read.
class Window {
 public:
  explicit Window(const ByteSource& source) : source_(source) {}

  /// The bytes at `offset`, at most kWindowBytes of them; nothing where they are not there. Valid until the next call.
  std::optional<ByteSpan> At(uint64_t offset, size_t count) {
    if (offset > source_.size() || count > source_.size() - offset) return std::nullopt;
    bool is_inside = offset >= start_ && offset + count <= start_ + filled_;
    if (!is_inside) {
      start_ = offset;
      filled_ = static_cast<size_t>(std::min<uint64_t>(kWindowBytes, source_.size() - offset));
      if (!source_.ReadAt(offset, MutableByteSpan(bytes_).first(filled_)).ok()) {
        filled_ = 0;
        return std::nullopt;
      }
    }
    return ByteSpan(bytes_).subspan(static_cast<size_t>(offset - start_), count);
  }

 private:
  const ByteSource& source_;
  uint64_t start_ = 0;
  size_t filled_ = 0;
  std::array<std::byte, kWindowBytes> bytes_{};
};

}  // namespace

/// Fills an ArchivePrefix, front to back.
class ArchivePrefix::Scanner {
 public:
  Scanner(const ByteSource& source, ArchivePrefix& prefix) : source_(source), prefix_(prefix), window_(source) {}

  void Run() {
    std::optional<ByteSpan> header = window_.At(0, wire::kHeaderBytes);
    if (!header || LoadLe<uint64_t>(header->data()) != wire::kHeaderMagic || !HeaderHashHolds(*header)) return;
    position_ = wire::kHeaderBytes;
    while (ScanRecord()) {
    }
  }

 private:
  /// False where the prefix ends in this record or before it.
  bool ScanRecord() {
    Record record;
    record.offset = position_;
    std::optional<RecordHead> head = ScanHead(record);
    if (!head) return false;
    prefix_.places_.push_back({prefix_.frame_bytes_.size(), prefix_.marks_.size()});
    table_hash_ = Xxh3Stream();
    while (record.frame_count < head->chunk_count &&
           ScanFrame(record.frame_count, head->ChunkDecodedBytes(record.frame_count))) {
      ++record.frame_count;
    }
    record.complete = record.frame_count == head->chunk_count && ScanTable(head->chunk_count);
    prefix_.records_.push_back(record);
    return record.complete;
  }

  std::optional<RecordHead> ScanHead(Record& record) {
    constexpr size_t kPeekedBytes = 8;
    std::optional<ByteSpan> start = window_.At(position_, kPeekedBytes);
    if (!start) return std::nullopt;
    Result<uint32_t> head_bytes = PeekRecordHeadBytes(*start);
    if (!head_bytes.ok() || head_bytes.value() > source_.size() - position_) return std::nullopt;
    std::vector<std::byte> bytes(head_bytes.value());
    if (!source_.ReadAt(position_, bytes).ok()) return std::nullopt;
    Result<RecordHead> head = ParseRecordHead(bytes);
    if (!head.ok()) return std::nullopt;
    record.head_bytes = head_bytes.value();
    record.head_xxh3 = Xxh3(bytes);
    position_ += bytes.size();
    return std::move(head).value();
  }

  bool ScanFrame(uint64_t chunk, uint64_t chunk_bytes) {
    std::optional<ByteSpan> header = window_.At(position_, kFrameHeaderBytes);
    if (!header) return false;
    // No codec has an empty payload: without this a hole, which reads as zeros, would look like frames without end.
    auto payload_bytes = LoadLe<uint32_t>(header->data());
    if (payload_bytes == 0 || payload_bytes + kFrameHeaderBytes > FrameBound(chunk_bytes)) return false;
    ChunkEntry entry = EntryOf(*header);
    if (entry.frame_bytes > source_.size() - position_) return false;
    std::array<std::byte, kChunkEntryBytes> row;
    StoreLe(row.data(), entry.frame_bytes);
    StoreLe(row.data() + sizeof entry.frame_bytes, entry.decoded_xxh3);
    table_hash_.Update(row);
    if (chunk % kFramesAMark == 0) prefix_.marks_.push_back(position_);
    prefix_.frame_bytes_.push_back(entry.frame_bytes);
    position_ += entry.frame_bytes;
    return true;
  }

  /// Whether the chunk table that follows is the one that the frames' headers give.
  bool ScanTable(uint64_t chunk_count) {
    // The frames were all there, so that the product is less than the source's size.
    uint64_t table_bytes = chunk_count * kChunkEntryBytes;
    if (table_bytes > source_.size() - position_) return false;
    Xxh3Stream found;
    std::vector<std::byte> piece(static_cast<size_t>(std::min<uint64_t>(table_bytes, kTablePieceBytes)));
    for (uint64_t done = 0; done < table_bytes; done += piece.size()) {
      piece.resize(static_cast<size_t>(std::min<uint64_t>(piece.size(), table_bytes - done)));
      if (!source_.ReadAt(position_ + done, piece).ok()) return false;
      found.Update(piece);
    }
    position_ += table_bytes;
    return found.Finish() == table_hash_.Finish();
  }

  const ByteSource& source_;
  ArchivePrefix& prefix_;
  Window window_;
  uint64_t position_ = 0;
  Xxh3Stream table_hash_;
};

ArchivePrefix ArchivePrefix::Scan(const ByteSource& source) {
  ArchivePrefix prefix;
  prefix.source_ = &source;
  Scanner(source, prefix).Run();
  return prefix;
}

const ArchivePrefix::Record* ArchivePrefix::Match(uint64_t record_number, ByteSpan head_bytes) const {
  if (record_number >= records_.size()) return nullptr;
  const Record& record = records_[static_cast<size_t>(record_number)];
  return record.head_bytes == head_bytes.size() && record.head_xxh3 == Xxh3(head_bytes) ? &record : nullptr;
}

uint64_t ArchivePrefix::FrameOffset(const Place& place, uint64_t chunk) const {
  uint64_t mark = chunk / kFramesAMark;
  uint64_t offset = marks_[static_cast<size_t>(place.first_mark + mark)];
  for (uint64_t i = mark * kFramesAMark; i < chunk; ++i) {
    offset += frame_bytes_[static_cast<size_t>(place.first_frame + i)];
  }
  return offset;
}

Result<ArchivePrefix::Frame> ArchivePrefix::ReadFrame(uint64_t record_number, uint64_t chunk,
                                                      MutableByteSpan buffer) const {
  if (record_number >= records_.size() || chunk >= records_[static_cast<size_t>(record_number)].frame_count) {
    return Error{ErrorCode::kInvalidArgument, 0, "the interrupted archive has no such frame"};
  }
  const Place& place = places_[static_cast<size_t>(record_number)];
  uint32_t frame_bytes = frame_bytes_[static_cast<size_t>(place.first_frame + chunk)];
  if (frame_bytes > buffer.size()) {
    return Error{ErrorCode::kLimitExceeded, 0, "a frame of the interrupted archive does not fit its buffer"};
  }
  MutableByteSpan bytes = buffer.first(frame_bytes);
  FLYWEIGHT_TRY(source_->ReadAt(FrameOffset(place, chunk), bytes));
  Frame frame{bytes, EntryOf(bytes)};
  if (frame.entry.frame_bytes != frame_bytes) {
    return Error{ErrorCode::kCorrupt, 0, "a frame of the interrupted archive has changed since it was looked at"};
  }
  FLYWEIGHT_TRY(ScrubFrame(frame.bytes, frame.entry));
  return frame;
}

}  // namespace flyweight
