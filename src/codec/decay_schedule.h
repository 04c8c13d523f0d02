#pragma once

#include <span>
#include <vector>

#include "codec/decay_samples.h"
#include "transform/replay/replay.h"

namespace flyweight {

/// `words` after the multiplications.
std::vector<uint32_t> Replayed(std::span<const ReplayRun> runs, std::span<const uint32_t> words);

/// The steps, by their distance from 1 in units of 2^-24, whose losses add up to the curve, in the order that rises and
/// then falls and gives most of the weights exactly; empty where no steps of up to 64 units do.
std::vector<ReplayRun> FitSchedule(const LossCurve& curve, const std::vector<DecayedWeight>& weights);

}  // namespace flyweight
