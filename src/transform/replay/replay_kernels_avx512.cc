#include "transform/replay/replay_kernels.h"

namespace flyweight::avx512 {
constexpr size_t kVectorBytes = 64;
#include "transform/replay/replay_kernels-inl.h"
}  // namespace flyweight::avx512
