#pragma once

#include <optional>

#include "base/file.h"
#include "flyweight/result.h"
#include "tensor/file_map.h"

namespace flyweight {

/// Annotates a GGUF file (versions 1 to 3, either byte order): metadata, tensor table and padding are raw, tensors
/// stand in the order of their offsets. Shapes are listed slowest dimension first, as safetensors does and GGUF does
/// not. Tensors of big-endian files and of ggml types that were withdrawn are opaque. Raw are tensors of unknown types,
/// those that reach past the end of the file or overlap one before, whose rows are not whole blocks, or whose name
/// (65535 bytes) no archive could hold. Gives nothing where header and tensor table are not those of a GGUF file beyond
/// doubt. Errors: those of reading. Source of the layout: the specification of GGUF in ggml's documentation.
Result<std::optional<FileMap>> AnnotateGguf(const ByteSource& source, ByteSpan first_bytes);

}  // namespace flyweight
