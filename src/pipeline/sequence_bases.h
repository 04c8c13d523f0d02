#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "archive/reader.h"
#include "pipeline/content.h"
#include "pipeline/patch_bases.h"

namespace flyweight {

/// True where `a` comes before `b` when runs of digits count as numbers: "step-9" before "step-10".
bool NaturalLess(std::string_view a, std::string_view b);

/// A version of a model in a tree: a file directly below its root, or a directory with what it holds.
struct TreeVersion {
  std::string name;
  std::vector<size_t> files;  ///< numbers in the index
};

/// The versions that a tree holds, oldest first: of the files and directories directly below the root those whose names
/// differ in numbers only, in the order of these numbers. Of several such families the one with the most members, and
/// of these the largest. Fewer than two are none.
std::vector<TreeVersion> FindVersions(const ArchiveIndex& index);

/// Makes the tensors of each version patches on those of the version before it, in the same archive (place kPatched).
/// A tensor's base has its file and name, or its name. After `key_every` - 1 patches on each other a tensor is stored
/// without a base again. Run after FindDuplicates and before FindShared; only extents of place kRecord take part. The
/// contents must outlive what is returned, which belongs to this index and is for EncodeOptions::patches. Errors:
/// kInvalidArgument where the tree holds no versions. Precondition: key_every > 0.
Result<std::unique_ptr<PatchBases>> MatchVersions(const ContentSet& contents, ArchiveIndex& index, uint32_t key_every);

}  // namespace flyweight
