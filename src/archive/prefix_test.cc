#include "archive/prefix.h"

#include <gtest/gtest.h>

#include <cstring>

#include "archive_parts.h"
#include "support/matchers.h"

namespace flyweight::test {
namespace {

constexpr uint64_t kManyFrames = 70;  // more than two marks

/// An archive of three records: of several chunks, of none but its head, of many; and the parts it was made of.
struct Sample {
  std::vector<StoredRecord> records{MakeStoredRecord(Noise(300, 1), 64), MakeStoredRecord(Noise(100, 2), 128),
                                    MakeStoredRecord(Noise(kManyFrames * 16, 3), 16)};
  std::vector<uint64_t> offsets;
  Bytes archive;

  Sample() {
    MemorySink sink;
    ArchiveWriter writer(sink);
    EXPECT_THAT(writer.Begin(), IsOk());
    std::vector<IndexExtent> extents;
    for (const StoredRecord& record : records) {
      offsets.push_back(writer.bytes_written());
      EXPECT_THAT(Write(writer, record), IsOk());
      extents.push_back(RecordExtent(offsets.back(), record));
    }
    ArchiveIndex index;
    index.files.push_back(FileOf("f", std::move(extents)));
    EXPECT_THAT(writer.Finish(index), IsOk());
    archive = sink.bytes();
  }

  /// Frame `chunk` of record `number` as the archive has it.
  Bytes Frame(size_t number, size_t chunk) const { return records[number].frames[chunk]; }

