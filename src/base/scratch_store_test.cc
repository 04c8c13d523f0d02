#include "base/scratch_store.h"

#include <gtest/gtest.h>

#include "support/random.h"

namespace flyweight {
namespace {

class EverySize : public testing::TestWithParam<uint64_t> {};

TEST_P(EverySize, GivesBackWhatWasWrittenAndZerosElsewhere) {
  auto store = ScratchStore::Make(GetParam(), "");
  ASSERT_TRUE(store.ok()) << store.error().message;
  test::Random random(1);
  std::vector<std::byte> bytes = random.Bytes(1000), read(1000), zeros(1000);
  ASSERT_TRUE(store.value()->WriteAt(GetParam() - 1000, bytes).ok());
  ASSERT_TRUE(store.value()->ReadAt(GetParam() - 1000, read).ok());
  EXPECT_TRUE(read == bytes);
  ASSERT_TRUE(store.value()->ReadAt(0, read).ok());
  EXPECT_TRUE(read == zeros);
  EXPECT_FALSE(store.value()->WriteAt(GetParam() - 999, bytes).ok());
  EXPECT_FALSE(store.value()->ReadAt(~uint64_t{0}, read).ok());
}

INSTANTIATE_TEST_SUITE_P(MemoryAndFile, EverySize, testing::Values(2000, ScratchStore::kMemoryMaxBytes + 1));

TEST(ScratchStore, SaysWhichDirectoryItCannotUse) {
  auto store = ScratchStore::Make(ScratchStore::kMemoryMaxBytes + 1, "/no/such/place");
  ASSERT_FALSE(store.ok());
  EXPECT_NE(store.error().message.find("/no/such/place"), std::string::npos);
}

}  // namespace
}  // namespace flyweight
