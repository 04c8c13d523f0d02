#include "codec/scaled_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "base/checked.h"
#include "codec/element_patches.h"
#include "codec/scaled_search.h"
#include "codec/scratch.h"
#include "transform/byte_planes/byte_planes.h"

namespace flyweight {
namespace {

constexpr size_t kHeaderBytes = 20;
constexpr size_t kScaleBytes = sizeof(float);
constexpr uint8_t kTruncates = 1;
constexpr uint8_t kHasMinusZero = 2;
// What a byte holds on both sides of 0, with a code left for -0.
constexpr int32_t kWidestInteger = 127;
constexpr uint32_t kInfinityBits = 0x7F800000U;
// Of 16 elements one may be patched; a longer list would not pay.
constexpr size_t kPatchDivisor = 16;

// Replaces the places of a group's elements by their integers.
void ReplacePlaces(ScaledForm form, std::span<const CountedValue> values, float scale, int16_t* integers,
                   size_t count) {
  int16_t integer_of_place[ValueTable::kMaxValues];
  for (size_t v = 0; v < values.size(); ++v)
    integer_of_place[v] = IntegerOfWord(form, static_cast<uint32_t>(values[v].value), scale);
  for (size_t i = 0; i < count; ++i) integers[i] = integer_of_place[integers[i]];
}

// Finds every group's scale and every element's integer; a group without a scale is patched altogether.
void QuantiseGroups(const ScaledPlan& plan, ByteSpan chunk, float* scales, int16_t* integers,
                    CodecScratch::Impl& scratch) {
  const size_t word_bytes = ScaledWordBytes(plan.form.word);
  const size_t count = chunk.size() / word_bytes;
  float last_scale = 1;
  for (size_t begin = 0, end = 0, g = 0; begin < count; begin = end, ++g) {
    end = std::min(count, g == 0 ? plan.groups.first_elements : begin + plan.groups.elements);
    // The places lie where the integers will be.
    auto* places = reinterpret_cast<uint16_t*>(integers + begin);
    ByteSpan words = chunk.subspan(begin * word_bytes, (end - begin) * word_bytes);
    std::optional<ScaleRange> range = FitGroup(plan.form, words, places, scratch);
    if (range && range->high_bits != 0) last_scale = SimplestScale(*range);
    scales[g] = last_scale;
    if (range) {
      ReplacePlaces(plan.form, scratch.values.values(), last_scale, integers + begin, end - begin);
    } else {
      std::fill(integers + begin, integers + end, kMissedInteger);
    }
  }
}

struct CodedIntegers {
  CodeRange range;
  bool has_minus_zero = false;
};

// Turns integers into codes and lists the elements that no code stands for.
CodedIntegers MakeCodes(int16_t* integers, size_t count, std::byte* codes, std::vector<uint32_t>& missed) {
  int32_t lowest = 0, highest = 0;
  bool has_minus_zero = false;
  for (size_t i = 0; i < count; ++i) {
    if (integers[i] == kMinusZeroInteger) has_minus_zero = true;
    if (integers[i] <= kMissedInteger) continue;
    lowest = std::min<int32_t>(lowest, integers[i]);
    highest = std::max<int32_t>(highest, integers[i]);
  }
  if (highest - lowest + has_minus_zero > 255) {
    lowest = std::max(lowest, -kWidestInteger);
    highest = std::min(highest, kWidestInteger);
  }
  CodedIntegers coded{{-lowest, highest - lowest + 1}, has_minus_zero};
  auto minus_zero = static_cast<std::byte>(coded.range.minus_zero), zero = static_cast<std::byte>(coded.range.zero);
  missed.clear();
  for (size_t i = 0; i < count; ++i) {
    if (integers[i] == kMinusZeroInteger) {
      codes[i] = minus_zero;
    } else if (integers[i] < lowest || integers[i] > highest) {
      codes[i] = zero;
      missed.push_back(static_cast<uint32_t>(i));
    } else {
      codes[i] = static_cast<std::byte>(integers[i] - lowest);
    }
  }
  return coded;
}

// Scales as they are stored: words = (bits - base) >> shift, of which `plane_count` bytes are needed.
struct ScaleWords {
  uint32_t base = 0;
  int shift = 0;
  size_t plane_count = 0;
};

// Replaces the scales' bits by words.
ScaleWords PackScales(uint32_t* bits, size_t count) {
  ScaleWords words;
  words.base = *std::min_element(bits, bits + count);
  uint32_t any = 0;
  for (size_t g = 0; g < count; ++g) any |= bits[g] - words.base;
  if (any != 0) words.shift = std::countr_zero(any);
  words.plane_count = CeilDiv(static_cast<size_t>(std::bit_width(any >> words.shift)), 8);
  for (size_t g = 0; g < count; ++g) bits[g] = (bits[g] - words.base) >> words.shift;
  return words;
}

void WriteHeader(const ScaledPlan& plan, const CodedIntegers& coded, const ScaleWords& words, std::byte* target) {
  unsigned flags = plan.form.rounding == ScaledRounding::kTruncate ? kTruncates : 0;
  if (coded.has_minus_zero) flags |= kHasMinusZero;
  StoreLe(target, static_cast<uint8_t>(flags));
  StoreLe(target + 1, static_cast<uint8_t>(coded.range.zero));
  StoreLe(target + 2, static_cast<uint8_t>(coded.has_minus_zero ? coded.range.minus_zero : 0));
  StoreLe(target + 3, static_cast<uint8_t>(words.plane_count));
  StoreLe(target + 4, static_cast<uint8_t>(words.shift));
  std::memset(target + 5, 0, 3);
  StoreLe(target + 8, static_cast<uint32_t>(plan.groups.elements));
  StoreLe(target + 12, static_cast<uint32_t>(plan.groups.first_elements));
  StoreLe(target + 16, words.base);
}

struct ScaledHeader {
  ScaledForm form;
  CodeRange range;
  ScaleGroups groups;
  ScaleWords words;
};

Result<ScaledHeader> ReadHeader(ReadCursor& cursor, ScaledWord word) {
  FLYWEIGHT_ASSIGN(uint8_t flags, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t zero, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t minus_zero, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t plane_count, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t shift, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t reserved8, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint16_t reserved16, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(uint32_t elements, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint32_t first_elements, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint32_t base, cursor.Read<uint32_t>());
  if (flags > (kTruncates | kHasMinusZero) || reserved8 != 0 || reserved16 != 0)
    return Error{ErrorCode::kCorrupt, 0, "scaled integers: unknown flags"};
  if (plane_count > kScaleBytes || shift > 31)
    return Error{ErrorCode::kCorrupt, 3, "scaled integers: scales of " + std::to_string(plane_count) + " bytes"};
  if ((flags & kTruncates) != 0 && word != ScaledWord::kBF16)
    return Error{ErrorCode::kCorrupt, 0, "scaled integers: only BF16 can be cut off"};
  if ((flags & kHasMinusZero) == 0 && minus_zero != 0)
    return Error{ErrorCode::kCorrupt, 2, "scaled integers: a code for -0 that is not in use"};
  if (first_elements == 0 || first_elements > elements)
    return Error{ErrorCode::kCorrupt, 4, "scaled integers: groups of " + std::to_string(elements) + " elements"};
  ScaledHeader header;
  header.form = {word, (flags & kTruncates) != 0 ? ScaledRounding::kTruncate : ScaledRounding::kNearest};
  header.range.zero = zero;
  if ((flags & kHasMinusZero) != 0) header.range.minus_zero = minus_zero;
  header.groups = {elements, first_elements};
  header.words = {base, shift, plane_count};
  return header;
}

Status ReadScales(ReadCursor& cursor, const ScaleWords& words, size_t group_count, float* scales,
                  CodecScratch::Impl& scratch) {
  scratch.heads.Resize(group_count * kScaleBytes);
  std::memset(scratch.heads.data(), 0, group_count * kScaleBytes);
  const std::byte* planes[kScaleBytes];
  for (size_t p = 0; p < kScaleBytes; ++p) {
    std::byte* plane = scratch.heads.data() + p * group_count;
    planes[p] = plane;
    if (p >= words.plane_count) continue;
    FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, group_count));
    FLYWEIGHT_TRY(DecodePlane(coded, {plane, group_count}, scratch.planes));
  }
  MergePlanes(planes, group_count, kScaleBytes, false, reinterpret_cast<std::byte*>(scales));
  uint64_t largest = 0;
  for (size_t g = 0; g < group_count; ++g) {
    uint64_t bits = words.base + (uint64_t{LoadLe<uint32_t>(scales + g)} << words.shift);
    largest = std::max(largest, bits);
    StoreLe(scales + g, static_cast<uint32_t>(bits));
  }
  if (largest >= kInfinityBits) return Error{ErrorCode::kCorrupt, 0, "scaled integers: a scale that is none"};
  return {};
}

}  // namespace

