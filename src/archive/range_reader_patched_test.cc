#include <gtest/gtest.h>

#include <map>

#include "archive/range_reader.h"
#include "archive_parts.h"
#include "codec/patch_record.h"
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

/// The bytes of rows in memory.
class MemoryBase final : public BaseContent {
 public:
  explicit MemoryBase(std::vector<Bytes> rows) : rows_(std::move(rows)) {}
  Status Read(uint64_t row, uint64_t begin, MutableByteSpan target, CodecScratch&) const override {
    std::copy_n(rows_.at(static_cast<size_t>(row)).begin() + static_cast<ptrdiff_t>(begin), target.size(),
                target.begin());
    return Status::Ok();
  }

 private:
  std::vector<Bytes> rows_;
};

/// An archive of patches that is made step by step. Every extent is a BF16 tensor.
class PatchArchive {
 public:
  PatchArchive() { EXPECT_TRUE(writer_.Begin({.required_features = wire::kFeaturePatches}).ok()); }

  /// Adds a record of its own.
  size_t AddWhole(const Bytes& content) {
    MemorySource source(content);
    Result<RecordPlan> plan = PlanRecord(source, 0, content.size(), DType::kBF16, {}, Level::kBalanced, scratch_);
    return Write(content, plan.value(), [&](uint64_t chunk, ByteSpan bytes, MutableByteSpan frame) {
      return EncodeFrame(plan.value(), chunk, bytes, frame, scratch_);
    });
  }

  /// Adds a patch on an extent, or on a row of the base table where `row` is set.
  size_t AddPatch(const Bytes& content, const Bytes& base, size_t extent, std::optional<uint64_t> row = {}) {
    MemorySource source(content);
    MemorySource base_source(base);
    Result<PatchPlan> plan = PlanPatchRecord(source, 0, content.size(), DType::kBF16, {}, base_source, 0, base.size(),
                                             DType::kBF16, Level::kBalanced, scratch_);
    EXPECT_TRUE(plan.ok() && plan.value().estimated_bytes != kNoPatchBytes);
    const RecordPlan& record = plan.value().record;
    size_t number = Write(content, record, [&](uint64_t chunk, ByteSpan bytes, MutableByteSpan frame) {
      BaseRange range = BaseRangeOf(record.head, chunk);
      ByteSpan part = ByteSpan(base).subspan(range.begin_bytes, range.size_bytes);
      return EncodePatchFrame(record, chunk, bytes, part, frame, scratch_);
    });
    IndexExtent& added = extents_[number];
    added.place = PlaceKind::kPatched;
    added.base_is_outside = row.has_value();
    added.base_number = row.value_or(extent);
    bool on_patch = !row.has_value() && extents_[extent].place == PlaceKind::kPatched;
    added.patch_depth = on_patch ? extents_[extent].patch_depth + 1 : 1;
    return number;
  }

  size_t Add(IndexExtent extent) {
    extents_.push_back(std::move(extent));
    return extents_.size() - 1;
  }

  void AddRow(const Bytes& content) {
    table_.rows.push_back({false, "row", DType::kOpaque, {}, content.size(), Sha256(content), Xxh3(content)});
  }

  Bytes Finish() {
    ArchiveIndex index;
    index.files.push_back(FileOf("patches", extents_));
    index.base = table_;
    EXPECT_TRUE(writer_.Finish(index).ok());
    return sink_.bytes();
  }

 private:
  template <typename Encode>
  size_t Write(const Bytes& content, const RecordPlan& plan, const Encode& encode) {
    EXPECT_TRUE(writer_.BeginRecord(plan).ok());
    Bytes frame(FrameBound(plan.head.chunk_bytes));
    for (uint64_t i = 0; i < plan.head.chunk_count; ++i) {
      ByteSpan chunk =
          ByteSpan(content).subspan(i * plan.head.chunk_bytes, static_cast<size_t>(plan.head.ChunkDecodedBytes(i)));
      ChunkEntry entry = encode(i, chunk, MutableByteSpan(frame));
      EXPECT_TRUE(writer_.AppendFrame(ByteSpan(frame).first(entry.frame_bytes), entry).ok());
    }
    ArchiveWriter::RecordPlace place = writer_.EndRecord().value();
    IndexExtent extent = AsTensor({}, "t" + std::to_string(extents_.size()), DType::kBF16, {content.size() / 2});
    extent.place = PlaceKind::kRecord;
    extent.decoded_bytes = content.size();
    extent.record_offset = place.offset;
    extent.record_bytes = place.record_bytes;
    extent.record_check = place.record_check;
    return Add(std::move(extent));
  }

