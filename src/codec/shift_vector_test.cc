#include "codec/shift_vector.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "support/matchers.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using Bytes = std::vector<std::byte>;
using Shifts = std::vector<int8_t>;

enum Method : uint8_t { kStored, kUnary, kZstd };

Bytes Write(const Shifts& shifts) {
  ZstdCoder zstd;
  ByteWriter writer;
  WriteShiftVector(shifts, zstd, writer);
  return writer.Release();
}

Result<Shifts> Read(ByteSpan bytes, size_t count) {
  ZstdCoder zstd;
  ReadCursor cursor(bytes);
  Shifts shifts(count, 77);
  FLYWEIGHT_TRY(ReadShiftVector(cursor, zstd, shifts));
  EXPECT_EQ(cursor.remaining(), 0U);
  return shifts;
}

// What docs/format.md section 3.4 says, bit by bit.
Bytes UnaryBits(const Shifts& shifts) {
  std::vector<bool> bits;
  for (int v : shifts) {
    bits.insert(bits.end(), static_cast<size_t>(v >= 0 ? 2 * v : -2 * v - 1), false);
    bits.push_back(true);
  }
  Bytes bytes((bits.size() + 7) / 8);
  for (size_t i = 0; i < bits.size(); ++i) bytes[i / 8] |= static_cast<std::byte>(unsigned{bits[i]} << (i % 8));
  return bytes;
}

Bytes Coded(uint8_t method, ByteSpan stored) {
  ByteWriter writer;
  writer.Write(method);
  writer.Write(static_cast<uint32_t>(stored.size()));
  writer.Append(stored);
  return writer.Release();
}

Shifts EveryValue() {
  Shifts shifts;
  for (int v = -128; v < 128; ++v) shifts.push_back(static_cast<int8_t>(v));
  return shifts;
}

Shifts SmallShifts(size_t count, int64_t spread, uint64_t seed) {
  test::Random random(seed);
  Shifts shifts(count);
  for (int8_t& shift : shifts) {
    shift = static_cast<int8_t>(static_cast<int64_t>(random.Below(static_cast<uint64_t>(2 * spread + 1))) - spread);
  }
  return shifts;
}

uint8_t MethodOf(const Bytes& coded) { return static_cast<uint8_t>(coded[0]); }

TEST(ShiftVector, RoundTripsEveryCountAndSpread) {
  for (size_t count : {0, 1, 2, 7, 8, 9, 100, 2047, 2048, 5000}) {
    for (int64_t spread : {0, 1, 3, 20, 127}) {
      Shifts shifts = SmallShifts(count, spread, count);
      Bytes coded = Write(shifts);
      EXPECT_LE(coded.size(), 5 + count);
      Result<Shifts> read = Read(coded, count);
      ASSERT_THAT(read, IsOk()) << count << " " << spread;
      EXPECT_EQ(read.value(), shifts);
    }
  }
}

TEST(ShiftVector, ReadsEveryValueByEveryMethod) {
  Shifts shifts = EveryValue();
  ByteSpan plain = std::as_bytes(std::span<const int8_t>(shifts));
  ZstdCoder zstd;
  Bytes compressed(1024);
  compressed.resize(zstd.Encode(plain, compressed, 1));
  for (const Bytes& coded : {Coded(kStored, plain), Coded(kUnary, UnaryBits(shifts)), Coded(kZstd, compressed)}) {
    Result<Shifts> read = Read(coded, shifts.size());
    ASSERT_THAT(read, IsOk());
    EXPECT_EQ(read.value(), shifts);
  }
}

TEST(ShiftVector, IsUnaryForFewSmallShifts) {
  Shifts shifts = SmallShifts(1000, 1, 3);
  EXPECT_EQ(Write(shifts), Coded(kUnary, UnaryBits(shifts)));
  EXPECT_EQ(Write({0, -1, 1, -2}), Coded(kUnary, Bytes{std::byte{0b00100101}, std::byte{0b00000010}}));
}

TEST(ShiftVector, IsStoredForFewLargeShifts) {
  Shifts shifts = SmallShifts(100, 127, 3);
  EXPECT_EQ(Write(shifts), Coded(kStored, std::as_bytes(std::span<const int8_t>(shifts))));
}

TEST(ShiftVector, IsZstdForManyShiftsOfFewValues) {
  Shifts shifts = SmallShifts(20000, 6, 3);
  for (size_t i = 0; i < shifts.size(); ++i) {
    if (i % 4 != 0) shifts[i] = 5;
  }
  EXPECT_EQ(MethodOf(Write(shifts)), kZstd);
}

TEST(EstimateShiftBits, IsCloseToWhatIsWritten) {
  for (size_t count : {10, 1000, 20000}) {
    Shifts shifts = SmallShifts(count, 2, 3);
    double written = 8.0 * static_cast<double>(Write(shifts).size() - 5);
    EXPECT_NEAR(EstimateShiftBits(shifts), written, 8 + 0.15 * written) << count;
  }
}

struct Malformed {
  std::string name;
  ErrorCode code;
  Bytes coded;  ///< read as 3 shifts
};

Bytes Of(std::initializer_list<int> values) {
  Bytes bytes;
  for (int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

const Malformed kMalformed[] = {
    {"Nothing", ErrorCode::kTruncated, {}},
    {"CutOffInItsHeader", ErrorCode::kTruncated, Of({0, 3, 0})},
    {"CutOffInItsBytes", ErrorCode::kTruncated, Of({0, 3, 0, 0, 0, 1, 2})},
    {"SizeOfFourGiB", ErrorCode::kTruncated, Of({0, 255, 255, 255, 255, 1, 2, 3})},
    {"UnknownMethod", ErrorCode::kUnsupportedFeature, Coded(3, Of({1, 2, 3}))},
    {"StoredOneTooFew", ErrorCode::kCorrupt, Coded(kStored, Of({1, 2}))},
    {"StoredOneTooMany", ErrorCode::kCorrupt, Coded(kStored, Of({1, 2, 3, 4}))},
    {"UnaryEmpty", ErrorCode::kCorrupt, Coded(kUnary, {})},
    {"UnaryOneTooFew", ErrorCode::kCorrupt, Coded(kUnary, Of({0b011}))},
    {"UnaryOneTooMany", ErrorCode::kCorrupt, Coded(kUnary, Of({0b1111}))},
    {"UnaryWithAByteLeftOver", ErrorCode::kCorrupt, Coded(kUnary, Of({0b111, 0}))},
    {"UnaryOver255Zeros", ErrorCode::kCorrupt,
     Coded(kUnary,
           [] {
             Bytes bits(33);
             bits[32] = std::byte{0b111};
             return bits;
           }())},
    {"ZstdThatIsNone", ErrorCode::kCorrupt, Coded(kZstd, Of({1, 2, 3}))},
};

class MalformedShiftVector : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedShiftVector, IsAnError) { EXPECT_THAT(Read(GetParam().coded, 3), FailsWith(GetParam().code)); }

INSTANTIATE_TEST_SUITE_P(Each, MalformedShiftVector, testing::ValuesIn(kMalformed),
                         [](const auto& each) { return each.param.name; });

TEST(ReadShiftVector, RefusesAZstdFrameOfAnotherCount) {
  Bytes coded = Write(Shifts(20000, 9));
  ASSERT_EQ(MethodOf(coded), kZstd);
  EXPECT_THAT(Read(coded, 19999), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(Read(coded, 20001), FailsWith(ErrorCode::kCorrupt));
}

}  // namespace
}  // namespace flyweight