std::optional<ScaledWord> ScaledWordOf(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return ScaledWord::kBF16;
    case DType::kF16:
      return ScaledWord::kF16;
    case DType::kF32:
      return ScaledWord::kF32;
    default:
      return std::nullopt;
  }
}

size_t EncodeScaledChunk(ScaledWord word, const ScaledPlace& place, ByteSpan chunk, MutableByteSpan payload,
                         CodecScratch::Impl& scratch) {
  std::optional<ScaledPlan> plan = PlanScaledChunk(word, place, chunk, scratch);
  if (!plan) return 0;
  const size_t count = chunk.size() / ScaledWordBytes(word);
  const size_t group_count = plan->groups.Count(count);
  scratch.symbols.Resize(count * sizeof(int16_t));
  scratch.shifts.Resize(group_count * kScaleBytes);
  auto* integers = scratch.symbols.as<int16_t>();
  QuantiseGroups(*plan, chunk, scratch.shifts.as<float>(), integers, scratch);
  scratch.low.Resize(count);
  CodedIntegers coded = MakeCodes(integers, count, scratch.low.data(), scratch.patched_elements);
  if (scratch.patched_elements.size() > count / kPatchDivisor) return 0;

  const ScaleWords words = PackScales(scratch.shifts.as<uint32_t>(), group_count);
  const size_t bound = kHeaderBytes + (1 + kScaleBytes) * kPlaneHeaderBytes + count + group_count * kScaleBytes;
  scratch.streams.Resize(bound);
  MutableByteSpan out(scratch.streams.data(), bound);
  WriteHeader(*plan, coded, words, out.data());
  size_t size = kHeaderBytes;
  size += EncodePlane({scratch.low.data(), count}, out.subspan(size), scratch.planes);
  scratch.heads.Resize(group_count * kScaleBytes);
  SplitPlanes(scratch.shifts.data(), group_count, kScaleBytes, false, scratch.heads.data());
  for (size_t p = 0; p < words.plane_count; ++p) {
    size += EncodePlane({scratch.heads.data() + p * group_count, group_count}, out.subspan(size), scratch.planes);
  }
  ByteWriter patches;
  WriteElementPatches(scratch.patched_elements, chunk, ScaledWordBytes(word), patches);
  if (size + patches.size() > payload.size()) return 0;
  std::memcpy(payload.data(), out.data(), size);
  if (patches.size() != 0) std::memcpy(payload.data() + size, patches.bytes().data(), patches.size());
  return size + patches.size();
}

