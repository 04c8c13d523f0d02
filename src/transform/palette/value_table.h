#pragma once

#include <span>
#include <vector>

#include "base/bytes.h"

namespace flyweight {

/// An element read as an unsigned integer, and how many elements have it.
struct CountedValue {
  uint64_t value = 0;
  uint32_t count = 0;
};

/// Counts the distinct elements of arrays that have few. Its memory is small and is reused; clearing costs what was
/// added. One a thread.
class ValueTable {
 public:
  static constexpr size_t kMaxValues = 4096;

  ValueTable() : slots_(kSlotCount, kEmpty) {}

  void Clear();

  /// Adds elements of 1, 2, 4 or 8 bytes until there are more than `limit` distinct ones, then returns false and the
  /// table only holds a part. Element i gets places[i], its value's place in values(). Preconditions: limit <=
  /// kMaxValues; places has room for them.
  bool Add(ByteSpan elements, size_t element_bytes, size_t limit, uint16_t* places);

  /// In order of first appearance.
  std::span<const CountedValue> values() const { return values_; }

 private:
  static constexpr size_t kSlotBits = 14;
  static constexpr size_t kSlotCount = size_t{1} << kSlotBits;
  static constexpr uint16_t kEmpty = 0xFFFF;

  static size_t SlotOf(uint64_t value) {
    return static_cast<size_t>((value * 0x9E3779B97F4A7C15ULL) >> (64 - kSlotBits));
  }
  template <typename Element>
  bool AddAll(ByteSpan elements, size_t limit, uint16_t* places);

  std::vector<uint16_t> slots_;
  std::vector<CountedValue> values_;
};

/// Counts the distinct elements of samples, at a nanosecond an element and not quite exactly: a hash into a bitmap
/// takes different elements for one now and then. One a thread.
class DistinctMeter {
 public:
  DistinctMeter() : bits_(kBitCount / 64) {}

  /// Takes runs of elements of 2, 4 or 8 bytes, spread evenly over `elements`, and says whether there are at most
  /// `limit` distinct ones among them. Where `limit` is 256 or less, 128 of them may be enough to say no.
  bool AtMost(ByteSpan elements, size_t element_bytes, size_t limit);

 private:
  static constexpr size_t kBitCount = size_t{1} << 16;

  template <typename Element>
  bool AddRun(ByteSpan run, size_t limit);

  std::vector<uint64_t> bits_;
  std::vector<uint16_t> taken_;
};

}  // namespace flyweight
