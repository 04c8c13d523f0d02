#include "transform/float_fields/float_kernels.h"

namespace flyweight::avx2 {
#include "transform/float_fields/float_kernels-inl.h"
}  // namespace flyweight::avx2
