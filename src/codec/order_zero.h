#pragma once

#include <cstddef>

#include "base/bytes.h"

namespace flyweight {

/// Bytes that a chunk of words would take if each of its byte planes were coded by the counts of its bytes alone,
/// judged from a sample spread over it. Integer arithmetic. Precondition: whole words, of 1 to 8 bytes.
size_t EstimateOrderZero(ByteSpan chunk, size_t word_bytes);

}  // namespace flyweight
