#include "entropy/histogram.h"

#include <algorithm>

#include "entropy/fixed_log2.h"

namespace flyweight {
namespace {

// Four tables, so that runs of equal bytes do not wait for one counter.
struct FourTables {
  uint32_t counts[4][256] = {};

  void Add(ByteSpan bytes) {
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    size_t i = 0;
    for (; i + 4 <= bytes.size(); i += 4) {
      ++counts[0][data[i]];
      ++counts[1][data[i + 1]];
      ++counts[2][data[i + 2]];
      ++counts[3][data[i + 3]];
    }
    for (; i < bytes.size(); ++i) ++counts[0][data[i]];
  }

  ByteHistogram Sum() const {
    ByteHistogram sum;
    for (size_t v = 0; v < 256; ++v) sum[v] = counts[0][v] + counts[1][v] + counts[2][v] + counts[3][v];
    return sum;
  }
};

}  // namespace

ByteHistogram CountBytes(ByteSpan bytes) {
  FourTables tables;
  tables.Add(bytes);
  return tables.Sum();
}

ByteHistogram SampleBytes(ByteSpan bytes, size_t sample_bytes) {
  constexpr size_t kRunBytes = 256;
  if (bytes.size() <= sample_bytes || bytes.size() <= kRunBytes) return CountBytes(bytes);
  size_t run_count = std::max<size_t>(1, sample_bytes / kRunBytes);
  FourTables tables;
  for (size_t r = 0; r < run_count; ++r) {
    size_t begin = (bytes.size() - kRunBytes) * r / std::max<size_t>(1, run_count - 1);
    tables.Add(bytes.subspan(std::min(begin, bytes.size() - kRunBytes), kRunBytes));
  }
  return tables.Sum();
}

double EntropyBitsPerSymbol(const ByteHistogram& histogram) {
  uint64_t total = 0;
  int64_t weighted = 0;
  for (uint32_t count : histogram) {
    if (count == 0) continue;
    total += count;
    weighted += static_cast<int64_t>(count) * Log2Fixed(count);
  }
  if (total == 0) return 0;
  int64_t bits = static_cast<int64_t>(total) * Log2Fixed(total) - weighted;
  return static_cast<double>(bits) / static_cast<double>(total) / (int64_t{1} << kLog2FractionBits);
}

}  // namespace flyweight
