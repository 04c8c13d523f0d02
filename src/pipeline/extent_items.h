#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "archive/reader.h"

namespace flyweight {

/// Some files of an index that follow each other.
struct FileRange {
  size_t first = 0;
  size_t count = 0;
};

/// An extent as an item of an OrderedRun.
struct ExtentItem {
  uint32_t file = 0;    ///< number in the index
  uint32_t extent = 0;  ///< number in the file
  uint64_t offset = 0;  ///< in the file
};

inline FileRange AllFiles(const ArchiveIndex& index) { return {0, index.files.size()}; }

/// All extents of the files, in order.
inline std::vector<ExtentItem> ItemsOf(const ArchiveIndex& index, FileRange range) {
  size_t count = 0;
  for (size_t file = range.first; file < range.first + range.count; ++file) count += index.files[file].extents.size();
  std::vector<ExtentItem> items;
  items.reserve(count);
  for (size_t file = range.first; file < range.first + range.count; ++file) {
    uint64_t offset = 0;
    const std::vector<IndexExtent>& extents = index.files[file].extents;
    for (size_t extent = 0; extent < extents.size(); ++extent) {
      items.push_back({static_cast<uint32_t>(file), static_cast<uint32_t>(extent), offset});
      offset += extents[extent].decoded_bytes;
    }
  }
  return items;
}

/// Decoded bytes of the largest chunk of the files, at least 1.
inline uint64_t LargestChunkBytes(const ArchiveIndex& index, FileRange range) {
  uint64_t largest = 1;
  for (size_t file = range.first; file < range.first + range.count; ++file) {
    for (const IndexExtent& extent : index.files[file].extents) {
      largest = std::max(largest, std::min(extent.decoded_bytes, ChunkBytesFor(extent.dtype)));
    }
  }
  return largest;
}

/// Decoded bytes of the files.
inline uint64_t DecodedBytes(const ArchiveIndex& index, FileRange range) {
  uint64_t total = 0;
  for (size_t file = range.first; file < range.first + range.count; ++file) total += index.files[file].file_bytes;
  return total;
}

}  // namespace flyweight
