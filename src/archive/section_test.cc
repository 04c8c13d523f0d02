#include "archive/section.h"

#include <gtest/gtest.h>

#include "archive_parts.h"

namespace flyweight::test {
namespace {

uint32_t MethodOf(const Bytes& section) { return LoadLe<uint32_t>(section.data() + wire::kSectionMethodOffset); }

TEST(Section, RoundTripsStoredAndCompressed) {
  for (size_t size_bytes : {0, 1, 8, 100, 256, 257, 5000}) {
    for (bool noisy : {true, false}) {
      Bytes body = noisy ? Noise(size_bytes, size_bytes) : Bytes(size_bytes, std::byte{7});
      auto section = WriteSection(wire::kSectionKindIndex, body);
      ASSERT_TRUE(section.ok());
      EXPECT_EQ(MethodOf(section.value()), noisy || size_bytes <= 256 ? wire::kSectionStored : wire::kSectionZstd)
          << size_bytes;
      auto read = ReadSectionBody(wire::kSectionKindIndex, section.value(), 0);
      ASSERT_TRUE(read.ok()) << read.error().message;
      EXPECT_EQ(read.value(), body);
    }
  }
}

TEST(Section, SameBodyGivesTheSameBytes) {
  Bytes body(3000, std::byte{3});
  EXPECT_EQ(WriteSection(1, body).value(), WriteSection(1, body).value());
}

TEST(Section, ABodyThatReadersWouldTakeForABombIsStored) {
  Bytes body(wire::kExpansionFreeBytes + 1);
  auto section = WriteSection(wire::kSectionKindIndex, body);
  ASSERT_TRUE(section.ok());
  EXPECT_EQ(MethodOf(section.value()), wire::kSectionStored);
  auto read = ReadSectionBody(wire::kSectionKindIndex, section.value(), 0);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(read.value() == body);
}

TEST(Section, AnotherKindIsRefused) {
  auto section = WriteSection(1, Noise(50, 1));
  ASSERT_TRUE(section.ok());
  EXPECT_EQ(ReadSectionBody(2, section.value(), 0).error().code, ErrorCode::kCorrupt);
}

TEST(Section, CutOffHeadIsTruncated) {
  EXPECT_EQ(ReadSectionBody(1, Bytes(31), 0).error().code, ErrorCode::kTruncated);
}

}  // namespace
}  // namespace flyweight::test
