#include "transform/delta_activity/activity_kernels.h"

namespace flyweight::avx512 {
#include "transform/delta_activity/activity_kernels-inl.h"
}  // namespace flyweight::avx512
