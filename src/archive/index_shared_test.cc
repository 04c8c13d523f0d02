#include "archive/index_shared.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "archive/index.h"
#include "archive_parts.h"

namespace flyweight::test {
namespace {

constexpr uint64_t kRecordsEnd = 10000;

IndexExtent Record(DType dtype, uint64_t decoded_bytes) {
  IndexExtent extent = AsTensor({}, "w", dtype, {decoded_bytes / 4});
  extent.place = PlaceKind::kRecord;
  extent.decoded_bytes = decoded_bytes;
  extent.record_offset = 64;
  extent.record_bytes = 2000;
  return extent;
}

IndexExtent Pieces(uint64_t own_bytes, std::vector<IndexPiece> pieces) {
  IndexExtent extent;
  extent.place = PlaceKind::kPieces;
  extent.own_bytes = own_bytes;
  if (own_bytes != 0) {
    extent.record_offset = 2064;
    extent.record_bytes = 1000;
    extent.record_check = 0x1122334455667788;
  }
  for (const IndexPiece& piece : pieces) extent.decoded_bytes += piece.size_bytes;
  extent.pieces = std::move(pieces);
  return extent;
}

IndexExtent Cast(CastMethod method, uint64_t number, uint64_t decoded_bytes) {
  IndexExtent extent = AsTensor({}, "cast", CastTarget(method), {decoded_bytes / 2});
  extent.place = PlaceKind::kCast;
  extent.decoded_bytes = decoded_bytes;
  extent.cast_method = method;
  extent.cast_of = number;
  return extent;
}

/// 0: cast of 1, 1: record, 2: pieces of 1 and itself, 3: the same as 2, 4: pieces without own bytes, 5: inline,
/// 6: the same as 0.
ArchiveIndex SharedIndex() {
  ArchiveIndex index;
  IndexExtent pieces = Pieces(100, {{60, 2, 0}, {3000, 1, 1000}, {40, 2, 60}, {30, 2, 70}});
  index.files.push_back(FileOf("first", {Cast(CastMethod::kBF16, 1, 2000), Record(DType::kF32, 4000), pieces}));
  index.files.push_back(FileOf("second", {SameExtent(2, 3130), Pieces(0, {{100, 2, 0}, {4000, 1, 0}}),
                                          InlineExtent(Noise(9, 1)), SameExtent(0, 2000)}));
  return index;
}

TEST(SharedIndex, RoundTrips) {
  Bytes body = SerializeIndex(SharedIndex());
  auto parsed = ParseIndex(body, kRecordsEnd);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const std::vector<IndexExtent>& first = parsed.value().files[0].extents;
  EXPECT_EQ(first[0].cast_method, CastMethod::kBF16);
  EXPECT_EQ(first[0].cast_of, 1u);
  EXPECT_EQ(first[2].own_bytes, 100u);
  EXPECT_EQ(first[2].record_offset, 2064u);
  EXPECT_EQ(first[2].record_bytes, 1000u);
  EXPECT_EQ(first[2].record_check, 0x1122334455667788u);
  EXPECT_EQ(first[2].pieces, SharedIndex().files[0].extents[2].pieces);
  const std::vector<IndexExtent>& second = parsed.value().files[1].extents;
  EXPECT_EQ(second[1].own_bytes, 0u);
  EXPECT_FALSE(second[1].has_record());
  EXPECT_EQ(SerializeIndex(parsed.value()), body);
  EXPECT_TRUE(HasSharedPlaces(parsed.value()));
}

TEST(SharedIndex, TruncationAtEveryByteIsAnError) {
  Bytes body = SerializeIndex(SharedIndex());
  for (size_t size = 0; size < body.size(); ++size) {
    auto parsed = ParseIndex(ByteSpan(body).first(size), kRecordsEnd);
    ASSERT_FALSE(parsed.ok()) << size;
    EXPECT_EQ(parsed.error().code, ErrorCode::kTruncated) << size << ": " << parsed.error().message;
  }
}

struct BadIndex {
  const char* what;
  std::function<void(ArchiveIndex&)> spoil;
};

IndexExtent& Of(ArchiveIndex& index, size_t file, size_t extent) { return index.files[file].extents[extent]; }

TEST(SharedIndex, RefusesWhatCannotBe) {
  const BadIndex cases[] = {
      {"an empty piece", [](ArchiveIndex& i) { Of(i, 0, 2).pieces.push_back({0, 1, 0}); }},
      {"a piece too many", [](ArchiveIndex& i) { Of(i, 0, 2).pieces.push_back({1, 1, 0}); }},
      {"a piece too few", [](ArchiveIndex& i) { Of(i, 0, 2).pieces.pop_back(); }},
      {"no pieces", [](ArchiveIndex& i) { Of(i, 0, 2).pieces.clear(); }},
      {"no bytes", [](ArchiveIndex& i) { i.files[1].extents.push_back(Pieces(0, {})); }},
      {"a piece that ends behind its record", [](ArchiveIndex& i) { Of(i, 0, 2).pieces[1].offset = 1001; }},
      {"an offset that overflows", [](ArchiveIndex& i) { Of(i, 0, 2).pieces[1].offset = UINT64_MAX - 10; }},
      {"a piece behind its own bytes", [](ArchiveIndex& i) { Of(i, 0, 2).pieces[3].offset = 71; }},
      {"sizes that overflow",
       [](ArchiveIndex& i) {
         Of(i, 0, 1).decoded_bytes = UINT64_MAX - 3;
         Of(i, 0, 2).pieces[0] = {UINT64_MAX - 3, 1, 0};
       }},
      {"a later extent", [](ArchiveIndex& i) { Of(i, 0, 2).pieces[1].extent = 3; }},
      {"no such extent", [](ArchiveIndex& i) { Of(i, 0, 2).pieces[1].extent = UINT32_MAX; }},
      {"a piece of a cast", [](ArchiveIndex& i) { Of(i, 0, 2).pieces[0].extent = 0; }},
      {"a piece of a same-as extent", [](ArchiveIndex& i) { Of(i, 1, 1).pieces[0].extent = 3; }},
      {"a piece of an extent without record",
       [](ArchiveIndex& i) {
         i.files[1].extents.push_back(Pieces(0, {{10, 4, 0}}));
         i.files[1].file_bytes += 10;
       }},
      {"a piece of itself without record", [](ArchiveIndex& i) { Of(i, 1, 1).pieces[0] = {100, 4, 0}; }},
      {"a piece of an inline extent",
       [](ArchiveIndex& i) {
         i.files[1].extents.push_back(Pieces(0, {{9, 5, 0}}));
         i.files[1].file_bytes += 9;
       }},
      {"a record outside", [](ArchiveIndex& i) { Of(i, 0, 2).record_offset = kRecordsEnd - 999; }},
      {"a record too small", [](ArchiveIndex& i) { Of(i, 0, 2).record_bytes = 75; }},
      {"own bytes that no record gives", [](ArchiveIndex& i) { Of(i, 0, 2).own_bytes = uint64_t{1} << 40; }},
      {"the same as one that is itself the same", [](ArchiveIndex& i) { Of(i, 1, 3) = SameExtent(3, 3130); }},
      {"a cast of nothing", [](ArchiveIndex& i) { Of(i, 0, 0).cast_of = 7; }},
      {"a cast of a cast", [](ArchiveIndex& i) { Of(i, 0, 0).cast_of = 0; }},
      {"a cast of no tensor", [](ArchiveIndex& i) { Of(i, 0, 1).is_tensor = false; }},
      {"a cast of another dtype", [](ArchiveIndex& i) { Of(i, 0, 1).dtype = DType::kI32; }},
      {"a cast of a same-as extent", [](ArchiveIndex& i) { Of(i, 0, 0).cast_of = 3; }},
      {"a cast to another dtype", [](ArchiveIndex& i) { Of(i, 0, 0).cast_method = CastMethod::kF16; }},
      {"a cast to no tensor", [](ArchiveIndex& i) { Of(i, 0, 0).is_tensor = false; }},
      {"a cast of more elements",
       [](ArchiveIndex& i) {
         Of(i, 0, 1).decoded_bytes = 4004;
         Of(i, 0, 1).shape = {1001};
         i.files[0].file_bytes += 4;
       }},
  };
  ASSERT_TRUE(ValidateIndex(SharedIndex(), kRecordsEnd).ok());
  for (const BadIndex& bad : cases) {
    ArchiveIndex index = SharedIndex();
    bad.spoil(index);
    EXPECT_FALSE(ValidateIndex(index, kRecordsEnd).ok()) << bad.what;
  }
}

TEST(SharedIndex, RefusesCastMethodsOfTomorrow) {
  for (uint8_t method : {uint8_t{0}, uint8_t{4}, uint8_t{255}}) {
    ArchiveIndex index = SharedIndex();
    Of(index, 0, 0).cast_method = static_cast<CastMethod>(method);
    auto parsed = ParseIndex(SerializeIndex(index), kRecordsEnd);
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().code, ErrorCode::kUnsupportedFeature);
  }
}

TEST(SharedIndex, BelievesNoPieceCountThatCannotBe) {
  ByteWriter writer;
  writer.Write(uint64_t{0});
  writer.Write(UINT32_MAX);
  writer.Write(uint64_t{0});
  Bytes bytes = writer.Release();
  ReadCursor cursor(bytes);
  IndexExtent extent;
  Status status = ReadPiecesPlace(cursor, extent);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kTruncated);
  EXPECT_TRUE(extent.pieces.empty());
}

}  // namespace
}  // namespace flyweight::test
