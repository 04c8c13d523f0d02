#include "pipeline/scan_reason.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

namespace flyweight {
namespace {

/// A codec, as docs/format.md section 3 numbers it, in words.
struct CodecWords {
  uint8_t codec;
  std::string_view words;
  bool names_type;  ///< the words follow the dtype: "BF16 weights: ..."
};

constexpr std::array kWords = {
    CodecWords{0, "noise: stored", false},
    CodecWords{1, "one value throughout", false},
    CodecWords{2, "repeats: zstd", false},
    CodecWords{3, "byte planes, some of which compress", true},
    CodecWords{4, "exponents compress", true},
    CodecWords{5, "values by size and zeros by mask", true},
    CodecWords{6, "exponents follow row, column and neighbours", true},
    CodecWords{7, "quantised: few values a group", true},
    CodecWords{8, "quantised: whole numbers times a scale", true},
    CodecWords{9, "quantised blocks, field by field", true},
};

std::string WordsOf(uint8_t codec, DType dtype, bool is_tensor) {
  constexpr uint8_t kZstd = 2;
  constexpr uint8_t kPlanes = 3;  // of bytes there is one plane, which zstd or masks take
  if (!is_tensor && (codec == kZstd || codec == kPlanes)) return "text or index: zstd";
  auto found = std::ranges::find(kWords, codec, &CodecWords::codec);
  if (found == kWords.end()) return "codec " + std::to_string(codec);
  if (!found->names_type) return std::string(found->words);
  const DTypeInfo& info = Describe(dtype);
  std::string_view kind = info.exponent_bits > 0 ? " weights: " : ": ";
  return std::string(is_tensor ? info.name : "bytes") + std::string(kind) + std::string(found->words);
}

/// "59 %", and nothing under 1 %.
std::string PercentText(uint64_t part, uint64_t whole) { return std::to_string(part * 100 / whole) + " %"; }

template <typename Word>
void ObserveWords(ByteSpan chunk, SampleFacts& facts) {
  for (size_t at = 0; at + sizeof(Word) <= chunk.size(); at += sizeof(Word)) {
    Word word = LoadLe<Word>(chunk.data() + at);
    facts.zero_count += word == 0;
    facts.bits |= word;
  }
  facts.element_count += chunk.size() / sizeof(Word);
}

void ObserveF32(ByteSpan chunk, SampleFacts& facts) {
  constexpr uint32_t kBelowBf16 = 0xffff;
  constexpr uint32_t kBelowFp16 = 0x1fff;
  for (size_t at = 0; at + sizeof(uint32_t) <= chunk.size(); at += sizeof(uint32_t)) {
    auto word = LoadLe<uint32_t>(chunk.data() + at);
    if (word == 0) continue;
    facts.bf16_count += (word & kBelowBf16) == 0;
    facts.fp16_count += (word & kBelowFp16) == 0;
  }
}

/// What a part of the elements that are not zero is.
std::string NarrowText(const SampleFacts& facts) {
  uint64_t nonzero_count = facts.element_count - facts.zero_count;
  constexpr uint64_t kTenth = 10;
  for (auto [count, name] : {std::pair(facts.bf16_count, "bf16"), std::pair(facts.fp16_count, "fp16")}) {
    if (count * kTenth < nonzero_count || count == 0) continue;
    std::string values = std::string(name) + " values in fp32";
    return count == nonzero_count ? values : PercentText(count, nonzero_count) + " " + values;
  }
  return "";
}

std::string LowBitsText(const SampleFacts& facts, int element_bits) {
  int zero_bits = facts.bits == 0 ? 0 : std::countr_zero(facts.bits);
  if (zero_bits == 0 || zero_bits >= element_bits) return "";
  return std::to_string(zero_bits) + (zero_bits == 1 ? " low bit is zero" : " low bits are zero");
}

}  // namespace

void SampleFacts::Observe(DType dtype, ByteSpan chunk) {
  constexpr int kByteBits = 8;
  switch (Describe(dtype).bits / kByteBits) {
    case 8:
      return ObserveWords<uint64_t>(chunk, *this);
    case 4:
      if (dtype == DType::kF32) ObserveF32(chunk, *this);
      return ObserveWords<uint32_t>(chunk, *this);
    case 2:
      return ObserveWords<uint16_t>(chunk, *this);
    default:
      return ObserveWords<uint8_t>(chunk, *this);
  }
}

void SampleFacts::Add(const SampleFacts& other) {
  element_count += other.element_count;
  zero_count += other.zero_count;
  bf16_count += other.bf16_count;
  fp16_count += other.fp16_count;
  bits |= other.bits;
}

uint8_t CodecShares::Commonest() const {
  auto most = std::ranges::max_element(decoded_bytes, {}, [](const auto& row) { return row.second; });
  return most == decoded_bytes.end() ? 0 : most->first;
}

std::string ReasonFor(DType dtype, bool is_tensor, const CodecShares& codecs, const SampleFacts& facts) {
  constexpr uint8_t kConstant = 1;
  constexpr uint64_t kFewZeros = 20;  // a part of 1 in so many is worth a word
  const DTypeInfo& info = Describe(dtype);
  uint8_t codec = codecs.Commonest();
  std::vector<std::string> parts;
  if (is_tensor && codec != kConstant && facts.zero_count * kFewZeros >= facts.element_count && facts.zero_count > 0) {
    parts.push_back(PercentText(facts.zero_count, facts.element_count) + " zeros");
  }
  if (std::string narrow = NarrowText(facts); !narrow.empty()) {
    parts.push_back(narrow);
  } else if (is_tensor && info.bits > 8 && codec != kConstant) {
    if (std::string low = LowBitsText(facts, info.bits); !low.empty()) parts.push_back(low);
  }
  parts.push_back(WordsOf(codec, dtype, is_tensor));
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

}  // namespace flyweight