Status DecodeScaledChunk(ScaledWord word, ByteSpan payload, MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(ScaledHeader header, ReadHeader(cursor, word));
  const size_t word_bytes = ScaledWordBytes(word);
  const size_t count = chunk.size() / word_bytes;
  const size_t group_count = header.groups.Count(count);
  FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, count));
  ByteSpan codes = coded.stored;
  if (coded.method != PlaneMethod::kStored) {
    scratch.low.Resize(count);
    FLYWEIGHT_TRY(DecodePlane(coded, {scratch.low.data(), count}, scratch.planes));
    codes = {scratch.low.data(), count};
  }
  scratch.shifts.Resize(group_count * kScaleBytes);
  auto* scales = scratch.shifts.as<float>();
  FLYWEIGHT_TRY(ReadScales(cursor, header.words, group_count, scales, scratch));
  for (size_t begin = 0, end = 0, g = 0; begin < count; begin = end, ++g) {
    end = g == 0 ? header.groups.first_elements : begin + header.groups.elements;
    end = std::min(count, end);
    ExpandScaled(header.form, header.range, scales[g], codes.subspan(begin, end - begin),
                 chunk.data() + begin * word_bytes);
  }
  return ApplyElementPatches(cursor, word_bytes, chunk);
}

}  // namespace flyweight
