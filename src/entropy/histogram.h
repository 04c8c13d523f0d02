#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace flyweight {

using ByteHistogram = std::array<uint32_t, 256>;

/// Counts each byte value. Precondition: bytes.size() < 2^32.
ByteHistogram CountBytes(ByteSpan bytes);

/// Counts the byte values of a sample: whole runs of 256 bytes, spread evenly, about `sample_bytes` in all (everything
/// where there is less).
ByteHistogram SampleBytes(ByteSpan bytes, size_t sample_bytes);

/// Order-0 entropy in bits a symbol; 0 for an empty histogram. Shannon 1948.
double EntropyBitsPerSymbol(const ByteHistogram& histogram);

}  // namespace flyweight
