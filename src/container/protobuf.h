#pragma once

#include <cstdint>

#include "container/window_cursor.h"

namespace flyweight {

/// How a field of a protobuf message is written. Groups (3 and 4) are no longer written by anybody and not read.
enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

/// One field of a message. What it holds was not read: a varint's bytes have been passed over, and all others start
/// where the cursor stands.
struct ProtobufField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;       ///< of a varint
  uint64_t size_bytes = 0;  ///< from the cursor to the end of the field; 0 for a varint
};

/// Reads a varint of at most 64 bits. False where it is longer, is not all there or cannot be read.
/// Source: Protocol Buffers documentation, "Encoding".
bool ReadVarint(WindowCursor& cursor, uint64_t& value);

/// Reads a field's head. False where it is none (numbers 1 to 2^29 - 1), where the field does not end by `end_offset`
/// or where reading failed. Precondition: end_offset lies inside what the cursor may read.
bool ReadField(WindowCursor& cursor, uint64_t end_offset, ProtobufField& field);

}  // namespace flyweight
