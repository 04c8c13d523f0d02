#include "transform/class_fields/class_kernels.h"

namespace flyweight::scalar {
#include "transform/class_fields/class_kernels-inl.h"
}  // namespace flyweight::scalar
