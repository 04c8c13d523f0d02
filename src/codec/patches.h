#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "entropy/head_rans/head_kernels.h"
#include "entropy/head_rans/head_table.h"
#include "flyweight/result.h"
#include "transform/float_fields/float_fields.h"
#include "transform/recentre/recentre.h"

namespace flyweight {

/// Lists the heads whose exponent the table lacks (docs/format.md section 3.5.3). Sorts `heads_to_patch`.
void WritePatches(std::span<uint32_t> heads_to_patch, HeadKind kind, const std::byte* heads, const ShiftField& shifts,
                  const HeadTable& table, ByteWriter& writer);

/// Reads a list of patches front to back and puts the exponents into decoded words, stretch by stretch.
class PatchReader {
 public:
  PatchReader(ByteSpan patches, const FloatLayoutInfo& layout, const HeadTable& table, const ShiftField& shifts)
      : cursor_(patches), layout_(layout), table_(table), shifts_(shifts) {}

  /// Applies the patches of words [where the last call ended, end_word); `words` is the chunk's first word. Errors: kCorrupt, kTruncated.
  Status ApplyUntil(size_t end_word, std::byte* words);

  /// Errors: kCorrupt where patches are left over.
  Status CheckEnd() const;

 private:
  Status ReadNext();
  void Apply(std::byte* words) const;

  ReadCursor cursor_;
  const FloatLayoutInfo& layout_;
  const HeadTable& table_;
  const ShiftField& shifts_;
  bool pending_ = false;  ///< a patch was read whose word comes later
  size_t word_index_ = 0;
  uint8_t exponent_ = 0;
};

}  // namespace flyweight
