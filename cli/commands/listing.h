#pragma once

#include <optional>
#include <string>

#include "cli/console.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {

/// What the index of an archive says. Damage that could be worked around is warned of; errors were told to the console.
std::optional<ArchiveListing> ReadListing(const std::string& file, Console& console);

/// All bytes that are neither tensors' nor raw extents': header, footer and indexes.
uint64_t OverheadBytes(const ArchiveListing& listing);

}  // namespace flyweight::cli
