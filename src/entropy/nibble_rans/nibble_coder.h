#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "entropy/nibble_rans/nibble_kernels.h"
#include "entropy/nibble_rans/nibble_tables.h"
#include "flyweight/result.h"

namespace flyweight {

/// Lanes of a stream of so many symbols: few where the bytes that each costs would weigh.
size_t NibbleLanes(size_t symbol_count);

/// A stream on its way through decoding (docs/format.md section 3.14.3), in pieces, so that tables and symbols stay in
/// the first-level cache. The coder must outlive it.
class NibbleDecoder {
 public:
  /// kNibbleReadAhead bytes must be readable behind the stream. Errors: kTruncated.
  Status Begin(const NibbleCoder& coder, ByteSpan stream, size_t symbol_count);

  /// The next `count` symbols, each in its table, which is under 16; but for the last call `count` must be a multiple
  /// of kNibbleLanes. `ahead` is what the caller will read next, `ahead_row_bytes` (a multiple of 64) for every
  /// kNibbleLanes symbols; it is asked for in time. Any address may be named; null: nothing.
  void Next(const uint8_t* tables, uint8_t* symbols, size_t count, const void* ahead = nullptr,
            size_t ahead_row_bytes = 0);

  /// After all symbols: gives the bytes the stream carries, at most NibbleLanes of them. Errors: kCorrupt where the
  /// stream does not end as it must.
  Status End(MutableByteSpan carried) const;

 private:
  const NibbleCoder* coder_ = nullptr;
  size_t lanes_ = 0;
  const uint8_t* position_ = nullptr;
  const uint8_t* end_ = nullptr;
  NibbleStates states_;
};

/// Writes the stream of `pairs` (table << 4 | symbol, each of which must have a frequency) and of the bytes that it
/// carries for nothing, at most NibbleLanes of them; returns its bytes, 0 where `target` is too small, which
/// NibbleStreamBound(pairs.size()) never is. `carried` may lie in `target`.
size_t EncodeNibbles(const NibbleCoder& coder, std::span<const uint8_t> pairs, ByteSpan carried,
                     MutableByteSpan target);

/// Bytes that no stream of so many symbols exceeds.
size_t NibbleStreamBound(size_t symbol_count);

}  // namespace flyweight
