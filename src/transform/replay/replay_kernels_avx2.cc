#include "transform/replay/replay_kernels.h"

namespace flyweight::avx2 {
constexpr size_t kVectorBytes = 32;
#include "transform/replay/replay_kernels-inl.h"
}  // namespace flyweight::avx2
