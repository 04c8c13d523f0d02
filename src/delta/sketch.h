#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// A tensor that a sketch may be made of.
struct SketchTensor {
  std::string_view name;
  DType dtype = DType::kOpaque;
  const Shape* shape = nullptr;
  uint64_t size_bytes = 0;
};

/// How closely a sketch looks.
struct SketchSize {
  size_t tensor_count = 16;  ///< tensors with samples, at most
  size_t run_count = 8;      ///< places in each
  size_t run_elements = 4;   ///< elements at each place, a power of two
};

/// Names, shapes and some weights of a model: enough to tell how near another model is, without reading either. Which
/// weights follows from the names and shapes alone, so that sketches of one size can be compared whatever the dtypes;
/// of two sizes where only the number of tensors differs.
struct Sketch {
  struct Tensor {
    uint64_t key = 0;  ///< hash of name and shape; of a shape that grows a little the same, mostly
    uint64_t size_bytes = 0;
  };
  struct Site {
    uint64_t key = 0;
    DType dtype = DType::kOpaque;
    uint64_t element_count = 0;  ///< of the tensor
    std::vector<float> samples;
  };
  std::vector<Tensor> tensors;  ///< by key
  std::vector<Site> sites;      ///< by key
  uint64_t tensor_bytes = 0;
};

/// Reads runs of `run_bytes` bytes, which begin at `begins` (ascending) in tensor number `tensor`, one behind the other
/// into `target`.
using SampleReader =
    std::function<Status(size_t tensor, std::span<const uint64_t> begins, size_t run_bytes, MutableByteSpan target)>;

/// Only floats are sampled; all runs of a tensor lie in one chunk of 256 Ki elements. Errors: those of `read`.
Result<Sketch> MakeSketch(std::span<const SketchTensor> tensors, const SketchSize& size, const SampleReader& read);

/// What a patch of one model over another would take, judged by their sketches.
struct PatchEstimate {
  uint64_t sample_count = 0;    ///< weights that were compared; 0: the models have nothing in common
  double shared_part = 0;       ///< of the bytes of the variant: in tensors that the base has too
  double changed_part = 0;      ///< of the weights in those
  double patch_bytes = 0;       ///< of the variant's tensors
  double standalone_bytes = 0;  ///< of the same without a base
};

/// Takes some microseconds.
PatchEstimate EstimatePatch(const Sketch& variant, const Sketch& base);

}  // namespace flyweight
