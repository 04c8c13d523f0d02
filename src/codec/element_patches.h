#pragma once

#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// Elements that a codec did not catch, put right behind it (docs/format.md section 3.9.1).

/// Bytes of one patch of an element of so many bytes.
inline constexpr size_t ElementPatchBytes(size_t element_bytes) { return 2 + element_bytes; }

/// Appends patches for `positions`, in ascending order, with the elements of `chunk`.
void WriteElementPatches(const std::vector<uint32_t>& positions, ByteSpan chunk, size_t element_bytes,
                         ByteWriter& writer);

/// Reads patches to the end of the payload and applies them to a decoded chunk. Errors: kCorrupt.
Status ApplyElementPatches(ReadCursor& cursor, size_t element_bytes, MutableByteSpan chunk);

}  // namespace flyweight
