#pragma once

#include <cstdint>
#include <vector>

#include "archive/reader.h"
#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// Checks everything the format demands of an index (docs/format.md section 1.4) that its syntax does not: sizes that
/// add up, shapes that fit, names, "same as" extents that point at an earlier extent that holds bytes, records between
/// the header and `records_end_offset`. Errors: kCorrupt, kLimitExceeded, kUnsupportedFeature, with file and extent in
/// the message.
Status ValidateIndex(const ArchiveIndex& index, uint64_t records_end_offset);

/// The body of the index section. Precondition: ValidateIndex succeeded.
std::vector<std::byte> SerializeIndex(const ArchiveIndex& index);

/// Parses and validates an index body. No memory is set aside for a count before the bytes left could hold so many.
/// Errors: kTruncated, kCorrupt, kLimitExceeded, kUnsupportedFeature; offsets count from the start of the body.
/// `is_tree` and `has_patches` are what the header's features say; without the latter there is no base table, and the
/// number of its attribute means nothing.
Result<ArchiveIndex> ParseIndex(ByteSpan body, uint64_t records_end_offset, bool is_tree = false,
                                bool has_patches = false);

}  // namespace flyweight
