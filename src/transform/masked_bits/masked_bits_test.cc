#include "transform/masked_bits/masked_bits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "support/matchers.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using Bytes = std::vector<std::byte>;

Bytes Encode(const Bytes& plane, const MaskedPlan& plan) {
  Bytes coded(plan.encoded_bytes);  // exactly what the plan promises
  EXPECT_EQ(EncodeMaskedBits(plane, plan, coded), plan.encoded_bytes);
  return coded;
}

// Returns the coded bytes of a plane, having decoded them again.
Bytes RoundTrip(const Bytes& plane, MaskedPlan& plan) {
  EXPECT_TRUE(PlanMaskedBits(plane, plan));
  Bytes coded = Encode(plane, plan);
  Bytes decoded(plane.size(), std::byte{0xA5});
  EXPECT_THAT(DecodeMaskedBits(coded, decoded), IsOk());
  EXPECT_TRUE(decoded == plane);
  return coded;
}

// `size_bytes` bytes whose bits outside `mask` are those of `base`.
Bytes Varying(size_t size_bytes, uint8_t mask, uint8_t base, uint64_t seed = 1) {
  test::Random random(seed);
  Bytes plane = random.Bytes(size_bytes);
  for (std::byte& byte : plane) byte = (byte & std::byte{mask}) | std::byte{base};
  return plane;
}

TEST(MaskedBits, StoresOnlyARunForZeros) {
  MaskedPlan plan;
  EXPECT_EQ(RoundTrip(Bytes(64 * 1000), plan).size(), 6U);
  ASSERT_EQ(plan.runs.size(), 1U);
  EXPECT_EQ(plan.runs[0].mask, 0);
  EXPECT_EQ(plan.runs[0].block_count, 1000);
}

TEST(MaskedBits, RoundTripsEveryMask) {
  MaskedPlan plan;
  for (unsigned mask = 0; mask < 256; ++mask) {
    for (unsigned base : {0U, ~mask & 0xFF, ~mask & 0x5A}) {
      Bytes plane = Varying(640, static_cast<uint8_t>(mask), static_cast<uint8_t>(base), mask);
      size_t data_bytes = mask == 255 ? 640 : static_cast<size_t>(std::popcount(mask)) * 80;
      EXPECT_EQ(RoundTrip(plane, plan).size(), 6 + data_bytes) << mask << " " << base;
    }
  }
}

TEST(MaskedBits, RoundTripsEverySizeOfTheLastBlock) {
  MaskedPlan plan;
  for (size_t size = 0; size <= 200; ++size) {
    RoundTrip(Varying(size, 0x0F, 0xA0, size), plan);
    RoundTrip(Varying(size, 0xFF, 0, size), plan);
    RoundTrip(Bytes(size, std::byte{0xFF}), plan);
  }
}

TEST(MaskedBits, StartsARunWhereTheMaskOrTheBaseChanges) {
  Bytes plane(64 * 4);
  std::fill_n(plane.begin() + 64, 64, std::byte{3});
  plane[64 * 3] = std::byte{3};
  MaskedPlan plan;
  RoundTrip(plane, plan);
  ASSERT_EQ(plan.runs.size(), 4U);
  EXPECT_EQ(plan.runs[1].base, 3);
  EXPECT_EQ(plan.runs[3].mask, 3);
}

TEST(MaskedBits, CutsRunsOfMoreThan65535Blocks) {
  MaskedPlan plan;
  for (size_t blocks : {65535, 65536, 131070, 131071}) {
    EXPECT_EQ(RoundTrip(Bytes(64 * blocks), plan).size(), 2 + 4 * ((blocks + 65534) / 65535)) << blocks;
  }
}

TEST(PlanMaskedBits, GivesUpWhereThereAreMoreRunsThanTheFormatCounts) {
  Bytes plane(64 * 65536);
  for (size_t block = 0; block < 65536; block += 2) plane[64 * block] = std::byte{1};
  MaskedPlan plan;
  EXPECT_FALSE(PlanMaskedBits(plane, plan));
  plane.resize(64 * 65535);
  EXPECT_EQ(RoundTrip(plane, plan).size(), 2 + 4 * size_t{65535} + 8 * size_t{32768});
}

