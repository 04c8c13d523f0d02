#include "entropy/head_rans/vec_avx512.h"

namespace flyweight::avx512 {
#include "entropy/head_rans/head_kernels-inl.h"
}  // namespace flyweight::avx512
