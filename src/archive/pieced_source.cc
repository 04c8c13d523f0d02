#include "archive/pieced_source.h"

#include <algorithm>

namespace flyweight {

void PiecedSource::Add(const ByteSource& source, uint64_t offset, uint64_t size_bytes) {
  if (size_bytes == 0) return;
  uint64_t end = size() + size_bytes;
  if (!pieces_.empty() && pieces_.back().source == &source && pieces_.back().source_end == offset) {
    pieces_.back().end = end;
    pieces_.back().source_end += size_bytes;
    return;
  }
  pieces_.push_back({end, &source, offset + size_bytes});
}

Status PiecedSource::ReadAt(uint64_t offset, MutableByteSpan target) const {
  if (offset > size() || target.size() > size() - offset) {
    return Error{ErrorCode::kTruncated, offset, "the range ends behind the archive"};
  }
  auto ends_after = [](uint64_t at, const Piece& piece) { return at < piece.end; };
  auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), offset, ends_after);
  for (; !target.empty(); ++piece) {
    auto count = static_cast<size_t>(std::min<uint64_t>(target.size(), piece->end - offset));
    FLYWEIGHT_TRY(piece->source->ReadAt(piece->source_end - (piece->end - offset), target.first(count)));
    target = target.subspan(count);
    offset += count;
  }
  return Status::Ok();
}

Status ZeroSource::ReadAt(uint64_t offset, MutableByteSpan target) const {
  if (offset > size_bytes_ || target.size() > size_bytes_ - offset) {
    return Error{ErrorCode::kTruncated, offset, "the range ends behind the zeros"};
  }
  std::fill(target.begin(), target.end(), std::byte{0});
  return Status::Ok();
}

}  // namespace flyweight
