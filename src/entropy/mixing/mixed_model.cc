#include "entropy/mixing/mixed_model.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "entropy/mixing/binary_coder.h"
#include "entropy/mixing/mixed_bit.h"
#include "entropy/mixing/mixed_value.h"
#include "entropy/mixing/scale_model.h"
#include "entropy/mixing/value_predictor.h"

namespace flyweight {
namespace {

// A decision's node: what is decided, whatever the word's scale (docs/format.md section 3.12.5).
constexpr int kNodes = 64;
constexpr int kNodeReaches = 0;     // is the exponent at least the expected one
constexpr int kNodeAbove = 1;       // is it more than k above
constexpr int kNodeBelow = 14;      // is it more than k below
constexpr int kNodeMantissa1 = 28;  // by class
constexpr int kNodeMantissa2 = 35;  // by class and bit
constexpr int kNodeMantissa3 = 49;  // by class and two bits, three classes
constexpr int kNodeMantissaRest = 61;
constexpr int kNodeSign = 63;
constexpr int kMaxAbove = 12;
constexpr int kMaxBelow = 14;

constexpr uint32_t kAttitudes = 2 * kLevelCount - 1;  // levels of the prediction, with the sign or against it
constexpr uint32_t kColumnSets = 1024;

// Everything that a chunk learns.
struct Memory {
  MixedSlot local[kAttitudes * 4][kNodes];  // by expected scale
  MixedSlot column[kColumnSets][kNodes];    // by column
  MixedSlot exponent[256][8];               // by exponent, as a number
  MixedSlot mantissa[256][8];               // by exponent and bits of the mantissa
  MixedSlot sign[2];
  MixedSlot escape[256];
  MixedWeights weights[kNodes + kLevelCount];

  void Reset() {
    for (auto& slots : local) std::fill(std::begin(slots), std::end(slots), kFreshSlot);
    for (auto& slots : column) std::fill(std::begin(slots), std::end(slots), kFreshSlot);
    for (auto& slots : exponent) std::fill(std::begin(slots), std::end(slots), kFreshSlot);
    for (auto& slots : mantissa) std::fill(std::begin(slots), std::end(slots), kFreshSlot);
    std::fill(std::begin(sign), std::end(sign), kFreshSlot);
    std::fill(std::begin(escape), std::end(escape), kFreshSlot);
    std::fill(std::begin(weights), std::end(weights), MixedWeights());
  }
};

template <bool kPredicts, typename Coder>
class WordCoder {
 public:
  WordCoder(const MixedWord& word, const MixedSetting& setting, Coder& coder, Memory& memory)
      : word_(word),
        coder_(coder),
        memory_(memory),
        modelled_bits_(setting.modelled_bits),
        base_(setting.base_exponent) {}

  // Codes one word, of which a decoder knows the raw bits only; returns it whole.
  uint32_t Code(uint32_t word, const ExpectedScale& expected, int32_t predicted, size_t column) {
    const int sign_at = word_.exponent_bits + word_.mantissa_bits;
    column_ = memory_.column[column % kColumnSets];
    uint32_t level = 0;
    uint32_t attitude = 0;
    if constexpr (kPredicts) {
      auto size = static_cast<uint64_t>(std::abs(predicted));
      level = kLevel[std::min<uint64_t>((size * expected.inverse) >> (expected.octave + 11), 127)];
      MixedSlot& local = memory_.local[level * 4 + expected.phase][kNodeSign];
      const bool negative = predicted < 0;
      MixedDecision decision(local, column_[kNodeSign], memory_.sign[negative], memory_.weights[kNodes + level]);
      bool agrees = decision.Code(coder_, (word >> sign_at & 1) == uint32_t{negative});
      if constexpr (Coder::kDecodes) word |= uint32_t{agrees == negative} << sign_at;
      attitude = agrees || level == 0 ? level : kLevelCount - 1 + level;
    }
    local_ = memory_.local[attitude * 4 + expected.phase];
    const uint32_t exponent_mask = (1U << word_.exponent_bits) - 1;
    uint32_t exponent = CodeExponent(word >> word_.mantissa_bits & exponent_mask, expected.octave);
    if constexpr (Coder::kDecodes) word |= (exponent & exponent_mask) << word_.mantissa_bits;
    return CodeMantissa(word, exponent & exponent_mask);
  }

 private:
  MixedDecision ExponentDecision(int node, uint32_t exponent, int kind) {
    return {local_[node], column_[node], memory_.exponent[exponent & 255][kind], memory_.weights[node]};
  }

