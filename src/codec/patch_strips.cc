#include "codec/patch_strips.h"

#include <algorithm>
#include <cstring>

#include "codec/record_side.h"

namespace flyweight {
namespace {

Result<const std::byte*> ReadBytes(const SourcedTensor& from, uint64_t begin, size_t size, AlignedBuffer& room) {
  ByteSpan memory = from.source.InMemory();
  if (!memory.empty()) return memory.subspan(from.offset + begin, size).data();
  room.Resize(size);
  if (size != 0) FLYWEIGHT_TRY(from.source.ReadAt(from.offset + begin, {room.data(), size}));
  return static_cast<const std::byte*>(room.data());
}

}  // namespace

const std::byte* PredictElements(const PatchSide& side, uint64_t first_element, ByteSpan base_chunk,
                                 MutableByteSpan room, AlignedBuffer& spare) {
  const Predictor& predictor = side.predictor;
  if (predictor.kind == PredictorKind::kNone && base_chunk.size() == room.size()) return base_chunk.data();
  if (base_chunk.data() == room.data() && predictor.kind != PredictorKind::kNone &&
      predictor.dtype != predictor.base_dtype) {
    spare.Resize(base_chunk.size());
    if (!base_chunk.empty()) std::memcpy(spare.data(), base_chunk.data(), base_chunk.size());
    base_chunk = {spare.data(), base_chunk.size()};
  }
  Predict(predictor, first_element, base_chunk, room);
  return room.data();
}

Status PatchStrips::Read(uint64_t first_element, size_t element_count) {
  const uint64_t element_bytes = ElementBytes(tensor_.dtype), base_bytes = ElementBytes(base_.dtype);
  const uint64_t held = base_.size_bytes / base_bytes;
  const uint64_t from_base = first_element < held ? std::min<uint64_t>(element_count, held - first_element) : 0;
  FLYWEIGHT_ASSIGN(words_,
                   ReadBytes(tensor_, first_element * element_bytes, element_count * element_bytes, word_room_));
  const uint64_t base_begin = std::min(first_element, held) * base_bytes;
  FLYWEIGHT_ASSIGN(const std::byte* base, ReadBytes(base_, base_begin, from_base * base_bytes, base_room_));
  predicted_room_.Resize(element_count * element_bytes);
  predicted_ = PredictElements(side_, first_element, {base, from_base * base_bytes},
                               {predicted_room_.data(), element_count * element_bytes}, spare_);
  return {};
}

}  // namespace flyweight
