#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "container/pickle_scan.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// A tensor whose elements lie in a storage in a row.
struct TorchTensor {
  std::string name;
  Shape shape;
  uint64_t size_bytes = 0;
};

/// A storage that a pickle of PyTorch refers to, and the tensors that it is annotated as, front to back. Names and
/// sizes are the pickle's own claims, but the tensors have the bytes of their shapes and fill the storage.
struct TorchStorage {
  std::string_view key;     ///< names the storage's data; lives as long as the pickle
  uint64_t size_bytes = 0;  ///< declared
  DType dtype = DType::kOpaque;
  std::vector<TorchTensor> tensors;  ///< at least one
};

/// Finds the storages of all tensors below the root of the pickle. A storage is annotated as the first tensor that
/// covers it wholly, its elements in a row (of tied tensors: the first). Where none does but several tensors fill it
/// one behind the other, as the weights of an LSTM do, it is these. Else, as with transposed tensors and other views,
/// it is one tensor with the name "storage.KEY" and one dimension.
///
/// A tensor's name is the path to it: keys of dicts, members of an object's state and positions in lists, joined by
/// dots, as in "model.encoder.weight" and "optimizer.state.0.exp_avg". Not part of a path are the state of an object
/// itself, its `_parameters`, `_buffers` and `_modules`, and wrappers such as torch.nn.Parameter. A key that is neither
/// text nor an integer is replaced by its position. `name_prefix` stands before every name. A tensor
/// that is the root itself is called "storage.KEY". Names have at most 65535 bytes.
///
/// Storages whose type is unknown, or contradictory, are opaque; those of impossible size are left out. Bounded: each
/// container is entered once, to a depth of 500; all names together take at most 16 MiB.
std::vector<TorchStorage> FindTorchStorages(const PickleTree& tree, std::string_view name_prefix);

}  // namespace flyweight
