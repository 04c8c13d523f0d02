#pragma once

#include "lossy/error_sums.h"
#include "pipeline/lossy_plan.h"
#include "pipeline/lossy_trials.h"

namespace flyweight {

/// True of tensors that any lossy method may be chosen for.
bool IsLossyTensor(const IndexExtent& extent);

/// True where the tensor of this number may become lossy: IsLossyTensor, in a file whose format carries no checksum of
/// the tensor's bytes that its readers check (npz and other zips do; PyTorch does not look at those of its zips).
bool MayBecomeLossy(const ArchiveIndex& index, const ExtentItem& place);

/// True of tensors that are large enough for quantised blocks.
bool IsQuantisable(const IndexExtent& extent);

/// Blocks with or without minima, by what was measured of both; nothing where the tensor cannot be quantised.
std::optional<LossyChoice> ChooseBlocks(const LossyChoice& wanted, DType dtype, const ErrorSums& around_zero,
                                        const ErrorSums& from_minimum);

/// Chooses a method for each tensor so that the sum of relative squared errors is small and the archive, parity aside,
/// stays within the budget, as far as a sample of each tensor tells its size. Errors: those of reading;
/// kInvalidArgument where no choice is small enough.
Result<LossyPlan> PlanWithinBudget(const LossySubject& subject, const LossyOptions& options);

}  // namespace flyweight
