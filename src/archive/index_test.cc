#include "archive/index.h"

#include <gtest/gtest.h>

#include "archive_parts.h"

namespace flyweight::test {
namespace {

constexpr uint64_t kRecordsEnd = 10000;

/// Everything an index can say.
ArchiveIndex FullIndex() {
  ArchiveIndex index;
  IndexExtent record = AsTensor({}, "h.0.weight", DType::kBF16, {3, 500});
  record.place = PlaceKind::kRecord;
  record.decoded_bytes = 3000;
  record.record_offset = 64;
  record.record_bytes = 2000;
  record.record_check = 0x1122334455667788;
  record.digest_algorithm = DigestAlgorithm::kSha256Tree;
  record.digest = Sha256({});
  index.files.push_back(FileOf(
      "a.safetensors", {InlineExtent(Noise(100, 1)), record, AsTensor(InlineExtent({}), "", DType::kF64, {0, 7})}));
  index.files[0].container_format = ContainerFormat::kSafetensors;
  index.files[0].has_sha256 = true;
  index.files[0].sha256 = Sha256(Noise(10, 1));
  index.files.push_back(FileOf("", {SameExtent(1, 3000), SameExtent(0, 100),
                                    AsTensor(InlineExtent(Noise(5, 2)), "x\xff", DType::kOpaque, {9})}));
  index.files.push_back(FileOf("empty", {}));
  return index;
}

TEST(Index, RoundTripsEverything) {
  Bytes body = SerializeIndex(FullIndex());
  auto parsed = ParseIndex(body, kRecordsEnd);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const ArchiveIndex& index = parsed.value();
  ASSERT_EQ(index.files.size(), 3u);
  EXPECT_EQ(index.files[0].name, "a.safetensors");
  EXPECT_EQ(index.files[0].container_format, ContainerFormat::kSafetensors);
  EXPECT_TRUE(index.files[0].has_sha256);
  EXPECT_EQ(index.files[0].sha256, Sha256(Noise(10, 1)));
  EXPECT_EQ(index.files[0].file_bytes, 3100u);
  EXPECT_EQ(index.files[0].extents[0].inline_bytes, Noise(100, 1));
  const IndexExtent& record = index.files[0].extents[1];
  EXPECT_EQ(record.name, "h.0.weight");
  EXPECT_EQ(record.dtype, DType::kBF16);
  EXPECT_EQ(record.shape, (Shape{3, 500}));
  EXPECT_EQ(record.record_offset, 64u);
  EXPECT_EQ(record.record_bytes, 2000u);
  EXPECT_EQ(record.record_check, 0x1122334455667788u);
  EXPECT_EQ(record.digest, Sha256({}));
  EXPECT_EQ(index.files[0].extents[2].shape, (Shape{0, 7}));
  EXPECT_EQ(index.files[1].extents[0].same_as, 1u);
  EXPECT_EQ(index.files[1].extents[2].name, "x\xff");
  EXPECT_TRUE(index.files[2].extents.empty());
  EXPECT_EQ(SerializeIndex(index), body) << "an index has one spelling";
}

TEST(Index, TruncationAtEveryByteIsAnError) {
  Bytes body = SerializeIndex(FullIndex());
  for (size_t size = 0; size < body.size(); ++size) {
    auto parsed = ParseIndex(ByteSpan(body).first(size), kRecordsEnd);
    ASSERT_FALSE(parsed.ok()) << size;
    EXPECT_EQ(parsed.error().code, ErrorCode::kTruncated) << size << ": " << parsed.error().message;
  }
}

TEST(Index, ErrorsNameFileAndExtent) {
  ArchiveIndex index = FullIndex();
  index.files[1].extents[2].digest[0] = std::byte{1};
  Status status = ValidateIndex(index, kRecordsEnd);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "index: file 1: extent 2: a digest that is not there must be 32 zero bytes");
}

TEST(Index, RecordsMustEndBeforeTheIndex) {
  EXPECT_TRUE(ValidateIndex(FullIndex(), 2064).ok());
  EXPECT_FALSE(ValidateIndex(FullIndex(), 2063).ok());
}

TEST(Index, NamesAndRanksOverTheirFieldsAreRefused) {
  ArchiveIndex index = FullIndex();
  index.files[0].name = std::string(65535, 'n');
  index.files[0].extents[2].name = std::string(65535, 'n');
  index.files[0].extents[2].shape = Shape(255, 0);
  EXPECT_TRUE(ValidateIndex(index, kRecordsEnd).ok());
  ArchiveIndex long_file = index;
  long_file.files[0].name += 'n';
  EXPECT_FALSE(ValidateIndex(long_file, kRecordsEnd).ok());
  ArchiveIndex long_tensor = index;
  long_tensor.files[0].extents[2].name += 'n';
  EXPECT_FALSE(ValidateIndex(long_tensor, kRecordsEnd).ok());
  index.files[0].extents[2].shape.push_back(0);
  EXPECT_FALSE(ValidateIndex(index, kRecordsEnd).ok());
}

TEST(Index, AttributesAreSkipped) {
  Bytes body = SerializeIndex(FullIndex());
  size_t count_offset = 8 + 2 + FullIndex().files[0].name.size() + 2 + 32 + 8;
  ASSERT_EQ(LoadLe<uint32_t>(body.data() + count_offset), 0u);
  StoreLe(body.data() + count_offset, uint32_t{2});
  ByteWriter attributes;
  attributes.Write(uint16_t{7});
  attributes.Write(uint32_t{0});
  attributes.Write(uint16_t{9});
  attributes.Write(uint32_t{4});
  attributes.Append(AsBytes("four"));
  body.insert(body.begin() + static_cast<ptrdiff_t>(count_offset + 4), attributes.bytes().begin(),
              attributes.bytes().end());
  auto parsed = ParseIndex(body, kRecordsEnd);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed.value().files[0].extents.size(), 3u);
}

TEST(Index, DTypesOfTomorrowMayHaveAnySize) {
  ArchiveIndex index = FullIndex();
  index.files[0].extents[1].dtype = static_cast<DType>(4711);
  auto parsed = ParseIndex(SerializeIndex(index), kRecordsEnd);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(static_cast<int>(parsed.value().files[0].extents[1].dtype), 4711);
}

}  // namespace
}  // namespace flyweight::test
