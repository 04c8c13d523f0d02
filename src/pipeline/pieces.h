#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "archive/reader.h"
#include "pipeline/repeat_match.h"

namespace flyweight {

/// Bytes between positions at which a piece of a tensor of this dtype may begin: its elements.
uint64_t MatchStep(DType dtype);

/// Turns what repeats in extents into pieces.
class PieceMaker {
 public:
  /// Makes extent `number` one of pieces where that is worth it. `matches` are in order and do not overlap; what they
  /// are matches of lies before them, in the same extent or in one that went through here earlier, if its own matches
  /// ever did. Own pieces are whole elements and, where it costs little, whole rows of the tensor.
  void Apply(uint32_t number, const std::vector<RepeatMatch>& matches, IndexExtent& extent);

 private:
  struct Pieces {
    std::vector<IndexPiece> pieces;
    std::vector<uint64_t> begins;  ///< of each piece, in the extent
    uint64_t end = 0;
    uint64_t own_bytes = 0;
  };
  void Append(Pieces& made, const IndexPiece& piece) const;
  void AppendOwn(uint32_t number, uint64_t size_bytes, Pieces& made) const;
  void AppendMatch(uint32_t number, const RepeatMatch& match, Pieces& made) const;

  std::unordered_map<uint32_t, Pieces> made_;  ///< by extent number
  uint64_t piece_count_ = 0;
};

}  // namespace flyweight
