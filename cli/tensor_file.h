#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flyweight/pipeline.h"
#include "flyweight/result.h"

namespace flyweight::cli {

/// What `extract` writes tensors as.
enum class TensorFile { kBytes, kNpy, kSafetensors };

/// By the end of the output's name: .npy, .safetensors, anything else is plain bytes.
TensorFile TensorFileOf(std::string_view path);

/// A tensor that goes into a file, under a name of its own there.
struct TensorEntry {
  std::string name;
  const ListedTensor* tensor = nullptr;
};

/// All that stands before the tensors' bytes in a file of that kind, which follow without gaps. Errors:
/// kInvalidArgument where the kind has no such dtype, no room for several tensors, or two would have one name.
Result<std::string> TensorFileHeader(TensorFile kind, const std::vector<TensorEntry>& entries);

}  // namespace flyweight::cli
