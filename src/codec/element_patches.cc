#include "codec/element_patches.h"

#include <cstring>

namespace flyweight {
namespace {

constexpr uint32_t kMaxGap = 0xFFFF;

}  // namespace

void WriteElementPatches(const std::vector<uint32_t>& positions, ByteSpan chunk, size_t element_bytes,
                         ByteWriter& writer) {
  uint32_t last = 0;
  auto write = [&](uint32_t position) {
    writer.Write(static_cast<uint16_t>(position - last));
    writer.Append(chunk.subspan(position * element_bytes, element_bytes));
    last = position;
  };
  for (uint32_t position : positions) {
    // Elements on the way are patched with what they are.
    while (position - last > kMaxGap) write(last + kMaxGap);
    write(position);
  }
}

Status ApplyElementPatches(ReadCursor& cursor, size_t element_bytes, MutableByteSpan chunk) {
  const uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(ByteSpan patches, cursor.Take(cursor.remaining()));
  if (patches.size() % ElementPatchBytes(element_bytes) != 0)
    return Error{ErrorCode::kCorrupt, at, "patches: they are not whole"};
  const size_t count = chunk.size() / element_bytes;
  size_t position = 0;
  for (size_t p = 0; p < patches.size(); p += ElementPatchBytes(element_bytes)) {
    position += LoadLe<uint16_t>(patches.data() + p);
    if (position >= count) return Error{ErrorCode::kCorrupt, at + p, "patches: one lies behind the chunk"};
    std::memcpy(chunk.data() + position * element_bytes, patches.data() + p + 2, element_bytes);
  }
  return {};
}

}  // namespace flyweight