  uint64_t FrameEnd(size_t number, size_t chunk) const {
    uint64_t end = offsets[number] + records[number].plan.head_bytes.size();
    for (size_t i = 0; i <= chunk; ++i) end += records[number].frames[i].size();
    return end;
  }
};

/// Every frame that a prefix offers must be the archive's, or be refused; how many were offered and hold.
size_t CountGoodFrames(const Sample& sample, const ArchivePrefix& prefix) {
  size_t good = 0;
  Bytes buffer(1 << 12);
  for (size_t number = 0; number < prefix.records().size(); ++number) {
    const ArchivePrefix::Record& record = prefix.records()[number];
    if (number >= sample.records.size() || prefix.Match(number, sample.records[number].plan.head_bytes) == nullptr)
      continue;
    for (size_t chunk = 0; chunk < record.frame_count; ++chunk) {
      Result<ArchivePrefix::Frame> frame = prefix.ReadFrame(number, chunk, buffer);
      if (!frame.ok()) continue;
      EXPECT_EQ(Copy(frame.value().bytes), sample.Frame(number, chunk)) << number << "." << chunk;
      EXPECT_EQ(frame.value().entry.frame_bytes, frame.value().bytes.size());
      ++good;
    }
  }
  return good;
}

TEST(ArchivePrefix, FindsEveryRecordOfAWholeArchive) {
  Sample sample;
  CopyingSource source(sample.archive);
  ArchivePrefix prefix = ArchivePrefix::Scan(source);
  ASSERT_EQ(prefix.records().size(), sample.records.size());
  size_t frame_count = 0;
  for (size_t i = 0; i < sample.records.size(); ++i) {
    const ArchivePrefix::Record& record = prefix.records()[i];
    EXPECT_EQ(record.offset, sample.offsets[i]);
    EXPECT_EQ(record.head_bytes, sample.records[i].plan.head_bytes.size());
    EXPECT_EQ(record.head_xxh3, Xxh3(sample.records[i].plan.head_bytes));
    EXPECT_EQ(record.frame_count, sample.records[i].frames.size());
    EXPECT_TRUE(record.complete);
    frame_count += sample.records[i].frames.size();
  }
  EXPECT_EQ(CountGoodFrames(sample, prefix), frame_count);
}

TEST(ArchivePrefix, FindsExactlyTheWholeFramesOfEveryTruncation) {
  Sample sample;
  for (size_t size = 0; size <= sample.archive.size(); ++size) {
    CopyingSource source(std::span(sample.archive).first(size));
    ArchivePrefix prefix = ArchivePrefix::Scan(source);
    size_t expected = 0;
    for (size_t number = 0; number < sample.records.size(); ++number) {
      for (size_t chunk = 0; chunk < sample.records[number].frames.size(); ++chunk) {
        expected += sample.FrameEnd(number, chunk) <= size;
      }
    }
    ASSERT_EQ(CountGoodFrames(sample, prefix), expected) << size;
  }
}

TEST(ArchivePrefix, TellsACompleteRecordFromOneWithoutItsTable) {
  Sample sample;
  uint64_t table_end = sample.offsets[1];
  for (uint64_t size : {table_end - 1, table_end}) {
    CopyingSource source(std::span(sample.archive).first(size));
    ArchivePrefix prefix = ArchivePrefix::Scan(source);
    ASSERT_EQ(prefix.records().size(), 1U);
    EXPECT_EQ(prefix.records()[0].frame_count, sample.records[0].frames.size());
    EXPECT_EQ(prefix.records()[0].complete, size == table_end);
  }
}

TEST(ArchivePrefix, NeverOffersADamagedFrameAsGood) {
  Sample sample;
  CopyingSource intact(sample.archive);
  size_t whole = CountGoodFrames(sample, ArchivePrefix::Scan(intact));
  size_t losses = 0;
  for (size_t at = 0; at < sample.offsets[2] + 200; ++at) {
    for (int bit : {0, 3, 7}) {
      Bytes damaged = sample.archive;
      damaged[at] ^= std::byte{1} << bit;
      CopyingSource source(damaged);
      losses += CountGoodFrames(sample, ArchivePrefix::Scan(source)) < whole;
    }
  }
  EXPECT_GT(losses, 0U);
}

TEST(ArchivePrefix, SkipsAHoleInAPayload) {
  Sample sample;
  Bytes damaged = sample.archive;
  uint64_t begin = sample.FrameEnd(0, 0) + kFrameHeaderBytes;
  uint64_t end = sample.FrameEnd(0, 1);
  std::memset(damaged.data() + begin, 0, end - begin);
  CopyingSource source(damaged);
  ArchivePrefix prefix = ArchivePrefix::Scan(source);
  EXPECT_EQ(prefix.records().size(), 3U);
  Bytes buffer(4096);
  EXPECT_THAT(prefix.ReadFrame(0, 0, buffer), IsOk());
  EXPECT_THAT(prefix.ReadFrame(0, 1, buffer), FailsWith(ErrorCode::kChecksumMismatch));
  EXPECT_THAT(prefix.ReadFrame(0, 2, buffer), IsOk());
}

TEST(ArchivePrefix, EndsAtAHoleThatSwallowedAFrameHeader) {
  Sample sample;
  Bytes damaged = sample.archive;
  uint64_t begin = sample.FrameEnd(0, 1);
  std::memset(damaged.data() + begin, 0, damaged.size() - begin);
  damaged.resize(damaged.size() + 100'000);
  CopyingSource source(damaged);
  ArchivePrefix prefix = ArchivePrefix::Scan(source);
  ASSERT_EQ(prefix.records().size(), 1U);
  EXPECT_EQ(prefix.records()[0].frame_count, 2U);
  EXPECT_FALSE(prefix.records()[0].complete);
}

TEST(ArchivePrefix, FindsNothingInWhatIsNoArchive) {
  Sample sample;
  Bytes headless = Copy(std::span(sample.archive).subspan(1));
  Bytes zeros(10'000);
  for (const Bytes& bytes : {Bytes(), Noise(10'000, 4), headless, zeros}) {
    CopyingSource source(bytes);
    EXPECT_TRUE(ArchivePrefix::Scan(source).records().empty());
  }
}

TEST(ArchivePrefix, SurvivesGarbageBehindEveryTruncation) {
  Sample sample;
  for (size_t size = 0; size < sample.archive.size(); size += 7) {
    Bytes bytes = Copy(std::span(sample.archive).first(size));
    Bytes noise = Noise(500, size);
    bytes.insert(bytes.end(), noise.begin(), noise.end());
    CopyingSource source(bytes);
    CountGoodFrames(sample, ArchivePrefix::Scan(source));
  }
}

TEST(ArchivePrefix, MatchesHeadsByContentAndPlace) {
  Sample sample;
  CopyingSource source(sample.archive);
  ArchivePrefix prefix = ArchivePrefix::Scan(source);
  EXPECT_EQ(prefix.Match(0, sample.records[0].plan.head_bytes), &prefix.records()[0]);
  EXPECT_EQ(prefix.Match(1, sample.records[0].plan.head_bytes), nullptr);
  EXPECT_EQ(prefix.Match(3, sample.records[0].plan.head_bytes), nullptr);
  EXPECT_EQ(ArchivePrefix().Match(0, sample.records[0].plan.head_bytes), nullptr);
}

TEST(ArchivePrefix, RefusesFramesItDoesNotHaveAndBuffersThatAreTooSmall) {
  Sample sample;
  CopyingSource source(sample.archive);
  ArchivePrefix prefix = ArchivePrefix::Scan(source);
  Bytes buffer(4096);
  EXPECT_THAT(prefix.ReadFrame(3, 0, buffer), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(prefix.ReadFrame(0, 99, buffer), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(prefix.ReadFrame(0, 0, std::span(buffer).first(10)), FailsWith(ErrorCode::kLimitExceeded));
}

TEST(ArchivePrefix, NoticesFramesThatWereOverwrittenSinceTheScan) {
  Sample sample;
  Bytes bytes = sample.archive;
  CopyingSource source(bytes);
  ArchivePrefix prefix = ArchivePrefix::Scan(source);
  Bytes buffer(4096);
  ASSERT_THAT(prefix.ReadFrame(2, 50, buffer), IsOk());
  std::memset(bytes.data() + sample.FrameEnd(2, 49), 0x55, 20);
  EXPECT_FALSE(prefix.ReadFrame(2, 50, buffer).ok());
}

}  // namespace
}  // namespace flyweight::test
