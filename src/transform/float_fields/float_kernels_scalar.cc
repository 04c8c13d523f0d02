#include "transform/float_fields/float_kernels.h"

namespace flyweight::scalar {
#include "transform/float_fields/float_kernels-inl.h"
}  // namespace flyweight::scalar
