// Products by nibbles, looked up in registers. Source: Plank, Greenan and Miller, "Screaming fast Galois field
// arithmetic using Intel SIMD instructions" (FAST 2013).
#include <arm_neon.h>

#include "erasure/gf16_kernels.h"

namespace flyweight::neon {
namespace {

struct Vec {
  using Register = uint8x16_t;
  static constexpr size_t kBytes = 16;
  static Register Load(const std::byte* at) { return vld1q_u8(reinterpret_cast<const uint8_t*>(at)); }
  static void Store(std::byte* at, Register value) { vst1q_u8(reinterpret_cast<uint8_t*>(at), value); }
  static Register Xor(Register a, Register b) { return veorq_u8(a, b); }

  class Multiplier {
   public:
    Multiplier(const GfKernelTables& tables, uint16_t element) {
      const uint8_t* low = tables.nibbles[0][element & 255];
      const uint8_t* high = tables.nibbles[1][element >> 8];
      for (size_t i = 0; i < 8; ++i) tables_[i] = Xor(vld1q_u8(low + 16 * i), vld1q_u8(high + 16 * i));
    }

    void MultiplyAdd(Register& target_low, Register& target_high, Register low, Register high) const {
      const Register mask = vdupq_n_u8(15);
      const Register nibbles[4] = {vandq_u8(low, mask), vshrq_n_u8(low, 4), vandq_u8(high, mask), vshrq_n_u8(high, 4)};
      for (size_t n = 0; n < 4; ++n) {
        target_low = Xor(target_low, vqtbl1q_u8(tables_[2 * n], nibbles[n]));
        target_high = Xor(target_high, vqtbl1q_u8(tables_[2 * n + 1], nibbles[n]));
      }
    }

   private:
    Register tables_[8];
  };
};

}  // namespace

#include "erasure/gf16_kernels-inl.h"

const GfKernels kGfKernels = {"neon", ForwardPairs, InversePairs, ForwardQuads, InverseQuads, Multiply, Add};

}  // namespace flyweight::neon
