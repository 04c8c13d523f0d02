#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/bytes.h"
#include "entropy/context_rans/context_kernels.h"
#include "entropy/context_rans/frequency_table.h"
#include "flyweight/result.h"

namespace flyweight {

/// Tables ready for decoding. Immutable once made; threads may share it.
class ContextDecoder {
 public:
  explicit ContextDecoder(const FrequencyTables& tables);

  size_t context_count() const { return context_count_; }

  /// A stream on its way through decoding.
  class Stream;

  /// Decodes `values.size()` bytes from `stream`, which must be used up (docs/format.md section 3.7.2). `contexts` has
  /// one context a value, all under context_count(), or is empty where there is one context. `carried` has
  /// CarriedContextBytes(values.size()) bytes, which are restored too, or none. kContextReadAhead bytes must be
  /// readable behind the stream. Errors: kTruncated, kCorrupt.
  Status Decode(ByteSpan stream, std::span<const uint8_t> contexts, std::span<uint8_t> values,
                MutableByteSpan carried) const;

 private:
  size_t context_count_;
  int precision_bits_;
  std::vector<uint32_t> slots_;
};

/// Decode in pieces, so that contexts and values stay in the first-level cache. The decoder must outlive it.
class ContextDecoder::Stream {
 public:
  /// Errors: kTruncated.
  Status Begin(const ContextDecoder& decoder, ByteSpan stream, size_t value_count);

  /// The next values; but for the last call their count must be a multiple of kContextLanes.
  void Next(std::span<const uint8_t> contexts, std::span<uint8_t> values);

  /// After all values. Errors: kCorrupt where the stream does not end as it must.
  Status End(MutableByteSpan carried) const;

 private:
  const ContextDecoder* decoder_ = nullptr;
  size_t lanes_ = 0;
  const uint8_t* position_ = nullptr;
  const uint8_t* end_ = nullptr;
  uint32_t states_[kContextLanes] = {};
};

/// Tables ready for encoding.
class ContextEncoder {
 public:
  explicit ContextEncoder(const FrequencyTables& tables);

  /// Writes the stream of `values` and of the bytes that it carries; returns its bytes, 0 where `target` is too small.
  /// Every value must have a frequency in its context. Shapes as for ContextDecoder::Decode.
  size_t Encode(std::span<const uint8_t> values, std::span<const uint8_t> contexts, ByteSpan carried,
                MutableByteSpan target) const;

 private:
  struct Symbol {
    uint32_t reciprocal;  ///< floor(2^32 / frequency), at most 2^32 - 1
    uint32_t first_slot;
    uint32_t frequency;
  };
  std::byte* EncodeOne(const Symbol& symbol, uint32_t& state, std::byte* out) const;

  int precision_bits_;
  std::vector<Symbol> symbols_;  ///< contexts * 256
};

/// How many bytes a stream of so many values can carry besides, in states that would otherwise start empty.
size_t CarriedContextBytes(size_t value_count);

/// Tables and stream of bytes in one context, made from the bytes themselves; 0 where `target` is too small.
size_t EncodeBytes(ByteSpan bytes, const ByteHistogram& counts, MutableByteSpan target);

/// The inverse: `coded` must be used up. kContextReadAhead bytes must be readable behind it. Errors: kTruncated,
/// kCorrupt.
Status DecodeBytes(ByteSpan coded, MutableByteSpan bytes);

}  // namespace flyweight
