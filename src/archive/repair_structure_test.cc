#include <gtest/gtest.h>

#include "archive/parity_test_tools.h"

namespace flyweight::test {
namespace {

/// An archive without parity and where its parts are.
struct Plain {
  Bytes bytes;
  ArchiveFooter footer;

  explicit Plain(uint64_t seed = 1, size_t content_bytes = 2'300'000) {
    auto made = MakeParityArchive(content_bytes, 0, seed);
    EXPECT_TRUE(made.ok());
    bytes = made.value();
    footer = ParseFooter(ByteSpan(bytes).last(wire::kFooterBytes), bytes.size()).value();
  }
  ArchiveRange header() const { return {0, wire::kHeaderBytes}; }
  ArchiveRange first() const { return {footer.first_index_offset, footer.index_section_bytes}; }
  ArchiveRange second() const { return {footer.second_index_offset, footer.index_section_bytes}; }
  ArchiveRange end() const { return {bytes.size() - wire::kFooterBytes, wire::kFooterBytes}; }
  Bytes Without(std::vector<ArchiveRange> ranges) const {
    Bytes damaged = bytes;
    for (const ArchiveRange& range : ranges) Damage(damaged, range.offset, range.size_bytes);
    return damaged;
  }
};

void ExpectRepaired(const Bytes& damaged, const Bytes& whole, const std::vector<std::string>& repairs) {
  RepairReport report;
  auto repaired = Repair(damaged, report);
  ASSERT_TRUE(repaired.ok()) << repaired.error().message;
  EXPECT_TRUE(repaired.value() == whole);
  EXPECT_EQ(report.repairs, repairs);
  EXPECT_FALSE(report.has_parity);
  EXPECT_EQ(report.archive_bytes, whole.size());
}

TEST(RepairWithoutParity, AWholeArchiveNeedsNothing) {
  Plain plain;
  ExpectRepaired(plain.bytes, plain.bytes, {});
}

TEST(RepairWithoutParity, WhatExistsTwiceIsRestored) {
  Plain plain;
  ExpectRepaired(plain.Without({plain.header()}), plain.bytes, {"header"});
  ExpectRepaired(plain.Without({plain.first()}), plain.bytes, {"first index"});
  ExpectRepaired(plain.Without({plain.second()}), plain.bytes, {"second index"});
  ExpectRepaired(plain.Without({plain.end()}), plain.bytes, {"footer"});
  ExpectRepaired(plain.Without({plain.header(), plain.first()}), plain.bytes, {"first index", "header"});
  ExpectRepaired(plain.Without({plain.end(), plain.first()}), plain.bytes, {"footer", "first index"});
  ExpectRepaired(plain.Without({plain.end(), plain.second()}), plain.bytes, {"footer", "second index"});
}

TEST(RepairWithoutParity, ACutTailIsRestoredAsFarAsOneIndexIsLeft) {
  Plain plain;
  auto cut = [&](uint64_t size_bytes) {
    return Bytes(plain.bytes.begin(), plain.bytes.begin() + static_cast<ptrdiff_t>(size_bytes));
  };
  ExpectRepaired(cut(plain.bytes.size() - 1), plain.bytes, {"footer"});
  ExpectRepaired(cut(plain.second().offset + 5), plain.bytes, {"footer", "second index"});
  ExpectRepaired(cut(plain.second().offset), plain.bytes, {"footer", "second index"});
  RepairReport report;
  EXPECT_FALSE(Repair(cut(plain.second().offset - 1), report).ok());
}

TEST(RepairWithoutParity, AppendedBytesAreDropped) {
  Plain plain;
  for (size_t count : {1, 127, 5000, 1'500'000}) {
    Bytes longer = plain.bytes;
    Bytes garbage = Noise(count, 4);
    longer.insert(longer.end(), garbage.begin(), garbage.end());
    RepairReport report;
    auto repaired = Repair(longer, report);
    ASSERT_TRUE(repaired.ok()) << repaired.error().message;
    EXPECT_TRUE(repaired.value() == plain.bytes);
    EXPECT_EQ(report.extra_bytes, count);
  }
}

TEST(RepairWithoutParity, DamagedDataAreNamedAndNothingIsGiven) {
  Plain plain;
  RepairReport report;
  Bytes damaged = plain.Without({{150'000, 10}, {1'200'000, 1}});
  ASSERT_FALSE(Repair(damaged, report).ok());
  ASSERT_EQ(report.lost.size(), 2U);
  EXPECT_LE(report.lost[0].offset, 150'000U);
  EXPECT_GE(report.lost[0].offset + report.lost[0].size_bytes, 150'010U);
  EXPECT_LT(report.lost[0].size_bytes, 101'000U) << "one chunk";
  EXPECT_FALSE(Repair(plain.Without({plain.first(), plain.second()}), report).ok());
  EXPECT_FALSE(Repair(plain.Without({plain.header(), plain.end()}), report).ok());
}

TEST(RepairWithoutParity, ASecondCopyGivesWhatItHas) {
  Plain plain;
  // Damaged in heads, frames and tables of different records, in different parts.
  Bytes one = plain.Without({{64, 8}, {500'000, 100'000}, plain.end(), plain.first(), {2'200'000, 1}});
  Bytes two = plain.Without({plain.header(), plain.second(), {100'500, 60'000}, {1'100'000, 400'000}});
  RepairReport report;
  CopyingSource other(two);
  auto repaired = Repair(one, report, &other);
  ASSERT_TRUE(repaired.ok()) << repaired.error().message;
  EXPECT_TRUE(repaired.value() == plain.bytes);
  EXPECT_TRUE(report.lost.empty());
  CopyingSource reversed(one);
  repaired = Repair(two, report, &reversed);
  ASSERT_TRUE(repaired.ok()) << repaired.error().message;
  EXPECT_TRUE(repaired.value() == plain.bytes);

  Damage(two, 550'000, 10);
  EXPECT_FALSE(Repair(one, report, &other).ok()) << "both copies are damaged there";
  ASSERT_EQ(report.lost.size(), 1U);
}

TEST(RepairWithoutParity, AnotherArchiveIsNoSecondCopy) {
  Plain plain, stranger(2);
  RepairReport report;
  CopyingSource other(stranger.bytes);
  EXPECT_FALSE(Repair(plain.Without({{500'000, 100}}), report, &other).ok());
  EXPECT_FALSE(Repair(plain.Without({plain.end(), plain.first(), plain.second()}), report, &other).ok());
  EXPECT_FALSE(Repair({}, report, &other).ok());
  EXPECT_FALSE(Repair(Noise(1000, 1), report, &other).ok());
}

TEST(RepairWithoutParity, FilesThatAreNoArchivesAreRefused) {
  RepairReport report;
  for (size_t size_bytes : {0, 1, 64, 271, 272, 5000, 1'100'000}) {
    EXPECT_FALSE(Repair(Bytes(size_bytes), report).ok());
    EXPECT_FALSE(Repair(Noise(size_bytes, 1), report).ok());
  }
}

TEST(RepairWithoutParity, EveryTruncationGivesTheArchiveOrAnError) {
  Plain plain(1, 300);
  for (size_t size_bytes = 0; size_bytes < plain.bytes.size(); ++size_bytes) {
    RepairReport report;
    auto repaired = Repair({plain.bytes.begin(), plain.bytes.begin() + static_cast<ptrdiff_t>(size_bytes)}, report);
    EXPECT_EQ(repaired.ok(), size_bytes >= plain.second().offset) << size_bytes;
    if (repaired.ok()) {
      EXPECT_TRUE(repaired.value() == plain.bytes);
    }
  }
}

TEST(RepairWithoutParity, EveryDamagedByteIsRepairedOrNamed) {
  Plain plain(1, 300);
  for (size_t at = 0; at < plain.bytes.size(); ++at) {
    RepairReport report;
    auto repaired = Repair(plain.Without({{at, 1}}), report);
    bool in_record = at >= wire::kHeaderBytes && at < plain.first().offset;
    ASSERT_EQ(repaired.ok(), !in_record) << at;
    if (repaired.ok()) {
      ASSERT_TRUE(repaired.value() == plain.bytes) << at;
    } else {
      EXPECT_FALSE(report.lost.empty());
    }
  }
}

}  // namespace
}  // namespace flyweight::test
