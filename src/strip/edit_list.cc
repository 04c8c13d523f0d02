#include "strip/edit_list.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace flyweight {

void EditList::Keep(uint64_t offset, uint64_t size_bytes) {
  if (size_bytes == 0) return;
  const uint64_t end = size() + size_bytes;
  if (!pieces_.empty() && pieces_.back().literal == kOriginal && pieces_.back().source_end == offset) {
    pieces_.back().end = end;
    pieces_.back().source_end += size_bytes;
    return;
  }
  pieces_.push_back({end, kOriginal, offset + size_bytes});
}

void EditList::Insert(std::vector<std::byte> bytes) {
  if (bytes.empty()) return;
  pieces_.push_back({size() + bytes.size(), literals_.size(), bytes.size()});
  literals_.push_back(std::move(bytes));
}

void EditList::Append(const EditList& kept) {
  uint64_t begin = 0;
  for (const Piece& piece : kept.pieces_) {
    Keep(piece.source_end - (piece.end - begin), piece.end - begin);
    begin = piece.end;
  }
}

Status EditList::ReadAt(const ByteSource& original, uint64_t offset, MutableByteSpan target) const {
  if (offset > size() || target.size() > size() - offset) {
    return Error{ErrorCode::kTruncated, offset, "the range ends behind the stripped file"};
  }
  auto piece = std::ranges::upper_bound(pieces_, offset, {}, &Piece::end);
  for (; !target.empty(); ++piece) {
    auto count = static_cast<size_t>(std::min<uint64_t>(target.size(), piece->end - offset));
    const uint64_t source_offset = piece->source_end - (piece->end - offset);
    if (piece->literal == kOriginal) {
      FLYWEIGHT_TRY(original.ReadAt(source_offset, target.first(count)));
    } else {
      std::memcpy(target.data(), literals_[piece->literal].data() + source_offset, count);
    }
    target = target.subspan(count);
    offset += count;
  }
  return Status::Ok();
}

}  // namespace flyweight
