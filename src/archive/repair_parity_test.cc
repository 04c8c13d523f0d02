#include <gtest/gtest.h>

#include "archive/parity_test_tools.h"

namespace flyweight::test {
namespace {

void ExpectRepaired(const Bytes& damaged, const Bytes& whole, const std::string& what) {
  RepairReport report;
  auto repaired = Repair(damaged, report);
  ASSERT_TRUE(repaired.ok()) << what << ": " << repaired.error().message;
  EXPECT_TRUE(repaired.value() == whole) << what;
  EXPECT_TRUE(report.found_damage()) << what;
  EXPECT_TRUE(report.lost.empty()) << what;
}

Bytes Archive(size_t content_bytes, uint32_t permille = 50) {
  auto archive = MakeParityArchive(content_bytes, permille, 1);
  EXPECT_TRUE(archive.ok()) << archive.error().message;
  return archive.ok() ? archive.value() : Bytes();
}

TEST(Parity, LeavesTheArchiveReadable) {
  for (size_t content_bytes : {0, 1, 700, 100'000}) {
    Bytes archive = Archive(content_bytes);
    auto decoded = DecodeAll(archive);
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    EXPECT_TRUE(decoded.value().damage.empty());
    auto plain = MakeParityArchive(content_bytes, 0, 1);
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(decoded.value().files, DecodeAll(plain.value()).value().files);
  }
}

TEST(Parity, BytesDoNotDependOnThreads) {
  Bytes archive = Archive(700'000);
  ThreadPool pool(3);
  auto again = MakeParityArchive(700'000, 50, 1, pool);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again.value() == archive);
}

TEST(Parity, AWholeArchiveNeedsNoRepair) {
  Bytes archive = Archive(50'000);
  RepairReport report;
  auto repaired = Repair(archive, report);
  ASSERT_TRUE(repaired.ok()) << repaired.error().message;
  EXPECT_TRUE(repaired.value() == archive);
  EXPECT_FALSE(report.found_damage());
  EXPECT_TRUE(report.has_parity);
  EXPECT_EQ(report.archive_bytes, archive.size());
}

TEST(Parity, AnySingleCellIsRebuilt) {
  for (size_t content_bytes : {0, 300, 5000, 30'000}) {
    Bytes archive = Archive(content_bytes);
    ParityLayout layout = LayoutOf(archive);
    for (uint64_t i = 0; i < layout.cell_count(); ++i) {
      Bytes damaged = archive;
      ArchiveRange cell = CellOf(layout, i);
      Damage(damaged, cell.offset + i % cell.size_bytes, 1);
      RepairReport report;
      auto repaired = Repair(damaged, report);
      ASSERT_TRUE(repaired.ok()) << i << ": " << repaired.error().message;
      ASSERT_TRUE(repaired.value() == archive) << i;
      EXPECT_EQ(report.damaged_blocks, 1U);
      EXPECT_EQ(report.block_count, layout.cell_count());
    }
  }
}

TEST(Parity, HeaderIndexFooterAndParityAreaEachSurviveTheLossOfAllOthers) {
  Bytes archive = Archive(200'000, 100);
  ParityLayout layout = LayoutOf(archive);
  ArchiveFooter footer = ParseFooter(ByteSpan(archive).last(wire::kFooterBytes), archive.size()).value();
  uint64_t section = footer.index_section_bytes;
  const std::pair<const char*, ArchiveRange> parts[] = {
      {"header", {0, 64}},
      {"first index", {footer.first_index_offset, section}},
      {"second index", {footer.second_index_offset, section}},
      {"footer", {archive.size() - wire::kFooterBytes, wire::kFooterBytes}},
      {"padding", {layout.first_bytes, layout.area_offset - layout.first_bytes}},
      {"parity", {layout.area_offset, layout.second_offset - layout.area_offset}},
      {"half of the parity", {layout.area_offset, (layout.second_offset - layout.area_offset) / 2}},
  };
  for (const auto& [name, part] : parts) {
    Bytes damaged = archive;
    Damage(damaged, part.offset, part.size_bytes);
    ExpectRepaired(damaged, archive, name);
  }
  Bytes only_parity = archive;
  for (const auto& [name, part] : parts) {
    if (std::string(name).find("parity") == std::string::npos) Damage(only_parity, part.offset, part.size_bytes);
  }
  ExpectRepaired(only_parity, archive, "all but the parity");
}

TEST(Parity, ALostTailAndAppendedGarbageAreRepaired) {
  Bytes archive = Archive(400'000);
  for (size_t lost_bytes : {1ul, 100ul, 128ul, 300ul, 5000ul, archive.size() / 20}) {
    ExpectRepaired({archive.begin(), archive.end() - static_cast<ptrdiff_t>(lost_bytes)}, archive, "tail");
  }
  for (size_t extra_bytes : {1, 512, 5000, 3'000'000}) {
    Bytes longer = archive;
    Bytes garbage = Noise(extra_bytes, 9);
    longer.insert(longer.end(), garbage.begin(), garbage.end());
    ExpectRepaired(longer, archive, "garbage");
  }
}

TEST(Parity, BeyondTheLimitItSaysWhatIsLost) {
  Bytes archive = Archive(400'000);
  ParityLayout layout = LayoutOf(archive);
  Bytes damaged = archive;
  for (uint64_t b = 0; b < layout.parity_rows; ++b) Damage(damaged, layout.BlockOffset(b), 1);
  ExpectRepaired(damaged, archive, "the limit");
  Damage(damaged, layout.BlockOffset(layout.parity_rows), 1);
  RepairReport report;
  auto repaired = Repair(damaged, report);
  ASSERT_FALSE(repaired.ok());
  ASSERT_EQ(report.lost.size(), 1U);
  EXPECT_EQ(report.lost[0].offset, 0U);
  EXPECT_EQ(report.lost[0].size_bytes, (layout.parity_rows + 1) * layout.block_bytes);
}

TEST(Parity, NothingCanBeRepairedFromNothing) {
  Bytes archive = Archive(100'000);
  RepairReport report;
  EXPECT_FALSE(Repair({}, report).ok());
  EXPECT_FALSE(Repair(Noise(100'000, 3), report).ok());
  EXPECT_FALSE(Repair(Bytes(100'000), report).ok());
  EXPECT_FALSE(Repair({archive.begin(), archive.begin() + 60'000}, report).ok()) << "a third of it is missing";
  ParityLayout layout = LayoutOf(archive);
  Bytes only_info(archive.size());
  for (uint64_t i = 0; i < layout.info_cells(); ++i) {
    auto offset = static_cast<ptrdiff_t>(layout.InfoOffset(i));
    std::copy_n(archive.begin() + offset, layout.block_bytes, only_info.begin() + offset);
  }
  EXPECT_FALSE(Repair(only_info, report).ok());
}

/// A source with sectors that cannot be read.
class BadSectors final : public ByteSource {
 public:
  BadSectors(ByteSpan bytes, std::vector<ArchiveRange> bad) : inner_(bytes), bad_(std::move(bad)) {}
  uint64_t size() const override { return inner_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    for (const ArchiveRange& range : bad_) {
      if (offset < range.offset + range.size_bytes && range.offset < offset + target.size()) {
        return Error{ErrorCode::kIo, offset, "bad sector"};
      }
    }
    return inner_.ReadAt(offset, target);
  }

 private:
  CopyingSource inner_;
  std::vector<ArchiveRange> bad_;
};

TEST(Parity, UnreadableSectorsAreDamageLikeAnyOther) {
  Bytes archive = Archive(1'500'000);
  ParityLayout layout = LayoutOf(archive);
  BadSectors source(archive, {{0, 4096}, {900'000, 512}, {layout.ParityOffset(1), 100}, {archive.size() - 10, 10}});
  RepairReport report;
  auto whole = RepairArchive(source, {.other = nullptr, .pool = &OneThread(), .scratch_directory = ""}, report);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  auto bytes = ReadWhole(*whole.value());
  ASSERT_TRUE(bytes.ok()) << bytes.error().message;
  EXPECT_TRUE(bytes.value() == archive);
  EXPECT_GE(report.damaged_blocks, 4U);
}

TEST(Parity, ASecondCopyGivesWhatItHas) {
  Bytes archive = Archive(400'000);
  Bytes one = archive, two = archive;
  for (size_t i = 0; i < archive.size(); i += 10 * 4096) {
    Damage(one, i, 5 * 4096);
    Damage(two, i + 5 * 4096, 5 * 4096);
  }
  RepairReport report;
  CopyingSource other(two);
  auto repaired = Repair(one, report, &other);
  ASSERT_TRUE(repaired.ok()) << repaired.error().message;
  EXPECT_TRUE(repaired.value() == archive);
  EXPECT_GT(report.blocks_from_other, 10U);

  auto stranger = MakeParityArchive(400'000, 50, 2);
  ASSERT_TRUE(stranger.ok());
  CopyingSource other_archive(stranger.value());
  EXPECT_FALSE(Repair(one, report, &other_archive).ok()) << "blocks of another archive do not fit";
  EXPECT_FALSE(Repair(Noise(400'000, 3), report, &other_archive).ok()) << "a copy of the other would be no repair";
}

TEST(Parity, SeveralCodewordsShareTheDamage) {
  auto plain = MakeParityArchive(300'000, 0, 1);
  ASSERT_TRUE(plain.ok());
  ParityLayout fields;
  fields.block_bytes = 512;
  fields.codeword_count = 7;
  fields.parity_rows = 9;
  fields.info_parity_cells = 25;
  auto archive = AddParity(plain.value(), fields);
  ASSERT_TRUE(archive.ok()) << archive.error().message;
  Bytes damaged = archive.value();
  Damage(damaged, 50'100, 50 * 512);
  ExpectRepaired(damaged, archive.value(), "burst over all codewords");
  Damage(damaged, 150'100, 20 * 512);
  RepairReport report;
  EXPECT_FALSE(Repair(damaged, report).ok());
  EXPECT_FALSE(report.lost.empty());

  // Twenty blocks with one remainder modulo 7: more than a codeword has parity, were they all of one.
  Bytes regular = archive.value();
  for (uint64_t block = 3; block < 560; block += 28) Damage(regular, block * 512, 512);
  ExpectRepaired(regular, archive.value(), "blocks of one column");
}

TEST(Parity, ThreadsRepairTheSame) {
  Bytes archive = Archive(2'000'000);
  Bytes damaged = archive;
  Damage(damaged, 1'000'000, 90'000);
  ThreadPool pool(4);
  RepairReport report;
  auto repaired = Repair(damaged, report, nullptr, pool);
  ASSERT_TRUE(repaired.ok()) << repaired.error().message;
  EXPECT_TRUE(repaired.value() == archive);
}

TEST(CheckParity, CountsDamageAndSaysWhereThereIsNoParity) {
  Bytes archive = Archive(400'000);
  RepairReport report;
  ASSERT_TRUE(CheckParity(MemorySource(archive), OneThread(), report).ok());
  EXPECT_TRUE(report.has_parity);
  EXPECT_FALSE(report.found_damage());
  ParityLayout layout = LayoutOf(archive);
  Damage(archive, layout.ParityOffset(3), 1);
  Damage(archive, 5000, 1);
  Damage(archive, layout.InfoOffset(0) + 100, 1);
  ASSERT_TRUE(CheckParity(MemorySource(archive), OneThread(), report).ok());
  EXPECT_EQ(report.damaged_blocks, 3U);
  ASSERT_TRUE(CheckParity(MemorySource(MakeParityArchive(1000, 0, 1).value()), OneThread(), report).ok());
  EXPECT_FALSE(report.has_parity);
}

TEST(ArchiveWriter, RefusesParityThatTheHeaderDoesNotAnnounce) {
  for (bool announced : {false, true}) {
    MemorySink sink;
    ArchiveWriter writer(sink);
    ASSERT_TRUE(writer.Begin({.optional_features = announced ? wire::kOptionalParity : 0}).ok());
    RecoveryOptions recovery;
    recovery.permille = announced ? 0 : 50;
    recovery.pool = &OneThread();
    EXPECT_FALSE(writer.Finish({}, recovery).ok());
  }
}

}  // namespace
}  // namespace flyweight::test
