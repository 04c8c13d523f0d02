#include "pipeline/pieces.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/checked.h"

namespace flyweight {
namespace {

/// Repeats nearer than this are taken from the first copies, several at a time, so that pieces stay large.
constexpr uint64_t kPeriodMinBytes = uint64_t{64} << 10;

/// What zstd codes finds short repeats itself.
constexpr uint64_t kZstdPieceMinBytes = uint64_t{16} << 10;

/// In all extents: the index stays far from its limit.
constexpr uint64_t kPiecesMaxCount = uint64_t{1} << 21;

uint64_t PieceMinBytes(DType dtype) {
  return dtype <= DType::kI64 ? kZstdPieceMinBytes : RepeatMatcher::kStretchMinBytes;
}

/// The matches without what is no whole unit of the extent, and without what is then too short.
std::vector<RepeatMatch> TrimTo(uint64_t unit_bytes, uint64_t min_bytes, const std::vector<RepeatMatch>& matches) {
  std::vector<RepeatMatch> trimmed;
  for (RepeatMatch match : matches) {
    uint64_t begin = CeilDiv(match.begin, unit_bytes) * unit_bytes;
    uint64_t end = match.end / unit_bytes * unit_bytes;
    if (begin >= end || end - begin < min_bytes) continue;
    trimmed.push_back({begin, end, match.source + (begin - match.begin), match.source_extent});
  }
  return trimmed;
}

uint64_t TotalBytes(const std::vector<RepeatMatch>& matches) {
  uint64_t total_bytes = 0;
  for (const RepeatMatch& match : matches) total_bytes += match.end - match.begin;
  return total_bytes;
}

/// Bytes of the rows that a tensor has, in each way it is read as a matrix, the largest first.
std::vector<uint64_t> RowSizes(const IndexExtent& extent) {
  std::vector<uint64_t> sizes;
  for (size_t first = 1; first < extent.shape.size(); ++first) {
    Shape row(extent.shape.begin() + static_cast<ptrdiff_t>(first), extent.shape.end());
    std::optional<uint64_t> row_bytes = TensorBytes(extent.dtype, row);
    if (row_bytes.has_value() && *row_bytes > MatchStep(extent.dtype) && *row_bytes < extent.decoded_bytes) {
      sizes.push_back(*row_bytes);
    }
  }
  return sizes;
}

/// The matches cut to whole rows, where that leaves nearly all of them: what is own then still is a matrix, and is
/// coded as one. Else to elements, where they are worth more than being a matrix is.
std::vector<RepeatMatch> Trim(const std::vector<RepeatMatch>& matches, const IndexExtent& extent) {
  std::vector<RepeatMatch> whole = TrimTo(MatchStep(extent.dtype), PieceMinBytes(extent.dtype), matches);
  uint64_t whole_bytes = TotalBytes(whole);
  std::vector<RepeatMatch> best;
  for (uint64_t row_bytes : RowSizes(extent)) {
    std::vector<RepeatMatch> rows = TrimTo(row_bytes, PieceMinBytes(extent.dtype), matches);
    if (TotalBytes(rows) >= whole_bytes - whole_bytes / 16) return rows;
    if (TotalBytes(rows) > TotalBytes(best)) best = std::move(rows);
  }
  bool is_matrix = extent.shape.size() >= 2;
  return is_matrix && whole_bytes - TotalBytes(best) < extent.decoded_bytes / 8 ? best : whole;
}

/// A match with itself at a distance that is no shorter than kPeriodMinBytes, without the bytes that has to cost.
std::optional<RepeatMatch> WithLongPeriod(const RepeatMatch& match) {
  uint64_t period = match.begin - match.source;
  uint64_t skip = (CeilDiv(kPeriodMinBytes, period) - 1) * period;
  if (skip >= match.end - match.begin) return std::nullopt;
  return RepeatMatch{match.begin + skip, match.end, match.source, match.source_extent};
}

}  // namespace

uint64_t MatchStep(DType dtype) {
  const DTypeInfo& info = Describe(dtype);
  if (info.dtype != dtype || info.block_elements != 1) return 1;
  return static_cast<uint64_t>(info.block_bytes);
}

void PieceMaker::Append(Pieces& made, const IndexPiece& piece) const {
  bool continues = !made.pieces.empty() && made.pieces.back().extent == piece.extent &&
                   made.pieces.back().offset + made.pieces.back().size_bytes == piece.offset;
  if (continues) {
    made.pieces.back().size_bytes += piece.size_bytes;
  } else {
    made.pieces.push_back(piece);
    made.begins.push_back(made.end);
  }
  made.end += piece.size_bytes;
}

void PieceMaker::AppendOwn(uint32_t number, uint64_t size_bytes, Pieces& made) const {
  if (size_bytes == 0) return;
  // Never joined with a repeat of own bytes before it, so that own pieces can be told from repeats.
  made.pieces.push_back({size_bytes, number, made.own_bytes});
  made.begins.push_back(made.end);
  made.end += size_bytes;
  made.own_bytes += size_bytes;
}

void PieceMaker::AppendMatch(uint32_t number, const RepeatMatch& match, Pieces& made) const {
  uint64_t left_bytes = match.end - match.begin;
  auto found = made_.find(match.source_extent);
  if (match.source_extent != number && found == made_.end()) {
    return Append(made, {left_bytes, match.source_extent, match.source});
  }
  // What it repeats is itself made of pieces, of which those of this extent are still being made.
  const Pieces& source = match.source_extent == number ? made : found->second;
  for (uint64_t at = match.source; left_bytes > 0;) {
    auto after = std::ranges::upper_bound(source.begins, at);
    auto i = static_cast<size_t>(after - source.begins.begin()) - 1;
    const IndexPiece piece = source.pieces[i];
    uint64_t skip = at - source.begins[i];
    uint64_t count = std::min(piece.size_bytes - skip, left_bytes);
    Append(made, {count, piece.extent, piece.offset + skip});
    at += count;
    left_bytes -= count;
  }
}

void PieceMaker::Apply(uint32_t number, const std::vector<RepeatMatch>& matches, IndexExtent& extent) {
  std::vector<RepeatMatch> far;
  for (const RepeatMatch& match : matches) {
    std::optional<RepeatMatch> kept = match.source_extent == number ? WithLongPeriod(match) : match;
    if (kept.has_value()) far.push_back(*kept);
  }
  Pieces made;
  for (const RepeatMatch& match : Trim(far, extent)) {
    AppendOwn(number, match.begin - made.end, made);
    AppendMatch(number, match, made);
  }
  piece_count_ += made.pieces.size();
  if (made.pieces.empty() || piece_count_ > kPiecesMaxCount) return;
  AppendOwn(number, extent.decoded_bytes - made.end, made);
  extent.place = PlaceKind::kPieces;
  extent.own_bytes = made.own_bytes;
  extent.pieces = made.pieces;
  made_.emplace(number, std::move(made));
}

}  // namespace flyweight