TEST(PlanMaskedBits, ForgetsWhatItPlannedBefore) {
  MaskedPlan used, fresh;
  PlanMaskedBits(Varying(6400, 0x3C, 0x80), used);
  Bytes plane = Varying(640, 0x03, 0x10);
  PlanMaskedBits(plane, used);
  PlanMaskedBits(plane, fresh);
  EXPECT_EQ(used.encoded_bytes, fresh.encoded_bytes);
  EXPECT_EQ(Encode(plane, used), Encode(plane, fresh));
}

TEST(EncodeMaskedBits, WritesTheExampleOfItsSpecification) {
  Bytes plane(66, std::byte{0x40});
  plane[1] = std::byte{0x41};
  plane[9] = std::byte{0x41};
  plane[65] = std::byte{0};
  MaskedPlan plan;
  Bytes expected;
  for (int value : {2,
                    0,
                    /*run*/ 0x01,
                    0x40,
                    1,
                    0,
                    /*run*/ 0x40,
                    0x00,
                    1,
                    0,
                    /*bit 0*/ 2,
                    2,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    /*bit 6*/ 1,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0}) {
    expected.push_back(static_cast<std::byte>(value));
  }
  EXPECT_EQ(RoundTrip(plane, plan), expected);
}

struct Malformed {
  std::string name;
  ErrorCode code;
  std::vector<MaskedRun> runs;
  size_t data_bytes;
};

class DecodeMalformedBits : public testing::TestWithParam<Malformed> {};

// For a plane of 100 bytes: two blocks.
TEST_P(DecodeMalformedBits, IsAnError) {
  ByteWriter writer;
  writer.Write(static_cast<uint16_t>(GetParam().runs.size()));
  for (const MaskedRun& run : GetParam().runs) {
    writer.Write(run.mask);
    writer.Write(run.base);
    writer.Write(run.block_count);
  }
  writer.Append(Bytes(GetParam().data_bytes));
  Bytes coded(writer.bytes().begin(), writer.bytes().end());
  Bytes plane(100);
  EXPECT_THAT(DecodeMaskedBits(coded, plane), FailsWith(GetParam().code));
}

INSTANTIATE_TEST_SUITE_P(Each, DecodeMalformedBits,
                         testing::Values(Malformed{"NoRuns", ErrorCode::kCorrupt, {}, 0},
                                         Malformed{"OneBlockTooFew", ErrorCode::kCorrupt, {{0, 1, 1}}, 0},
                                         Malformed{"OneBlockTooMany", ErrorCode::kCorrupt, {{0, 1, 3}}, 0},
                                         Malformed{"ManyBlocksTooMany", ErrorCode::kCorrupt, {{0, 1, 65535}}, 0},
                                         Malformed{
                                             "ARunBehindTheLastBlock", ErrorCode::kCorrupt, {{0, 1, 2}, {0, 0, 1}}, 0},
                                         Malformed{"ARunOfNoBlocks", ErrorCode::kCorrupt, {{0, 1, 0}, {0, 0, 2}}, 0},
                                         Malformed{"BaseInsideTheMask", ErrorCode::kCorrupt, {{3, 2, 2}}, 32},
                                         Malformed{"DataCutOff", ErrorCode::kTruncated, {{1, 0, 2}}, 15},
                                         Malformed{"PlainDataCutOff", ErrorCode::kTruncated, {{255, 0, 2}}, 127},
                                         Malformed{"DataLeftOver", ErrorCode::kCorrupt, {{1, 0, 2}}, 17},
                                         Malformed{"DataBehindConstants", ErrorCode::kCorrupt, {{0, 0, 2}}, 1}),
                         [](const auto& each) { return each.param.name; });

TEST(DecodeMaskedBits, RefusesBytesCutOffAnywhere) {
  MaskedPlan plan;
  Bytes plane = Varying(200, 0x07, 0x20);
  plane[0] = std::byte{0xFF};
  Bytes coded = RoundTrip(plane, plan);
  for (size_t size = 0; size < coded.size(); ++size) {
    Bytes cut(coded.begin(), coded.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_THAT(DecodeMaskedBits(cut, plane), FailsWith(ErrorCode::kTruncated)) << size;
  }
}

TEST(DecodeMaskedBits, RefusesAPlaneOfAnotherNumberOfBlocks) {
  MaskedPlan plan;
  Bytes coded = RoundTrip(Varying(128, 0x07, 0x20), plan);
  for (size_t size : {0, 1, 64, 129, 1000}) {
    Bytes plane(size);
    EXPECT_THAT(DecodeMaskedBits(coded, plane), FailsWith(ErrorCode::kCorrupt)) << size;
  }
}

}  // namespace
}  // namespace flyweight
