#include "entropy/head_rans/vec_avx2.h"

namespace flyweight::avx2 {
#include "entropy/head_rans/head_kernels-inl.h"
}  // namespace flyweight::avx2
