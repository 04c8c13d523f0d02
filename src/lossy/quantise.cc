#include "lossy/quantise.h"

#include <algorithm>

#include "lossy/strips.h"

namespace flyweight {
namespace {

constexpr IsaTable<decltype(&scalar::QuantiseBlocks)> kQuantiseBlocks = FLYWEIGHT_ISA_TABLE(QuantiseBlocks);
constexpr IsaTable<decltype(&scalar::DequantiseBlocks)> kDequantiseBlocks = FLYWEIGHT_ISA_TABLE(DequantiseBlocks);
constexpr IsaTable<decltype(&scalar::MaxByte)> kMaxByte = FLYWEIGHT_ISA_TABLE(MaxByte);

DType HalfOf(LossyMethod method) { return method == LossyMethod::kF16 ? DType::kF16 : DType::kBF16; }

// Calls visit(first element, elements) strip by strip.
template <typename Visit>
void ForEachStrip(size_t element_count, const Visit& visit) {
  for (size_t begin = 0; begin < element_count; begin += kLossyStrip)
    visit(begin, std::min(kLossyStrip, element_count - begin));
}

BlockArgs StripArgs(const LossyChoice& choice, const QuantisedChunk& parts, size_t begin, size_t count) {
  size_t first_block = begin / choice.block;
  int32_t levels = HighestCode(choice);
  return {count,
          choice.block,
          levels,
          choice.has_minimum ? 0 : levels / 2,
          parts.codes + begin,
          parts.scales + first_block,
          choice.has_minimum ? parts.minima + first_block : nullptr};
}

}  // namespace

bool CanBeLossy(DType dtype) {
  return dtype == DType::kF64 || dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

bool CanBeLossy(DType dtype, LossyMethod method) {
  if (method == LossyMethod::kDelta) return CanBeLossy(dtype) && dtype != DType::kF64;
  return method == LossyMethod::kBlocks ? CanBeLossy(dtype) : dtype == DType::kF64 || dtype == DType::kF32;
}

int32_t HighestCode(const LossyChoice& choice) { return (int32_t{1} << choice.bits) - (choice.has_minimum ? 1 : 2); }

void NarrowChunk(LossyMethod method, DType dtype, ByteSpan chunk, std::byte* words) {
  const size_t element_bytes = LossyElementBytes(dtype);
  float values[kLossyStrip];
  ForEachStrip(chunk.size() / element_bytes, [&](size_t begin, size_t count) {
    LoadStrip(dtype, chunk.data() + begin * element_bytes, count, values);
    StoreStrip(HalfOf(method), values, count, words + 2 * begin);
  });
}

void WidenChunk(LossyMethod method, DType dtype, const std::byte* words, MutableByteSpan chunk) {
  const size_t element_bytes = LossyElementBytes(dtype);
  float values[kLossyStrip];
  ForEachStrip(chunk.size() / element_bytes, [&](size_t begin, size_t count) {
    LoadStrip(HalfOf(method), words + 2 * begin, count, values);
    StoreStrip(dtype, values, count, chunk.data() + begin * element_bytes);
  });
}

void QuantiseChunk(const LossyChoice& choice, DType dtype, ByteSpan chunk, const QuantisedChunk& parts) {
  const size_t element_bytes = LossyElementBytes(dtype);
  float values[kLossyStrip];
  ForEachStrip(chunk.size() / element_bytes, [&](size_t begin, size_t count) {
    LoadStrip(dtype, chunk.data() + begin * element_bytes, count, values);
    kQuantiseBlocks.Pick()(values, StripArgs(choice, parts, begin, count));
  });
}

void DequantiseChunk(const LossyChoice& choice, DType dtype, const QuantisedChunk& parts, MutableByteSpan chunk) {
  const size_t element_bytes = LossyElementBytes(dtype);
  float values[kLossyStrip];
  ForEachStrip(chunk.size() / element_bytes, [&](size_t begin, size_t count) {
    kDequantiseBlocks.Pick()(StripArgs(choice, parts, begin, count), values);
    StoreStrip(dtype, values, count, chunk.data() + begin * element_bytes);
  });
}

uint8_t LargestCode(const uint8_t* codes, size_t count) { return kMaxByte.Pick()(codes, count); }

double LargestQuantised(DType dtype) { return dtype == DType::kF16 ? 60000.0 : 0x1p126; }

void RestoreChunk(const LossyChoice& choice, DType dtype, ByteSpan chunk, MutableByteSpan target) {
  const size_t element_bytes = LossyElementBytes(dtype);
  uint8_t codes[kLossyStrip];
  uint16_t scales[kLossyStrip / kLossyMinBlock];
  uint16_t minima[kLossyStrip / kLossyMinBlock];
  ForEachStrip(chunk.size() / element_bytes, [&](size_t begin, size_t count) {
    ByteSpan strip = chunk.subspan(begin * element_bytes, count * element_bytes);
    MutableByteSpan restored = target.subspan(begin * element_bytes, count * element_bytes);
    if (choice.method == LossyMethod::kBlocks) {
      QuantisedChunk parts{codes, scales, minima};
      QuantiseChunk(choice, dtype, strip, parts);
      DequantiseChunk(choice, dtype, parts, restored);
    } else {
      std::byte words[2 * kLossyStrip];
      NarrowChunk(choice.method, dtype, strip, words);
      WidenChunk(choice.method, dtype, words, restored);
    }
  });
}

}  // namespace flyweight
