#pragma once

#include <optional>

#include "base/file.h"
#include "flyweight/result.h"
#include "tensor/file_map.h"

namespace flyweight {

/// A stored member of at least this size is an extent of its own, so that equal members are found to be equal.
inline constexpr uint64_t kZipOwnExtentBytes = 4096;

/// Annotates a zip file by what ReadZipDirectory finds in it: files of PyTorch and TorchScript (TypeTorchMembers), npz
/// (members that end in .npy, under their name without that), and any other with stored members. Tensors apart, members
/// of kZipOwnExtentBytes and more are raw extents of their own; all else is raw. Nothing is decompressed. Gives nothing
/// where the file is not a zip file beyond doubt, or there is nothing to tell about it. Errors: those of reading.
Result<std::optional<FileMap>> AnnotateZip(const ByteSource& source, ByteSpan first_bytes);

}  // namespace flyweight
