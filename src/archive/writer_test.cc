#include "archive/writer.h"

#include <gtest/gtest.h>

#include "archive_parts.h"

namespace flyweight::test {
namespace {

ErrorCode CodeOf(const Status& status) { return status.ok() ? ErrorCode{} : status.error().code; }

/// Takes a number of bytes, then fails, as a full disk does.
class FullSink final : public ByteSink {
 public:
  explicit FullSink(size_t room_bytes) : room_bytes_(room_bytes) {}
  Status Append(ByteSpan bytes) override {
    if (bytes.size() > room_bytes_) return Error{ErrorCode::kIo, 0, "no space left"};
    room_bytes_ -= bytes.size();
    return Status::Ok();
  }

 private:
  size_t room_bytes_;
};

Status WriteWhole(ByteSink& sink) {
  ArchiveWriter writer(sink);
  StoredRecord record = MakeStoredRecord(Noise(100, 1), 64);
  FLYWEIGHT_TRY(writer.Begin());
  FLYWEIGHT_TRY(Write(writer, record));
  ArchiveIndex index;
  index.files.push_back(FileOf("f", {RecordExtent(wire::kHeaderBytes, record)}));
  return writer.Finish(index);
}

TEST(ArchiveWriter, WritesWhatReadersRead) {
  MemorySink sink;
  ASSERT_TRUE(WriteWhole(sink).ok());
  auto decoded = DecodeAll(sink.bytes());
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_EQ(decoded.value().files, std::vector<Bytes>{Noise(100, 1)});
}

TEST(ArchiveWriter, SameContentGivesTheSameArchive) {
  MemorySink one;
  MemorySink two;
  ASSERT_TRUE(WriteWhole(one).ok());
  ASSERT_TRUE(WriteWhole(two).ok());
  EXPECT_EQ(one.bytes(), two.bytes());
}

TEST(ArchiveWriter, EndRecordSaysWhereTheRecordLies) {
  MemorySink sink;
  ArchiveWriter writer(sink);
  ASSERT_TRUE(writer.Begin().ok());
  for (uint64_t seed : {1, 2}) {
    uint64_t begin = writer.bytes_written();
    StoredRecord record = MakeStoredRecord(Noise(100 * seed, seed), 64);
    auto place = Write(writer, record);
    ASSERT_TRUE(place.ok());
    EXPECT_EQ(place.value().offset, begin);
    EXPECT_EQ(place.value().record_bytes, record.Whole().size());
    EXPECT_EQ(place.value().record_check, record.Check());
    EXPECT_EQ(writer.bytes_written(), sink.bytes().size());
  }
}

TEST(ArchiveWriter, FailsWithItsSinkWhereverThatFails) {
  MemorySink whole;
  ASSERT_TRUE(WriteWhole(whole).ok());
  for (size_t room_bytes = 0; room_bytes < whole.bytes().size(); ++room_bytes) {
    FullSink sink(room_bytes);
    EXPECT_EQ(CodeOf(WriteWhole(sink)), ErrorCode::kIo) << room_bytes;
  }
  FullSink enough(whole.bytes().size());
  EXPECT_TRUE(WriteWhole(enough).ok());
}

TEST(ArchiveWriter, CallsOutOfOrderAreRefused) {
  StoredRecord record = MakeStoredRecord(Noise(100, 1), 64);
  MemorySink sink;
  ArchiveWriter writer(sink);
  EXPECT_EQ(CodeOf(writer.BeginRecord(record.plan)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(writer.Finish({})), ErrorCode::kInvalidArgument);
  ASSERT_TRUE(writer.Begin().ok());
  EXPECT_EQ(CodeOf(writer.Begin()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(writer.AppendFrame(record.frames[0], record.table[0])), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(writer.EndRecord().ok());
  ASSERT_TRUE(writer.BeginRecord(record.plan).ok());
  EXPECT_EQ(CodeOf(writer.BeginRecord(record.plan)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(writer.Finish({})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(writer.AppendFrame(record.frames[0], record.table[1])), ErrorCode::kInvalidArgument);
  ASSERT_TRUE(writer.AppendFrame(record.frames[0], record.table[0]).ok());
  EXPECT_FALSE(writer.EndRecord().ok()) << "a chunk is missing";
  ASSERT_TRUE(writer.AppendFrame(record.frames[1], record.table[1]).ok());
  EXPECT_EQ(CodeOf(writer.AppendFrame(record.frames[1], record.table[1])), ErrorCode::kInvalidArgument);
  ASSERT_TRUE(writer.EndRecord().ok());
}

TEST(ArchiveWriter, AnIndexThatDoesNotDescribeWhatWasWrittenIsRefused) {
  StoredRecord record = MakeStoredRecord(Noise(100, 1), 64);
  IndexExtent good = RecordExtent(wire::kHeaderBytes, record);
  IndexExtent other_check = good;
  other_check.record_check ^= 1;
  IndexExtent other_size = good;
  other_size.record_bytes -= 1;
  IndexExtent other_offset = good;
  other_offset.record_offset += 1;
  other_offset.record_bytes -= 1;
  IndexExtent bad_same = SameExtent(1, 100);
  for (const IndexExtent& extent : {other_check, other_size, other_offset, bad_same}) {
    MemorySink sink;
    ArchiveWriter writer(sink);
    ASSERT_TRUE(writer.Begin().ok());
    ASSERT_TRUE(Write(writer, record).ok());
    ArchiveIndex index;
    index.files.push_back(FileOf("f", {extent}));
    size_t before = sink.bytes().size();
    EXPECT_EQ(CodeOf(writer.Finish(index)), ErrorCode::kInvalidArgument);
    EXPECT_EQ(sink.bytes().size(), before) << "nothing was written";
  }
}

}  // namespace
}  // namespace flyweight::test
