#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace flyweight {

/// The CRC-32 of zip files: polynomial 0x04C11DB7, reflected. Source: APPNOTE.TXT 6.3.10, section 4.4.7.
uint32_t Crc32(ByteSpan bytes);

}  // namespace flyweight
