#pragma once

#include "base/aligned_buffer.h"
#include "base/file.h"
#include "codec/patch_side.h"
#include "codec/predictor_fit.h"

namespace flyweight {

/// What a base chunk lets expect of the elements from `first_element` on, in the tensor's dtype: the base itself where
/// that is all, else in `room`, which may begin where `base_chunk` does.
const std::byte* PredictElements(const PatchSide& side, uint64_t first_element, ByteSpan base_chunk,
                                 MutableByteSpan room, AlignedBuffer& spare);

/// Reads stretches of a tensor and what its base predicts of them, from memory where they are there.
class PatchStrips {
 public:
  PatchStrips(const SourcedTensor& tensor, const SourcedTensor& base, const PatchSide& side)
      : tensor_(tensor), base_(base), side_(side) {}

  /// Errors: those of reading.
  Status Read(uint64_t first_element, size_t element_count);

  const std::byte* words() const { return words_; }
  const std::byte* predicted() const { return predicted_; }

 private:
  const SourcedTensor& tensor_;
  const SourcedTensor& base_;
  const PatchSide& side_;
  AlignedBuffer word_room_, base_room_, predicted_room_, spare_;
  const std::byte* words_ = nullptr;
  const std::byte* predicted_ = nullptr;
};

}  // namespace flyweight
