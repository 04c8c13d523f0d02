#include "archive/reader.h"

#include <gtest/gtest.h>

#include <atomic>

#include "archive_parts.h"

namespace flyweight::test {
namespace {

/// Counts the reads of a source that is not in memory.
class CountingSource final : public ByteSource {
 public:
  explicit CountingSource(ByteSpan bytes) : inner_(bytes) {}
  uint64_t size() const override { return inner_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    ++reads;
    read_bytes += target.size();
    return inner_.ReadAt(offset, target);
  }

  mutable std::atomic<size_t> reads = 0;
  mutable std::atomic<size_t> read_bytes = 0;

 private:
  CopyingSource inner_;
};

/// A source whose reads fail from the n-th on.
class FailingSource final : public ByteSource {
 public:
  FailingSource(ByteSpan bytes, size_t good_reads) : inner_(bytes), good_reads_(good_reads) {}
  uint64_t size() const override { return inner_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    if (good_reads_ == 0) return Error{ErrorCode::kIo, offset, "the disk is gone"};
    --good_reads_;
    return inner_.ReadAt(offset, target);
  }

 private:
  CopyingSource inner_;
  mutable size_t good_reads_;
};

/// An archive of one record of `size_bytes` and `inline_count` inline extents of 1000 bytes of noise.
Bytes MakeArchive(size_t size_bytes, uint32_t chunk_bytes, size_t inline_count) {
  StoredRecord record = MakeStoredRecord(Noise(size_bytes, 1), chunk_bytes);
  std::vector<IndexExtent> extents = {RecordExtent(wire::kHeaderBytes, record)};
  for (size_t i = 0; i < inline_count; ++i) extents.push_back(InlineExtent(Noise(1000, 2 + i)));
  ArchiveIndex index;
  index.files.push_back(FileOf("f", std::move(extents)));
  return Assemble(record.Whole(), index);
}

TEST(ArchiveReader, OpensSmallArchivesWithOneRead) {
  Bytes archive = MakeArchive(1000, 64, 5);
  CountingSource source(archive);
  ASSERT_TRUE(ArchiveReader::Open(source).ok());
  EXPECT_EQ(source.reads, 1u);
}

TEST(ArchiveReader, OpensLargeArchivesWithOneReadMoreForTheHeader) {
  Bytes archive = MakeArchive(500000, 65536, 5);
  CountingSource source(archive);
  ASSERT_TRUE(ArchiveReader::Open(source).ok());
  EXPECT_EQ(source.reads, 2u);
  EXPECT_EQ(source.read_bytes, 65536u + 64);
}

TEST(ArchiveReader, OpensIndexesThatAreLargerThanTheFirstRead) {
  for (size_t inline_count : {20, 40, 70, 200}) {
    Bytes archive = MakeArchive(100000, 65536, inline_count);
    auto decoded = DecodeAll(CopyingSource(archive));
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    EXPECT_EQ(decoded.value().files[0].size(), 100000 + 1000 * inline_count);
    EXPECT_TRUE(decoded.value().damage.empty());
  }
}

TEST(ArchiveReader, PassesOnWhatTheSourceReports) {
  Bytes archive = MakeArchive(200000, 65536, 70);
  for (size_t good_reads = 0; good_reads < 60; ++good_reads) {
    FailingSource source(archive, good_reads);
    auto decoded = DecodeAll(source);
    if (decoded.ok()) {
      EXPECT_GT(good_reads, 5u);
      return;
    }
    EXPECT_EQ(decoded.error().code, ErrorCode::kIo) << good_reads;
  }
  FAIL() << "more reads than it should take";
}

TEST(ArchiveReader, OpensARecordWithTwoReads) {
  Bytes archive = MakeArchive(500000, 65536, 0);
  CountingSource source(archive);
  auto reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok());
  source.reads = 0;
  auto record = reader.value().OpenRecordOf(reader.value().index().files[0].extents[0]);
  ASSERT_TRUE(record.ok()) << record.error().message;
  EXPECT_EQ(source.reads, 2u);
  EXPECT_EQ(record.value().table.size(), 8u);
  EXPECT_EQ(record.value().frame_offsets[1], wire::kHeaderBytes + kRecordHeadMinBytes + kFrameHeaderBytes + 65536);
}

TEST(ArchiveReader, EveryRangeIsThatOfTheWhole) {
  Bytes content = Noise(150, 1);
  Bytes archive = MakeArchive(150, 64, 1);
  for (bool in_memory : {true, false}) {
    MemorySource memory(archive);
    CopyingSource file(archive);
    auto reader = ArchiveReader::Open(in_memory ? static_cast<const ByteSource&>(memory) : file);
    ASSERT_TRUE(reader.ok());
    const IndexExtent& extent = reader.value().index().files[0].extents[0];
    CodecScratch scratch;
    for (size_t begin = 0; begin <= 150; ++begin) {
      for (size_t end = begin; end <= 150; ++end) {
        Bytes part(end - begin);
        ASSERT_TRUE(reader.value().DecodeRange(extent, begin, part, scratch).ok());
        ASSERT_TRUE(std::equal(part.begin(), part.end(), content.begin() + static_cast<ptrdiff_t>(begin)))
            << begin << " to " << end;
      }
    }
  }
}

TEST(ArchiveReader, RangesReadOnlyTheChunksTheyNeed) {
  Bytes archive = MakeArchive(640, 64, 0);
  StoredRecord record = MakeStoredRecord(Noise(640, 1), 64);
  // Chunk 4 is damaged; ranges that do not touch it are still good.
  archive[wire::kHeaderBytes + kRecordHeadMinBytes + 4 * record.frames[0].size() + kFrameHeaderBytes] ^= std::byte{1};
  MemorySource source(archive);
  auto reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok());
  const IndexExtent& extent = reader.value().index().files[0].extents[0];
  CodecScratch scratch;
  Bytes part(256);
  EXPECT_TRUE(reader.value().DecodeRange(extent, 0, part, scratch).ok());
  EXPECT_TRUE(reader.value().DecodeRange(extent, 320, part, scratch).ok());
  Status touched = reader.value().DecodeRange(extent, 1, part, scratch);
  ASSERT_FALSE(touched.ok());
  EXPECT_EQ(touched.error().code, ErrorCode::kChecksumMismatch);
  EXPECT_EQ(touched.error().message.rfind("chunk 4: ", 0), 0u) << touched.error().message;
}

