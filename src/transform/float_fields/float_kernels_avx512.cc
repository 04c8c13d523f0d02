#include "transform/float_fields/float_kernels.h"

namespace flyweight::avx512 {
#include "transform/float_fields/float_kernels-inl.h"
}  // namespace flyweight::avx512
