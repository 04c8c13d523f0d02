#pragma once

#include <set>
#include <string>
#include <string_view>

#include "archive/reader.h"
#include "flyweight/pipeline.h"
#include "pipeline/member_filter.h"

namespace flyweight {

/// What a damaged file's name gets appended.
inline constexpr std::string_view kDamagedSuffix = ".damaged";

/// Restores the selected entries of a tree below the directory `target`, which appears complete or not at all. Files
/// whose numbers are in `damaged` get zeros where they are, and a suffix. Returns the number of entries. Errors: those
/// of decoding and of TreeRestorer.
Result<uint64_t> RestoreTree(const ArchiveReader& reader, const MemberFilter& filter, const std::set<size_t>& damaged,
                             const std::string& target, const DecompressOptions& options);

}  // namespace flyweight
