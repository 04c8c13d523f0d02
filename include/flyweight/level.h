#pragma once

#include <cstdint>

namespace flyweight {

/// Effort: how long encoding, and for kHigh and kMax decoding too, may take to make an archive smaller. The archive
/// does not record it; any decoder reads all.
enum class Level : uint8_t {
  kFast = 0,      ///< encodes at the speed of fast storage
  kBalanced = 1,  ///< the default: structure is looked for, decoding is as fast as it gets
  kHigh = 2,      ///< smaller at the speed of a disk
  kMax = 3,       ///< cold storage: tens of MB/s both ways
};

}  // namespace flyweight
