#pragma once

#include <memory>
#include <vector>

#include "base/file.h"
#include "codec/record.h"
#include "entropy/head_rans/head_kernels.h"
#include "entropy/head_rans/head_table.h"
#include "entropy/zstd_coder.h"
#include "transform/float_fields/float_fields.h"

namespace flyweight {

/// The longest row that a tensor is re-centred by; a limit of the format, so planner and parser share it.
inline constexpr uint64_t kMaxColumns = uint64_t{1} << 20;

/// Side information of a record with float fields (docs/format.md section 3.5): how exponents are re-centred, and the
/// head table.
struct FloatSide {
  FloatLayout layout = FloatLayout::kBF16;
  bool by_rows = false;
  bool by_columns = false;
  uint64_t column_count = 0;
  std::vector<int8_t> column_shifts;
  HeadTable table;
  std::unique_ptr<const HeadCoder> coder;
  float row_reference = 0;  ///< encoder only: what row means are compared with

  HeadKind head_kind() const { return layout == FloatLayout::kF16 ? HeadKind::k8 : HeadKind::k16; }
  bool shifted() const { return by_rows || by_columns; }
};

/// Chooses the side information from a sample of the words of `source` at [offset, offset + word_count words). `shape`
/// is that of the elements; `words_per_element` is 2 for complex numbers. Deterministic. Errors: those of reading.
Result<FloatSide> PlanFloatSide(const ByteSource& source, uint64_t offset, uint64_t word_count, FloatLayout layout,
                                const Shape& shape, uint64_t words_per_element, Level level, CodecScratch& scratch);

void WriteFloatSide(const FloatSide& side, ZstdCoder& zstd, ByteWriter& writer);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Result<FloatSide> ReadFloatSide(ReadCursor& cursor, ZstdCoder& zstd);

}  // namespace flyweight
