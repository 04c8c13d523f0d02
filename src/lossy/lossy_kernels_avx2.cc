#include "lossy/lossy_kernels.h"

namespace flyweight::avx2 {
#include "lossy/lossy_kernels-inl.h"
}  // namespace flyweight::avx2