  MemorySink sink_;
  ArchiveWriter writer_{sink_};
  CodecScratch scratch_;
  std::vector<IndexExtent> extents_;
  BaseTable table_;
};

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
  archive.AddWhole(versions[0]);
  for (size_t i = 1; i < 20; ++i) {
    versions.push_back(Moved(versions.back(), i));
    archive.AddPatch(versions[i], versions[i - 1], i - 1);
  }
  Bytes bytes = archive.Finish();
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
      archive.AddWhole(version);
    } else {
      archive.AddPatch(version, versions[last - 1], last - 1);
    }
  }
  Bytes bytes = archive.Finish();
  MemorySource source(bytes);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  for (size_t i = 0; i < versions.size(); ++i) ExpectContent(reader.value(), i, versions[i]);
}

TEST(PatchedRange, StandsOnWhateverHoldsItsBase) {
  PatchArchive archive;
  Bytes outer = Weights(400000, 1);
  Bytes small = Weights(20, 2);
  archive.AddRow(Weights(10, 3));
  archive.AddRow(outer);
  Bytes first = Moved(outer, 4);
  Bytes second = Moved(first, 5);
  Bytes third = Moved(outer, 6);
  size_t on_row = archive.AddPatch(first, outer, 0, 1);
  size_t on_patch = archive.AddPatch(second, first, on_row);
  IndexExtent as_base = AsTensor({}, "b", DType::kBF16, {400000});
  as_base.place = PlaceKind::kBase;
  as_base.base_number = 1;
  as_base.decoded_bytes = outer.size();
  size_t base = archive.Add(as_base);
  size_t on_base = archive.AddPatch(third, outer, base);
  size_t same = archive.Add(SameExtent(on_patch, second.size()));
  size_t as_inline = archive.Add(InlineExtent(small));
  Bytes moved = Moved(small, 7);
  size_t on_inline = archive.AddPatch(moved, small, as_inline);
  Bytes bytes = archive.Finish();
  MemorySource source(bytes);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  EXPECT_TRUE(reader.value().needs_base());
  reader.value().set_base(std::make_shared<MemoryBase>(std::vector<Bytes>{Weights(10, 3), outer}));
  const std::map<size_t, Bytes> expected = {{on_row, first},  {on_patch, second}, {base, outer},
                                            {on_base, third}, {same, second},     {on_inline, moved}};
  for (const auto& [number, content] : expected) ExpectContent(reader.value(), number, content);
}

TEST(PatchedRange, SaysThatTheBaseIsMissingOrAnother) {
  PatchArchive archive;
  Bytes outer = Weights(1000, 1);
  archive.AddRow(outer);
  size_t number = archive.AddPatch(Moved(outer, 2), outer, 0, 0);
  Bytes bytes = archive.Finish();
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
  reader.value().set_base(std::make_shared<MemoryBase>(std::vector<Bytes>{other}));
  status = reader.value().DecodeRange(extent, 0, target, scratch);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kBaseMismatch) << status.error().message;
}

TEST(PatchedRange, TellsWhatIsLost) {
  PatchArchive archive;
  Bytes outer = Weights(kThreeChunks, 1);
  archive.AddRow(outer);
  size_t number = archive.AddPatch(Moved(outer, 2), outer, 0, 0);
  Bytes bytes = archive.Finish();
  Bytes other = outer;
  other[600000] ^= std::byte{1};  // in the second chunk
  MemorySource source(bytes);
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  ASSERT_TRUE(reader.ok());
  reader.value().set_base(std::make_shared<MemoryBase>(std::vector<Bytes>{other}));
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
  size_t whole = archive.AddWhole(first);
  size_t patched = archive.AddPatch(Moved(first, 2), first, whole);
  size_t other = archive.AddWhole(Weights(999, 3));
  Bytes bytes = archive.Finish();
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
