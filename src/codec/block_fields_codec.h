#pragma once

#include "base/bytes.h"
#include "codec/record.h"
#include "flyweight/result.h"
#include "transform/block_fields/block_layout.h"

namespace flyweight {

/// Encodes a chunk of a tensor of quantised blocks field by field (docs/format.md section 3.11). `chunk_offset` is
/// where the chunk starts in the tensor, which need not be between blocks. Returns the payload's bytes, or 0 where they
/// do not fit.
size_t EncodeBlockFieldsChunk(const BlockLayout& layout, uint64_t chunk_offset, ByteSpan chunk, MutableByteSpan payload,
                              CodecScratch::Impl& scratch);

/// Whether many blocks of a chunk stood in it before, so that matches may beat entropy coding. Looks at 8 bytes of
/// each.
bool BlocksRepeat(const BlockLayout& layout, ByteSpan chunk);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodeBlockFieldsChunk(const BlockLayout& layout, uint64_t chunk_offset, ByteSpan payload, MutableByteSpan chunk,
                              CodecScratch::Impl& scratch);

}  // namespace flyweight
