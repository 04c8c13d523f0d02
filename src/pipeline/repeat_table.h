#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace flyweight {

/// Where windows of content were seen first, by their hashes. Looking up what is not there costs one bit of a filter
/// that stays in the cache. Equal hashes are a guess: whoever uses one compares bytes.
class RepeatTable {
 public:
  /// Bytes of a window: enough that those of weights of few distinct values differ.
  static constexpr size_t kWindowBytes = 64;

  /// Memory: 34 to 68 bytes an entry.
  explicit RepeatTable(uint64_t entry_max_count);

  /// The hash of the window at `bytes`; nothing where its bytes repeat with period 8, as zeros do: those are everywhere
  /// and cost next to nothing anyway.
  static std::optional<uint64_t> HashWindow(const std::byte* bytes);

  /// The position that was inserted first with this hash.
  std::optional<uint64_t> Find(uint64_t hash) const;

  /// Does nothing where the hash is there already or the table is crowded.
  void Insert(uint64_t hash, uint64_t position);

 private:
  struct Entry {
    uint64_t hash = 0;
    uint64_t position_plus_one = 0;  ///< 0: empty
  };
  static constexpr size_t kProbes = 8;

  unsigned filter_shift_;
  std::vector<uint64_t> filter_;
  std::vector<Entry> entries_;
};

}  // namespace flyweight
