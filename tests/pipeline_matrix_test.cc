#include <algorithm>
#include <cctype>

#include "flyweight/pipeline.h"
#include "simd/isa.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/weights.h"

// Round trips of buffers over dtype x size x distribution x ISA x threads: the same archive from all, the same bytes
// back through all.

namespace flyweight {
namespace {

using test::IsOk;
using test::Pattern;
using test::Random;
using Bytes = std::vector<std::byte>;

constexpr size_t kKi = 1024;
constexpr size_t kSmallCounts[] = {0, 1, 2, 15, 16, 17, 255, 256, 511, 512, 513};
constexpr size_t kLargeCounts[] = {64 * kKi - 1, 64 * kKi,      64 * kKi + 1, 256 * kKi - 1,
                                   256 * kKi,    256 * kKi + 1, 600 * kKi};
constexpr size_t kThreadCounts[] = {1, 2, 5};

class PipelineMatrix : public testing::TestWithParam<DType> {
 protected:
  ~PipelineMatrix() override { ForceIsa(std::nullopt); }

  static Bytes Compress(const Bytes& bytes, size_t thread_count) {
    Bytes archive;
    Status status = CompressBuffer({.name = "", .dtype = GetParam(), .shape = {}, .bytes = bytes}, Level::kBalanced,
                                   thread_count, [&](std::span<const std::byte> piece) {
                                     archive.insert(archive.end(), piece.begin(), piece.end());
                                     return Status::Ok();
                                   });
    EXPECT_THAT(status, IsOk());
    EXPECT_LE(archive.size(), CompressBound(bytes.size()));
    return archive;
  }

  static void ExpectRestores(const Bytes& archive, const Bytes& expected, size_t thread_count) {
    Result<Archive> opened = Archive::OpenBytes(archive);
    ASSERT_THAT(opened, IsOk());
    Bytes restored(expected.size(), std::byte{0xA5});
    ASSERT_THAT(opened.value().DecodeFile(restored, thread_count, true), IsOk());
    EXPECT_TRUE(restored == expected);
  }

  /// Every ISA with one number of threads each, and every number of threads with one ISA: no combination can differ
  /// that neither shows.
  static void ExpectRoundTrips(const Bytes& bytes) {
    ForceIsa(Isa::kScalar);
    Bytes expected = Compress(bytes, 1);
    ExpectRestores(expected, bytes, 1);
    for (Isa isa : SupportedIsas()) {
      ASSERT_TRUE(ForceIsa(isa));
      SCOPED_TRACE(IsaName(isa));
      bool is_strongest = isa == SupportedIsas().back();
      for (size_t thread_count : kThreadCounts) {
        if (thread_count > 1 && !is_strongest) continue;
        if (thread_count == 1 && isa == Isa::kScalar) continue;
        EXPECT_TRUE(Compress(bytes, thread_count) == expected) << thread_count << " threads";
        ExpectRestores(expected, bytes, thread_count);
      }
    }
  }

  /// Elements of 6 and 4 bits do not fill whole bytes at every count.
  static bool FillsBytes(size_t count) { return count * static_cast<size_t>(Describe(GetParam()).bits) % 8 == 0; }
};

TEST_P(PipelineMatrix, RoundTripsSmallTensorsOfEveryPattern) {
  for (Pattern pattern : test::kAllPatterns) {
    for (size_t count : kSmallCounts) {
      if (!FillsBytes(count)) continue;
      SCOPED_TRACE(std::string(PatternName(pattern)) + ", " + std::to_string(count) + " elements");
      Random random(count);
      ExpectRoundTrips(test::MakeTensor(GetParam(), 1, count, pattern, random));
    }
  }
}

TEST_P(PipelineMatrix, RoundTripsLargeTensors) {
  const Pattern patterns[] = {Pattern::kWeights, Pattern::kSpecials, Pattern::kRandomBits, Pattern::kSparse};
  size_t number = 0;
  for (size_t count : kLargeCounts) {
    if (!FillsBytes(count)) continue;
    Pattern pattern = patterns[number++ % std::size(patterns)];
    SCOPED_TRACE(std::string(PatternName(pattern)) + ", " + std::to_string(count) + " elements");
    Random random(count);
    ExpectRoundTrips(test::MakeTensor(GetParam(), 1, count, pattern, random));
  }
}

TEST_P(PipelineMatrix, RoundTripsMatrices) {
  for (Pattern pattern : test::kAllPatterns) {
    SCOPED_TRACE(PatternName(pattern));
    Random random(11);
    Bytes bytes = test::MakeTensor(GetParam(), 96, 512, pattern, random);
    Bytes archive;
    ForceIsa(std::nullopt);
    ASSERT_THAT(
        CompressBuffer({.name = "", .dtype = GetParam(), .shape = {96, 512}, .bytes = bytes}, Level::kBalanced, 1,
                       [&](std::span<const std::byte> piece) {
                         archive.insert(archive.end(), piece.begin(), piece.end());
                         return Status::Ok();
                       }),
        IsOk());
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      ExpectRestores(archive, bytes, 2);
    }
  }
}

std::vector<DType> AllDTypes() {
  std::vector<DType> dtypes = {DType::kOpaque};
  for (uint16_t number = 1; Describe(static_cast<DType>(number)).dtype == static_cast<DType>(number); ++number) {
    dtypes.push_back(static_cast<DType>(number));
  }
  return dtypes;
}

std::string DTypeTestName(const testing::TestParamInfo<DType>& parameter) {
  std::string name(Describe(parameter.param).name);
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
}

INSTANTIATE_TEST_SUITE_P(DTypes, PipelineMatrix, testing::ValuesIn(AllDTypes()), DTypeTestName);

}  // namespace
}  // namespace flyweight
