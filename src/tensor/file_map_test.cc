#include "tensor/file_map.h"

#include <gtest/gtest.h>

#include "support/matchers.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;

Extent Raw(uint64_t offset, uint64_t size_bytes) {
  Extent extent;
  extent.offset = offset;
  extent.size_bytes = size_bytes;
  return extent;
}

Extent Tensor(uint64_t offset, uint64_t size_bytes, DType dtype, Shape shape) {
  Extent extent = Raw(offset, size_bytes);
  extent.is_tensor = true;
  extent.name = "weight";
  extent.dtype = dtype;
  extent.shape = std::move(shape);
  return extent;
}

FileMap MapOf(std::vector<Extent> extents) {
  FileMap map;
  map.extents = std::move(extents);
  return map;
}

TEST(RawFileMap, CoversTheFileWithOneExtent) {
  FileMap map = RawFileMap(10);
  EXPECT_EQ(map.format, ContainerFormat::kRaw);
  ASSERT_EQ(map.extents.size(), 1U);
  EXPECT_EQ(map.extents[0].size_bytes, 10U);
  EXPECT_FALSE(map.extents[0].is_tensor);
  EXPECT_THAT(ValidateFileMap(map, 10), IsOk());
}

TEST(RawFileMap, OfAnEmptyFileIsEmpty) {
  EXPECT_TRUE(RawFileMap(0).extents.empty());
  EXPECT_THAT(ValidateFileMap(RawFileMap(0), 0), IsOk());
}

TEST(ValidateFileMap, AcceptsExtentsThatFollowEachOther) {
  FileMap map = MapOf({Raw(0, 8), Tensor(8, 12, DType::kF16, {2, 3}), Tensor(20, 0, DType::kF32, {0, 5}),
                       Tensor(20, 5, DType::kOpaque, {99}), Raw(25, 1)});
  EXPECT_THAT(ValidateFileMap(map, 26), IsOk());
}

TEST(ValidateFileMap, AcceptsAFileOfAnySize) {
  EXPECT_THAT(ValidateFileMap(RawFileMap(UINT64_MAX), UINT64_MAX), IsOk());
}

TEST(ValidateFileMap, RejectsHolesAndOverlapsAndDisorder) {
  EXPECT_THAT(ValidateFileMap(MapOf({Raw(1, 9)}), 10), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(ValidateFileMap(MapOf({Raw(0, 4), Raw(5, 5)}), 10), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(ValidateFileMap(MapOf({Raw(0, 6), Raw(5, 5)}), 10), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(ValidateFileMap(MapOf({Raw(5, 5), Raw(0, 5)}), 10), FailsWith(ErrorCode::kCorrupt));
}

TEST(ValidateFileMap, RejectsAnotherEndThanTheFiles) {
  Status early = ValidateFileMap(MapOf({Raw(0, 9)}), 10);
  ASSERT_THAT(early, FailsWith(ErrorCode::kCorrupt));
  EXPECT_EQ(early.error().offset, 9U);
  EXPECT_THAT(ValidateFileMap(MapOf({Raw(0, 11)}), 10), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(ValidateFileMap(MapOf({}), 10), FailsWith(ErrorCode::kCorrupt));
}

TEST(ValidateFileMap, RejectsSizesThatWouldWrapAround) {
  EXPECT_THAT(ValidateFileMap(MapOf({Raw(0, 10), Raw(10, UINT64_MAX - 9)}), 10), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(ValidateFileMap(MapOf({Raw(0, 10), Raw(10, UINT64_MAX)}), 10), FailsWith(ErrorCode::kCorrupt));
}

TEST(ValidateFileMap, RejectsATensorWhoseShapeHasOtherBytesAndNamesIt) {
  Status status = ValidateFileMap(MapOf({Tensor(0, 10, DType::kF16, {2, 3})}), 10);
  ASSERT_THAT(status, FailsWith(ErrorCode::kCorrupt));
  EXPECT_NE(status.error().message.find("weight"), std::string::npos);
  EXPECT_THAT(ValidateFileMap(MapOf({Tensor(0, 10, DType::kF4, {21})}), 10), FailsWith(ErrorCode::kCorrupt));
  Shape overflowing = {uint64_t{1} << 63, 4};
  EXPECT_THAT(ValidateFileMap(MapOf({Tensor(0, 0, DType::kU8, overflowing)}), 0), FailsWith(ErrorCode::kCorrupt));
}

}  // namespace
}  // namespace flyweight
