#include "archive/range_reader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "codec/lossy_record.h"
#include "tensor/cast.h"

namespace flyweight {
namespace {

/// Words that are cast at a time.
constexpr uint64_t kCastWords = uint64_t{16} << 10;
constexpr uint64_t kWideBytes = 4;
constexpr uint64_t kNarrowBytes = 2;

/// The entry to use for something that is not there yet: a new one, or the one that was not used for longest.
template <typename T>
T& Recycle(std::vector<T>& entries, size_t max_count) {
  if (entries.size() < max_count) return entries.emplace_back();
  return *std::ranges::min_element(entries, {}, &T::last_used);
}

}  // namespace

Status RangeReader::Read(const IndexExtent& extent, uint64_t begin, MutableByteSpan target, CodecScratch& scratch,
                         const Lose& lose) {
  const IndexExtent& holder = reader_->Resolve(extent);
  switch (holder.place) {
    case PlaceKind::kInline:
      std::copy_n(holder.inline_bytes.begin() + static_cast<ptrdiff_t>(begin), target.size(), target.begin());
      return Status::Ok();
    case PlaceKind::kRecord:
    case PlaceKind::kPatched:
      return ReadRecord(holder, begin, target, scratch, lose, Lossy::kTake);
    case PlaceKind::kPieces:
      return ReadPieces(holder, begin, target, scratch, lose);
    case PlaceKind::kCast:
      return ReadCast(holder, begin, target, scratch, lose);
    case PlaceKind::kBase: {
      Status status = ReadBase(holder.base_number, begin, target, scratch);
      if (status.ok() || !lose) return status;
      std::ranges::fill(target, std::byte{0});
      lose(begin, target.size(), status.error());
      return Status::Ok();
    }
    case PlaceKind::kSame:
    case PlaceKind::kExternal:
      break;
  }
  return Error{ErrorCode::kUnsupportedFeature, 0, "it lies outside the archive"};
}

Status RangeReader::ReadPieces(const IndexExtent& extent, uint64_t begin, MutableByteSpan target, CodecScratch& scratch,
                               const Lose& lose) {
  if (cursor_.extent != &extent || cursor_.begin > begin) cursor_ = {&extent, 0, 0};
  while (begin - cursor_.begin >= extent.pieces[cursor_.piece].size_bytes) {
    cursor_.begin += extent.pieces[cursor_.piece++].size_bytes;
  }
  uint64_t piece_begin = cursor_.begin;
  for (size_t i = cursor_.piece; !target.empty(); ++i) {
    const IndexPiece& piece = extent.pieces[i];
    uint64_t skip = begin - piece_begin;
    auto count = static_cast<size_t>(std::min<uint64_t>(piece.size_bytes - skip, target.size()));
    uint64_t record_begin = piece.offset + skip;
    Lose lose_piece;
    if (lose) {
      lose_piece = [&](uint64_t lost_begin, uint64_t size_bytes, const Error& error) {
        lose(begin + (lost_begin - record_begin), size_bytes, error);
      };
    }
    const IndexExtent& holder = reader_->ExtentAt(piece.extent);
    FLYWEIGHT_TRY(ReadRecord(holder, record_begin, target.first(count), scratch, lose_piece, Lossy::kRefuse));
    target = target.subspan(count);
    begin += count;
    piece_begin += piece.size_bytes;
  }
  return Status::Ok();
}

Status RangeReader::ReadCast(const IndexExtent& extent, uint64_t begin, MutableByteSpan target, CodecScratch& scratch,
                             const Lose& lose) {
  const IndexExtent& source = reader_->ExtentAt(extent.cast_of);
  wide_.Resize(kCastWords * kWideBytes);
  narrow_.Resize(kCastWords * kNarrowBytes);
  Lose lose_wide;
  if (lose) {
    lose_wide = [&](uint64_t lost_begin, uint64_t size_bytes, const Error& error) {
      lose(lost_begin / kWideBytes * kNarrowBytes, size_bytes / kWideBytes * kNarrowBytes, error);
    };
  }
  uint64_t end = begin + target.size();
  while (begin < end) {
    uint64_t first_word = begin / kNarrowBytes;
    uint64_t skip = begin - first_word * kNarrowBytes;
    uint64_t word_count = std::min(kCastWords, (end + kNarrowBytes - 1) / kNarrowBytes - first_word);
    MutableByteSpan wide(wide_.data(), static_cast<size_t>(word_count * kWideBytes));
    MutableByteSpan narrow(narrow_.data(), static_cast<size_t>(word_count * kNarrowBytes));
    if (source.place == PlaceKind::kPieces) {
      FLYWEIGHT_TRY(ReadPieces(source, first_word * kWideBytes, wide, scratch, lose_wide));
    } else {
      FLYWEIGHT_TRY(ReadRecord(source, first_word * kWideBytes, wide, scratch, lose_wide, Lossy::kRefuse));
    }
    CastFromF32(extent.cast_method, wide, narrow);
    auto count = static_cast<size_t>(std::min<uint64_t>(narrow.size() - skip, end - begin));
    std::copy_n(narrow.begin() + static_cast<ptrdiff_t>(skip), count, target.begin());
    target = target.subspan(count);
    begin += count;
  }
  return Status::Ok();
}

Status RangeReader::ReadRecord(const IndexExtent& holder, uint64_t begin, MutableByteSpan target, CodecScratch& scratch,
                               const Lose& lose, Lossy lossy) {
  auto opened = OpenRecordOf(holder, lossy);
  if (!opened.ok()) {
    if (!lose) return opened.take_error();
    std::ranges::fill(target, std::byte{0});
    lose(begin, target.size(), opened.error());
    return Status::Ok();
  }
  const OpenRecord& record = *opened.value();
  while (!target.empty()) {
    uint64_t chunk = begin / record.head.chunk_bytes;
    uint64_t left_bytes = chunk * record.head.chunk_bytes + record.head.ChunkDecodedBytes(chunk) - begin;
    MutableByteSpan part = target.first(static_cast<size_t>(std::min<uint64_t>(left_bytes, target.size())));
    Status status = ReadFromChunk(holder, record, begin, part, scratch);
    if (!status.ok()) {
      if (!lose) return status;
      std::ranges::fill(part, std::byte{0});
      lose(begin, part.size(), status.error());
    }
    begin += part.size();
    target = target.subspan(part.size());
  }
  return Status::Ok();
}

Status RangeReader::ReadFromChunk(const IndexExtent& holder, const OpenRecord& record, uint64_t begin,
                                  MutableByteSpan target, CodecScratch& scratch) {
  uint64_t chunk = begin / record.head.chunk_bytes;
  bool is_worth_keeping = record.head.chunk_count == 1 && holder.place != PlaceKind::kPatched;
  if (target.size() == record.head.ChunkDecodedBytes(chunk) && !is_worth_keeping) {
    return DecodeWhole(holder, record, chunk, target, scratch);
  }
  FLYWEIGHT_ASSIGN(const std::byte* bytes, ChunkOf(holder, record, chunk, scratch));
  std::copy_n(bytes + (begin - chunk * record.head.chunk_bytes), target.size(), target.begin());
  return Status::Ok();
}

Result<std::shared_ptr<const OpenRecord>> RangeReader::OpenRecordOf(const IndexExtent& holder, Lossy lossy) {
  auto is_refused = [&](const OpenRecord& record) {
    return lossy == Lossy::kRefuse && LossyChoiceOf(record.head).has_value();
  };
  const Error refused{ErrorCode::kCorrupt, holder.record_offset, "an extent is made of a record that is lossy"};
  for (CachedRecord& cached : records_) {
    if (cached.holder != &holder) continue;
    cached.last_used = ++clock_;
    if (is_refused(*cached.record)) return refused;
    return cached.record;
  }
  FLYWEIGHT_ASSIGN(OpenRecord record, reader_->OpenRecordOf(holder));
  if (is_refused(record)) return refused;
  CachedRecord& cached = Recycle(records_, record_max_count_);
  cached = {&holder, std::make_shared<const OpenRecord>(std::move(record)), ++clock_};
  return cached.record;
}

Result<const std::byte*> RangeReader::ChunkOf(const IndexExtent& holder, const OpenRecord& record, uint64_t chunk,
                                              CodecScratch& scratch) {
  for (CachedChunk& cached : chunks_) {
    if (cached.holder != &holder || cached.chunk != chunk) continue;
    cached.last_used = ++clock_;
    return static_cast<const std::byte*>(cached.bytes.data());
  }
  // Decoding may itself take a chunk from the cache, so the entry is chosen when the bytes are there.
  auto size = static_cast<size_t>(record.head.ChunkDecodedBytes(chunk));
  AlignedBuffer bytes = std::move(spare_);
  bytes.Resize(size);
  FLYWEIGHT_TRY(DecodeWhole(holder, record, chunk, {bytes.data(), size}, scratch));
  CachedChunk& cached = Recycle(chunks_, kChunkMaxCount);
  spare_ = std::move(cached.bytes);
  cached.bytes = std::move(bytes);
  cached.holder = &holder;
  cached.chunk = chunk;
  cached.last_used = ++clock_;
  return static_cast<const std::byte*>(cached.bytes.data());
}

}  // namespace flyweight
