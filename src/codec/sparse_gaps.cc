#include "codec/sparse_gaps.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace flyweight {
namespace {

constexpr uint8_t kLongGap = 255;

Error DoesNotFit() { return {ErrorCode::kCorrupt, 0, "sparse chunk: its gaps do not fit its changes"}; }

template <typename Use>
void EachGap(std::span<const uint32_t> places, const Use& use) {
  uint32_t next = 0;
  for (uint32_t place : places) {
    use(place - next);
    next = place + 1;
  }
}

// Bits of a stream, 64 at a time; zeros behind its end.
class BitReader {
 public:
  explicit BitReader(ByteSpan bytes) : bytes_(bytes) {}

  /// At least 57 bits from here, the others zero.
  uint64_t Peek() const {
    const size_t at = position_ / 8;
    uint64_t bits = 0;
    if (at + sizeof bits <= bytes_.size()) {
      bits = LoadLe<uint64_t>(bytes_.data() + at);
    } else if (at < bytes_.size()) {
      std::memcpy(&bits, bytes_.data() + at, bytes_.size() - at);
    }
    return bits >> (position_ % 8);
  }
  void Skip(uint64_t bits) { position_ += bits; }
  bool PastEnd() const { return position_ > uint64_t{bytes_.size()} * 8; }
  size_t UsedBytes() const { return static_cast<size_t>((position_ + 7) / 8); }
  /// Whether the byte that was begun is filled up with zeros.
  bool FilledUp() const {
    return position_ % 8 == 0 || static_cast<uint8_t>(bytes_[position_ / 8]) >> (position_ % 8) == 0;
  }

 private:
  ByteSpan bytes_;
  uint64_t position_ = 0;
};

}  // namespace

uint8_t ChooseRice(std::span<const uint32_t> places) {
  if (places.empty()) return 0;
  const uint64_t words = uint64_t{places.back()} + 1;
  const uint64_t gap = (words - places.size()) / places.size();
  uint8_t best = 0;
  size_t best_bytes = SIZE_MAX;
  const int near = static_cast<int>(std::bit_width(gap));
  for (int k = std::max(0, near - 2); k <= std::min<int>(kMaxRice, near + 1); ++k) {
    size_t bytes = RiceBytes(places, static_cast<uint8_t>(k));
    if (bytes < best_bytes) best = static_cast<uint8_t>(k), best_bytes = bytes;
  }
  return best;
}

size_t RiceBytes(std::span<const uint32_t> places, uint8_t k) {
  uint64_t bits = uint64_t{places.size()} * (k + 1);
  EachGap(places, [&](uint32_t gap) { bits += gap >> k; });
  return (bits + 7) / 8;
}

void WriteRice(std::span<const uint32_t> places, uint8_t k, std::byte* target) {
  std::memset(target, 0, RiceBytes(places, k));
  uint64_t at = 0;
  auto put = [&](uint32_t bits) {
    for (; bits != 0; bits &= bits - 1) {
      const uint64_t bit = at + static_cast<uint64_t>(std::countr_zero(bits));
      target[bit / 8] |= static_cast<std::byte>(1 << bit % 8);
    }
  };
  EachGap(places, [&](uint32_t gap) {
    at += gap >> k;
    put(1U | (gap & ((1U << k) - 1)) << 1);
    at += k + 1U;
  });
}

Result<size_t> ReadRice(ByteSpan bytes, uint8_t k, size_t word_count, std::span<uint32_t> places) {
  BitReader reader(bytes);
  const uint64_t low_mask = (uint64_t{1} << k) - 1;
  uint64_t next = 0;
  for (uint32_t& place : places) {
    uint64_t high = 0, bits = reader.Peek();
    while ((bits & ((uint64_t{1} << 32) - 1)) == 0) {
      reader.Skip(32);
      high += 32;
      if (reader.PastEnd()) return DoesNotFit();
      bits = reader.Peek();
    }
    const int zeros = std::countr_zero(bits);
    high += static_cast<uint64_t>(zeros);
    reader.Skip(static_cast<uint64_t>(zeros) + 1);
    const uint64_t gap = high << k | (reader.Peek() & low_mask);
    reader.Skip(k);
    next += gap;
    if (next >= word_count || reader.PastEnd()) return DoesNotFit();
    place = static_cast<uint32_t>(next);
    ++next;
  }
  if (!reader.FilledUp()) return DoesNotFit();
  return reader.UsedBytes();
}

void GapsToBytes(std::span<const uint32_t> places, std::vector<std::byte>& gaps) {
  gaps.clear();
  EachGap(places, [&](uint32_t gap) {
    for (; gap >= kLongGap; gap -= kLongGap) gaps.push_back(std::byte{kLongGap});
    gaps.push_back(static_cast<std::byte>(gap));
  });
}

Status GapsFromBytes(ByteSpan gaps, size_t word_count, std::span<uint32_t> places) {
  uint64_t next = 0;
  size_t found = 0;
  for (std::byte byte : gaps) {
    const auto gap = static_cast<uint8_t>(byte);
    next += gap;
    if (gap == kLongGap) continue;
    if (next >= word_count || found == places.size()) return DoesNotFit();
    places[found++] = static_cast<uint32_t>(next++);
  }
  return found == places.size() ? Status::Ok() : DoesNotFit();
}

}  // namespace flyweight
