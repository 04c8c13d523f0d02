#pragma once

#include <string>

#include "archive/reader.h"
#include "flyweight/pipeline.h"

namespace flyweight {

/// What the index says of the archive. Errors: kCorrupt, kUnsupportedFeature where what it says of lossy tensors cannot
/// be.
Result<ArchiveListing> DescribeArchive(const ArchiveReader& reader, const std::string& path);

}  // namespace flyweight
