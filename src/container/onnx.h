#pragma once

#include <optional>

#include "base/file.h"
#include "flyweight/result.h"
#include "tensor/file_map.h"

namespace flyweight {

/// Longer files are not ONNX models: a protobuf message has less than 2 GiB, what is larger lies in files beside it.
inline constexpr uint64_t kOnnxMaxFileBytes = uint64_t{1} << 31;
/// Graphs inside the attributes of nodes inside graphs deeper than this stay raw.
inline constexpr int kOnnxMaxGraphDepth = 8;

/// Smaller tensors stay raw, as what an index says about a tensor takes more bytes: models hold hundreds of axes and
/// scalars.
inline constexpr uint64_t kOnnxMinTensorBytes = 128;

/// Annotates an ONNX model: the raw data and the packed floats of initialisers and constants, in the main graph, in
/// graphs of control flow and in functions, are tensors; everything else is raw. A constant without a name of its own
/// has that of its node's output. Element types we have none for give opaque tensors. Raw are tensors of less
/// than kOnnxMinTensorBytes, tensors whose bytes are not those of type and shape, integers packed as varints, text,
/// data given in several pieces, and names (65535 bytes) or ranks (255) no archive could hold. Gives nothing where the
/// file is not a well-formed model beyond doubt, or no tensor was found. Errors: those of reading. Source of the field
/// numbers: onnx.proto.
Result<std::optional<FileMap>> AnnotateOnnx(const ByteSource& source, ByteSpan first_bytes);

/// The same with another least size.
Result<std::optional<FileMap>> AnnotateOnnxTensors(const ByteSource& source, ByteSpan first_bytes,
                                                   uint64_t min_tensor_bytes);

}  // namespace flyweight
