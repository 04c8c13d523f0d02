#include "archive/range_reader.h"

#include <gtest/gtest.h>

#include "archive/writer.h"
#include "archive_parts.h"
#include "tensor/cast.h"

namespace flyweight::test {
namespace {

constexpr uint32_t kChunkBytes = 64;

struct SharedSample {
  Bytes archive;
  Bytes pieces;  ///< content of extent 1
  Bytes cast;    ///< content of extent 2
};

void Append(Bytes& target, ByteSpan bytes) { target.insert(target.end(), bytes.begin(), bytes.end()); }

/// 0: an F32 record of several chunks, 1: pieces of it and of its own bytes, 2: its cast.
SharedSample MakeSharedSample() {
  Bytes large = Noise(400, 1);
  Bytes own = Noise(150, 2);
  MemorySink sink;
  ArchiveWriter writer(sink);
  EXPECT_TRUE(writer.Begin({.required_features = wire::kFeatureShared}).ok());
  StoredRecord large_record = MakeStoredRecord(large, kChunkBytes);
  StoredRecord own_record = MakeStoredRecord(own, kChunkBytes);
  auto large_place = Write(writer, large_record);
  auto own_place = Write(writer, own_record);
  EXPECT_TRUE(large_place.ok() && own_place.ok());

  SharedSample sample;
  IndexExtent pieces = RecordExtent(own_place.value().offset, own_record);
  pieces.place = PlaceKind::kPieces;
  pieces.own_bytes = own.size();
  // Own bytes, whole chunks and parts of the other, one byte, own bytes again, and once more.
  pieces.pieces = {{100, 1, 0}, {64, 0, 64}, {300, 0, 90}, {1, 0, 399}, {50, 1, 100}, {150, 1, 0}, {400, 0, 0}};
  for (const IndexPiece& piece : pieces.pieces) {
    const Bytes& source = piece.extent == 0 ? large : own;
    Append(sample.pieces, ByteSpan(source).subspan(piece.offset, piece.size_bytes));
  }
  pieces.decoded_bytes = sample.pieces.size();

  IndexExtent cast = AsTensor({}, "cast", DType::kBF16, {100});
  cast.place = PlaceKind::kCast;
  cast.decoded_bytes = 200;
  cast.cast_method = CastMethod::kBF16;
  sample.cast.resize(200);
  CastFromF32(CastMethod::kBF16, large, sample.cast);

  ArchiveIndex index;
  index.files.push_back(FileOf(
      "f", {AsTensor(RecordExtent(large_place.value().offset, large_record), "w", DType::kF32, {100}), pieces, cast}));
  EXPECT_TRUE(writer.Finish(index).ok());
  sample.archive = std::move(sink.bytes());
  return sample;
}

TEST(RangeReader, ReadsEveryRange) {
  SharedSample sample = MakeSharedSample();
  MemorySource source(sample.archive);
  auto reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  CodecScratch scratch;
  RangeReader kept(reader.value());
  for (size_t number : {1, 2}) {
    const IndexExtent& extent = reader.value().ExtentAt(number);
    const Bytes& expected = number == 1 ? sample.pieces : sample.cast;
    for (size_t begin = 0; begin < expected.size(); begin += 7) {
      for (size_t count : {size_t{1}, size_t{3}, size_t{64}, size_t{200}, expected.size()}) {
        Bytes target(std::min(count, expected.size() - begin));
        ASSERT_TRUE(kept.Read(extent, begin, target, scratch).ok());
        EXPECT_TRUE(std::equal(target.begin(), target.end(), expected.begin() + static_cast<ptrdiff_t>(begin)))
            << number << ": " << count << " from " << begin;
      }
    }
  }
}

TEST(RangeReader, IsWhatDecodeRangeUses) {
  SharedSample sample = MakeSharedSample();
  auto decoded = DecodeAll(sample.archive);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  Bytes tail(decoded.value().files[0].begin() + 400, decoded.value().files[0].end());
  Bytes expected = sample.pieces;
  Append(expected, sample.cast);
  EXPECT_EQ(tail, expected);
}

TEST(RangeReader, TellsWhatIsLostAndReadsTheRest) {
  SharedSample sample = MakeSharedSample();
  // The third chunk of the large record: bytes 128 to 191 of it.
  size_t frame_bytes = kFrameHeaderBytes + kChunkBytes;
  sample.archive[wire::kHeaderBytes + kRecordHeadMinBytes + 2 * frame_bytes + kFrameHeaderBytes + 5] ^= std::byte{1};
  MemorySource source(sample.archive);
  auto reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  CodecScratch scratch;
  for (size_t number : {1, 2}) {
    const IndexExtent& extent = reader.value().ExtentAt(number);
    const Bytes& expected = number == 1 ? sample.pieces : sample.cast;
    Bytes target(expected.size());
    EXPECT_FALSE(RangeReader(reader.value()).Read(extent, 0, target, scratch).ok());
    std::vector<bool> lost(expected.size(), false);
    auto lose = [&](uint64_t begin, uint64_t size_bytes, const Error&) {
      for (uint64_t i = begin; i < begin + size_bytes; ++i) lost[i] = true;
    };
    ASSERT_TRUE(RangeReader(reader.value()).Read(extent, 0, target, scratch, lose).ok());
    size_t lost_count = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(target[i], lost[i] ? std::byte{0} : expected[i]) << number << ": " << i;
      lost_count += lost[i];
    }
    EXPECT_EQ(lost_count, number == 1 ? 128u : 32u);
  }
}

TEST(ArchiveReader, RefusesSharedPlacesThatTheHeaderDoesNotAnnounce) {
  SharedSample sample = MakeSharedSample();
  MemorySource source(sample.archive);
  auto reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok());
  uint64_t first_index_offset = LoadLe<uint64_t>(sample.archive.data() + sample.archive.size() - wire::kFooterBytes +
                                                 wire::kFooterFirstIndexOffset);
  ByteSpan records = ByteSpan(sample.archive).subspan(wire::kHeaderBytes, first_index_offset - wire::kHeaderBytes);
  Bytes unannounced = Assemble(records, reader.value().index());
  auto refused = ArchiveReader::Open(MemorySource(unannounced));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
}

TEST(ArchiveWriter, RefusesAnIndexWithSharedPlacesUnannounced) {
  MemorySink sink;
  ArchiveWriter writer(sink);
  ASSERT_TRUE(writer.Begin().ok());
  StoredRecord record = MakeStoredRecord(Noise(100, 1), kChunkBytes);
  auto place = Write(writer, record);
  ASSERT_TRUE(place.ok());
  ArchiveIndex index;
  IndexExtent pieces = RecordExtent(place.value().offset, record);
  pieces.place = PlaceKind::kPieces;
  pieces.own_bytes = 100;
  pieces.pieces = {{100, 0, 0}, {100, 0, 0}};
  pieces.decoded_bytes = 200;
  index.files.push_back(FileOf("f", {pieces}));
  EXPECT_FALSE(writer.Finish(index).ok());
}

}  // namespace
}  // namespace flyweight::test
