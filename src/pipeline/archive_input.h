#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipeline/pack_input.h"

namespace flyweight {

/// What an archive holds as what goes into another archive, decoded as it is read: nothing is restored to the disk. A
/// patch needs `bases`, a base and the patches between. Errors: those of reading archives and of AttachBase;
/// kInvalidArgument where the archive is lossy, as the new one would not say so.
Result<std::unique_ptr<PackInput>> OpenArchivePackInput(const std::string& path, const std::vector<std::string>& bases);

}  // namespace flyweight
