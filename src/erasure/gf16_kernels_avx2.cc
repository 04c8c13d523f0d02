// Products by nibbles, looked up in registers. Source: Plank, Greenan and Miller, "Screaming fast Galois field
// arithmetic using Intel SIMD instructions" (FAST 2013).
#include <immintrin.h>

#include "erasure/gf16_kernels.h"

namespace flyweight::avx2 {
namespace {

struct Vec {
  using Register = __m256i;
  static constexpr size_t kBytes = 32;
  static Register Load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
  static void Store(void* at, Register value) { _mm256_storeu_si256(static_cast<__m256i*>(at), value); }
  static Register Xor(Register a, Register b) { return _mm256_xor_si256(a, b); }

  class Multiplier {
   public:
    Multiplier(const GfKernelTables& tables, uint16_t element) {
      const uint8_t* low = tables.nibbles[0][element & 255];
      const uint8_t* high = tables.nibbles[1][element >> 8];
      for (size_t i = 0; i < 8; ++i) {
        __m128i table = _mm_xor_si128(_mm_load_si128(reinterpret_cast<const __m128i*>(low + 16 * i)),
                                      _mm_load_si128(reinterpret_cast<const __m128i*>(high + 16 * i)));
        tables_[i] = _mm256_broadcastsi128_si256(table);
      }
    }

    void MultiplyAdd(Register& target_low, Register& target_high, Register low, Register high) const {
      Register mask = _mm256_set1_epi8(15);
      Register nibbles[4] = {_mm256_and_si256(low, mask), _mm256_and_si256(_mm256_srli_epi64(low, 4), mask),
                             _mm256_and_si256(high, mask), _mm256_and_si256(_mm256_srli_epi64(high, 4), mask)};
      for (size_t n = 0; n < 4; ++n) {
        target_low = Xor(target_low, _mm256_shuffle_epi8(tables_[2 * n], nibbles[n]));
        target_high = Xor(target_high, _mm256_shuffle_epi8(tables_[2 * n + 1], nibbles[n]));
      }
    }

   private:
    Register tables_[8];
  };
};

}  // namespace

#include "erasure/gf16_kernels-inl.h"

const GfKernels kGfKernels = {"avx2", ForwardPairs, InversePairs, ForwardQuads, InverseQuads, Multiply, Add};

}  // namespace flyweight::avx2
