#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "flyweight/result.h"
#include "tensor/file_map.h"

namespace flyweight {

/// Annotates a numpy array file (versions 1 to 3): the header is raw, the array one tensor named "array", what follows
/// is raw. Element types we have none for (big-endian, text, dates) give an opaque tensor with the shape. An array in
/// Fortran's order is listed as its transpose. Gives nothing where the header is not one beyond doubt, the elements are
/// structured or pickled objects, or the array is cut short.
/// Errors: those of reading.
Result<std::optional<FileMap>> AnnotateNpy(const ByteSource& source, ByteSpan first_bytes);

/// The same for an array file that lies at [offset, offset + size_bytes) inside another file. Appends extents that
/// cover exactly that range, the array under `name`, and gives true; or appends nothing and gives false. Its header
/// extends the last extent where that is raw. Preconditions: the range lies inside `source`; `extents` end at `offset`.
/// Errors: those of reading; then `extents` is as it was.
Result<bool> AnnotateNpyAt(const ByteSource& source, uint64_t offset, uint64_t size_bytes, const std::string& name,
                           std::vector<Extent>& extents);

}  // namespace flyweight
