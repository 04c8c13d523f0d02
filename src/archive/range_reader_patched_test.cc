#include <gtest/gtest.h>

#include <map>

#include "archive/range_reader.h"
#include "patch_archive.h"
#include "support/random.h"
#include "support/weights.h"

// Extents that are made from a base, over any number of patches.

namespace flyweight::test {
namespace {

Bytes Weights(uint64_t count, uint64_t seed) {
  Random random(seed);
  return MakeTensor(DType::kBF16, 1, count, Pattern::kWeights, random);
}

/// Some words moved by a little.
Bytes Moved(Bytes words, uint64_t seed) {
  Random random(seed);
  for (size_t at = 0; at + 1 < words.size(); at += 2 * (1 + random.Below(20))) words[at] ^= std::byte{3};
  return words;
}

/// Reads an extent whole and in ranges that begin and end anywhere.
void ExpectContent(const ArchiveReader& reader, size_t number, const Bytes& expected) {
  const IndexExtent& extent = reader.index().files[0].extents[number];
  ASSERT_EQ(extent.decoded_bytes, expected.size());
  CodecScratch scratch;
  RangeReader ranges(reader);
  Random random(number);
  for (int i = 0; i < 12; ++i) {
    size_t begin = i == 0 ? 0 : static_cast<size_t>(random.Below(expected.size()));
    size_t size = i == 0 ? expected.size() : 1 + static_cast<size_t>(random.Below(expected.size() - begin));
    Bytes part(size);
    Status status = ranges.Read(extent, begin, part, scratch);
    ASSERT_TRUE(status.ok()) << status.error().message;
    ASSERT_TRUE(std::equal(part.begin(), part.end(), expected.begin() + static_cast<ptrdiff_t>(begin))) << begin;
    ASSERT_TRUE(reader.DecodeRange(extent, begin, part, scratch).ok());
    ASSERT_TRUE(std::equal(part.begin(), part.end(), expected.begin() + static_cast<ptrdiff_t>(begin))) << begin;
  }
}

constexpr uint64_t kThreeChunks = (uint64_t{3} << 18) - 1000;

TEST(PatchedRange, GoesThroughPatchesOnPatches) {
  PatchArchive archive;
  std::vector<Bytes> versions = {Weights(kThreeChunks, 1)};
  archive.AddWhole(DType::kBF16, versions[0]);
  for (size_t i = 1; i < 20; ++i) {
    versions.push_back(Moved(versions.back(), i));
    archive.AddPatch(DType::kBF16, versions[i], DType::kBF16, versions[i - 1], false, i - 1);
  }
  Bytes bytes = archive.Finish("versions").archive;
  for (bool in_memory : {true, false}) {
    MemorySource memory(bytes);
    CopyingSource copying(bytes);
    Result<ArchiveReader> reader = ArchiveReader::Open(in_memory ? static_cast<const ByteSource&>(memory) : copying);
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    EXPECT_FALSE(reader.value().needs_base());
    for (size_t i : {size_t{1}, size_t{2}, size_t{19}}) ExpectContent(reader.value(), i, versions[i]);
  }
}

/// Chunks of versions of other sizes lie in one another only in part.
TEST(PatchedRange, GoesThroughVersionsThatGrowAndShrink) {
  PatchArchive archive;
  std::vector<Bytes> versions;
  for (uint64_t count : {uint64_t{5000}, kThreeChunks, uint64_t{300000}, uint64_t{262144}, uint64_t{700000},
                         uint64_t{4}, uint64_t{262145}}) {
    Bytes version = Weights(count, count);
    if (!versions.empty()) {
      size_t shared = std::min(version.size(), versions.back().size());
      std::copy_n(versions.back().begin(), shared, version.begin());
      version = Moved(std::move(version), count);
    }
    size_t last = versions.size();
    versions.push_back(version);
    if (last == 0) {
      archive.AddWhole(DType::kBF16, version);
    } else {
      archive.AddPatch(DType::kBF16, version, DType::kBF16, versions[last - 1], false, last - 1);
    }
  }
  Bytes bytes = archive.Finish("versions").archive;
  MemorySource source(bytes);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  for (size_t i = 0; i < versions.size(); ++i) ExpectContent(reader.value(), i, versions[i]);
}

TEST(PatchedRange, StandsOnWhateverHoldsItsBase) {
  PatchArchive archive;
  Bytes outer = Weights(400000, 1);
  Bytes small = Weights(20, 2);
  archive.AddRow(DType::kBF16, Weights(10, 3));
  archive.AddRow(DType::kBF16, outer);
  Bytes first = Moved(outer, 4);
  Bytes second = Moved(first, 5);
  Bytes third = Moved(outer, 6);
  size_t on_row = archive.AddPatch(DType::kBF16, first, DType::kBF16, outer, true, 1);
  size_t on_patch = archive.AddPatch(DType::kBF16, second, DType::kBF16, first, false, on_row);
  size_t base = archive.AddOfBase(DType::kBF16, outer, 1);
  size_t on_base = archive.AddPatch(DType::kBF16, third, DType::kBF16, outer, false, base);
  size_t same = archive.Add(SameExtent(on_patch, second.size()), second);
  size_t as_inline = archive.Add(InlineExtent(small), small);
  Bytes moved = Moved(small, 7);
  size_t on_inline = archive.AddPatch(DType::kBF16, moved, DType::kBF16, small, false, as_inline);
  Bytes bytes = archive.Finish("versions").archive;
  MemorySource source(bytes);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  EXPECT_TRUE(reader.value().needs_base());
  Bytes rows = Weights(10, 3);
  rows.insert(rows.end(), outer.begin(), outer.end());
  reader.value().set_base(std::make_shared<RowsInMemory>(*reader.value().base_table(), rows));
  const std::map<size_t, Bytes> expected = {{on_row, first},  {on_patch, second}, {base, outer},
                                            {on_base, third}, {same, second},     {on_inline, moved}};
  for (const auto& [number, content] : expected) ExpectContent(reader.value(), number, content);
}

TEST(PatchedRange, SaysThatTheBaseIsMissingOrAnother) {
  PatchArchive archive;
  Bytes outer = Weights(1000, 1);
  archive.AddRow(DType::kBF16, outer);
  size_t number = archive.AddPatch(DType::kBF16, Moved(outer, 2), DType::kBF16, outer, true, 0);
  Bytes bytes = archive.Finish("versions").archive;
  MemorySource source(bytes);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok());
  const IndexExtent& extent = reader.value().index().files[0].extents[number];
  CodecScratch scratch;
  Bytes target(extent.decoded_bytes);
  Status status = reader.value().DecodeRange(extent, 0, target, scratch);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kBaseMismatch);
  Bytes other = outer;
  other[500] ^= std::byte{1};
  reader.value().set_base(std::make_shared<RowsInMemory>(*reader.value().base_table(), other));
  status = reader.value().DecodeRange(extent, 0, target, scratch);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kBaseMismatch) << status.error().message;
}

