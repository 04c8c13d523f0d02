#pragma once

#include "codec/codec_id.h"
#include "codec/record.h"
#include "codec/record_side.h"

namespace flyweight {

/// Which codec a chunk got and how many bytes its payload has.
struct EncodedChunk {
  CodecId codec = CodecId::kStored;
  size_t payload_bytes = 0;
};

/// Chooses a codec for a chunk and writes its payload. `chunk_index` counts from the record's start. Preconditions:
/// payload has room for chunk.size() bytes, no overlap. Never larger than stored.
EncodedChunk EncodeChunk(const RecordHead& head, Level level, uint64_t chunk_index, ByteSpan chunk,
                         MutableByteSpan payload, CodecScratch::Impl& scratch);

/// Whether bytes of the chunk come again further on in it, by a sample: words at every 256th byte are remembered, and
/// some runs of all their neighbours looked up. Weights never match by chance in 8 bytes. True of small chunks.
bool LooksCopied(ByteSpan chunk);

/// The chunk's first word in the tensor, words of `word_bytes` counted from the record's start.
inline uint64_t FirstWord(const RecordHead& head, size_t word_bytes, uint64_t chunk_index) {
  return head.chunk_bytes / word_bytes * chunk_index;
}

/// Decodes a payload and returns the xxh3 of the decoded bytes. kDecodePaddingBytes must be readable behind the
/// payload. Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Result<uint64_t> DecodeChunkPayload(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                                    MutableByteSpan chunk, CodecScratch::Impl& scratch);

/// The same of all codecs but those that hash while they decode, without the hash.
Status DecodeOrdinaryChunk(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                           MutableByteSpan chunk, CodecScratch::Impl& scratch);

}  // namespace flyweight
