#pragma once

#include <memory>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "delta/model.h"
#include "pipeline/content.h"
#include "pipeline/patch_bases.h"

namespace flyweight {

/// Finds what extents can be made from in a model and gives them the places kBase and kPatched. Run after
/// FindDuplicates and before FindShared; only extents of place kRecord take part. Equality is decided by comparing
/// bytes. A tensor's base is the one of its name, else an equal one of any name, else the closest of its shape that no
/// other tensor's name claims; where none is, the extent stays as it is. What is returned belongs to this index and is
/// for EncodeOptions::patches. The model's digests are made known. Errors: those of reading.
Result<std::unique_ptr<PatchBases>> MatchBase(const ContentSet& contents, ArchiveIndex& index,
                                              std::shared_ptr<Model> model, ThreadPool& pool);

}  // namespace flyweight
