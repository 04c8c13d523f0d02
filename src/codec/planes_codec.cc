#include "codec/planes_codec.h"

#include <cstring>

#include "codec/scratch.h"
#include "transform/byte_planes/byte_planes.h"

namespace flyweight {
namespace {

constexpr size_t kMaxElementBytes = 8;

}  // namespace

size_t EncodePlanesChunk(ByteSpan chunk, size_t element_bytes, bool rotate, MutableByteSpan payload,
                         CodecScratch::Impl& scratch) {
  size_t count = chunk.size() / element_bytes;
  scratch.low.Resize(chunk.size());
  SplitPlanes(chunk.data(), count, element_bytes, rotate, scratch.low.data());
  // Planes are coded into memory with room for all of them stored, so that only the sum decides.
  size_t bound = 1 + element_bytes * (kPlaneHeaderBytes + count);
  scratch.streams.Resize(bound);
  std::byte* out = scratch.streams.data();
  *out = static_cast<std::byte>(rotate);
  size_t size = 1;
  for (size_t p = 0; p < element_bytes; ++p) {
    size += EncodePlane({scratch.low.data() + p * count, count}, {out + size, bound - size}, scratch.planes);
  }
  if (size > payload.size()) return 0;
  std::memcpy(payload.data(), out, size);
  return size;
}

Status DecodePlanesChunk(ByteSpan payload, size_t element_bytes, MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint8_t rotate, cursor.Read<uint8_t>());
  if (rotate > 1) return Error{ErrorCode::kCorrupt, 0, "planes: the rotation is neither 0 nor 1"};
  size_t count = chunk.size() / element_bytes;
  scratch.low.Resize(chunk.size());
  const std::byte* planes[kMaxElementBytes];
  for (size_t p = 0; p < element_bytes; ++p) {
    FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, count));
    planes[p] = coded.stored.data();
    if (coded.method == PlaneMethod::kStored) continue;
    std::byte* plane = scratch.low.data() + p * count;
    FLYWEIGHT_TRY(DecodePlane(coded, {plane, count}, scratch.planes));
    planes[p] = plane;
  }
  if (cursor.remaining() != 0) return Error{ErrorCode::kCorrupt, cursor.offset(), "planes: bytes are left over"};
  MergePlanes(planes, count, element_bytes, rotate != 0, chunk.data());
  return {};
}

}  // namespace flyweight
