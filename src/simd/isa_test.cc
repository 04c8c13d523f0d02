#include "simd/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "support/child_process.h"

namespace flyweight {
namespace {

constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kNeon};

bool IsSupported(Isa isa) { return std::ranges::find(SupportedIsas(), isa) != SupportedIsas().end(); }

/// The ISA that a process uses with this value of FLYWEIGHT_ISA (none for nullptr). It is read once a process, so the
/// tests that call this stand before all that ask for the active ISA.
std::optional<Isa> ActiveIsaWith(const char* value) {
  int status = test::RunInChild([&] {
    if (value == nullptr) {
      unsetenv("FLYWEIGHT_ISA");
    } else {
      setenv("FLYWEIGHT_ISA", value, 1);
    }
    return static_cast<int>(ActiveIsa());
  });
  int exit_status = test::ExitStatus(status);
  if (exit_status < 0 || exit_status > static_cast<int>(Isa::kNeon)) return std::nullopt;
  return static_cast<Isa>(exit_status);
}

int One() { return 1; }
int Two() { return 2; }
int Three() { return 3; }
int Four() { return 4; }

class IsaTest : public ::testing::Test {
 protected:
  ~IsaTest() override { ForceIsa(std::nullopt); }
};

TEST(IsaName, AndFindIsaAreInverse) {
  for (Isa isa : kAllIsas) EXPECT_EQ(FindIsa(IsaName(isa)), isa);
  EXPECT_EQ(IsaName(Isa::kScalar), "scalar");
  EXPECT_EQ(IsaName(Isa::kAvx2), "avx2");
  EXPECT_EQ(IsaName(Isa::kAvx512), "avx512");
  EXPECT_EQ(IsaName(Isa::kNeon), "neon");
}

TEST(FindIsa, KnowsNoOtherNames) {
  for (const char* name : {"", "sse", "AVX2", "avx2 ", "avx51", "NEON", "neo"})
    EXPECT_EQ(FindIsa(name), std::nullopt) << name;
}

TEST(SupportedIsas, StartWithScalarAndAscend) {
  ASSERT_FALSE(SupportedIsas().empty());
  EXPECT_EQ(SupportedIsas().front(), Isa::kScalar);
  EXPECT_TRUE(std::ranges::is_sorted(SupportedIsas()));
  EXPECT_TRUE(!IsSupported(Isa::kAvx512) || IsSupported(Isa::kAvx2));
  EXPECT_FALSE(IsSupported(Isa::kNeon) && IsSupported(Isa::kAvx2));
}

TEST(SupportedIsas, HaveNeonOnEveryAarch64AndNowhereElse) {
#if defined(__aarch64__)
  EXPECT_TRUE(IsSupported(Isa::kNeon));
#else
  EXPECT_FALSE(IsSupported(Isa::kNeon));
#endif
}

TEST(ActiveIsa, IsTheBestOneByDefault) { EXPECT_EQ(ActiveIsaWith(nullptr), SupportedIsas().back()); }

TEST(ActiveIsa, ObeysTheEnvironmentWhereTheCpuCan) {
  for (Isa isa : kAllIsas) {
    Isa expected = IsSupported(isa) ? isa : SupportedIsas().back();
    EXPECT_EQ(ActiveIsaWith(std::string(IsaName(isa)).c_str()), expected) << IsaName(isa);
  }
}

TEST(ActiveIsa, IgnoresUnknownNamesInTheEnvironment) {
  for (const char* value : {"", "sve", "SCALAR", "avx2,avx512"}) {
    EXPECT_EQ(ActiveIsaWith(value), SupportedIsas().back()) << value;
  }
}

TEST_F(IsaTest, ForceIsaPinsAndNothingRestores) {
  Isa before = ActiveIsa();
  for (Isa isa : SupportedIsas()) {
    EXPECT_TRUE(ForceIsa(isa));
    EXPECT_EQ(ActiveIsa(), isa);
  }
  EXPECT_TRUE(ForceIsa(std::nullopt));
  EXPECT_EQ(ActiveIsa(), before);
}

TEST_F(IsaTest, ForceIsaRefusesWhatTheCpuLacks) {
  ASSERT_TRUE(ForceIsa(Isa::kScalar));
  for (Isa isa : kAllIsas) {
    if (IsSupported(isa)) continue;
    EXPECT_FALSE(ForceIsa(isa));
    EXPECT_EQ(ActiveIsa(), Isa::kScalar);
  }
}

TEST_F(IsaTest, TablePicksTheStrongestKernelNotAboveTheActiveIsa) {
  const IsaTable<int (*)()> full = {One, Two, Three, Four};
  const IsaTable<int (*)()> without_avx512 = {One, Two, nullptr, Four};
  const IsaTable<int (*)()> scalar_only = {One, nullptr, nullptr, nullptr};
  const IsaTable<int (*)()> without_avx2 = {One, nullptr, Three, nullptr};
  for (Isa isa : SupportedIsas()) {
    ASSERT_TRUE(ForceIsa(isa));
    int rank = static_cast<int>(isa) + 1;
    EXPECT_EQ(full.Pick()(), rank);
    EXPECT_EQ(without_avx512.Pick()(), isa == Isa::kNeon ? 4 : std::min(rank, 2));
    EXPECT_EQ(scalar_only.Pick()(), 1);
    EXPECT_EQ(without_avx2.Pick()(), isa == Isa::kAvx512 ? 3 : 1);
  }
}

}  // namespace
}  // namespace flyweight
