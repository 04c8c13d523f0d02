#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/bytes.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// What a look at the elements of a sample tells. Elements of less than 8 bits and blocks count as bytes.
struct SampleFacts {
  uint64_t element_count = 0;
  uint64_t zero_count = 0;
  uint64_t bf16_count = 0;  ///< of F32: not zero, and a BF16 value
  uint64_t fp16_count = 0;  ///< of F32: not zero, and the low 13 bits are
  uint64_t bits = 0;        ///< those that are set in any element

  void Observe(DType dtype, ByteSpan chunk);
  void Add(const SampleFacts& other);
};

/// Which codecs the chunks of a sample got.
struct CodecShares {
  std::map<uint8_t, uint64_t> decoded_bytes;  ///< by number of the codec

  /// The one that most bytes got, 0 where there are none.
  uint8_t Commonest() const;
};

/// Why a tensor, or other bytes, get as small as they do, in a few words: "59 % zeros; F32 weights: exponents
/// compress".
std::string ReasonFor(DType dtype, bool is_tensor, const CodecShares& codecs, const SampleFacts& facts);

}  // namespace flyweight
