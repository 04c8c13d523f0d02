#include "container/protobuf.h"

namespace flyweight {

bool ReadVarint(WindowCursor& cursor, uint64_t& value) {
  value = 0;
  for (unsigned shift_bits = 0; shift_bits < 64; shift_bits += 7) {
    uint8_t byte = 0;
    if (!cursor.Read(byte)) return false;
    uint64_t bits = byte & 0x7F;
    if (shift_bits == 63 && bits > 1) return false;
    value |= bits << shift_bits;
    if (byte < 0x80) return true;
  }
  return false;
}

bool ReadField(WindowCursor& cursor, uint64_t end_offset, ProtobufField& field) {
  field = {};
  uint64_t tag = 0;
  if (!ReadVarint(cursor, tag) || tag > UINT32_MAX) return false;
  field.number = static_cast<uint32_t>(tag >> 3);
  field.type = static_cast<WireType>(tag & 7);
  if (field.number == 0) return false;
  switch (field.type) {
    case WireType::kVarint:
      if (!ReadVarint(cursor, field.value)) return false;
      break;
    case WireType::kFixed64:
      field.size_bytes = 8;
      break;
    case WireType::kLength:
      if (!ReadVarint(cursor, field.size_bytes)) return false;
      break;
    case WireType::kFixed32:
      field.size_bytes = 4;
      break;
    default:
      return false;
  }
  return cursor.offset() <= end_offset && field.size_bytes <= end_offset - cursor.offset();
}

}  // namespace flyweight
