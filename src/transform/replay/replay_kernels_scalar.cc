#include "transform/replay/replay_kernels.h"

namespace flyweight::scalar {
constexpr size_t kVectorBytes = 16;
#include "transform/replay/replay_kernels-inl.h"
}  // namespace flyweight::scalar
