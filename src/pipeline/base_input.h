#pragma once

#include <memory>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "delta/bind.h"
#include "delta/model.h"

namespace flyweight {

/// Gives an archive that was opened the base it needs, out of a base and the patches on it. `name` is what the archive
/// is called in messages. Does nothing where neither is needed nor given. Errors: kBaseMismatch (missing, or another;
/// where the order is wrong, it says which one fits); kInvalidArgument (the archive is no patch); those of OpenLineage.
Status AttachBase(ArchiveReader& reader, const std::string& name, const std::vector<std::string>& bases,
                  RowCheck check);

/// Errors: kSourceChanged where the base of an archive changed since it was attached.
Status CheckBaseUnchanged(const ArchiveReader& reader);

/// What made decoding fail: that the base changed, where it did; that it is another, where a checksum did not hold and
/// that is why; else `error`.
Error ExplainFailure(const ArchiveReader& reader, Error error);

/// How rows that are taken unchanged have to be checked where files are compared with their SHA-256.
RowCheck CheckForFiles(const ArchiveIndex& index);

}  // namespace flyweight
