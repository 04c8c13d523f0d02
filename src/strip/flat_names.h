#pragma once

#include <string_view>
#include <vector>

#include "strip/strip.h"

namespace flyweight {

/// Which tensors of a file without nested structure are to go: one flag a name.
///
/// An optimizer's are those whose last component (separated by '.' or '/') is a name that an optimizer of PyTorch gives
/// its state, as exp_avg, where the rest of the name is that of a tensor of the file, a prefix such as "optimizer." or
/// "state." left out, or starts with such a prefix. "PARAMETER_exp_avg" counts where PARAMETER is there. Names that
/// others use too, as step, go only beside one of those.
std::vector<bool> ChooseFlatNames(const std::vector<std::string_view>& names, const StripRequest& request);

}  // namespace flyweight