TEST(ArchiveReader, RangesOutsideOfTheExtentAreRefused) {
  Bytes archive = MakeArchive(150, 64, 1);
  MemorySource source(archive);
  auto reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok());
  CodecScratch scratch;
  Bytes part(10);
  for (const IndexExtent& extent : reader.value().index().files[0].extents) {
    for (uint64_t begin :
         {extent.decoded_bytes - 9, extent.decoded_bytes, uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 9}) {
      Status status = reader.value().DecodeRange(extent, begin, part, scratch);
      ASSERT_FALSE(status.ok()) << begin;
      EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    }
    EXPECT_TRUE(reader.value().DecodeRange(extent, extent.decoded_bytes - 10, part, scratch).ok());
    EXPECT_TRUE(reader.value().DecodeRange(extent, extent.decoded_bytes, {}, scratch).ok());
  }
}

TEST(ArchiveReader, ResolvesExtentsThatAreTheSameAsOthers) {
  auto sample = MakeSample(3);
  ASSERT_TRUE(sample.ok());
  MemorySource source(sample.value().archive);
  auto opened = ArchiveReader::Open(source);
  ASSERT_TRUE(opened.ok());
  ArchiveReader reader = std::move(opened).value();
  const ArchiveIndex& index = reader.index();
  EXPECT_EQ(&reader.Resolve(index.files[1].extents[0]), &index.files[0].extents[1]);
  EXPECT_EQ(&reader.Resolve(index.files[1].extents[1]), &index.files[0].extents[0]);
  EXPECT_EQ(&reader.Resolve(index.files[0].extents[1]), &index.files[0].extents[1]);
}

TEST(ArchiveReader, SaysWhatIsNoArchive) {
  for (std::string_view text : {"", "a",
                                "\x89"
                                "FLY",
                                "PK\3\4",
                                "not an archive at all, although it is longer than the smallest one, which takes"
                                " a header, two indexes and a footer, that is two hundred and seventy-two bytes"
                                " in all, so that what stands here is long enough to have each of these things,"
                                " if it only were one, which it never can be."}) {
    auto reader = ArchiveReader::Open(MemorySource(AsBytes(text)));
    ASSERT_FALSE(reader.ok());
    EXPECT_EQ(reader.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(reader.error().message, "not a flyweight archive");
  }
}

TEST(ArchiveReader, LooksLikeArchiveNeedsTheWholeMagic) {
  Bytes archive = MakeArchive(100, 64, 0);
  EXPECT_TRUE(LooksLikeArchive(archive));
  EXPECT_TRUE(LooksLikeArchive(ByteSpan(archive).first(8)));
  EXPECT_FALSE(LooksLikeArchive(ByteSpan(archive).first(7)));
  EXPECT_FALSE(LooksLikeArchive(ByteSpan(archive).subspan(1)));
  EXPECT_FALSE(LooksLikeArchive({}));
}

}  // namespace
}  // namespace flyweight::test
