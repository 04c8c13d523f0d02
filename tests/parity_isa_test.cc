#include <gtest/gtest.h>

#include "archive/parity_test_tools.h"
#include "simd/isa.h"

namespace flyweight::test {
namespace {

TEST(Parity, BytesAndRepairDoNotDependOnTheIsa) {
  Bytes archive = MakeParityArchive(700'000, 50, 1).value();
  Bytes damaged = archive;
  Damage(damaged, 300'000, 30'000);
  for (Isa isa : SupportedIsas()) {
    ASSERT_TRUE(ForceIsa(isa));
    auto again = MakeParityArchive(700'000, 50, 1);
    RepairReport report;
    auto repaired = Repair(damaged, report);
    ForceIsa(std::nullopt);
    ASSERT_TRUE(again.ok() && repaired.ok()) << IsaName(isa);
    EXPECT_TRUE(again.value() == archive) << IsaName(isa);
    EXPECT_TRUE(repaired.value() == archive) << IsaName(isa);
  }
}

}  // namespace
}  // namespace flyweight::test
