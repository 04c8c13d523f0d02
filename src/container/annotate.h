#pragma once

#include "base/file.h"
#include "flyweight/result.h"
#include "tensor/file_map.h"

namespace flyweight {

/// Annotates a file by its content, never by its name. A malformed or unknown file is not an error: it is raw, whole or
/// in part. The map covers [0, source.size()) exactly. Errors: only those of reading (kIo, kSourceChanged, kTruncated).
Result<FileMap> Annotate(const ByteSource& source);

}  // namespace flyweight
