#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "flyweight/level.h"
#include "flyweight/pipeline.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

// Patches of tensors in memory: what a trainer sends to those who hold the version before. A patch is an archive
// (docs/format.md), so that `flyweight verify` and `list` take it.

namespace flyweight {

struct MakePatchOptions {
  Level level = Level::kBalanced;
  size_t thread_count = 0;
  std::string name = {};       ///< what the tensors are called, in messages: "v000012"
  std::string base_name = {};  ///< what their base is called
};

/// Writes the patch that makes `tensors` from `base`, whose tensors are found by name. Of each tensor it stores what is
/// smallest: that it is the base's, its differences, or all of it. Tensors of the base that are not among `tensors`
/// are none of its business. The bytes depend on neither threads nor ISA. Memory: a few chunks a thread. Errors:
/// kInvalidArgument where dtype, shape and size of a tensor disagree or a name is there twice; those of `append`.
Status MakePatch(std::span<const TensorView> tensors, std::span<const TensorView> base, const MakePatchOptions& options,
                 const AppendCallback& append);

/// A tensor in the caller's memory that a patch changes.
struct TensorTarget {
  std::string name;
  DType dtype = DType::kOpaque;
  Shape shape;
  std::span<std::byte> bytes;
};

struct ApplyOptions {
  size_t thread_count = 0;
  bool idempotent = false;  ///< what was applied already is left alone and is no error
  /// Compare everything with its checksums, the patch's bytes and the tensors', before the first byte is written. Else
  /// each chunk is compared just before it is written, which is faster and may end half way.
  bool check_first = true;
  /// Compare each chunk with its checksum after it was written too. Without that a third less is read; what the
  /// checksums of patch and tensors promise is then taken for granted.
  bool check_result = true;
  bool only_targets = false;  ///< tensors of the patch that have no target are left out; else that is an error
};

struct ApplySummary {
  uint64_t chunk_count = 0;
  uint64_t written_count = 0;  ///< chunks that changed
  uint64_t done_count = 0;     ///< chunks that the patch changes and that were changed already
};

/// One tensor of a patch.
struct PatchedTensor {
  std::string name;
  DType dtype = DType::kOpaque;
  Shape shape;
  uint64_t size_bytes = 0;
  uint64_t stored_bytes = 0;
  bool needs_base = false;
  DType base_dtype = DType::kOpaque;  ///< of these three nothing where no base is needed
  Shape base_shape;
  uint64_t base_bytes = 0;
  bool is_in_place = false;  ///< the base has its dtype and size, or none is needed: ApplyInPlace can do it
};

/// A patch in memory. Thread-safe.
class TensorPatch {
 public:
  /// Reads the index. The bytes must outlive the object. Errors: those of opening archives; kUnsupportedFeature where
  /// the archive is a directory's or refers to other parts of itself, as patches of files do.
  static Result<TensorPatch> Open(std::span<const std::byte> bytes);
  ~TensorPatch();
  TensorPatch(TensorPatch&&) noexcept;
  TensorPatch& operator=(TensorPatch&&) noexcept;

  const std::string& name() const;
  const std::string& base_name() const;
  const std::vector<PatchedTensor>& tensors() const;

  /// Changes tensors in the caller's memory, which holds what the patch was made from, into what it makes. Targets are
  /// found by name; those that the patch does not name stay. Each chunk must be the base's, or the result's already (an
  /// apply that was interrupted is completed); each is compared with its checksum after it was written. No copy of the
  /// tensors is made. Tensors may be tied, one memory under several names. Errors, with nothing written:
  /// kAlreadyApplied where there is nothing left to do and `idempotent` is not set; kBaseMismatch, naming tensors and
  /// chunks that are neither base nor result, a target that is missing or of another dtype or shape; those of reading
  /// archives. With `check_first` unset the last two kinds may come after some chunks were written. What comes after
  /// writing although everything was compared first means a forged patch or bad memory. A tensor that is_in_place is
  /// not may be there only as what the patch makes of it.
  Result<ApplySummary> ApplyInPlace(std::span<const TensorTarget> targets, const ApplyOptions& options) const;

  /// Decodes tensor `index` into `target` from its base, which may begin where `target` does. Errors: those of reading
  /// archives; kBaseMismatch; kInvalidArgument where `target` has another size. The target's content is then undefined.
  Status Decode(size_t index, std::span<const std::byte> base, std::span<std::byte> target, size_t thread_count) const;

 private:
  struct Impl;
  explicit TensorPatch(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace flyweight
