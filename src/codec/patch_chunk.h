#pragma once

#include "codec/chunk_encoder.h"
#include "codec/record_side.h"

namespace flyweight {

/// Chooses a codec for a chunk of a patch and writes its payload: EncodeChunk for records with transform 5.
EncodedChunk EncodePatchChunk(const RecordHead& head, Level level, uint64_t chunk_index, ByteSpan chunk,
                              ByteSpan base_chunk, MutableByteSpan payload, CodecScratch::Impl& scratch);

/// Decodes a payload of such a record. `base_chunk` may begin where `chunk` does. kDecodePaddingBytes must be readable
/// behind the payload. With `base_is_known` the base is not compared with its checksum. Errors: kTruncated, kCorrupt,
/// kUnsupportedFeature, kWrongBase (chunk was not written to).
Status DecodePatchChunk(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                        ByteSpan base_chunk, MutableByteSpan chunk, CodecScratch::Impl& scratch, bool base_is_known);

}  // namespace flyweight
