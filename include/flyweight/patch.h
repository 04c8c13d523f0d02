#pragma once

#include <string>
#include <vector>

#include "flyweight/pipeline.h"
#include "flyweight/result.h"

// Patches: archives of what changed against a base. They are made by Compress with CompressOptions::bases.

namespace flyweight {

/// Restores the version that the last of `patches` gives, as the file or directory `target`. `base` is a file of any
/// container, a directory or an archive; `patches` stand on it and on each other in this order. No version between is
/// materialised. Every chunk's checksum and the files' SHA-256 are checked, and `target` appears only after they held.
/// Errors: those of DecompressFile; kBaseMismatch, before anything is written, where base or patches do not fit
/// each other.
Result<DecompressSummary> ApplyPatches(const std::string& base, const std::vector<std::string>& patches,
                                       const std::string& target, const DecompressOptions& options);

/// The identity of a model, as 64 hexadecimal digits (docs/format.md section 1.6): of a file of any container, a
/// directory, an archive, or of what patches behind a base give. Reads all of what is no archive.
Result<std::string> IdentityOfModel(const std::vector<std::string>& paths, size_t thread_count);

}  // namespace flyweight
