#pragma once

#include "base/bytes.h"

namespace flyweight {

/// Binary arithmetic coding with 16-bit probabilities (docs/format.md section 3.12.2). The interval is 64 bits wide and
/// is renormalised by 32 bits at a time, so that it never holds fewer than 32 bits: a probability is used at full
/// precision. Source: Martin, "Range encoding", 1979, with the carry walked back through the bytes written.
class BinaryEncoder {
 public:
  static constexpr bool kDecodes = false;
  static constexpr size_t kFlushBytes = 8;

  explicit BinaryEncoder(MutableByteSpan target) : target_(target) {}

  /// Codes `bit`, whose probability of being 1 is `one` / 2^16; 0 < one < 2^16. Returns the bit.
  bool Code(bool bit, uint32_t one) {
    uint64_t bound = (range_ >> 16) * one;
    uint64_t low = low_ + (bit ? 0 : bound);
    if (low < low_) Carry();
    low_ = low;
    range_ = bit ? bound : range_ - bound;
    if (range_ >> 32 == 0) Shift();
    return bit;
  }

  /// Ends the stream. Returns its bytes, or 0 where they did not fit; nothing was written outside the target.
  size_t Finish() {
    for (int i = 0; i < 2; ++i) Shift();
    return full_ ? 0 : size_;
  }

 private:
  void Carry() {
    for (size_t i = size_; i > 0;) {
      auto next = static_cast<uint8_t>(static_cast<uint8_t>(target_[--i]) + 1);
      target_[i] = static_cast<std::byte>(next);
      if (next != 0) break;
    }
  }

  void Shift() {
    if (target_.size() - size_ < 4) {
      full_ = true;
      size_ = 0;
      target_ = target_.first(0);
    } else {
      for (int i = 0; i < 4; ++i) target_[size_++] = static_cast<std::byte>(low_ >> (56 - 8 * i));
    }
    low_ <<= 32;
    range_ <<= 32;
  }

  MutableByteSpan target_;
  size_t size_ = 0;
  uint64_t low_ = 0;
  uint64_t range_ = ~uint64_t{0};
  bool full_ = false;
};

/// The inverse. Behind the end of the stream it reads zeros; Finished() says whether that happened.
class BinaryDecoder {
 public:
  static constexpr bool kDecodes = true;

  explicit BinaryDecoder(ByteSpan source) : source_(source) {
    code_ = static_cast<uint64_t>(Next()) << 32;
    code_ |= Next();
  }

  bool Code(bool, uint32_t one) {
    uint64_t bound = (range_ >> 16) * one;
    bool bit = code_ < bound;
    // Masks, as a bit that is hard to predict must not become a branch.
    const uint64_t is_one = uint64_t{0} - uint64_t{bit};
    code_ -= bound & ~is_one;
    range_ = (bound & is_one) | ((range_ - bound) & ~is_one);
    if (range_ >> 32 == 0) {
      range_ <<= 32;
      code_ = code_ << 32 | Next();
    }
    return bit;
  }

  /// Whether the stream was used up exactly: what an encoder writes is.
  bool Finished() const { return used_bytes_ == source_.size(); }

 private:
  uint32_t Next() {
    size_t at = used_bytes_;
    used_bytes_ += 4;
    if (at > source_.size() || source_.size() - at < 4) return 0;
    return __builtin_bswap32(LoadLe<uint32_t>(source_.data() + at));
  }

  ByteSpan source_;
  size_t used_bytes_ = 0;
  uint64_t code_ = 0;
  uint64_t range_ = ~uint64_t{0};
};

}  // namespace flyweight
