#include "transform/float_fields/float_fields.h"

#include <cstring>

#include "simd/isa.h"
#include "transform/float_fields/float_kernels.h"

namespace flyweight {
namespace {

constexpr FloatLayoutInfo kLayouts[] = {
    {2, 2, 0, 7, 0xFFu << 7},
    {2, 1, 1, 10, 0x1Fu << 10},
    {4, 2, 2, 23, 0xFFu << 23},
};

constexpr IsaTable<decltype(&scalar::SplitF32)> kSplitF32 = FLYWEIGHT_ISA_TABLE(SplitF32);
constexpr IsaTable<decltype(&scalar::MergeF32)> kMergeF32 = FLYWEIGHT_ISA_TABLE(MergeF32);
constexpr IsaTable<decltype(&scalar::SplitF16)> kSplitF16 = FLYWEIGHT_ISA_TABLE(SplitF16);
constexpr IsaTable<decltype(&scalar::MergeF16)> kMergeF16 = FLYWEIGHT_ISA_TABLE(MergeF16);

const uint8_t* Bytes(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }
uint8_t* Bytes(std::byte* p) { return reinterpret_cast<uint8_t*>(p); }

}  // namespace

const FloatLayoutInfo& Describe(FloatLayout layout) { return kLayouts[static_cast<size_t>(layout) - 1]; }

std::optional<FloatLayout> LayoutOf(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return FloatLayout::kBF16;
    case DType::kF16:
      return FloatLayout::kF16;
    case DType::kF32:
    case DType::kC64:
      return FloatLayout::kF32;
    default:
      return std::nullopt;
  }
}

void SplitFloats(FloatLayout layout, const std::byte* words, size_t count, std::byte* heads, std::byte* low,
                 size_t low_stride) {
  if (count == 0) return;  // the pointers may be null
  switch (layout) {
    case FloatLayout::kBF16:
      std::memcpy(heads, words, 2 * count);
      return;
    case FloatLayout::kF16:
      return kSplitF16.Pick()(Bytes(words), count, Bytes(heads), Bytes(low));
    case FloatLayout::kF32:
      return kSplitF32.Pick()(Bytes(words), count, Bytes(heads), Bytes(low), Bytes(low + low_stride));
  }
}

void MergeFloats(FloatLayout layout, const std::byte* heads, const std::byte* const* low, size_t count,
                 std::byte* words) {
  if (count == 0) return;  // the pointers may be null
  switch (layout) {
    case FloatLayout::kBF16:
      std::memcpy(words, heads, 2 * count);
      return;
    case FloatLayout::kF16:
      return kMergeF16.Pick()(Bytes(heads), Bytes(low[0]), count, Bytes(words));
    case FloatLayout::kF32:
      return kMergeF32.Pick()(Bytes(heads), Bytes(low[0]), Bytes(low[1]), count, Bytes(words));
  }
}

}  // namespace flyweight
