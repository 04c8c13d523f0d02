// Products by bit matrices: multiplication by an element is linear over GF(2), so four 8 x 8 matrices make one.
#include <immintrin.h>

#include "erasure/gf16_kernels.h"

namespace flyweight::gfni {
namespace {

struct Vec {
  using Register = __m512i;
  static constexpr size_t kBytes = 64;
  static Register Load(const void* at) { return _mm512_loadu_si512(at); }
  static void Store(void* at, Register value) { _mm512_storeu_si512(at, value); }
  static Register Xor(Register a, Register b) { return _mm512_xor_si512(a, b); }

  class Multiplier {
   public:
    Multiplier(const GfKernelTables& tables, uint16_t element) {
      const uint64_t* low = tables.matrices[0][element & 255];
      const uint64_t* high = tables.matrices[1][element >> 8];
      for (size_t i = 0; i < 4; ++i) matrices_[i] = _mm512_set1_epi64(static_cast<long long>(low[i] ^ high[i]));
    }

    void MultiplyAdd(Register& target_low, Register& target_high, Register low, Register high) const {
      constexpr int kXorOfThree = 0x96;
      target_low = _mm512_ternarylogic_epi64(target_low, _mm512_gf2p8affine_epi64_epi8(low, matrices_[0], 0),
                                             _mm512_gf2p8affine_epi64_epi8(high, matrices_[1], 0), kXorOfThree);
      target_high = _mm512_ternarylogic_epi64(target_high, _mm512_gf2p8affine_epi64_epi8(low, matrices_[2], 0),
                                              _mm512_gf2p8affine_epi64_epi8(high, matrices_[3], 0), kXorOfThree);
    }

   private:
    Register matrices_[4];
  };
};

}  // namespace

#include "erasure/gf16_kernels-inl.h"

const GfKernels kGfKernels = {"gfni", ForwardPairs, InversePairs, ForwardQuads, InverseQuads, Multiply, Add};

}  // namespace flyweight::gfni
