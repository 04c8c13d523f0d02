#include "lossy/lossy_kernels.h"

namespace flyweight::scalar {
#include "lossy/lossy_kernels-inl.h"
}  // namespace flyweight::scalar
