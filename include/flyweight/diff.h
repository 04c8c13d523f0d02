#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flyweight/pipeline.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

// What differs between two models.

namespace flyweight {

/// What became of a tensor between two models A and B; also of files that hold no tensors.
enum class DiffKind : uint8_t {
  kSame,
  kChanged,   ///< same dtype and shape, other values
  kRenamed,   ///< all bytes of a tensor of A with another name, dtype and shape alike
  kRetyped,   ///< another dtype
  kReshaped,  ///< same dtype, another shape
  kAdded,     ///< in B only
  kRemoved,   ///< in A only
};

inline constexpr size_t kDiffKindCount = 7;

/// "same", "changed", ...
std::string_view DiffKindName(DiffKind kind);

/// A tensor of A, of B or of both.
struct TensorDiff {
  DiffKind kind = DiffKind::kSame;
  std::string name;                   ///< in B; of removed ones in A
  std::string file;                   ///< that holds it, where that side is a tree
  std::string base_name;              ///< in A, of renamed ones
  DType base_dtype = DType::kOpaque;  ///< in A; of added ones as in B
  DType dtype = DType::kOpaque;       ///< in B; of removed ones as in A
  Shape base_shape;
  Shape shape;
  uint64_t size_bytes = 0;  ///< in B; of removed ones in A

  /// Elements that were compared: all, or of a tensor that grew or shrank those that both have; 0 where the two cannot
  /// be compared.
  uint64_t compared_count = 0;
  uint64_t changed_count = 0;
  bool has_values = false;        ///< floats: what follows is meaningful. Infinities and NaNs are left out of it
  uint64_t largest_ulps = 0;      ///< 0 where the dtypes differ
  double largest_difference = 0;  ///< |b - a|
  double rms_difference = 0;
  double relative_difference = 0;  ///< sqrt(sum (b - a)^2 / sum a^2)
};

/// A file that holds no tensors, of one side or of both; or of a file with tensors that is on both sides, in one
/// format, what is not tensors.
struct FileDiff {
  DiffKind kind = DiffKind::kSame;
  std::string name;
  bool is_rest = false;  ///< what of the file is not tensors, such as its header
};

struct DiffReport {
  std::vector<TensorDiff> tensors;  ///< in the order of B, then what was removed in the order of A
  std::vector<FileDiff> files;
  std::array<uint64_t, kDiffKindCount> tensor_counts{};  ///< by DiffKind
  std::array<uint64_t, kDiffKindCount> tensor_bytes{};
  bool is_same() const;
};

struct DiffOptions {
  size_t thread_count = 0;  ///< 0 = all CPUs
  /// Patterns with * and ? of TENSOR or FILE:TENSOR names: only these tensors, and no files. Empty = everything.
  std::vector<std::string> tensors = {};
  ProgressCallback progress = {};
  NoticeCallback notice = {};
};

/// Compares two models, each a file of any format, a directory, an archive of either, or "-" for one that is read from
/// standard input. One may be a patch on the other. Tensors are matched by file and name, by name, and then by content
/// where dtype and shape are equal. Tensors whose digests are in the indexes of two archives are not read where these
/// are equal. Files without tensors are compared where both sides are files or both directories. Writes nothing.
/// Memory: some 16 MiB a thread. Errors: those of reading.
Result<DiffReport> DiffModels(const std::string& base, const std::string& variant, const DiffOptions& options);

}  // namespace flyweight
