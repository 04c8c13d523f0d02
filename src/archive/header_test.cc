#include "archive/header.h"

#include <gtest/gtest.h>

#include "archive_parts.h"

namespace flyweight::test {
namespace {

TEST(Header, IsTheBytesThatTheFormatSays) {
  HeaderBytes header = WriteHeader({});
  EXPECT_EQ(ToHex(ByteSpan(header).first(56)),
            "89464c590d0a1a0a"
            "01004000"
            "00000000"
            "0000000000000000"
            "0000000000000000"
            "000000000000000000000000000000000000000000000000");
  EXPECT_EQ(LoadLe<uint64_t>(header.data() + 56), Xxh3(ByteSpan(header).first(56)));
}

TEST(Header, KeepsOptionalFeaturesItDoesNotKnow) {
  auto header = ParseHeader(WriteHeader({.required_features = 0, .optional_features = UINT64_MAX}));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header.value().optional_features, UINT64_MAX);
}

TEST(Header, AnyChangedBitBreaksItsHash) {
  HeaderBytes header = WriteHeader({});
  for (size_t bit = 0; bit < 8 * header.size(); ++bit) {
    HeaderBytes changed = header;
    changed[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(HeaderHashHolds(changed)) << bit;
    EXPECT_EQ(ParseHeader(changed).error().code, ErrorCode::kChecksumMismatch);
  }
}

TEST(Footer, RoundTrips) {
  ArchiveFooter footer{.header = {},
                       .first_index_offset = 100,
                       .second_index_offset = 140,
                       .index_section_bytes = 40,
                       .archive_bytes = 308};
  auto parsed = ParseFooter(WriteFooter(footer), 308);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed.value().first_index_offset, 100u);
  EXPECT_EQ(parsed.value().second_index_offset, 140u);
  EXPECT_EQ(parsed.value().index_section_bytes, 40u);
  EXPECT_EQ(parsed.value().archive_bytes, 308u);
}

TEST(Footer, AnyChangedBitIsAnError) {
  FooterBytes footer = WriteFooter({.header = {},
                                    .first_index_offset = 100,
                                    .second_index_offset = 140,
                                    .index_section_bytes = 40,
                                    .archive_bytes = 308});
  for (size_t bit = 0; bit < 8 * footer.size(); ++bit) {
    FooterBytes changed = footer;
    changed[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(ParseFooter(changed, 308).ok()) << bit;
  }
}

}  // namespace
}  // namespace flyweight::test
