// Decides how a tensor's exponents are re-centred and which head table its chunks share, from a sample. The matrix a
// tensor is read as matters for convolutions: both (d0, rest) and (d0 * d1, rest) are tried.
#include <algorithm>
#include <array>
#include <optional>

#include "base/checked.h"
#include "codec/float_side.h"
#include "codec/row_lengths.h"
#include "codec/scratch.h"
#include "codec/shift_vector.h"
#include "entropy/histogram.h"
#include "transform/recentre/recentre.h"

namespace flyweight {
namespace {

constexpr size_t kMatrixDimensions = 2;
constexpr uint64_t kMinSampleWords = uint64_t{1} << 16;
constexpr uint64_t kMaxSampleWords = uint64_t{1} << 20;
constexpr uint64_t kWantedSampleRows = 64;
constexpr uint64_t kMinSegments = 32;
constexpr uint64_t kUnshapedRowWords = 256;  ///< where there is nothing to re-centre
constexpr uint64_t kSegmentWords = uint64_t{1} << 11;
constexpr uint64_t kChunkWords = uint64_t{1} << 18;
constexpr size_t kRunWords = 32;
constexpr size_t kModeSampleWords = size_t{1} << 13;
constexpr size_t kTableSampleWords = size_t{1} << 14;
// Scales are rounded to powers of two against their median, which a part of them gives well enough.
constexpr size_t kMedianSample = 1024;

// Heads of whole rows (of the widest matrix), taken in segments spread over the tensor.
struct HeadSample {
  const std::byte* heads = nullptr;
  uint64_t word_count = 0;
  size_t head_bytes = 2;

