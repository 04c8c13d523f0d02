#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

// Repeated multiplication of F32 elements, every product rounded; use replay.h. Elements need no alignment and `target`
// may be `source`. Infinities and NaN are left as they are.
#define FLYWEIGHT_DECLARE_REPLAY_KERNELS(isa)                                                                      \
  namespace isa {                                                                                                  \
  void ReplayNarrow(const float* factors, size_t steps, const std::byte* source, size_t count, std::byte* target); \
  void ReplayWide(const double* factors, size_t steps, const std::byte* source, size_t count, std::byte* target);  \
  }
FLYWEIGHT_DECLARE_REPLAY_KERNELS(scalar)
FLYWEIGHT_DECLARE_REPLAY_KERNELS(avx2)
FLYWEIGHT_DECLARE_REPLAY_KERNELS(avx512)
#undef FLYWEIGHT_DECLARE_REPLAY_KERNELS

}  // namespace flyweight
