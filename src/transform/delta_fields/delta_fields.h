#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.h"
#include "transform/delta_fields/delta_kernels.h"
#include "transform/float_fields/float_fields.h"

namespace flyweight {

// Dense deltas between words and a base (docs/format.md section 3.14.3), a block of words at a time so that everything
// stays in the first-level cache: activities -> contexts (known to the decoder) -> symbols and bits. Arrays hold one
// entry a word of the block.

/// Whether words of the layout have widths: low bits of a difference that are coded raw, as many as the context says.
bool HasDeltaWidths(FloatLayout layout);

/// activities[i] = row + columns[i], at most 255.
void AddActivity(const uint8_t* columns, size_t count, uint8_t row, uint8_t* activities);

/// For each word of the base: the context, 0 to 63, put through args.tables, and the width.
void DeltaContexts(FloatLayout layout, const DeltaContextsArgs& args);

/// Differences of words to their base as symbols (of `count` words), bits, and the list of those that no class holds.
/// Both writers have room for DeltaPlaneBound and DeltaLowBound and kDeltaWriteAhead more.
void SplitDelta(FloatLayout layout, SplitDeltaArgs& args);

/// The symbols that SplitDelta gives, for counting.
void ClassifyDelta(FloatLayout layout, const void* base, const void* words, const uint8_t* widths, size_t count,
                   uint8_t* symbols);

/// The inverse of SplitDelta: words that escaped become their base, for the caller to replace. Never reads further than
/// kDeltaReadAhead behind a stream.
void JoinDelta(FloatLayout layout, JoinDeltaArgs& args);

/// Most bytes of bits that so many words give.
constexpr size_t DeltaPlaneBound(size_t count) { return count; }
constexpr size_t DeltaLowBound(size_t count) { return count * kDeltaMaxWidth / 8; }

/// Writes the bits that are still held, the last byte filled up with zeros; returns the stream's end.
uint8_t* FinishDeltaBits(DeltaBitWriter& writer);

/// Whether a stream of whole bytes is used up but for the zero bits that fill its last byte.
bool DeltaBitsUsedUp(const DeltaBitReader& reader);

}  // namespace flyweight
