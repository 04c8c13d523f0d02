#include "codec/element_patches.h"

#include <gtest/gtest.h>

#include "support/matchers.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using Bytes = std::vector<std::byte>;

Status Apply(ByteSpan patches, size_t width, Bytes& chunk) {
  ReadCursor cursor(patches);
  return ApplyElementPatches(cursor, width, chunk);
}

TEST(ElementPatches, PutRightWhatTheyName) {
  test::Random random(1);
  constexpr size_t kCount = 300000;
  for (size_t width : {2, 4, 8}) {
    const Bytes chunk = random.Bytes(kCount * width);
    for (const std::vector<uint32_t>& positions :
         {std::vector<uint32_t>{}, {0}, {kCount - 1}, {0, 1, 65535, 65536, 131072, 299999}, {65536, 65537, 200000}}) {
      ByteWriter writer;
      WriteElementPatches(positions, chunk, width, writer);
      Bytes decoded = chunk;
      for (uint32_t position : positions)
        std::fill_n(decoded.begin() + static_cast<ptrdiff_t>(position * width), width, std::byte{0xEE});
      ASSERT_THAT(Apply(writer.bytes(), width, decoded), IsOk());
      EXPECT_TRUE(decoded == chunk) << width;
    }
  }
}

TEST(ElementPatches, BehindTheLastElementAreErrors) {
  Bytes chunk(2 * 10);
  for (unsigned gap : {10U, 11U, 65535U}) {
    ByteWriter writer;
    writer.Write(static_cast<uint16_t>(gap));
    writer.Write(uint16_t{7});
    EXPECT_THAT(Apply(writer.bytes(), 2, chunk), FailsWith(ErrorCode::kCorrupt)) << gap;
  }
  ByteWriter writer;
  for (unsigned gap : {9U, 1U}) {
    writer.Write(static_cast<uint16_t>(gap));
    writer.Write(uint16_t{7});
  }
  EXPECT_THAT(Apply(writer.bytes(), 2, chunk), FailsWith(ErrorCode::kCorrupt));
}

TEST(ElementPatches, CutOffAreErrors) {
  Bytes chunk(4 * 10);
  const Bytes patches(12);
  EXPECT_THAT(Apply(patches, 4, chunk), IsOk());
  for (size_t size : {1, 2, 5, 7, 11}) {
    EXPECT_THAT(Apply(ByteSpan(patches).first(size), 4, chunk), FailsWith(ErrorCode::kCorrupt)) << size;
  }
}

}  // namespace
}  // namespace flyweight
