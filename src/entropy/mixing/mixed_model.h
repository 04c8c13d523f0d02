#pragma once

#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"
#include "base/bytes.h"

namespace flyweight {

/// The fields of a word of at most 16 bits, from the top: sign, exponent, mantissa.
struct MixedWord {
  uint8_t exponent_bits = 8;  ///< 1 to 8
  uint8_t mantissa_bits = 7;  ///< 1 to 10
};

inline constexpr uint32_t kMaxMixedColumns = uint32_t{1} << 18;
inline constexpr int kMaxModelledMantissaBits = 3;

/// How the words of a chunk are modelled; all of it stands in the payload.
struct MixedSetting {
  bool predicts = false;      ///< signs are coded, by a prediction of the value; else they are raw
  uint8_t modelled_bits = 2;  ///< mantissa bits that are coded, 0 to kMaxModelledMantissaBits
  uint8_t base_exponent = 0;  ///< a typical exponent
  uint16_t scale = 0;         ///< log2 of a typical magnitude, in units of 1/256
  uint32_t column_count = 1;  ///< row length, 1 to kMaxMixedColumns
  uint32_t first_column = 0;  ///< column of the first word
};

/// The setting of `words`, with the matrix already in `setting`. Deterministic.
void ChooseMixedSetting(const MixedWord& word, std::span<const uint16_t> words, MixedSetting& setting);

/// Codes sign (where it is predicted), exponent and the top `modelled_bits` of the mantissa of each word. Returns the
/// bytes, or 0 where they do not fit. `memory` is scratch.
size_t EncodeMixedWords(const MixedWord& word, const MixedSetting& setting, std::span<const uint16_t> words,
                        MutableByteSpan target, AlignedBuffer& memory);

/// The inverse: the bits that are not coded must be in `words`, the coded ones must be 0 there. Any stream decodes to
/// something. Returns whether the stream was used up exactly.
bool DecodeMixedWords(const MixedWord& word, const MixedSetting& setting, ByteSpan stream, std::span<uint16_t> words,
                      AlignedBuffer& memory);

}  // namespace flyweight
