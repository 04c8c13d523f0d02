#pragma once

#include <vector>

#include "base/aligned_buffer.h"
#include "codec/dense_runs.h"
#include "codec/plane_coder.h"
#include "codec/record.h"
#include "transform/palette/value_table.h"
#include "transform/scaled_integers/scale_fit.h"

namespace flyweight {

struct CodecScratch::Impl {
  PlaneScratch planes;
  AlignedBuffer heads;
  AlignedBuffer low;
  AlignedBuffer shifts;
  AlignedBuffer symbols;
  AlignedBuffer streams;
  AlignedBuffer patched;
  AlignedBuffer trial;   ///< a second encoding of a chunk, to compare
  AlignedBuffer padded;  ///< a frame that came without readable bytes behind it
  AlignedBuffer sample;
  AlignedBuffer differences;
  AlignedBuffer signs;      ///< packed
  AlignedBuffer classes;    ///< the arrays of a chunk that is coded in classes
  AlignedBuffer mixing;     ///< what a chunk of the mixed codec learns
  AlignedBuffer quantised;  ///< a lossy chunk as it is stored: halves, or codes, scales and minima
  AlignedBuffer predicted;  ///< what a base chunk lets expect of a patched one
  AlignedBuffer patch;      ///< the arrays of a chunk of a patch
  AlignedBuffer restored;   ///< a lossy chunk as it will be decoded, where the caller has no use for it
  std::vector<int8_t> row_shifts;
  std::vector<float> column_sums;
  std::vector<float> row_means;
  DistinctMeter distinct;
  ValueTable values;                         ///< distinct elements of a chunk or of a group of it
  std::vector<CountedMagnitude> magnitudes;  ///< the same without their signs, sorted
  std::vector<uint32_t> patched_elements;
  std::vector<DenseRun> dense_runs;  ///< of a chunk of a patch
  std::vector<uint8_t> activities;   ///< of the rows it touches
  std::vector<std::byte> escaped;    ///< its words that no class holds
};

}  // namespace flyweight
