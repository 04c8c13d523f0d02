// Decides whether a tensor is coded in classes, by which rows and columns, and the tables that its chunks share, from a
// sample of whole rows.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/checked.h"
#include "codec/class_codec.h"
#include "codec/class_side.h"
#include "codec/float_side.h"
#include "codec/record_side.h"
#include "codec/row_lengths.h"
#include "codec/scratch.h"
#include "transform/recentre/recentre.h"

namespace flyweight {
namespace {

constexpr uint64_t kMinWords = 4096;
constexpr size_t kMatrixDimensions = 3;
constexpr uint64_t kSampleWords = uint64_t{1} << 20;
constexpr uint64_t kSegmentWords = uint64_t{1} << 14;
constexpr uint64_t kGlanceWords = uint64_t{1} << 12;
constexpr uint64_t kMinSegments = 64;
constexpr size_t kModeWords = size_t{1} << 16;
constexpr size_t kModeRun = 64;
constexpr unsigned kFloatContextBits = 2;
constexpr unsigned kF8ContextBits = 4;
// Below Level::kHigh a tensor with this part of zeros is coded in classes.
constexpr double kManyZeros = 1.0 / 50;

// Heads of whole rows of the widest matrix, in segments spread over the tensor.
struct Sample {
  std::vector<std::byte> heads;  ///< as they are coded
  std::vector<std::byte> wide;   ///< F8 only: the same magnitudes as 16-bit heads
  size_t head_bytes = 2;

