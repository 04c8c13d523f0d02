#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "archive/header.h"
#include "archive/index.h"
#include "base/file.h"
#include "flyweight/result.h"

namespace flyweight {

/// Everything of an archive but its records: what exists twice or follows from what does.
struct ArchiveSkeleton {
  ArchiveFooter footer;              ///< with the header
  std::vector<std::byte> section;    ///< an index section that holds
  ArchiveIndex index;                ///< what it says
  std::vector<std::string> repairs;  ///< what was not as it should be in the first source: "header", "footer", ...
  bool from_first = false;           ///< footer or an index section was found in the first source
};

/// Finds header, footer and index of an archive in `sources`, of which the first is the one to repair, wherever a copy
/// holds: the footer at the end or anywhere before it, the index where the footer says or by its kind and hash. Errors:
/// kCorrupt where neither a footer nor an index can be found, or no header.
Result<ArchiveSkeleton> FindSkeleton(const std::vector<const ByteSource*>& sources);

}  // namespace flyweight
