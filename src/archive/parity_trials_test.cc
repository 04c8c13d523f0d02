#include <gtest/gtest.h>

#include <cstdlib>

#include "archive/parity_test_tools.h"

// Random damage within the promise is always repaired, beyond it never wrongly. FLYWEIGHT_PARITY_TRIALS sets how many
// times (10000 for a release); the default takes a second.

namespace flyweight::test {
namespace {

constexpr uint32_t kPermille = 50;
constexpr uint64_t kBurstBytes = uint64_t{1} << 20;

size_t TrialCount() {
  const char* count = std::getenv("FLYWEIGHT_PARITY_TRIALS");
  return count != nullptr ? std::strtoul(count, nullptr, 10) : 200;
}

struct Subject {
  Bytes archive;
  ParityLayout layout;
};

/// From the smallest to one in which a burst of 1 MiB is less than 5 %. A large one takes long, so it comes up less.
const std::vector<Subject>& Subjects() {
  static const std::vector<Subject> subjects = [] {
    std::vector<Subject> made;
    for (size_t content_bytes : {200, 9'000, 60'000, 400'000, 1'600'000, 5'000'000, 26'000'000}) {
      Bytes archive = MakeParityArchive(content_bytes, kPermille, content_bytes).value();
      ParityLayout layout = LayoutOf(archive);
      made.push_back({std::move(archive), layout});
    }
    return made;
  }();
  return subjects;
}

void DamageCell(Random& random, Bytes& bytes, const ArchiveRange& cell) {
  auto begin = bytes.begin() + static_cast<ptrdiff_t>(cell.offset);
  switch (random.Below(3)) {
    case 0:
      std::fill_n(begin, cell.size_bytes, std::byte{0});
      break;
    case 1:
      random.Fill({begin, begin + static_cast<ptrdiff_t>(cell.size_bytes)});
      break;
    default:
      begin[static_cast<ptrdiff_t>(random.Below(cell.size_bytes))] ^=
          std::byte{static_cast<unsigned char>(1U << random.Below(8))};
  }
}

/// How much of the archive 5 % are, in whole cells.
uint64_t AllowedCells(const ParityLayout& layout) { return layout.cell_count() * kPermille / 1000; }

Bytes DamageWithinPromise(Random& random, const Subject& subject, bool with_burst) {
  const ParityLayout& layout = subject.layout;
  Bytes damaged = subject.archive;
  uint64_t allowed_bytes = damaged.size() * kPermille / 1000;
  switch (random.Below(with_burst ? 4 : 3)) {
    case 0:  // any 5 % of the blocks
      for (uint64_t cell : ChooseCells(random, layout.cell_count(), AllowedCells(layout))) {
        DamageCell(random, damaged, CellOf(layout, cell));
      }
      break;
    case 1:  // a lost tail
      damaged.resize(damaged.size() - random.Between(1, allowed_bytes));
      break;
    case 2:  // 5 % in one piece, anywhere
      Damage(damaged, random.Below(damaged.size() - allowed_bytes), allowed_bytes);
      break;
    default:  // a megabyte
      Damage(damaged, random.Below(damaged.size() - kBurstBytes), kBurstBytes);
  }
  return damaged;
}

TEST(ParityTrials, FivePercentOfAnyKindAreRepaired) {
  Random random(1);
  for (size_t trial = 0; trial < TrialCount(); ++trial) {
    bool large = random.OneIn(50);
    const Subject& subject = large ? Subjects().back() : Subjects()[random.Below(Subjects().size() - 1)];
    Bytes damaged = DamageWithinPromise(random, subject, large);
    RepairReport report;
    auto repaired = Repair(damaged, report);
    ASSERT_TRUE(repaired.ok()) << "trial " << trial << " on " << subject.archive.size()
                               << " bytes: " << repaired.error().message;
    ASSERT_TRUE(repaired.value() == subject.archive) << "trial " << trial;
    ASSERT_EQ(report.found_damage(), damaged != subject.archive) << "trial " << trial;
  }
}

TEST(ParityTrials, BeyondTheLimitNothingIsGiven) {
  Random random(2);
  for (size_t trial = 0; trial < TrialCount(); ++trial) {
    const Subject& subject = Subjects()[random.Below(Subjects().size() - 2)];
    const ParityLayout& layout = subject.layout;
    // More blocks than there is parity, but not so many that none is left.
    uint64_t count = layout.parity_rows + 1 + random.Below(3);
    if (count > layout.block_count) count = layout.block_count;
    if (count <= layout.parity_rows) continue;  // the smallest: its parity is more than its blocks
    Bytes damaged = subject.archive;
    for (uint64_t block : ChooseCells(random, layout.block_count, count)) {
      ArchiveRange cell = CellOf(layout, block);
      Damage(damaged, cell.offset + random.Below(cell.size_bytes), 1);
    }
    RepairReport report;
    auto repaired = Repair(damaged, report);
    ASSERT_FALSE(repaired.ok()) << "trial " << trial;
    uint64_t lost_bytes = 0;
    for (const ArchiveRange& range : report.lost) lost_bytes += range.size_bytes;
    ASSERT_GT(lost_bytes, (count - 3) * layout.block_bytes) << "trial " << trial;
  }
}

TEST(ParityTrials, AnyDamageGivesTheArchiveOrAnError) {
  Random random(3);
  for (size_t trial = 0; trial < TrialCount(); ++trial) {
    const Subject& subject = Subjects()[random.Below(4)];
    Bytes damaged = subject.archive;
    for (uint64_t i = random.Below(20); i > 0; --i) {
      Damage(damaged, random.Below(damaged.size()), random.Size(damaged.size() / 4));
    }
    if (random.OneIn(3)) damaged.resize(random.Below(damaged.size() + 1000));
    RepairReport report;
    auto repaired = Repair(damaged, report);
    if (repaired.ok()) {
      ASSERT_TRUE(repaired.value() == subject.archive) << "trial " << trial;
    }
  }
}

}  // namespace
}  // namespace flyweight::test
