#include "pipeline/repeat_table.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "support/random.h"

namespace flyweight {
namespace {

using Window = std::array<std::byte, RepeatTable::kWindowBytes>;

Window RandomWindow(test::Random& random) {
  Window window;
  for (std::byte& value : window) value = static_cast<std::byte>(random.Below(256));
  return window;
}

TEST(RepeatTable, FindsWhatWasInsertedFirst) {
  RepeatTable table(1000);
  test::Random random(1);
  std::vector<uint64_t> hashes;
  for (uint32_t place = 0; place < 1000; ++place) {
    hashes.push_back(RepeatTable::HashWindow(RandomWindow(random).data()));
    table.Insert(hashes.back(), place);
  }
  size_t found_count = 0;
  for (uint32_t place = 0; place < 1000; ++place) {
    table.Insert(hashes[place], place + 5000);
    found_count += table.Find(hashes[place]) == place;
  }
  EXPECT_GE(found_count, 990U) << "hardly any is crowded out";
}

TEST(RepeatTable, FindsHardlyAnythingElse) {
  RepeatTable table(10000);
  test::Random random(2);
  for (uint32_t place = 0; place < 10000; ++place) {
    table.Insert(RepeatTable::HashWindow(RandomWindow(random).data()), place);
  }
  size_t found_count = 0;
  for (int i = 0; i < 10000; ++i) {
    found_count += table.Find(RepeatTable::HashWindow(RandomWindow(random).data())).has_value();
  }
  EXPECT_LE(found_count, 1U);
}

TEST(RepeatTable, TakesNoMoreThanItWasMadeFor) {
  RepeatTable table(10);
  test::Random random(3);
  std::vector<uint64_t> hashes;
  for (uint32_t place = 0; place < 20; ++place) {
    hashes.push_back(RepeatTable::HashWindow(RandomWindow(random).data()));
    table.Insert(hashes.back(), place);
  }
  for (uint32_t place = 0; place < 20; ++place) EXPECT_EQ(table.Find(hashes[place]).has_value(), place < 10);
}

TEST(RepeatTable, EveryByteOfAWindowCounts) {
  test::Random random(4);
  Window window = RandomWindow(random);
  uint64_t hash = RepeatTable::HashWindow(window.data());
  for (std::byte& value : window) {
    value ^= std::byte{1};
    EXPECT_NE(RepeatTable::HashWindow(window.data()), hash);
    value ^= std::byte{1};
  }
}

TEST(RepeatTable, WindowsOfPeriodEightAreFlat) {
  Window window;
  for (size_t i = 0; i < window.size(); ++i) window[i] = static_cast<std::byte>(i % 8);
  EXPECT_TRUE(RepeatTable::IsFlat(window.data()));
  window[9] = std::byte{77};
  EXPECT_FALSE(RepeatTable::IsFlat(window.data()));
}

}  // namespace
}  // namespace flyweight
