#include "pipeline/own_record.h"

#include <optional>

#include "archive/pieced_source.h"
#include "base/checked.h"

namespace flyweight {
namespace {

/// Calls `visit(begin, size_bytes)`, in the extent, for each piece that is stored with the extent and there first.
template <typename Visit>
void VisitOwn(uint32_t number, const IndexExtent& extent, const Visit& visit) {
  uint64_t begin = 0;
  uint64_t own_end = 0;
  for (const IndexPiece& piece : extent.pieces) {
    if (piece.extent == number && piece.offset == own_end) {
      visit(begin, piece.size_bytes);
      own_end += piece.size_bytes;
    }
    begin += piece.size_bytes;
  }
}

bool IsWholeRows(uint32_t number, const IndexExtent& extent, uint64_t row_bytes) {
  bool is_whole = true;
  VisitOwn(number, extent, [&](uint64_t begin, uint64_t size_bytes) {
    is_whole = is_whole && begin % row_bytes == 0 && size_bytes % row_bytes == 0;
  });
  return is_whole;
}

}  // namespace

std::unique_ptr<const ByteSource> OwnContent(const ByteSource& content, uint64_t offset, uint32_t number,
                                             const IndexExtent& extent) {
  auto own = std::make_unique<PiecedSource>();
  VisitOwn(number, extent, [&](uint64_t begin, uint64_t size_bytes) { own->Add(content, offset + begin, size_bytes); });
  return own;
}

Shape OwnShape(uint32_t number, const IndexExtent& extent) {
  for (size_t first = 1; first < extent.shape.size(); ++first) {
    Shape row(extent.shape.begin() + static_cast<ptrdiff_t>(first), extent.shape.end());
    std::optional<uint64_t> row_bytes = TensorBytes(extent.dtype, row);
    if (!row_bytes.has_value() || *row_bytes == 0 || !IsWholeRows(number, extent, *row_bytes)) continue;
    row.insert(row.begin(), extent.own_bytes / *row_bytes);
    return row;
  }
  return {};
}

}  // namespace flyweight
