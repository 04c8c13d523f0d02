#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>

#include "support/matchers.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;

constexpr std::array<std::byte, 8> kOneToEight = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                                                  std::byte{5}, std::byte{6}, std::byte{7}, std::byte{8}};

TEST(LoadLe, ReadsUnalignedLittleEndian) {
  EXPECT_EQ(LoadLe<uint16_t>(kOneToEight.data() + 1), 0x0302U);
  EXPECT_EQ(LoadLe<uint32_t>(kOneToEight.data() + 3), 0x07060504U);
  EXPECT_EQ(LoadLe<uint64_t>(kOneToEight.data()), 0x0807060504030201U);
}

TEST(StoreLe, WritesWhatLoadLeReads) {
  std::array<std::byte, 12> target{};
  StoreLe<uint64_t>(target.data() + 1, 0x0807060504030201U);
  EXPECT_EQ(target[0], std::byte{0});
  EXPECT_EQ(target[1], std::byte{1});
  EXPECT_EQ(target[8], std::byte{8});
  EXPECT_EQ(target[9], std::byte{0});
}

TEST(AsBytes, AndAsTextAreInverse) {
  std::string_view text("a\0b", 3);
  EXPECT_EQ(AsBytes(text).size(), 3U);
  EXPECT_EQ(AsText(AsBytes(text)), text);
}

TEST(ReadCursor, ReadsFrontToBack) {
  ReadCursor cursor(kOneToEight, 100);
  Result<uint16_t> first = cursor.Read<uint16_t>();
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first.value(), 0x0201U);
  EXPECT_EQ(cursor.position(), 2U);
  EXPECT_EQ(cursor.offset(), 102U);
  Result<ByteSpan> taken = cursor.Take(6);
  ASSERT_THAT(taken, IsOk());
  EXPECT_EQ(taken.value().data(), kOneToEight.data() + 2);
  EXPECT_EQ(cursor.remaining(), 0U);
}

TEST(ReadCursor, RejectsReadsPastTheEndAndStaysWhereItWas) {
  ReadCursor cursor(kOneToEight, 100);
  ASSERT_THAT(cursor.Take(5), IsOk());
  Result<uint32_t> read = cursor.Read<uint32_t>();
  ASSERT_THAT(read, FailsWith(ErrorCode::kTruncated));
  EXPECT_EQ(read.error().offset, 105U);
  EXPECT_THAT(cursor.Take(4), FailsWith(ErrorCode::kTruncated));
  EXPECT_EQ(cursor.remaining(), 3U);
  EXPECT_THAT(cursor.Take(3), IsOk());
}

TEST(ReadCursor, RejectsCountsThatWouldOverflow) {
  ReadCursor cursor(kOneToEight, 1);
  ASSERT_THAT(cursor.Take(1), IsOk());
  EXPECT_THAT(cursor.Take(UINT64_MAX), FailsWith(ErrorCode::kTruncated));
  EXPECT_THAT(cursor.Take(uint64_t{1} << 32), FailsWith(ErrorCode::kTruncated));
}

TEST(ReadCursor, TakesNothingFromNothing) {
  ReadCursor cursor(ByteSpan{});
  EXPECT_THAT(cursor.Take(0), IsOk());
  EXPECT_THAT(cursor.Read<uint8_t>(), FailsWith(ErrorCode::kTruncated));
}

TEST(ByteWriter, AppendsValuesAndBytes) {
  ByteWriter writer;
  writer.Write<uint16_t>(0x0201);
  writer.Append(ByteSpan(kOneToEight).subspan(2, 2));
  writer.Write<uint32_t>(0x08070605);
  EXPECT_EQ(writer.size(), 8U);
  EXPECT_EQ(AsText(writer.bytes()), AsText(kOneToEight));
  EXPECT_EQ(AsText(writer.Release()), AsText(kOneToEight));
}

}  // namespace
}  // namespace flyweight
