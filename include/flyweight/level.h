#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flyweight {

/// Effort: how long encoding, and for kHigh and kMax decoding too, may take to make an archive smaller. The archive
/// does not record it; any decoder reads all.
enum class Level : uint8_t {
  kFast = 0,      ///< encodes at the speed of fast storage
  kBalanced = 1,  ///< the default: structure is looked for, decoding is as fast as it gets
  kHigh = 2,      ///< smaller at the speed of a disk
  kMax = 3,       ///< cold storage: tens of MB/s both ways
};

inline constexpr std::array kAllLevels = {Level::kFast, Level::kBalanced, Level::kHigh, Level::kMax};
inline constexpr size_t kLevelCount = kAllLevels.size();

/// "fast", "balanced", "high", "max".
constexpr std::string_view LevelName(Level level) {
  constexpr std::array<std::string_view, kLevelCount> kNames = {"fast", "balanced", "high", "max"};
  return kNames[static_cast<size_t>(level)];
}

}  // namespace flyweight
