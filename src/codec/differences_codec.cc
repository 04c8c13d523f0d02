#include "codec/differences_codec.h"

#include "codec/planes_codec.h"
#include "codec/scratch.h"
#include "transform/differences/differences.h"

namespace flyweight {

size_t EncodeDifferencesChunk(ByteSpan chunk, size_t element_bytes, MutableByteSpan payload,
                              CodecScratch::Impl& scratch) {
  const size_t count = chunk.size() / element_bytes;
  if (!LooksSmooth(chunk.data(), count, element_bytes)) return 0;
  scratch.differences.Resize(chunk.size());
  TakeDifferences(chunk.data(), count, element_bytes, scratch.differences.data());
  return EncodePlanesChunk({scratch.differences.data(), chunk.size()}, element_bytes, false, payload, scratch);
}

Status DecodeDifferencesChunk(ByteSpan payload, size_t element_bytes, MutableByteSpan chunk,
                              CodecScratch::Impl& scratch) {
  if (element_bytes < 2) return Error{ErrorCode::kCorrupt, 0, "differences of elements of one byte"};
  FLYWEIGHT_TRY(DecodePlanesChunk(payload, element_bytes, chunk, scratch));
  AddDifferences(chunk.data(), chunk.size() / element_bytes, element_bytes);
  return {};
}

}  // namespace flyweight
