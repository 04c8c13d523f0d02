#include "codec/activity_numbers.h"

#include <algorithm>

namespace flyweight {
namespace {

constexpr unsigned kEscapeZeros = 20;
constexpr unsigned kEscapeBits = 24;
constexpr int kFirstMean = 96;

// How many low bits a number's code has, by the mean of the last ones.
class Parameter {
 public:
  unsigned Get() const {
    unsigned k = 0;
    while (k < 12 && (count_ << k) < sum_) ++k;
    return k;
  }
  void Add(uint32_t number) {
    sum_ += number;
    if (++count_ == 16) sum_ /= 2, count_ /= 2;
  }

 private:
  uint64_t sum_ = 8;
  uint64_t count_ = 1;
};

// The mean that the next number is compared with, in sixteenths.
class Mean {
 public:
  int Get() const { return (sixteenths_ + 8) >> 4; }
  void Add(int number) { sixteenths_ += (16 * number - sixteenths_) >> 2; }

 private:
  int sixteenths_ = 16 * kFirstMean;
};

class Coder {
 public:
  explicit Coder(ByteWriter& writer) : writer_(writer) {}

  void Write(uint32_t number, Parameter& parameter) {
    const unsigned k = parameter.Get();
    parameter.Add(number);
    const bool escapes = number >> k >= kEscapeZeros;
    PutBits(0, escapes ? kEscapeZeros : number >> k);
    PutBits(1, 1);
    PutBits(number & ((1U << (escapes ? kEscapeBits : k)) - 1), escapes ? kEscapeBits : k);
  }

  void Finish() {
    if (held_bits_ != 0) writer_.Write(held_);
  }

 private:
  void PutBits(uint32_t bits, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      held_ = static_cast<uint8_t>(held_ | (bits >> i & 1) << held_bits_);
      if (++held_bits_ < 8) continue;
      writer_.Write(held_);
      held_ = 0;
      held_bits_ = 0;
    }
  }

  ByteWriter& writer_;
  uint8_t held_ = 0;
  unsigned held_bits_ = 0;
};

class Decoder {
 public:
  explicit Decoder(ReadCursor& cursor) : cursor_(cursor) {}

  Result<uint32_t> Read(Parameter& parameter) {
    const unsigned k = parameter.Get();
    uint32_t zeros = 0;
    while (true) {
      FLYWEIGHT_ASSIGN(uint32_t bit, Take(1));
      if (bit != 0) break;
      if (++zeros > kEscapeZeros) return Error{ErrorCode::kCorrupt, cursor_.offset(), "activities: a code is too long"};
    }
    const bool escapes = zeros == kEscapeZeros;
    FLYWEIGHT_ASSIGN(uint32_t low, Take(escapes ? kEscapeBits : k));
    const uint32_t number = escapes ? low : zeros << k | low;
    parameter.Add(number);
    return number;
  }

  Status Finish() const {
    if (held_ == 0) return {};
    return Error{ErrorCode::kCorrupt, cursor_.offset(), "activities: their last byte is not filled up with zeros"};
  }

 private:
  Result<uint32_t> Take(unsigned count) {
    uint32_t bits = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (held_bits_ == 0) {
        FLYWEIGHT_ASSIGN(held_, cursor_.Read<uint8_t>());
        held_bits_ = 8;
      }
      bits |= uint32_t{held_ & 1U} << i;
      held_ >>= 1;
      --held_bits_;
    }
    return bits;
  }

  ReadCursor& cursor_;
  uint8_t held_ = 0;
  unsigned held_bits_ = 0;
};

}  // namespace

void WriteActivities(std::span<const uint8_t> activities, ByteWriter& writer) {
  Coder coder(writer);
  Parameter lengths[2];
  bool zeros = false;
  for (size_t at = 0; at < activities.size(); zeros = !zeros) {
    size_t end = at;
    while (end < activities.size() && (activities[end] == 0) == zeros) ++end;
    coder.Write(static_cast<uint32_t>(end - at), lengths[zeros]);
    at = end;
  }
  Parameter parameter;
  Mean mean;
  for (uint8_t activity : activities) {
    if (activity == 0) continue;
    const int difference = activity - mean.Get();
    coder.Write(static_cast<uint32_t>(difference >= 0 ? 2 * difference : -2 * difference - 1), parameter);
    mean.Add(activity);
  }
  coder.Finish();
}

Status ReadActivities(ReadCursor& cursor, std::span<uint8_t> activities) {
  Decoder decoder(cursor);
  Parameter lengths[2];
  bool zeros = false;
  for (size_t at = 0; at < activities.size(); zeros = !zeros) {
    FLYWEIGHT_ASSIGN(uint32_t length, decoder.Read(lengths[zeros]));
    if (length > activities.size() - at || (length == 0 && at != 0))
      return Error{ErrorCode::kCorrupt, cursor.offset(), "activities: a run has an impossible length"};
    std::fill_n(activities.begin() + static_cast<std::ptrdiff_t>(at), length, static_cast<uint8_t>(zeros ? 0 : 1));
    at += length;
  }
  Parameter parameter;
  Mean mean;
  for (uint8_t& activity : activities) {
    if (activity == 0) continue;
    FLYWEIGHT_ASSIGN(uint32_t z, decoder.Read(parameter));
    const int64_t difference = (z & 1) != 0 ? -int64_t{z / 2} - 1 : int64_t{z / 2};
    const int64_t value = mean.Get() + difference;
    if (value < 1 || value > 255) return Error{ErrorCode::kCorrupt, cursor.offset(), "an activity is out of range"};
    activity = static_cast<uint8_t>(value);
    mean.Add(activity);
  }
  return decoder.Finish();
}

}  // namespace flyweight
