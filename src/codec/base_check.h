#pragma once

#include <optional>

#include "base/bytes.h"

namespace flyweight {

/// The checksum (xxh3) of the bytes of the base that a frame of a patch record is made from. Nothing where the frame
/// needs no base, or is too short to say. Of a frame that was not checked.
std::optional<uint64_t> BaseCheckOf(ByteSpan frame);

}  // namespace flyweight
