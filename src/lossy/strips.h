#pragma once

#include <cstring>

#include "base/bytes.h"
#include "flyweight/tensor.h"
#include "lossy/lossy_kernels.h"
#include "simd/isa.h"

namespace flyweight {

/// Bytes of one element of a type that can be lossy.
inline size_t LossyElementBytes(DType dtype) { return static_cast<size_t>(Describe(dtype).bits) / 8; }

/// Reads elements as F32.
inline void LoadStrip(DType dtype, const std::byte* elements, size_t count, float* values) {
  static constexpr IsaTable<decltype(&scalar::WidenF16)> kF16 = FLYWEIGHT_ISA_TABLE(WidenF16);
  static constexpr IsaTable<decltype(&scalar::WidenBF16)> kBF16 = FLYWEIGHT_ISA_TABLE(WidenBF16);
  static constexpr IsaTable<decltype(&scalar::LoadF64)> kF64 = FLYWEIGHT_ISA_TABLE(LoadF64);
  const auto* bytes = reinterpret_cast<const uint8_t*>(elements);
  if (dtype == DType::kF16) return kF16.Pick()(bytes, count, values);
  if (dtype == DType::kBF16) return kBF16.Pick()(bytes, count, values);
  if (dtype == DType::kF64) return kF64.Pick()(bytes, count, values);
  std::memcpy(values, elements, count * sizeof(float));
}

/// Gives F32 values as elements.
inline void StoreStrip(DType dtype, const float* values, size_t count, std::byte* elements) {
  static constexpr IsaTable<decltype(&scalar::NarrowF16)> kF16 = FLYWEIGHT_ISA_TABLE(NarrowF16);
  static constexpr IsaTable<decltype(&scalar::NarrowBF16)> kBF16 = FLYWEIGHT_ISA_TABLE(NarrowBF16);
  static constexpr IsaTable<decltype(&scalar::StoreF64)> kF64 = FLYWEIGHT_ISA_TABLE(StoreF64);
  auto* bytes = reinterpret_cast<uint8_t*>(elements);
  if (dtype == DType::kF16) return kF16.Pick()(values, count, bytes);
  if (dtype == DType::kBF16) return kBF16.Pick()(values, count, bytes);
  if (dtype == DType::kF64) return kF64.Pick()(values, count, bytes);
  std::memcpy(elements, values, count * sizeof(float));
}

}  // namespace flyweight