  struct Segment {
    uint64_t first_word;  ///< in the tensor
    uint64_t first_in_sample;
    uint64_t word_count;
  };
  std::vector<Segment> segments;
};

Result<HeadSample> TakeSample(const ByteSource& source, uint64_t offset, uint64_t word_count, uint64_t row_words,
                              uint64_t wanted_words, FloatLayout layout, CodecScratch::Impl& scratch) {
  const FloatLayoutInfo& info = Describe(layout);
  uint64_t row_count = word_count / row_words;
  uint64_t segment_rows = std::max<uint64_t>(1, std::min(kSegmentWords, wanted_words / kMinSegments) / row_words);
  uint64_t segment_count = CeilDiv(wanted_words, segment_rows * row_words);
  if (segment_count * segment_rows >= row_count) segment_rows = row_count, segment_count = 1;

  HeadSample sample;
  sample.head_bytes = info.head_bytes;
  sample.word_count = segment_count * segment_rows * row_words;
  scratch.sample.Resize(sample.word_count * info.head_bytes);
  sample.heads = scratch.sample.data();
  // Segments can be long where the tensor is small enough to be sampled whole, so they are read piece by piece.
  scratch.trial.Resize(kSegmentWords * info.word_bytes);
  scratch.low.Resize(kSegmentWords * std::max<size_t>(1, info.low_plane_count));
  ByteSpan memory = source.InMemory();
  for (uint64_t s = 0; s < segment_count; ++s) {
    uint64_t first_row = segment_count == 1 ? 0 : (row_count - segment_rows) * s / (segment_count - 1);
    HeadSample::Segment segment{first_row * row_words, s * segment_rows * row_words, segment_rows * row_words};
    sample.segments.push_back(segment);
    for (uint64_t done = 0; done < segment.word_count; done += kSegmentWords) {
      uint64_t count = std::min(kSegmentWords, segment.word_count - done);
      uint64_t at = offset + (segment.first_word + done) * info.word_bytes;
      const std::byte* words = scratch.trial.data();
      if (!memory.empty()) {
        words = memory.data() + at;
      } else {
        FLYWEIGHT_TRY(source.ReadAt(at, {scratch.trial.data(), count * info.word_bytes}));
      }
      SplitFloats(layout, words, count, scratch.sample.data() + (segment.first_in_sample + done) * info.head_bytes,
                  scratch.low.data(), kSegmentWords);
    }
  }
  return sample;
}

// Scales of a matrix, measured on the sample: shifts of the sampled rows and of all columns.
struct Scales {
  std::vector<int8_t> rows;
  std::vector<int8_t> columns;
  float row_reference = 0;
};

float MedianOfSome(const std::vector<float>& values) {
  size_t step = std::max<size_t>(1, CeilDiv(values.size(), kMedianSample));
  std::vector<float> some;
  for (size_t i = 0; i < values.size(); i += step) some.push_back(values[i]);
  return PositiveMedian(some);
}

Scales MeasureScales(const HeadSample& sample, uint64_t columns, CodecScratch::Impl& scratch) {
  uint64_t row_count = sample.word_count / columns;
  scratch.column_sums.assign(columns, 0.0F);
  scratch.row_means.resize(row_count);
  for (uint64_t row = 0; row < row_count; ++row) {
    const std::byte* heads = sample.heads + row * columns * sample.head_bytes;
    scratch.row_means[row] = MeanMagnitude(heads, sample.head_bytes, columns);
    AddMagnitudes(heads, sample.head_bytes, columns, scratch.column_sums.data());
  }
  Scales scales;
  scales.row_reference = MedianOfSome(scratch.row_means);
  for (float mean : scratch.row_means) scales.rows.push_back(ShiftOf(mean, scales.row_reference));
  float column_reference = MedianOfSome(scratch.column_sums);
  for (float sum : scratch.column_sums) scales.columns.push_back(ShiftOf(sum, column_reference));
  return scales;
}

// Calls visit(exponent, bit, row shift, column shift) for about `wanted` words of the sample, in runs whose places
// jitter: a fixed stride would see the same columns again and again.
template <typename Visit>
void VisitSample(const HeadSample& sample, uint64_t columns, const Scales& scales, size_t wanted, const Visit& visit) {
  uint64_t run_count = std::max<uint64_t>(1, std::min<uint64_t>(wanted, sample.word_count) / kRunWords);
  uint64_t step = sample.word_count / run_count;
  uint32_t random = 1;
  for (uint64_t r = 0; r < run_count; ++r) {
    random = random * 1664525 + 1013904223;
    uint64_t room = step > kRunWords ? step - kRunWords + 1 : 1;
    uint64_t word = r * step + (uint64_t{random} * room >> 32);
    uint64_t end = std::min(word + kRunWords, sample.word_count);
    uint64_t row = columns == 0 ? 0 : word / columns, column = columns == 0 ? 0 : word % columns;
    for (; word < end; ++word) {
      unsigned exponent, bit;
      if (sample.head_bytes == 2) {
        auto head = LoadLe<uint16_t>(sample.heads + 2 * word);
        exponent = head >> 7 & 0xFF;
        bit = head >> 6 & 1;
      } else {
        auto head = LoadLe<uint8_t>(sample.heads + word);
        exponent = head >> 2 & 0x1F;
        bit = head >> 1 & 1;
      }
      if (columns == 0) {
        visit(exponent, bit, int8_t{0}, int8_t{0});
        continue;
      }
      visit(exponent, bit, scales.rows[row], scales.columns[column]);
      if (++column == columns) column = 0, ++row;
    }
  }
}

// Bits of the exponents and shifts of the whole tensor for no shifts, rows, columns, both.
std::array<double, 4> EstimateModes(const HeadSample& sample, uint64_t columns, uint64_t word_count,
                                    const Scales& scales) {
  std::array<ByteHistogram, 4> counts{};
  uint64_t counted = 0;
  VisitSample(sample, columns, scales, kModeSampleWords, [&](unsigned exponent, unsigned, int8_t row, int8_t column) {
    ++counts[0][exponent];
    ++counts[1][(exponent - static_cast<unsigned>(row)) & 0xFF];
    ++counts[2][(exponent - static_cast<unsigned>(column)) & 0xFF];
    ++counts[3][(exponent - static_cast<unsigned>(row) - static_cast<unsigned>(column)) & 0xFF];
    ++counted;
  });
  // Rows are stored chunk by chunk, one value for each row a chunk touches.
  auto pieces = static_cast<double>(word_count / columns) + static_cast<double>(word_count / kChunkWords);
  double row_bits = EstimateShiftBits(scales.rows) / static_cast<double>(scales.rows.size()) * pieces;
  double column_bits = EstimateShiftBits(scales.columns);
  std::array<double, 4> bits{};
  for (size_t mode = 0; mode < 4; ++mode) {
    bits[mode] = EntropyBitsPerSymbol(counts[mode]) * static_cast<double>(word_count) + (mode & 1 ? row_bits : 0) +
                 (mode & 2 ? column_bits : 0);
  }
  return bits;
}

void ChooseTable(const HeadSample& sample, const Scales& scales, FloatSide& side) {
  HeadHistogram histogram{};
  VisitSample(sample, side.column_count, scales, kTableSampleWords,
              [&](unsigned exponent, unsigned bit, int8_t row, int8_t column) {
                unsigned shift = (side.by_rows ? static_cast<unsigned>(row) : 0) +
                                 (side.by_columns ? static_cast<unsigned>(column) : 0);
                ++histogram[2 * ((exponent - shift) & 0xFF) + bit];
              });
  side.table = BuildHeadTable(histogram);
  side.coder = std::make_unique<HeadCoder>(side.table);
}

}  // namespace

Result<FloatSide> PlanFloatSide(const ByteSource& source, uint64_t offset, uint64_t word_count, FloatLayout layout,
                                const Shape& shape, uint64_t words_per_element, Level level,
                                CodecScratch& codec_scratch) {
  CodecScratch::Impl& scratch = codec_scratch.impl();
  std::vector<uint64_t> candidates;
  if (level != Level::kFast) candidates = RowLengths(shape, words_per_element, word_count, kMatrixDimensions);
  uint64_t row_words = kUnshapedRowWords, wanted_words = kTableSampleWords;
  if (!candidates.empty()) {
    row_words = candidates.front();
    wanted_words = std::clamp(row_words * kWantedSampleRows, kMinSampleWords, kMaxSampleWords);
  }
  FLYWEIGHT_ASSIGN(HeadSample sample, TakeSample(source, offset, word_count, row_words, wanted_words, layout, scratch));

  FloatSide side;
  side.layout = layout;
  Scales best_scales;
  double best_bits = 0;
  for (uint64_t columns : candidates) {
    Scales scales = MeasureScales(sample, columns, scratch);
    std::array<double, 4> bits = EstimateModes(sample, columns, word_count, scales);
    if (columns == candidates.front()) best_bits = bits[0];
    auto mode = static_cast<size_t>(std::min_element(bits.begin(), bits.end()) - bits.begin());
    if (mode == 0 || bits[mode] >= best_bits) continue;
    best_bits = bits[mode];
    best_scales = std::move(scales);
    side.by_rows = (mode & 1) != 0;
    side.by_columns = (mode & 2) != 0;
    side.column_count = columns;
  }
  ChooseTable(sample, best_scales, side);
  if (side.by_rows) side.row_reference = best_scales.row_reference;
  if (side.by_columns) side.column_shifts = std::move(best_scales.columns);
  return side;
}

}  // namespace flyweight
