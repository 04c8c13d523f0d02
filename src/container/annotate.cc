#include "container/annotate.h"

#include <algorithm>
#include <new>
#include <optional>
#include <vector>

#include "container/gguf.h"
#include "container/npy.h"
#include "container/onnx.h"
#include "container/safetensors.h"
#include "container/torch_legacy.h"
#include "container/zip.h"

namespace flyweight {
namespace {

constexpr uint64_t kSniffBytes = 4096;

/// Gives the map of a file of the parser's format, or nothing where the file is not of that format beyond doubt.
/// `first_bytes` are the first kSniffBytes of the file, or all of a shorter one. Errors: those of reading.
using Parser = Result<std::optional<FileMap>> (*)(const ByteSource& source, ByteSpan first_bytes);

/// One parser a file, asked in this order; the first map wins.
constexpr Parser kParsers[] = {
    AnnotateSafetensors, AnnotateGguf, AnnotateNpy, AnnotateZip, AnnotateTorchLegacy, AnnotateOnnx,
};

Result<FileMap> AnnotateWith(const ByteSource& source, ByteSpan first_bytes) {
  for (Parser parser : kParsers) {
    FLYWEIGHT_ASSIGN(std::optional<FileMap> map, parser(source, first_bytes));
    if (map.has_value() && ValidateFileMap(*map, source.size()).ok()) return std::move(*map);
  }
  return RawFileMap(source.size());
}

}  // namespace

Result<FileMap> Annotate(const ByteSource& source) {
  try {
    std::vector<std::byte> first_bytes(static_cast<size_t>(std::min(source.size(), kSniffBytes)));
    FLYWEIGHT_TRY(source.ReadAt(0, first_bytes));
    return AnnotateWith(source, first_bytes);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOutOfMemory, 0, "not enough memory to read the file's header"};
  }
}

}  // namespace flyweight
