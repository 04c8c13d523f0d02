#pragma once

#include <string>

#include "archive/reader.h"
#include "flyweight/pipeline.h"

namespace flyweight {

/// What the index says of the archive's single file. Errors: kUnsupportedFeature where it holds several or none.
Result<ArchiveListing> DescribeArchive(const ArchiveReader& reader, const std::string& path);

}  // namespace flyweight
