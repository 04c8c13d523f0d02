#include "archive/index_patches.h"

#include <gtest/gtest.h>

#include <functional>

#include "archive/index.h"
#include "archive_parts.h"

namespace flyweight::test {
namespace {

constexpr uint64_t kRecordsEnd = 10000;

IndexExtent Patched(bool is_outside, uint64_t number, uint32_t depth) {
  IndexExtent extent;
  extent.place = PlaceKind::kPatched;
  extent.decoded_bytes = 3000;
  extent.record_offset = 64;
  extent.record_bytes = 2000;
  extent.record_check = 7;
  extent.base_is_outside = is_outside;
  extent.base_number = number;
  extent.patch_depth = depth;
  return extent;
}

IndexExtent OfBase(uint64_t row, uint64_t decoded_bytes) {
  IndexExtent extent;
  extent.place = PlaceKind::kBase;
  extent.decoded_bytes = decoded_bytes;
  extent.base_number = row;
  return extent;
}

/// Extents: 0 a patch on row 0, 1 a patch on 0, 2 row 1 as it is, 3 the same as 2, 4 a patch on extent 2, 5 bytes.
ArchiveIndex PatchIndex() {
  ArchiveIndex index;
  index.files.push_back(
      FileOf("v", {AsTensor(Patched(true, 0, 1), "w", DType::kBF16, {3, 500}), Patched(false, 0, 2), OfBase(1, 500),
                   SameExtent(2, 500), Patched(false, 2, 1), InlineExtent(Noise(10, 1))}));
  BaseTable table;
  table.identity = Sha256(Noise(1, 1));
  table.result_identity = Sha256(Noise(1, 2));
  table.name = "base.safetensors";
  table.rows.push_back({true, "w", DType::kBF16, {2, 500}, 2000, Sha256(Noise(1, 3)), 0x0102030405060708});
  table.rows.push_back({false, "tokenizer.json", DType::kOpaque, {}, 500, Sha256(Noise(1, 4)), 9});
  index.base = table;
  return index;
}

TEST(PatchIndex, RoundTripsPlacesAndTheBaseTable) {
  Bytes body = SerializeIndex(PatchIndex());
  Result<ArchiveIndex> parsed = ParseIndex(body, kRecordsEnd, false, true);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const std::vector<IndexExtent>& extents = parsed.value().files[0].extents;
  EXPECT_TRUE(extents[0].base_is_outside);
  EXPECT_EQ(extents[1].base_number, 0u);
  EXPECT_EQ(extents[1].patch_depth, 2u);
  EXPECT_EQ(extents[2].base_number, 1u);
  ASSERT_TRUE(parsed.value().base.has_value());
  const BaseTable& table = *parsed.value().base;
  EXPECT_EQ(table.identity, Sha256(Noise(1, 1)));
  EXPECT_EQ(table.result_identity, Sha256(Noise(1, 2)));
  EXPECT_EQ(table.name, "base.safetensors");
  EXPECT_EQ(table.rows[0].shape, (Shape{2, 500}));
  EXPECT_EQ(table.rows[0].sample_xxh3, 0x0102030405060708u);
  EXPECT_EQ(table.rows[1].name, "tokenizer.json");
  EXPECT_EQ(SerializeIndex(parsed.value()), body) << "an index has one spelling";
  EXPECT_TRUE(HasPatches(parsed.value()));
  EXPECT_TRUE(NeedsBase(parsed.value()));
}

TEST(PatchIndex, OfPatchesOnItsOwnExtentsNeedsNoBase) {
  ArchiveIndex index;
  index.files.push_back(FileOf("v", {Patched(false, 1, 1), InlineExtent(Noise(10, 1))}));
  EXPECT_TRUE(HasPatches(index));
  EXPECT_FALSE(NeedsBase(index));
  EXPECT_TRUE(ParseIndex(SerializeIndex(index), kRecordsEnd, false, true).ok()) << "a base may come later";
}

struct BadIndex {
  const char* name;
  ErrorCode expected;
  std::function<void(ArchiveIndex&)> spoil;
};

void PrintTo(const BadIndex& bad, std::ostream* out) { *out << bad.name; }

IndexExtent& ExtentOf(ArchiveIndex& index, size_t number) { return index.files[0].extents[number]; }

const BadIndex kBadIndexes[] = {
    {"base is no row", ErrorCode::kCorrupt, [](ArchiveIndex& i) { ExtentOf(i, 0).base_number = 2; }},
    {"no base table", ErrorCode::kCorrupt, [](ArchiveIndex& i) { i.base.reset(); }},
    {"base extent is not there", ErrorCode::kCorrupt, [](ArchiveIndex& i) { ExtentOf(i, 1).base_number = 6; }},
    {"base is a same-as extent", ErrorCode::kCorrupt, [](ArchiveIndex& i) { ExtentOf(i, 4).base_number = 3; }},
    {"its own base", ErrorCode::kCorrupt, [](ArchiveIndex& i) { ExtentOf(i, 1).base_number = 1; }},
    {"two are each other's base", ErrorCode::kCorrupt,
     [](ArchiveIndex& i) {
       ExtentOf(i, 0).base_is_outside = false;
       ExtentOf(i, 0).base_number = 1;
       ExtentOf(i, 0).patch_depth = 3;
     }},
    {"depth over an outer base", ErrorCode::kCorrupt, [](ArchiveIndex& i) { ExtentOf(i, 0).patch_depth = 2; }},
    {"depth 0", ErrorCode::kCorrupt, [](ArchiveIndex& i) { ExtentOf(i, 4).patch_depth = 0; }},
    {"depth of a patch on a patch", ErrorCode::kCorrupt, [](ArchiveIndex& i) { ExtentOf(i, 1).patch_depth = 1; }},
    {"depth over the limit", ErrorCode::kLimitExceeded, [](ArchiveIndex& i) { ExtentOf(i, 1).patch_depth = 4097; }},
    {"base without bytes", ErrorCode::kCorrupt,
     [](ArchiveIndex& i) {
       i.files[0].extents.push_back(InlineExtent({}));
       ExtentOf(i, 4).base_number = 6;
     }},
    {"record behind the index", ErrorCode::kCorrupt,
     [](ArchiveIndex& i) { ExtentOf(i, 0).record_offset = kRecordsEnd; }},
    {"row that is not there", ErrorCode::kCorrupt, [](ArchiveIndex& i) { ExtentOf(i, 2).base_number = 2; }},
    {"row of another size", ErrorCode::kCorrupt, [](ArchiveIndex& i) { ExtentOf(i, 2).base_number = 0; }},
    {"piece of a patch", ErrorCode::kCorrupt,
     [](ArchiveIndex& i) {
       IndexExtent pieces;
       pieces.place = PlaceKind::kPieces;
       pieces.decoded_bytes = 10;
       pieces.pieces = {{10, 0, 0}};
       i.files[0].extents.push_back(pieces);
       i.files[0].file_bytes += 10;
     }},
    {"cast of a patch", ErrorCode::kCorrupt,
     [](ArchiveIndex& i) {
       IndexExtent wide = AsTensor(Patched(true, 0, 1), "f", DType::kF32, {750});
       IndexExtent cast = AsTensor({}, "c", DType::kBF16, {750});
       cast.place = PlaceKind::kCast;
       cast.decoded_bytes = 1500;
       cast.cast_of = 6;
       i.files[0].extents.push_back(wide);
       i.files[0].extents.push_back(cast);
       i.files[0].file_bytes += 4500;
     }},
    {"row without bytes", ErrorCode::kCorrupt, [](ArchiveIndex& i) { i.base->rows[1].size_bytes = 0; }},
    {"row whose shape gives other bytes", ErrorCode::kCorrupt,
     [](ArchiveIndex& i) { i.base->rows[0].shape = {3, 500}; }},
    {"shape of no tensor", ErrorCode::kCorrupt, [](ArchiveIndex& i) { i.base->rows[1].shape = {500}; }},
    {"dtype of no tensor", ErrorCode::kCorrupt, [](ArchiveIndex& i) { i.base->rows[1].dtype = DType::kU8; }},
    {"base table of the second file", ErrorCode::kCorrupt,
     [](ArchiveIndex& i) {
       i.files.push_back(FileOf("w", {}));
       i.files[1].attributes.push_back({wire::kAttributeBaseTable, WriteBaseTable(*i.base)});
     }},
    {"two base tables", ErrorCode::kCorrupt,
     [](ArchiveIndex& i) { i.files[0].attributes.push_back({wire::kAttributeBaseTable, WriteBaseTable(*i.base)}); }},
};

class BadPatchIndex : public testing::TestWithParam<BadIndex> {};

TEST_P(BadPatchIndex, IsRefused) {
  ArchiveIndex index = PatchIndex();
  GetParam().spoil(index);
  Result<ArchiveIndex> parsed = ParseIndex(SerializeIndex(index), kRecordsEnd, false, true);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, GetParam().expected) << parsed.error().message;
  EXPECT_FALSE(parsed.error().message.empty());
}

INSTANTIATE_TEST_SUITE_P(Rules, BadPatchIndex, testing::ValuesIn(kBadIndexes));

TEST(BaseTable, ThatIsCutOffOrTooLongIsRefused) {
  Bytes value = WriteBaseTable(*PatchIndex().base);
  ASSERT_TRUE(ParseBaseTable(value, 0).ok());
  for (size_t size = 0; size < value.size(); ++size) {
    EXPECT_FALSE(ParseBaseTable(ByteSpan(value).first(size), 0).ok()) << size;
  }
  value.push_back(std::byte{0});
  EXPECT_FALSE(ParseBaseTable(value, 0).ok());
}

TEST(BaseTable, TakesNoMemoryForRowsThatAreNotThere) {
  ByteWriter value;
  value.Append(Digest{});
  value.Append(Digest{});
  value.Write(uint16_t{0});
  value.Write(uint32_t{0xFFFFFFFF});
  Result<BaseTable> parsed = ParseBaseTable(value.bytes(), 0);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::kTruncated);
}

TEST(PatchIndex, NeedsItsFeatureBit) {
  StoredRecord record = MakeStoredRecord(Noise(64, 1), 64);
  ArchiveIndex index;
  IndexExtent extent = RecordExtent(wire::kHeaderBytes, record);
  extent.place = PlaceKind::kPatched;
  extent.base_number = 1;
  extent.patch_depth = 1;
  index.files.push_back(FileOf("v", {extent, InlineExtent(Noise(10, 1))}));
  Result<ArchiveReader> reader = ArchiveReader::Open(MemorySource(Assemble(record.Whole(), index)));
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace flyweight::test
