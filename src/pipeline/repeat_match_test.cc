#include "pipeline/repeat_match.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "support/random.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

/// Hands out copies only, so that what is not in memory is read right too.
class CopyingSource final : public ByteSource {
 public:
  explicit CopyingSource(ByteSpan bytes) : inner_(bytes) {}
  uint64_t size() const override { return inner_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override { return inner_.ReadAt(offset, target); }

 private:
  MemorySource inner_;
};

Bytes RandomBytes(size_t size_bytes, uint64_t seed) {
  test::Random random(seed);
  Bytes bytes(size_bytes);
  for (std::byte& value : bytes) value = static_cast<std::byte>(random.Below(256));
  return bytes;
}

/// The matches around position `begin` of `later` and `source` of `earlier`, from memory and from elsewhere.
std::vector<RepeatMatch> MatchesOf(const Bytes& later, const Bytes& earlier, uint64_t begin, uint64_t source,
                                   uint64_t floor = 0) {
  std::vector<RepeatMatch> first;
  for (bool in_memory : {true, false}) {
    MemorySource later_memory(later), earlier_memory(earlier);
    CopyingSource later_copy(later), earlier_copy(earlier);
    SingleContent later_set(in_memory ? static_cast<const ByteSource&>(later_memory) : later_copy);
    SingleContent earlier_set(in_memory ? static_cast<const ByteSource&>(earlier_memory) : earlier_copy);
    ExtentContent a{later_set.Open(0).value(), 0, later.size()};
    ExtentContent b{earlier_set.Open(0).value(), 0, earlier.size()};
    if (&later == &earlier) b = a;
    auto found = RepeatMatcher().Match({&a, &b, begin, source, floor});
    EXPECT_TRUE(found.ok());
    if (in_memory) {
      first = found.value();
      continue;
    }
    EXPECT_EQ(found.value().size(), first.size());
    for (size_t i = 0; i < first.size(); ++i) {
      EXPECT_EQ(found.value()[i].begin, first[i].begin);
      EXPECT_EQ(found.value()[i].end, first[i].end);
      EXPECT_EQ(found.value()[i].source, first[i].source);
    }
  }
  return first;
}

TEST(RepeatMatcher, ExtendsBothWaysToTheLastEqualByte) {
  Bytes earlier = RandomBytes(300000, 1);
  Bytes later = RandomBytes(400000, 2);
  std::copy_n(earlier.begin() + 10001, 200007, later.begin() + 123456);
  later[123455] = earlier[10000] ^ std::byte{1};
  later[123456 + 200007] = earlier[10001 + 200007] ^ std::byte{1};
  for (uint64_t inside : {0, 1, 70000, 190000}) {
    auto found = MatchesOf(later, earlier, 123456 + inside, 10001 + inside);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].begin, 123456U);
    EXPECT_EQ(found[0].end, 123456U + 200007U);
    EXPECT_EQ(found[0].source, 10001U);
  }
}

TEST(RepeatMatcher, StopsAtTheEndsAndAtTheFloor) {
  Bytes earlier = RandomBytes(100000, 1);
  Bytes later = earlier;
  auto whole = MatchesOf(later, earlier, 50000, 50000);
  ASSERT_EQ(whole.size(), 1U);
  EXPECT_EQ(whole[0].begin, 0U);
  EXPECT_EQ(whole[0].end, 100000U);
  EXPECT_EQ(MatchesOf(later, earlier, 50000, 50000, 40000)[0].begin, 40000U);
  Bytes tail(later.begin() + 30000, later.end());
  EXPECT_EQ(MatchesOf(tail, earlier, 20000, 50000)[0].begin, 0U);
  Bytes shorter(earlier.begin(), earlier.begin() + 60000);
  EXPECT_EQ(MatchesOf(later, shorter, 50000, 50000)[0].end, 60000U);
}

TEST(RepeatMatcher, GoesOnBehindDifferencesInBothDirections) {
  Bytes earlier = RandomBytes(500000, 1);
  Bytes later = earlier;
  for (size_t at : {size_t{50000}, size_t{200000}, size_t{300000}}) {
    for (size_t i = at; i < at + 777; ++i) later[i] ^= std::byte{0xFF};
  }
  for (uint64_t begin : {uint64_t{100000}, uint64_t{250000}, uint64_t{480000}}) {
    auto found = MatchesOf(later, earlier, begin, begin);
    ASSERT_EQ(found.size(), 4U) << begin;
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(found[i].begin, (std::array<uint64_t, 4>{0, 50777, 200777, 300777})[i]);
      EXPECT_EQ(found[i].end, (std::array<uint64_t, 4>{50000, 200000, 300000, 500000})[i]);
      EXPECT_EQ(found[i].source, found[i].begin);
    }
  }
}

TEST(RepeatMatcher, FollowsAnExtentThatRepeatsItself) {
  Bytes tile = RandomBytes(70001, 1);
  Bytes content;
  for (int i = 0; i < 6; ++i) content.insert(content.end(), tile.begin(), tile.end());
  auto found = MatchesOf(content, content, 80001, 10000);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].begin, tile.size());
  EXPECT_EQ(found[0].end, content.size());
  EXPECT_EQ(found[0].source, 0U);
}

TEST(RepeatMatcher, FindsNothingWhereLittleIsEqual) {
  Bytes earlier = RandomBytes(10000, 1);
  Bytes later = RandomBytes(10000, 2);
  std::copy_n(earlier.begin() + 5000, 1000, later.begin() + 5000);
  EXPECT_TRUE(MatchesOf(later, earlier, 5000, 5000).empty());
}

}  // namespace
}  // namespace flyweight
