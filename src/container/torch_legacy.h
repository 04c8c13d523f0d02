#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/file.h"
#include "container/pickle_scan.h"
#include "flyweight/result.h"
#include "tensor/file_map.h"

namespace flyweight {

/// The five pickles that such a file starts with, one behind the other, and where the data starts that follows them.
struct TorchLegacyHead {
  struct Pickle {
    std::vector<std::byte> bytes;  ///< holds what `tree` points into
    PickleTree tree;
  };
  std::array<Pickle, 5> pickles;
  uint64_t data_offset = 0;

  const PickleTree& system() const { return pickles[2].tree; }
  const PickleTree& object() const { return pickles[3].tree; }
  const PickleTree& keys() const { return pickles[4].tree; }
};

/// Reads the five pickles; nothing where they are not there beyond doubt. Errors: those of reading.
Result<std::optional<TorchLegacyHead>> ReadTorchLegacyHead(const ByteSource& source);

/// Whether the count that stands before a storage's data is that of its declared bytes. It counts elements; what size
/// they have is known only from the storage's class, so it must divide the bytes into elements of 1 to 16 bytes.
bool TorchLegacyCountFits(uint64_t count, uint64_t size_bytes);

/// Annotates what torch.save wrote before version 1.6 (and writes with _use_new_zipfile_serialization=False): pickles
/// of a magic number, a protocol version, facts about the system, the object and the storages' keys; then for each key
/// `i64 element_count | data`. Pickles and counts are raw, each storage a tensor as FindTorchStorages has it; opaque
/// where the file is big-endian. From the first storage on that is unknown or has another count, all is raw. Gives
/// nothing where the five pickles are not there beyond doubt. Errors: those of reading.
Result<std::optional<FileMap>> AnnotateTorchLegacy(const ByteSource& source, ByteSpan first_bytes);

}  // namespace flyweight
