#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/hash.h"
#include "codec/class_codec.h"
#include "codec/class_side.h"
#include "codec/lossy_patch_codec.h"
#include "codec/lossy_patch_side.h"
#include "codec/patch_differences.h"
#include "codec/scratch.h"
#include "entropy/fixed_log2.h"
#include "lossy/delta_steps.h"
#include "transform/byte_planes/byte_planes.h"

namespace flyweight {
namespace {

constexpr int kPrecisionBits = 11;
// What a bit is worth in squared steps: with it numbers are chosen that make error and size least together.
constexpr float kBitWorth = 0.15F;
// Each weighing makes rare numbers rarer; more than two gain nothing.
constexpr int kWeighings = 2;
// Costs are told apart up to this number; larger ones are rounded.
constexpr size_t kWeighed = 32;
// Zero may reach this far, in steps.
constexpr float kZeroReach = 1.5F;
constexpr float kLargestNumber = 4194304.0F;

struct Encoding {
  const LossyPatchSide& side;
  DType dtype;
  size_t element_bytes;
  uint64_t first;
  size_t count;
  CodecScratch::Impl& scratch;

  float* values = nullptr;       ///< of the chunk
  float* differences = nullptr;  ///< chunk less base
  float* expected = nullptr;     ///< the base
  int32_t* numbers = nullptr;
  uint8_t* contexts = nullptr;
  uint8_t* low_bits = nullptr;
  uint8_t* symbols = nullptr;
  std::vector<float> steps = {};     ///< of rows
  std::vector<uint16_t> words = {};  ///< the same as BF16
  std::vector<int8_t> rows = {};     ///< their classes
  std::vector<uint32_t> exact = {};

