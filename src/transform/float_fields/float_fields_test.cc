#include "transform/float_fields/float_fields.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "base/bytes.h"
#include "simd/isa.h"
#include "support/random.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

struct Fields {
  Bytes heads;
  Bytes low[2];
};

Fields Split(FloatLayout layout, const Bytes& words) {
  const FloatLayoutInfo& info = Describe(layout);
  size_t count = words.size() / info.word_bytes, stride = count + 13;
  Bytes low(info.low_plane_count == 0 ? 0 : stride * (info.low_plane_count - 1) + count);  // exactly as much as is used
  Fields fields;
  fields.heads.resize(count * info.head_bytes);
  SplitFloats(layout, words.data(), count, fields.heads.data(), low.data(), stride);
  for (size_t p = 0; p < info.low_plane_count; ++p) {
    auto begin = low.begin() + static_cast<ptrdiff_t>(p * stride);
    fields.low[p].assign(begin, begin + static_cast<ptrdiff_t>(count));
  }
  return fields;
}

// What docs/format.md section 3.5.1 says, word by word.
Fields SplitPlainly(FloatLayout layout, const Bytes& words) {
  Fields fields;
  const FloatLayoutInfo& info = Describe(layout);
  for (size_t i = 0; i < words.size(); i += info.word_bytes) {
    const std::byte* word = words.data() + i;
    fields.heads.insert(fields.heads.end(), word + info.word_bytes - info.head_bytes, word + info.word_bytes);
    if (layout == FloatLayout::kF16) fields.low[0].push_back(word[0]);
    if (layout == FloatLayout::kF32) fields.low[0].push_back(word[1]), fields.low[1].push_back(word[0]);
  }
  return fields;
}

class FloatFields : public testing::TestWithParam<std::tuple<Isa, FloatLayout>> {
 protected:
  FloatFields() { ForceIsa(std::get<0>(GetParam())); }
  ~FloatFields() override { ForceIsa(std::nullopt); }
};

constexpr size_t kCounts[] = {0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 500, 513};

TEST_P(FloatFields, AreCutWhereTheFormatSays) {
  FloatLayout layout = std::get<1>(GetParam());
  test::Random random(1);
  for (size_t count : kCounts) {
    Bytes words = random.Bytes(count * Describe(layout).word_bytes);
    Fields fields = Split(layout, words), expected = SplitPlainly(layout, words);
    EXPECT_TRUE(fields.heads == expected.heads) << count;
    EXPECT_TRUE(fields.low[0] == expected.low[0]) << count;
    EXPECT_TRUE(fields.low[1] == expected.low[1]) << count;
  }
}

TEST_P(FloatFields, MergeIsTheInverseOfSplit) {
  FloatLayout layout = std::get<1>(GetParam());
  test::Random random(2);
  for (size_t count : kCounts) {
    Bytes words = random.Bytes(count * Describe(layout).word_bytes);
    Fields fields = Split(layout, words);
    const std::byte* low[] = {fields.low[0].data(), fields.low[1].data()};
    Bytes merged(words.size());
    MergeFloats(layout, fields.heads.data(), low, count, merged.data());
    EXPECT_TRUE(merged == words) << count;
  }
}

std::string CaseName(const testing::TestParamInfo<std::tuple<Isa, FloatLayout>>& each) {
  constexpr const char* kLayoutNames[] = {"", "BF16", "F16", "F32"};
  return std::string(IsaName(std::get<0>(each.param))) + kLayoutNames[static_cast<size_t>(std::get<1>(each.param))];
}

INSTANTIATE_TEST_SUITE_P(All, FloatFields,
                         testing::Combine(testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                                          testing::Values(FloatLayout::kBF16, FloatLayout::kF16, FloatLayout::kF32)),
                         CaseName);

TEST(DescribeLayout, SaysWhereTheExponentLies) {
  for (FloatLayout layout : {FloatLayout::kBF16, FloatLayout::kF16, FloatLayout::kF32}) {
    const FloatLayoutInfo& info = Describe(layout);
    EXPECT_EQ(info.head_bytes + info.low_plane_count, info.word_bytes);
    unsigned exponent_bits = layout == FloatLayout::kF16 ? 5 : 8;
    EXPECT_EQ(info.exponent_mask, ((1U << exponent_bits) - 1) << info.exponent_shift);
    EXPECT_EQ(static_cast<size_t>(info.exponent_shift) + exponent_bits + 1, 8 * info.word_bytes);
  }
}

TEST(LayoutOf, KnowsTheFloatsOfSixteenAndThirtyTwoBits) {
  EXPECT_EQ(LayoutOf(DType::kBF16), FloatLayout::kBF16);
  EXPECT_EQ(LayoutOf(DType::kF16), FloatLayout::kF16);
  EXPECT_EQ(LayoutOf(DType::kF32), FloatLayout::kF32);
  EXPECT_EQ(LayoutOf(DType::kC64), FloatLayout::kF32);
  for (DType other : {DType::kOpaque, DType::kF64, DType::kI16, DType::kU32, DType::kF8E4M3}) {
    EXPECT_EQ(LayoutOf(other), std::nullopt);
  }
}

}  // namespace
}  // namespace flyweight
