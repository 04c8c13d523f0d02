#include "base/aligned_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace flyweight {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

bool IsAligned(const AlignedBuffer& buffer, size_t alignment) {
  return reinterpret_cast<uintptr_t>(buffer.data()) % alignment == 0;
}

TEST(AlignedBuffer, IsEmptyAtFirst) {
  AlignedBuffer buffer;
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(buffer.size(), 0U);
}

TEST(AlignedBuffer, IsAlignedAndWritableAtEverySize) {
  for (size_t size : {size_t{1}, size_t{63}, size_t{64}, size_t{65}, 2 * kMiB - 1, 2 * kMiB, 2 * kMiB + 1, 5 * kMiB}) {
    AlignedBuffer buffer(size);
    ASSERT_EQ(buffer.size(), size);
    EXPECT_TRUE(IsAligned(buffer, 64)) << size;
    std::memset(buffer.data(), 0x5A, size);
    EXPECT_EQ(buffer.as<unsigned char>()[size - 1], 0x5A);
  }
}

TEST(AlignedBuffer, PutsLargeMemoryOnHugePageBoundaries) {
  AlignedBuffer buffer(3 * kMiB);
  EXPECT_TRUE(IsAligned(buffer, 2 * kMiB));
}

TEST(AlignedBuffer, KeepsItsMemoryWhenItShrinksAndGrowsBack) {
  AlignedBuffer buffer(1000);
  std::byte* before = buffer.data();
  buffer.Resize(10);
  EXPECT_EQ(buffer.size(), 10U);
  buffer.Resize(1000);
  EXPECT_EQ(buffer.data(), before);
  EXPECT_EQ(buffer.size(), 1000U);
}

TEST(AlignedBuffer, GrowsFromSmallToMappedMemory) {
  AlignedBuffer buffer(100);
  for (size_t size = 100; size < 20 * kMiB; size *= 3) {
    buffer.Resize(size);
    std::memset(buffer.data(), 1, size);
  }
  SUCCEED();
}

TEST(AlignedBuffer, MovesItsMemory) {
  for (size_t size : {size_t{100}, 4 * kMiB}) {
    AlignedBuffer first(size);
    std::byte* data = first.data();
    AlignedBuffer second(std::move(first));
    EXPECT_EQ(second.data(), data);
    EXPECT_EQ(second.size(), size);
    EXPECT_EQ(first.data(), nullptr);  // NOLINT(bugprone-use-after-move): what is left is defined
    EXPECT_EQ(first.size(), 0U);
    AlignedBuffer third(7);
    third = std::move(second);
    EXPECT_EQ(third.data(), data);
    first.Resize(5);
    EXPECT_EQ(first.size(), 5U);
  }
}

TEST(AlignedBuffer, ThrowsWhereMemoryIsMissingAndCanBeUsedAgain) {
  AlignedBuffer buffer(64);
  EXPECT_THROW(buffer.Resize(SIZE_MAX), std::bad_alloc);
  EXPECT_THROW(buffer.Resize(SIZE_MAX - 4 * kMiB), std::bad_alloc);
  EXPECT_THROW(buffer.Resize(SIZE_MAX / 2), std::bad_alloc);
  EXPECT_EQ(buffer.size(), 0U);
  buffer.Resize(64);
  EXPECT_EQ(buffer.size(), 64U);
}

}  // namespace
}  // namespace flyweight
