#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "base/file.h"
#include "flyweight/patch_buffer.h"

namespace flyweight {

/// A patch whose index was read.
struct OpenedPatch {
  explicit OpenedPatch(ByteSpan patch_bytes) : bytes(patch_bytes), source(patch_bytes) {}

  ByteSpan bytes;
  MemorySource source;
  std::optional<ArchiveReader> reader;
  std::vector<const IndexExtent*> extents;  ///< those that hold the bytes of each tensor, in the reader
  std::vector<PatchedTensor> tensors;
  std::string name;
  std::string base_name;
};

struct TensorPatch::Impl : OpenedPatch {
  using OpenedPatch::OpenedPatch;
};

/// A record of a patch, ready to decode.
struct PatchRecordView {
  OpenRecord record;
  ByteSpan patch;  ///< the whole archive

  ByteSpan Frame(uint64_t chunk) const {
    auto index = static_cast<size_t>(chunk);
    return patch.subspan(static_cast<size_t>(record.frame_offsets[index]), record.table[index].frame_bytes);
  }
  /// How far memory behind the beginning of a frame may be read.
  size_t ReadableBytes(uint64_t chunk) const {
    return patch.size() - static_cast<size_t>(record.frame_offsets[static_cast<size_t>(chunk)]);
  }
};

/// Opens the record of an extent. Errors: those of ArchiveReader::OpenRecordOf; kCorrupt where it is a patch and its
/// extent is not, or the other way round, or says another base than the index.
Result<PatchRecordView> OpenPatchRecord(const OpenedPatch& patch, size_t tensor);

}  // namespace flyweight
