#pragma once

#include "codec/chunk_encoder.h"

namespace flyweight {

/// Encodes a chunk of a lossy record (docs/format.md section 3.6) and says what decoding will give. Preconditions:
/// those of EncodeChunk, but payload has room for FrameBound(chunk.size()) less the frame's header; restored is as
/// large as chunk.
EncodedChunk EncodeLossyChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan chunk, MutableByteSpan payload,
                              MutableByteSpan restored, CodecScratch::Impl& scratch);

/// Decodes a payload. kDecodePaddingBytes must be readable behind it. Errors: kTruncated, kCorrupt,
/// kUnsupportedFeature.
Status DecodeLossyChunk(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                        MutableByteSpan chunk, CodecScratch::Impl& scratch);

}  // namespace flyweight
