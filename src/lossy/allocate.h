#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "flyweight/result.h"

namespace flyweight {

/// One way to store a tensor: what it takes and what it costs.
struct Candidate {
  uint64_t size_bytes = 0;
  double error = 0;  ///< squared error relative to the tensor's energy
};

/// Chooses one candidate for each tensor so that the sum of errors is small while the sizes add up to at most
/// `budget_bytes`: Lagrange's multiplier over the convex hulls of (size, error), then what is left of the budget goes
/// to the improvements that still fit, the steepest first. Returns the numbers of the candidates. Precondition: no
/// tensor is without candidates. Source: Shoham and Gersho, "Efficient bit allocation for an arbitrary set of
/// quantizers" (1988). Errors: kInvalidArgument, whose message names the smallest size that is possible, `fixed_bytes`
/// added.
Result<std::vector<size_t>> AllocateBits(const std::vector<std::vector<Candidate>>& tensors, uint64_t budget_bytes,
                                         uint64_t fixed_bytes);

}  // namespace flyweight
