#include "transform/delta_activity/activity_kernels.h"

namespace flyweight::scalar {
#include "transform/delta_activity/activity_kernels-inl.h"
}  // namespace flyweight::scalar