  float StepOf(size_t run) const { return side.row_steps ? steps[run] : side.step; }
};

void Allocate(Encoding& e) {
  const size_t n = (e.count + 63) / 64 * 64;
  e.scratch.classes.Resize(n * 19);
  std::byte* at = e.scratch.classes.data();
  auto take = [&](size_t each) {
    std::byte* taken = at;
    at += each * n;
    return taken;
  };
  e.values = reinterpret_cast<float*>(take(4));
  e.differences = reinterpret_cast<float*>(take(4));
  e.expected = reinterpret_cast<float*>(take(4));
  e.numbers = reinterpret_cast<int32_t*>(take(4));
  e.contexts = reinterpret_cast<uint8_t*>(take(1));
  e.low_bits = reinterpret_cast<uint8_t*>(take(1));
  e.symbols = reinterpret_cast<uint8_t*>(take(1));
}

float MeanMagnitudeOf(const float* values, size_t count) {
  double lanes[8] = {};
  for (size_t i = 0; i < count; ++i) lanes[i % 8] += std::fabs(static_cast<double>(values[i]));
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return static_cast<float>(sum / static_cast<double>(count));
}

uint16_t RoundToBF16(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Differences that no step can hold are taken out first, so that they do not decide scales.
void TakeDifferences(ByteSpan chunk, ByteSpan predicted, Encoding& e) {
  LoadDeltaValues(e.dtype, chunk.data(), e.count, e.values);
  LoadDeltaValues(e.dtype, predicted.data(), e.count, e.expected);
  const float from = e.side.exact_from > 0 ? e.side.exact_from : INFINITY;
  for (size_t i = 0; i < e.count; ++i) {
    float difference = e.values[i] - e.expected[i];
    bool is_exact = !(std::fabs(difference) < from);
    if (is_exact) {
      const size_t at = i * e.element_bytes;
      // A NaN that is that of the base.
      if (std::memcmp(chunk.data() + at, predicted.data() + at, e.element_bytes) != 0)
        e.exact.push_back(static_cast<uint32_t>(i));
      difference = 0;
    }
    e.differences[i] = difference;
  }
}

void ChooseRowSteps(Encoding& e) {
  if (!e.side.row_steps) return;
  ForEachRow(e.side.column_count, e.first, e.count, [&](size_t, size_t begin, size_t count, size_t) {
    uint16_t word = RoundToBF16(MeanMagnitudeOf(e.differences + begin, count));
    e.words.push_back(word);
    e.steps.push_back(std::bit_cast<float>(static_cast<uint32_t>(word) << 16));
  });
}

void ClassRows(Encoding& e) {
  if (!e.side.by_rows) return;
  int8_t loudest = 0;
  for (int8_t column : e.side.columns) loudest = std::max(loudest, column);
  // Whatever is quieter has the same contexts, and one class costs less than many.
  const auto quietest = static_cast<int8_t>(std::max(-kDeltaBias - loudest, -kClassLimit));
  ForEachRow(e.side.column_count, e.first, e.count, [&](size_t run, size_t begin, size_t count, size_t) {
    const auto step = static_cast<double>(e.StepOf(run));
    double mean = SumOfSquares(e.differences + begin, count) / static_cast<double>(count);
    e.rows.push_back(std::max(DeltaClassOf(step > 0 ? mean / (step * step) : 0.0), quietest));
  });
}

void ExpandContexts(Encoding& e) {
  if (!e.side.has_contexts()) {
    std::memset(e.contexts, 0, e.count);
    std::memset(e.low_bits, 0, e.count);
    return;
  }
  ForEachRow(e.side.column_count, e.first, e.count, [&](size_t run, size_t begin, size_t count, size_t column) {
    ExpandDeltaContexts(e.side.by_columns ? e.side.columns.data() + column : nullptr, e.side.by_rows ? e.rows[run] : 0,
                        count, e.contexts + begin, e.low_bits + begin);
  });
}

// Where the next number begins, for each context.
using Thresholds = std::array<std::array<float, kWeighed>, kDeltaContexts>;

void Round(const Thresholds& thresholds, float step, size_t begin, size_t count, Encoding& e) {
  const float most = e.side.most_steps > 0 ? static_cast<float>(e.side.most_steps) : kLargestNumber;
  for (size_t i = begin; i < begin + count; ++i) {
    float way = std::fabs(e.differences[i]) / step;
    if (!(way < kLargestNumber)) way = kLargestNumber;
    auto below = static_cast<int32_t>(way);
    const auto& levels = thresholds[e.contexts[i]];
    float fraction = way - static_cast<float>(below);
    float up = e.low_bits[i] != 0 ? 0.5F : levels[std::min<size_t>(static_cast<size_t>(below), kWeighed - 1)];
    int32_t number = below + (fraction >= up ? 1 : 0);
    if (e.low_bits[i] == 0 && way < levels[0]) number = 0;
    number = std::min(number, static_cast<int32_t>(most));
    e.numbers[i] = e.differences[i] < 0 ? -number : number;
  }
}

void RoundAll(const Thresholds& thresholds, Encoding& e) {
  ForEachRow(e.side.column_count, e.first, e.count, [&](size_t run, size_t begin, size_t count, size_t) {
    const float step = e.StepOf(run);
    if (step > 0) return Round(thresholds, step, begin, count, e);
    std::fill_n(e.numbers + begin, count, 0);
  });
}

void TakeSigns(Encoding& e) {
  ForEachRow(e.side.column_count, e.first, e.count, [&](size_t run, size_t begin, size_t count, size_t) {
    const int32_t one = e.StepOf(run) > 0 ? 1 : 0;
    for (size_t i = begin; i < begin + count; ++i)
      e.numbers[i] = e.differences[i] < 0 ? -one : e.differences[i] > 0 ? one : 0;
  });
}

// Thresholds that weigh the bits of the numbers as they would be rounded by themselves.
Thresholds WeighBits(const Encoding& e) {
  std::array<std::array<uint32_t, kWeighed>, kDeltaContexts> counts{};
  for (size_t i = 0; i < e.count; ++i)
    ++counts[e.contexts[i]][static_cast<size_t>(std::min<int32_t>(std::abs(e.numbers[i]), kWeighed - 1))];
  Thresholds thresholds;
  for (size_t c = 0; c < kDeltaContexts; ++c) {
    auto cost = [&](size_t number) {
      int64_t units = Log2Fixed(uint64_t{counts[c][number]} * 64 + 1);
      // The sign is a bit more.
      return static_cast<float>((number == 0 ? 0 : 1 << kLog2FractionBits) - units) / (1 << kLog2FractionBits);
    };
    for (size_t number = 0; number + 1 < kWeighed; ++number) {
      float more = cost(number + 1) - cost(number);
      float threshold = 0.5F + 0.5F * kBitWorth * more;
      thresholds[c][number] = std::clamp(threshold, 0.4F, number == 0 ? kZeroReach : 1.0F);
    }
    thresholds[c][kWeighed - 1] = 0.5F;
  }
  return thresholds;
}

void ChooseNumbers(Encoding& e) {
  if (e.side.signs_only) return TakeSigns(e);
  Thresholds plain;
  for (auto& context : plain) context.fill(0.5F);
  RoundAll(plain, e);
  if (!e.side.weighs_bits) return;
  for (int pass = 0; pass < kWeighings; ++pass) RoundAll(WeighBits(e), e);
}

// The symbol of a number in its context, kDeltaExact where it has none.
uint8_t SymbolOf(int32_t number, unsigned low_bits) {
  int32_t high = number >> low_bits;
  int32_t symbol = high >= 0 ? 2 * high : -2 * high - 1;
  return symbol < kDeltaExact ? static_cast<uint8_t>(symbol) : kDeltaExact;
}

// What the rounding of the result may add to an element's error, in units of its value.
float RoundingOf(DType dtype) {
  if (dtype == DType::kBF16) return 0x1p-8F;
  return dtype == DType::kF16 ? 0x1p-10F : 0x1p-22F;
}

// Restores the chunk and finds elements that came out too far away, which then are exact.
void Restore(ByteSpan chunk, ByteSpan predicted, MutableByteSpan restored, Encoding& e) {
  if (restored.data() != predicted.data()) std::memcpy(restored.data(), predicted.data(), chunk.size());
  for (uint32_t i : e.exact) e.numbers[i] = 0;
  std::vector<uint8_t> is_exact(e.count, 0);
  for (uint32_t i : e.exact) is_exact[i] = 1;
  ForEachRow(e.side.column_count, e.first, e.count, [&](size_t run, size_t begin, size_t count, size_t) {
    AddDeltaSteps(e.dtype, e.numbers + begin, count, e.StepOf(run), restored.data() + begin * e.element_bytes);
  });
  for (size_t i = 0; i < e.count; ++i) {
    e.symbols[i] = SymbolOf(e.numbers[i], e.low_bits[i]);
    is_exact[i] |= e.symbols[i] == kDeltaExact ? 1 : 0;
  }
  LoadDeltaValues(e.dtype, restored.data(), e.count, e.expected);
  // With numbers of few values the far ones are what the method loses; else nothing may be far.
  const float rounding = RoundingOf(e.dtype);
  const bool bounded = e.side.most_steps == 0 && !e.side.signs_only;
  for (size_t i = 0; i < e.count; ++i) {
    if (e.differences[i] == 0 && e.numbers[i] == 0) continue;
    float error = std::fabs(e.values[i] - e.expected[i]);
    float allowed = kZeroReach * e.side.step + rounding * std::fabs(e.values[i]);
    // Where the step is huge, what is allowed is infinite.
    bool is_far = !(error < INFINITY) || (bounded && !(error <= allowed));
    if (e.numbers[i] == 0 && e.side.step == 0) is_far = false;
    is_exact[i] |= is_far ? 1 : 0;
  }
  e.exact.clear();
  for (size_t i = 0; i < e.count; ++i) {
    if (is_exact[i] == 0) continue;
    e.exact.push_back(static_cast<uint32_t>(i));
    e.symbols[i] = kDeltaExact;
    e.numbers[i] = 0;
  }
}

std::vector<std::byte> WriteLowBits(const Encoding& e) {
  size_t bits = 0;
  for (size_t i = 0; i < e.count; ++i) bits += e.low_bits[i];
  std::vector<std::byte> bytes((bits + 7) / 8 + sizeof(uint64_t));
  size_t at = 0;
  for (size_t i = 0; i < e.count; ++i) {
    if (e.low_bits[i] == 0) continue;
    uint64_t low = static_cast<uint32_t>(e.numbers[i]) & ((uint64_t{1} << e.low_bits[i]) - 1);
    std::byte* target = bytes.data() + at / 8;
    StoreLe(target, LoadLe<uint64_t>(target) | low << (at % 8));
    at += e.low_bits[i];
  }
  bytes.resize((bits + 7) / 8);
  return bytes;
}

void WriteRowSteps(const Encoding& e, ByteWriter& writer) {
  if (!e.side.row_steps) return;
  const size_t count = e.words.size();
  std::vector<std::byte> planes(2 * count), coded(kPlaneHeaderBytes + count);
  SplitPlanes(reinterpret_cast<const std::byte*>(e.words.data()), count, 2, true, planes.data());
  for (size_t p = 0; p < 2; ++p) {
    size_t size = EncodePlane(ByteSpan(planes).subspan(p * count, count), coded, e.scratch.planes);
    writer.Append(ByteSpan(coded).first(size));
  }
}

// Exact elements as differences to the base, gathered. Returns false where they have no room.
bool WriteExact(ByteSpan chunk, ByteSpan predicted, const Encoding& e, std::vector<std::byte>& coded) {
  const size_t size = e.exact.size() * e.element_bytes;
  if (size == 0) return true;
  std::vector<std::byte> elements(size), base(size);
  for (size_t i = 0; i < e.exact.size(); ++i) {
    std::memcpy(elements.data() + i * e.element_bytes, chunk.data() + e.exact[i] * e.element_bytes, e.element_bytes);
    std::memcpy(base.data() + i * e.element_bytes, predicted.data() + e.exact[i] * e.element_bytes, e.element_bytes);
  }
  coded.resize(size + 64);
  size_t written = EncodePatchDifferences(PatchWordOf(e.dtype), elements, base.data(), coded, e.scratch);
  coded.resize(written);
  return written != 0;
}

FrequencyTables MakeTables(const Encoding& e) {
  std::vector<ByteHistogram> counts(e.side.has_contexts() ? kDeltaContexts : 1);
  for (size_t i = 0; i < e.count; ++i) ++counts[e.contexts[i]][e.symbols[i]];
  return BuildClassTables(counts, kPrecisionBits, false);
}

// Puts the parts behind each other; 0 where they have no room.
size_t Assemble(const LossyPatchFront& front, ByteSpan exact, const Encoding& e, MutableByteSpan payload) {
  ByteWriter writer;
  writer.Write(front.base_check);
  writer.Write(front.exact_count);
  writer.Write(front.exact_bytes);
  WriteRowSteps(e, writer);
  if (e.side.by_rows) WriteClasses(e.rows, e.scratch.planes, writer);
  FrequencyTables tables = MakeTables(e);
  WriteFrequencyTables(tables.contexts, tables.precision_bits, writer);
  writer.Append(WriteLowBits(e));
  writer.Append(exact);
  if (writer.size() >= payload.size()) return 0;
  std::memcpy(payload.data(), writer.bytes().data(), writer.size());
  std::span<const uint8_t> contexts;
  if (e.side.has_contexts()) contexts = {e.contexts, e.count};
  size_t stream = ContextEncoder(tables).Encode({e.symbols, e.count}, contexts, {}, payload.subspan(writer.size()));
  return stream == 0 ? 0 : writer.size() + stream;
}

}  // namespace

double SumOfSquares(const float* values, size_t count) {
  double lanes[8] = {};
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (size_t l = 0; l < 8; ++l) lanes[l] += static_cast<double>(values[i + l]) * static_cast<double>(values[i + l]);
  }
  for (size_t l = 0; i < count; ++i, ++l) lanes[l] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return sum;
}

int8_t DeltaClassOf(double mean_square) {
  if (!(mean_square > 0)) return -kClassLimit;
  auto bits = std::bit_cast<uint64_t>(mean_square);
  const auto exponent = static_cast<int64_t>(bits >> 52) - 1023;
  const uint64_t mantissa = (bits & ((uint64_t{1} << 52) - 1)) | uint64_t{1} << 52;
  // Twice the octaves of the square are the quarter octaves of its root.
  const int64_t octaves = Log2Fixed(mantissa) + ((exponent - 52) << kLog2FractionBits);
  const int64_t quarters = (2 * octaves + (int64_t{1} << (kLog2FractionBits - 1))) >> kLog2FractionBits;
  return static_cast<int8_t>(std::clamp<int64_t>(quarters, -kClassLimit, kClassLimit - 1));
}

namespace {

// Everything but writing.
void Quantise(ByteSpan chunk, ByteSpan predicted, MutableByteSpan restored, Encoding& e) {
  Allocate(e);
  TakeDifferences(chunk, predicted, e);
  ChooseRowSteps(e);
  ClassRows(e);
  ExpandContexts(e);
  ChooseNumbers(e);
  Restore(chunk, predicted, restored, e);
}

void RestoreExact(ByteSpan chunk, MutableByteSpan restored, const Encoding& e) {
  for (uint32_t i : e.exact)
    std::memcpy(restored.data() + i * e.element_bytes, chunk.data() + i * e.element_bytes, e.element_bytes);
}

}  // namespace

void RestoreLossyPatchChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan chunk, ByteSpan predicted,
                            MutableByteSpan restored, CodecScratch::Impl& scratch) {
  const size_t element_bytes = ElementBytes(head.dtype);
  Encoding e{*head.side->lossy_patch,      head.dtype, element_bytes, FirstWord(head, element_bytes, chunk_index),
             chunk.size() / element_bytes, scratch};
  Quantise(chunk, predicted, restored, e);
  RestoreExact(chunk, restored, e);
}

size_t EncodeLossyPatchChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan chunk, ByteSpan predicted,
                             uint64_t base_check, MutableByteSpan payload, MutableByteSpan restored,
                             CodecScratch::Impl& scratch) {
  const size_t element_bytes = ElementBytes(head.dtype);
  Encoding e{*head.side->lossy_patch,      head.dtype, element_bytes, FirstWord(head, element_bytes, chunk_index),
             chunk.size() / element_bytes, scratch};
  std::vector<std::byte> base(predicted.begin(), predicted.end());
  Quantise(chunk, base, restored, e);
  std::vector<std::byte> exact;
  if (!WriteExact(chunk, base, e, exact)) return 0;
  RestoreExact(chunk, restored, e);
  return Assemble({base_check, static_cast<uint32_t>(e.exact.size()), static_cast<uint32_t>(exact.size())}, exact, e,
                  payload);
}

}  // namespace flyweight
