#pragma once

#include <optional>

#include "base/file.h"
#include "flyweight/result.h"
#include "tensor/file_map.h"

namespace flyweight {

/// A longer header is not parsed, so that memory stays bounded: 16 MiB describe some 150,000 tensors.
inline constexpr uint64_t kSafetensorsMaxHeaderBytes = uint64_t{16} << 20;

/// Annotates a safetensors file: `u64 header_bytes | JSON header | data`. Length and header are one raw extent, then
/// tensors in the order of their offsets (of equal offsets the empty ones first, then by name). Raw are: holes, bytes
/// behind the last tensor, and ranges of tensors that reach past the end of the file, whose size is not that of their
/// dtype and shape, or whose name (65535 bytes) or rank (255) no archive could hold. A dtype nobody knows gives an
/// opaque tensor. Gives nothing where the header is not a safetensors header beyond doubt or two tensors overlap.
/// Errors: those of reading.
Result<std::optional<FileMap>> AnnotateSafetensors(const ByteSource& source, ByteSpan first_bytes);

}  // namespace flyweight
