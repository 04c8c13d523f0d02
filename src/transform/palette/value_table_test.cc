#include "transform/palette/value_table.h"

#include <gtest/gtest.h>

#include <map>

#include "support/random.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

uint64_t ElementAt(const Bytes& elements, size_t index, size_t width) {
  uint64_t value = 0;
  std::memcpy(&value, elements.data() + index * width, width);
  return value;
}

Bytes ElementsOf(size_t width, size_t count, size_t distinct, uint64_t seed) {
  test::Random random(seed);
  std::vector<uint64_t> values(distinct);
  for (uint64_t& value : values) value = random.Bits();
  Bytes elements(width * count);
  for (size_t i = 0; i < count; ++i) std::memcpy(elements.data() + i * width, &values[random.Below(distinct)], width);
  return elements;
}

class ValueTableOfWidth : public testing::TestWithParam<size_t> {};

TEST_P(ValueTableOfWidth, CountsWhatAMapCounts) {
  const size_t width = GetParam();
  ValueTable table;
  // The same table again and again: what was cleared must be gone.
  for (size_t distinct : {1, 3, 256, 3000, 40}) {
    const Bytes elements = ElementsOf(width, 20000, distinct, distinct);
    std::vector<uint16_t> places(20000);
    table.Clear();
    ASSERT_TRUE(table.Add(elements, width, ValueTable::kMaxValues, places.data()));
    std::map<uint64_t, uint32_t> expected;
    for (size_t i = 0; i < places.size(); ++i) {
      ++expected[ElementAt(elements, i, width)];
      ASSERT_EQ(table.values()[places[i]].value, ElementAt(elements, i, width));
    }
    ASSERT_EQ(table.values().size(), expected.size());
    for (const CountedValue& each : table.values()) EXPECT_EQ(each.count, expected[each.value]);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, ValueTableOfWidth, testing::Values(2, 4, 8));

TEST(ValueTable, StopsAtItsLimit) {
  Bytes elements(2 * 100);
  for (size_t i = 0; i < 100; ++i) StoreLe(elements.data() + 2 * i, static_cast<uint16_t>(i));
  std::vector<uint16_t> places(100);
  ValueTable table;
  EXPECT_TRUE(table.Add(elements, 2, 100, places.data()));
  table.Clear();
  EXPECT_FALSE(table.Add(elements, 2, 99, places.data()));
  EXPECT_EQ(table.values().size(), 99U);
}

TEST(DistinctMeter, TellsFewFromMany) {
  DistinctMeter meter;
  for (size_t width : {2, 4, 8}) {
    for (int round = 0; round < 3; ++round) {
      EXPECT_TRUE(meter.AtMost(ElementsOf(width, 50000, 200, 1), width, 256)) << width;
      EXPECT_FALSE(meter.AtMost(ElementsOf(width, 50000, 4000, 2), width, 256)) << width;
    }
  }
}

TEST(DistinctMeter, TakesArraysShorterThanItsSample) {
  DistinctMeter meter;
  for (size_t count = 0; count < 70; ++count) EXPECT_TRUE(meter.AtMost(ElementsOf(4, count, 500, 3), 4, 256)) << count;
}

}  // namespace
}  // namespace flyweight
