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

/// Reads a list of patches front to back and puts the exponents into decoded words, batch by batch.
class PatchReader {
 public:
  PatchReader(ByteSpan patches, const FloatLayoutInfo& layout, const HeadTable& table)
      : patches_(patches), layout_(layout), table_(table) {}

  /// Applies the patches of words [first_word, end_word), where the last batch ended at first_word. `words` is the
  /// chunk's first word; shifts[i] is the shift of word first_word + i, null where there are none. Errors: kCorrupt.
  Status ApplyBatch(size_t first_word, size_t end_word, const uint8_t* shifts, std::byte* words);

  /// Call last. Errors: kCorrupt where the list leads to or behind `word_count`.
  Status CheckEnd(size_t word_count) const;

 private:
  bool ReadNext();
  bool Fail(const char* why);
  void Apply(const uint8_t* shifts, size_t first_word, std::byte* words) const;

  ByteSpan patches_;
  size_t position_ = 0;
  const FloatLayoutInfo& layout_;
  const HeadTable& table_;
  const char* why_ = nullptr;
  bool pending_ = false;  ///< a patch was read whose word comes later
  size_t word_index_ = 0;
  uint8_t exponent_ = 0;
};

}  // namespace flyweight
