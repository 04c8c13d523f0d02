#include "entropy/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "support/random.h"

namespace flyweight {
namespace {

uint64_t Total(const ByteHistogram& histogram) { return std::accumulate(histogram.begin(), histogram.end(), 0ULL); }

TEST(CountBytes, CountsEachValueAtEverySize) {
  test::Random random(1);
  for (size_t size = 0; size < 70; ++size) {
    std::vector<std::byte> bytes = random.Bytes(size);
    ByteHistogram expected{};
    for (std::byte byte : bytes) ++expected[static_cast<size_t>(byte)];
    EXPECT_EQ(CountBytes(bytes), expected) << size;
  }
}

TEST(SampleBytes, CountsAllOfAShortSpan) {
  test::Random random(2);
  for (size_t size : {size_t{0}, size_t{1}, size_t{255}, size_t{256}, size_t{4096}}) {
    std::vector<std::byte> bytes = random.Bytes(size);
    EXPECT_EQ(SampleBytes(bytes, 4096), CountBytes(bytes)) << size;
  }
}

TEST(SampleBytes, CountsOnlyTheWantedNumberOfALongSpan) {
  std::vector<std::byte> bytes(100000);
  EXPECT_EQ(Total(SampleBytes(bytes, 4096)), 4096U);
  EXPECT_EQ(Total(SampleBytes(bytes, 1)), 256U);
}

TEST(SampleBytes, ReachesFromTheFirstByteToTheLast) {
  std::vector<std::byte> bytes(100001);
  bytes.front() = std::byte{7};
  std::fill_n(bytes.begin() + 50000, 10, std::byte{8});  // runs may leave a byte out between them
  bytes.back() = std::byte{9};
  ByteHistogram sample = SampleBytes(bytes, 99999);
  EXPECT_EQ(sample[7], 1U);
  EXPECT_GE(sample[8], 1U);
  EXPECT_EQ(sample[9], 1U);
}

TEST(EntropyBitsPerSymbol, IsZeroWithoutSymbolsAndForOneValue) {
  ByteHistogram histogram{};
  EXPECT_EQ(EntropyBitsPerSymbol(histogram), 0);
  histogram[200] = 12345;
  EXPECT_EQ(EntropyBitsPerSymbol(histogram), 0);
}

TEST(EntropyBitsPerSymbol, IsShannonsForKnownDistributions) {
  ByteHistogram uniform;
  uniform.fill(17);
  EXPECT_NEAR(EntropyBitsPerSymbol(uniform), 8, 1e-3);

  ByteHistogram coin{};
  coin[0] = coin[255] = 1000;
  EXPECT_NEAR(EntropyBitsPerSymbol(coin), 1, 1e-3);

  ByteHistogram skewed{};
  skewed[1] = 300;
  skewed[2] = 100;
  EXPECT_NEAR(EntropyBitsPerSymbol(skewed), 0.811278, 1e-3);
}

}  // namespace
}  // namespace flyweight
