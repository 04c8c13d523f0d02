#include "erasure/gf16_kernels.h"

#include "simd/isa.h"

namespace flyweight {

#if defined(__x86_64__)
namespace {

bool CpuHasGfni() {
  static const bool has = __builtin_cpu_supports("gfni") != 0;
  return has;
}

}  // namespace

const GfKernels& PickGfKernels() {
  Isa isa = ActiveIsa();
  if (isa >= Isa::kAvx512 && CpuHasGfni()) return gfni::kGfKernels;
  return isa >= Isa::kAvx2 ? avx2::kGfKernels : scalar::kGfKernels;
}
#elif defined(__aarch64__)
const GfKernels& PickGfKernels() { return ActiveIsa() == Isa::kNeon ? neon::kGfKernels : scalar::kGfKernels; }
#else
const GfKernels& PickGfKernels() { return scalar::kGfKernels; }
#endif

}  // namespace flyweight