  uint64_t word_count() const { return heads.size() / head_bytes; }
  const std::byte* scales() const { return wide.empty() ? heads.data() : wide.data(); }
  size_t scale_bytes() const { return wide.empty() ? head_bytes : 2; }
};

struct Input {
  const ByteSource& source;
  uint64_t offset;
  uint64_t word_count;
  DType dtype;
  ClassLayout layout;
  const ClassLayoutInfo& info;
};

// Reads `count` words and appends their heads.
Status AppendHeads(const Input& input, uint64_t first_word, uint64_t count, CodecScratch::Impl& scratch,
                   Sample& sample) {
  const size_t word_bytes = input.info.word_bytes;
  for (uint64_t done = 0; done < count; done += kSegmentWords) {
    uint64_t step = std::min(kSegmentWords, count - done);
    uint64_t at = input.offset + (first_word + done) * word_bytes;
    scratch.trial.Resize(kSegmentWords * word_bytes);
    FLYWEIGHT_TRY(input.source.ReadAt(at, {scratch.trial.data(), step * word_bytes}));
    size_t old_bytes = sample.heads.size();
    sample.heads.resize(old_bytes + step * sample.head_bytes);
    std::byte* heads = sample.heads.data() + old_bytes;
    if (input.info.low_plane_count == 0) {
      std::memcpy(heads, scratch.trial.data(), step * word_bytes);
    } else {
      scratch.low.Resize(kSegmentWords * input.info.low_plane_count);
      SplitFloats(static_cast<FloatLayout>(input.layout), scratch.trial.data(), step, heads, scratch.low.data(),
                  kSegmentWords);
    }
  }
  return {};
}

Result<Sample> TakeSample(const Input& input, uint64_t row_words, uint64_t wanted_words, CodecScratch::Impl& scratch) {
  Sample sample;
  sample.head_bytes = input.info.head_bytes;
  uint64_t row_count = input.word_count / row_words;
  uint64_t segment_rows = std::max<uint64_t>(1, std::min(kSegmentWords, wanted_words / kMinSegments) / row_words);
  uint64_t segments = CeilDiv(wanted_words, segment_rows * row_words);
  if (segments * segment_rows >= row_count) segment_rows = row_count, segments = 1;
  for (uint64_t s = 0; s < segments; ++s) {
    uint64_t first_row = segments == 1 ? 0 : (row_count - segment_rows) * s / (segments - 1);
    FLYWEIGHT_TRY(AppendHeads(input, first_row * row_words, segment_rows * row_words, scratch, sample));
  }
  if (input.layout == ClassLayout::kF8) {
    sample.wide.resize(2 * sample.heads.size());
    WidenF8(input.dtype, sample.heads.data(), sample.heads.size(), sample.wide.data());
  }
  return sample;
}

struct Classes {
  std::vector<int8_t> rows, columns;
  float row_reference = 0;
};

Classes MeasureClasses(const Sample& sample, uint64_t columns, unsigned context_bits) {
  uint64_t row_count = sample.word_count() / columns;
  std::vector<float> means(row_count), sums(columns, 0.0F);
  for (uint64_t row = 0; row < row_count; ++row) {
    const std::byte* heads = sample.scales() + row * columns * sample.scale_bytes();
    means[row] = MeanMagnitude(heads, sample.scale_bytes(), columns);
    AddMagnitudes(heads, sample.scale_bytes(), columns, sums.data());
  }
  Classes classes;
  std::vector<float> sorted = means;
  classes.row_reference = PositiveMedian(sorted);
  for (float mean : means) classes.rows.push_back(ClassOf(mean, classes.row_reference, context_bits));
  sorted = sums;
  float column_reference = PositiveMedian(sorted);
  for (float sum : sums) classes.columns.push_back(ClassOf(sum, column_reference, context_bits));
  return classes;
}

// Histograms of the sample for one way of classing it.
struct Counts {
  uint8_t base = 0;
  std::vector<ByteHistogram> contexts;
};

// Cuts counts of whole exponents down to the window that holds most of them.
Counts Narrow(std::span<const std::array<uint32_t, 1024>> wide, bool has_exponents) {
  Counts counts;
  if (has_exponents) {
    ByteHistogram exponents{};
    for (const auto& context : wide) {
      for (size_t i = 0; i < context.size(); ++i) exponents[i >> 2] += context[i];
    }
    counts.base = ChooseExponentBase(exponents);
  }
  for (const auto& context : wide) {
    ByteHistogram& narrow = counts.contexts.emplace_back();
    for (size_t symbol = 0; symbol < 256; ++symbol) narrow[symbol] = context[(size_t{counts.base} * 4 + symbol) & 1023];
  }
  return counts;
}

// Counts about `wanted` words, in runs spread over the sample whose places jitter: a fixed stride would see the same
// columns again and again.
Counts CountSample(const Sample& sample, const ClassSide& side, const Classes& classes, size_t wanted) {
  const size_t total = sample.word_count();
  const size_t run = wanted >= total ? std::min(total, kSegmentWords) : kModeRun;
  const size_t run_count = wanted >= total ? CeilDiv(total, run) : std::max<size_t>(1, wanted / run);
  ClassField field{side.by_rows ? classes.rows.data() : nullptr,
                   side.by_columns ? classes.columns.data() : nullptr,
                   side.column_count,
                   0,
                   side.context_bits,
                   side.shifts()};
  std::vector<uint8_t> contexts(run), shifts(run);
  std::vector<std::array<uint32_t, 1024>> wide(side.context_count());
  const size_t step = total / run_count;
  uint32_t random = 1;
  for (size_t r = 0; r < run_count; ++r) {
    random = random * 1664525 + 1013904223;
    size_t room = step > run ? step - run + 1 : 1;
    size_t begin = wanted >= total ? r * run : std::min(r * step + (uint64_t{random} * room >> 32), total - run);
    size_t count = std::min(run, total - begin);
    const std::byte* heads = sample.heads.data() + begin * sample.head_bytes;
    field.Expand(begin, count, contexts.data(), shifts.data());
    if (!side.shifts()) {
      for (size_t i = 0; i < count; ++i) ++wide[contexts[i]][static_cast<unsigned>(heads[i]) & 127U];
      continue;
    }
    for (size_t i = 0; i < count; ++i) {
      unsigned exponent, mantissa;
      if (sample.head_bytes == 2) {
        auto head = LoadLe<uint16_t>(heads + 2 * i);
        exponent = head >> 7 & 0xFFU, mantissa = head >> 5 & 3U;
      } else {
        auto head = static_cast<unsigned>(heads[i]);
        exponent = head >> 2 & 31U, mantissa = head & 3U;
      }
      // Zeros are coded as a mask where they are many, and where they are few they do not matter.
      if ((exponent | mantissa) != 0) ++wide[contexts[i]][((exponent - shifts[i]) & 0xFF) << 2 | mantissa];
    }
  }
  return Narrow(wide, side.shifts());
}

double EntropyBits(const Counts& counts) {
  double bits = 0;
  for (const ByteHistogram& context : counts.contexts) {
    uint64_t total = 0;
    for (uint32_t count : context) total += count;
    bits += EntropyBitsPerSymbol(context) * static_cast<double>(total);
  }
  return bits;
}

double ClassBits(std::span<const int8_t> classes) {
  ByteHistogram counts{};
  for (int8_t c : classes) ++counts[static_cast<uint8_t>(c + kClassLimit)];
  return EntropyBitsPerSymbol(counts) * static_cast<double>(classes.size()) + 8.0 * 40;
}

// Picks rows, columns, both or neither for one row length; keeps it in `best` where it beats what is there.
void TryRowLength(const Sample& sample, const Input& input, uint64_t columns, double& best_bits, ClassSide& best,
                  Classes& best_classes) {
  unsigned context_bits = input.layout == ClassLayout::kF8 ? kF8ContextBits : kFloatContextBits;
  Classes classes = MeasureClasses(sample, columns, input.layout == ClassLayout::kF8 ? 1 : context_bits);
  auto chunk_words = ChunkBytesFor(input.dtype) / input.info.word_bytes;
  double rows_stored = static_cast<double>(input.word_count / columns + input.word_count / chunk_words);
  double scale =
      static_cast<double>(input.word_count) / static_cast<double>(std::min<uint64_t>(sample.word_count(), kModeWords));
  for (int mode = 1; mode <= 3; ++mode) {
    ClassSide side;
    side.layout = input.layout;
    side.by_rows = (mode & 1) != 0;
    side.by_columns = (mode & 2) != 0;
    side.context_bits = context_bits;
    side.column_count = columns;
    double bits = EntropyBits(CountSample(sample, side, classes, kModeWords)) * scale;
    if (side.by_rows) bits += ClassBits(classes.rows) / static_cast<double>(classes.rows.size()) * rows_stored;
    if (side.by_columns) bits += ClassBits(classes.columns);
    if (bits >= best_bits) continue;
    best_bits = bits;
    best = std::move(side);
    best_classes = classes;
  }
}

// Below Level::kHigh: whether the other coder would leave much lying.
bool IsSpecial(const Sample& glance, ClassLayout layout) {
  if (layout == ClassLayout::kF8) return true;
  size_t zeros = 0, negative = 0, count = glance.word_count();
  for (size_t i = 0; i < count; ++i) {
    unsigned head = glance.head_bytes == 2 ? LoadLe<uint16_t>(glance.heads.data() + 2 * i)
                                           : static_cast<unsigned>(glance.heads[i]) << 8;
    zeros += (head & 0x7FFF) == 0;
    negative += head >> 15;
  }
  bool one_sign = negative == 0 || negative == count;
  return one_sign || static_cast<double>(zeros) > kManyZeros * static_cast<double>(count);
}

}  // namespace

Result<std::optional<ClassSide>> PlanClassSide(const ByteSource& source, uint64_t offset, uint64_t size_bytes,
                                               DType dtype, const Shape& shape, Level level,
                                               CodecScratch& codec_scratch) {
  std::optional<ClassLayout> layout = ClassLayoutOf(dtype);
  if (!layout || level == Level::kFast) return std::optional<ClassSide>();
  CodecScratch::Impl& scratch = codec_scratch.impl();
  const ClassLayoutInfo& info = Describe(*layout);
  Input input{source, offset, size_bytes / info.word_bytes, dtype, *layout, info};
  if (input.word_count < kMinWords) return std::optional<ClassSide>();
  if (level == Level::kBalanced) {
    FLYWEIGHT_ASSIGN(Sample glance, TakeSample(input, 16, kGlanceWords, scratch));
    if (!IsSpecial(glance, *layout)) return std::optional<ClassSide>();
  }

  std::vector<uint64_t> lengths =
      RowLengths(shape, ElementBytes(dtype) / info.word_bytes, input.word_count, kMatrixDimensions);
  uint64_t row_words = lengths.empty() ? std::min(input.word_count, kSegmentWords) : lengths.front();
  FLYWEIGHT_ASSIGN(Sample sample, TakeSample(input, row_words, kSampleWords, scratch));
  ClassSide side;
  side.layout = *layout;
  Classes classes;
  double scale =
      static_cast<double>(input.word_count) / static_cast<double>(std::min<uint64_t>(sample.word_count(), kModeWords));
  double best_bits = EntropyBits(CountSample(sample, side, classes, kModeWords)) * scale;
  for (uint64_t columns : lengths) TryRowLength(sample, input, columns, best_bits, side, classes);

  Counts counts = CountSample(sample, side, classes, sample.word_count());
  side.base = counts.base;
  side.tables = BuildClassTables(counts.contexts, ClassPrecisionBits(side.context_count()), true);
  side.encoder = std::make_shared<const ContextEncoder>(*side.tables);
  side.row_reference = classes.row_reference;
  if (side.by_columns) side.column_classes = std::move(classes.columns);
  return std::optional<ClassSide>(std::move(side));
}

}  // namespace flyweight