  uint32_t CodeExponent(uint32_t exponent, int octave) {
    const int limit = (1 << word_.exponent_bits) - 1;
    const auto expected = static_cast<uint32_t>(std::clamp(base_ + octave - 12, 0, limit));
    // Both ways on are prepared before the first decision is known, so that a processor need not wait for it.
    MixedDecision reaches = ExponentDecision(kNodeReaches, expected, 0);
    MixedDecision above = ExponentDecision(kNodeAbove, expected, 1);
    MixedDecision below = ExponentDecision(kNodeBelow, expected - 1, 2);
    uint32_t away = 0;
    if (reaches.Code(coder_, exponent >= expected)) {
      while (above.Code(coder_, exponent > expected + away)) {
        if (++away == kMaxAbove) return CodeEscape(exponent, 3);
        above = ExponentDecision(kNodeAbove + static_cast<int>(away), expected + away, 1);
      }
      class_ = static_cast<int>(std::min<uint32_t>(away, 3));
      return expected + away;
    }
    while (below.Code(coder_, exponent + 1 + away < expected)) {
      if (++away == kMaxBelow) return CodeEscape(exponent, 6);
      below = ExponentDecision(kNodeBelow + static_cast<int>(away), expected - 1 - away, 2);
    }
    class_ = static_cast<int>(4 + std::min<uint32_t>(away, 2));
    return expected - 1 - away;
  }

  uint32_t CodeEscape(uint32_t exponent, int kind) {
    class_ = kind;
    uint32_t node = 1;
    for (int bit = word_.exponent_bits - 1; bit >= 0; --bit)
      node = node * 2 + CodeSlot(coder_, memory_.escape[node], exponent >> bit & 1);
    return node;
  }

  uint32_t CodeMantissa(uint32_t word, uint32_t exponent) {
    uint32_t prefix = 0;
    for (int i = 0; i < modelled_bits_; ++i) {
      int node = kNodeMantissa1 + class_;
      if (i == 1) node = kNodeMantissa2 + class_ * 2 + static_cast<int>(prefix);
      if (i == 2) node = class_ < 3 ? kNodeMantissa3 + class_ * 4 + static_cast<int>(prefix) : kNodeMantissaRest;
      const int at = word_.mantissa_bits - 1 - i;
      bool bit = CodeMean(coder_, local_[node], memory_.mantissa[exponent][(1U << i) + prefix], word >> at & 1);
      if constexpr (Coder::kDecodes) word |= uint32_t{bit} << at;
      prefix = prefix * 2 + bit;
    }
    return word;
  }

  const MixedWord word_;
  Coder& coder_;
  Memory& memory_;
  const int modelled_bits_;
  const int base_;
  MixedSlot* local_ = nullptr;
  MixedSlot* column_ = nullptr;
  int class_ = 0;
};

template <bool kPredicts, typename Coder, typename Word>
void CodeWords(const MixedWord& word, const MixedSetting& setting, Coder& coder, Memory& memory, MixedColumn* columns,
               std::span<Word> words) {
  Coder local_coder = coder;
  WordCoder<kPredicts, Coder> word_coder(word, setting, local_coder, memory);
  MixedValue value_of(word, setting.base_exponent);
  ScaleModel scales(setting.scale);
  ValuePredictor predictor;
  uint32_t column = setting.first_column;
  for (Word& target : words) {
    MixedColumn& here = columns[column];
    ExpectedScale expected = scales.Expect(here);
    int32_t predicted = 0;
    if constexpr (kPredicts) {
      predictor.SetColumn(here.above, here.mean >> 4);
      predicted = predictor.Predict();
    }
    uint32_t whole = word_coder.Code(target, expected, predicted, column);
    if constexpr (Coder::kDecodes) target = static_cast<uint16_t>(whole);
    int32_t value = value_of(whole);
    if constexpr (kPredicts) {
      ScaleModel::LearnMean(value, here);
      predictor.Learn(value - predicted, expected.octave);
      predictor.Push(value);
      here.above = value;
    }
    scales.Learn(expected, static_cast<uint32_t>(std::abs(value - predicted)), here);
    ++here.uses;
    if (++column == setting.column_count) {
      column = 0;
      scales.StartRow();
      predictor.StartRow();
    }
  }
  coder = local_coder;
}

template <typename Coder, typename Word>
void CodeChunk(const MixedWord& word, const MixedSetting& setting, Coder& coder, std::span<Word> words,
               AlignedBuffer& buffer) {
  constexpr size_t kColumnsAt = (sizeof(Memory) + 63) / 64 * 64;
  buffer.Resize(kColumnsAt + setting.column_count * sizeof(MixedColumn));
  auto* memory = buffer.as<Memory>();
  memory->Reset();
  auto* columns = reinterpret_cast<MixedColumn*>(buffer.data() + kColumnsAt);
  std::fill(columns, columns + setting.column_count, MixedColumn());
  if (setting.predicts) {
    CodeWords<true>(word, setting, coder, *memory, columns, words);
  } else {
    CodeWords<false>(word, setting, coder, *memory, columns, words);
  }
}

}  // namespace

size_t EncodeMixedWords(const MixedWord& word, const MixedSetting& setting, std::span<const uint16_t> words,
                        MutableByteSpan target, AlignedBuffer& memory) {
  BinaryEncoder coder(target);
  CodeChunk(word, setting, coder, words, memory);
  return coder.Finish();
}

bool DecodeMixedWords(const MixedWord& word, const MixedSetting& setting, ByteSpan stream, std::span<uint16_t> words,
                      AlignedBuffer& memory) {
  BinaryDecoder coder(stream);
  CodeChunk(word, setting, coder, words, memory);
  return coder.Finished();
}

}  // namespace flyweight