TEST(PatchedRange, TellsWhatIsLost) {
  PatchArchive archive;
  Bytes outer = Weights(kThreeChunks, 1);
  archive.AddRow(DType::kBF16, outer);
  size_t number = archive.AddPatch(DType::kBF16, Moved(outer, 2), DType::kBF16, outer, true, 0);
  Bytes bytes = archive.Finish("versions").archive;
  Bytes other = outer;
  other[600000] ^= std::byte{1};  // in the second chunk
  MemorySource source(bytes);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok());
  reader.value().set_base(std::make_shared<RowsInMemory>(*reader.value().base_table(), other));
  const IndexExtent& extent = reader.value().index().files[0].extents[number];
  CodecScratch scratch;
  Bytes target(extent.decoded_bytes);
  std::vector<std::pair<uint64_t, uint64_t>> lost;
  RangeReader ranges(reader.value());
  Status status = ranges.Read(extent, 0, target, scratch, [&](uint64_t begin, uint64_t size_bytes, const Error&) {
    lost.emplace_back(begin, size_bytes);
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(lost, (std::vector<std::pair<uint64_t, uint64_t>>{{524288, 524288}}));
  EXPECT_EQ(target[600000], std::byte{0});
}

TEST(PatchedRange, RefusesARecordThatIsNoPatchOrAPatchOfAnotherBase) {
  Bytes first = Weights(1000, 1);
  PatchArchive archive;
  size_t whole = archive.AddWhole(DType::kBF16, first);
  size_t patched = archive.AddPatch(DType::kBF16, Moved(first, 2), DType::kBF16, first, false, whole);
  size_t other = archive.AddWhole(DType::kBF16, Weights(999, 3));
  Bytes bytes = archive.Finish("versions").archive;
  MemorySource source(bytes);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok());
  const std::vector<IndexExtent>& extents = reader.value().index().files[0].extents;
  IndexExtent as_patch = extents[whole];
  as_patch.place = PlaceKind::kPatched;
  EXPECT_FALSE(reader.value().OpenRecordOf(as_patch).ok());
  IndexExtent as_record = extents[patched];
  as_record.place = PlaceKind::kRecord;
  EXPECT_FALSE(reader.value().OpenRecordOf(as_record).ok());
  IndexExtent on_other = extents[patched];
  on_other.base_number = other;
  EXPECT_FALSE(reader.value().OpenRecordOf(on_other).ok());
  EXPECT_TRUE(reader.value().OpenRecordOf(extents[patched]).ok());
}

}  // namespace
}  // namespace flyweight::test
