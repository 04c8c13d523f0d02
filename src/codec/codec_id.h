#pragma once

#include <cstdint>

namespace flyweight {

/// What a frame's payload is (docs/format.md section 3). Numbers are frozen: 64 to 127 patches, 128 to 191 lossy
/// codecs, 192 to 255 private.
enum class CodecId : uint8_t {
  kStored = 0,
  kConstant = 1,
  kZstd = 2,
  kPlanes = 3,
  kFloat = 4,
  kClasses = 5,
  kMixed = 6,
  kPalette = 7,
  kScaled = 8,
  kBlockFields = 9,
  kDifferences = 10,
  // Of patches: made from a chunk of the base, whose checksum comes first.
  kPatchSame = 64,
  kPatchDense = 65,
  kPatchSparse = 66,
  kPatchDifferences = 67,
  // Of lossy records: codec n - 128 of a chunk's halves, and quantised blocks.
  kLossyStored = 128,
  kLossyConstant = 129,
  kLossyZstd = 130,
  kLossyPlanes = 131,
  kLossyFloat = 132,
  kLossyBlocks = 136,
  kLossyPatch = 137,  ///< of lossy patches, which also hold chunks as patches do
};

/// What side information a record's head carries.
enum class TransformId : uint8_t {
  kNone = 0,
  kFloatFields = 1,
  kLossy = 2,
  kBlocks = 3,
  kClasses = 4,
  kPatch = 5,
  kLossyPatch = 6,
};

}  // namespace flyweight
