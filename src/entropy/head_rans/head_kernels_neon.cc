#include "entropy/head_rans/vec_neon.h"

namespace flyweight::neon {
#include "entropy/head_rans/head_kernels-inl.h"
}  // namespace flyweight::neon
