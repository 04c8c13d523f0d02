#include "transform/class_fields/class_kernels.h"

namespace flyweight::avx512 {
#include "transform/class_fields/class_kernels-inl.h"
}  // namespace flyweight::avx512
