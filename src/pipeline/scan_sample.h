#pragma once

#include <cstdint>
#include <vector>

#include "archive/reader.h"
#include "pipeline/extent_items.h"

namespace flyweight {

/// Some chunks of an extent, in order.
struct ExtentSample {
  uint64_t number = 0;  ///< of the extent, over all files
  std::vector<uint64_t> chunks;
  std::vector<bool> is_for_max;  ///< one a chunk: it is tried at Level::kMax too
};

/// What is looked at of many extents, and which of them stand for each other: tensors of one dtype, shape and kind of
/// name, and other bytes of files with one suffix.
struct ScanSample {
  std::vector<size_t> groups;  ///< one an extent
  size_t group_count = 0;
  std::vector<ExtentSample> extents;  ///< ascending
};

/// The text with each run of digits replaced by one '*', so that "layers.3.q" and "layers.12.q" become the same.
std::string WithoutNumbers(std::string_view text);

/// Chooses about `sample_bytes` of the extents that get a record: each group its share, spread evenly over all of its
/// chunks and at least one of them, and of those about `max_sample_bytes` for Level::kMax.
ScanSample ChooseScanSample(const ArchiveIndex& index, const std::vector<ExtentItem>& places, uint64_t sample_bytes,
                            uint64_t max_sample_bytes);

}  // namespace flyweight
