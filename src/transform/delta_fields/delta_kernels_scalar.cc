#include "transform/delta_fields/delta_kernels.h"

namespace flyweight::scalar {
namespace {
#include "transform/delta_fields/delta_group-inl.h"
//
#include "transform/delta_fields/delta_one_by_one-inl.h"
}  // namespace
#include "transform/delta_fields/delta_entry-inl.h"
}  // namespace flyweight::scalar
