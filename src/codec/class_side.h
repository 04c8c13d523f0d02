#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/file.h"
#include "codec/plane_coder.h"
#include "codec/record.h"
#include "entropy/context_rans/context_coder.h"
#include "transform/class_fields/class_fields.h"

namespace flyweight {

/// Side information of a record whose words are coded in classes (docs/format.md section 3.8). Chunks of other records
/// use one that has neither classes nor tables.
struct ClassSide {
  ClassLayout layout = ClassLayout::kBF16;
  bool by_rows = false;
  bool by_columns = false;
  unsigned context_bits = 0;
  uint8_t base = 0;
  uint64_t column_count = 0;
  std::vector<int8_t> column_classes;
  std::optional<FrequencyTables> tables;
  std::shared_ptr<const ContextDecoder> decoder;
  std::shared_ptr<const ContextEncoder> encoder;  ///< encoder only
  float row_reference = 0;                        ///< encoder only: what row means are compared with

  /// What ClassOf measures in: 8-bit floats have contexts of half an octave, whatever their number.
  unsigned scale_bits() const { return layout == ClassLayout::kF8 ? 1 : context_bits; }
  size_t context_count() const { return size_t{1} << context_bits; }
  bool shifts() const { return layout != ClassLayout::kF8; }
};

/// Whether coding a tensor in classes is worth it, and how, judged from a sample. Nothing where it is not: always
/// worth it from Level::kHigh on and for floats of 8 bits, below that where a part of the words is zero or where no
/// sign changes. Errors: those of reading.
Result<std::optional<ClassSide>> PlanClassSide(const ByteSource& source, uint64_t offset, uint64_t size_bytes,
                                               DType dtype, const Shape& shape, Level level, CodecScratch& scratch);

/// What chunks of records without classes have.
inline ClassSide PlainClassSide(ClassLayout layout) {
  ClassSide side;
  side.layout = layout;
  return side;
}

void WriteClassSide(const ClassSide& side, PlaneScratch& planes, ByteWriter& writer);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Result<ClassSide> ReadClassSide(ReadCursor& cursor);

/// Classes as a coded plane of bytes, biased by kClassLimit.
void WriteClasses(std::span<const int8_t> classes, PlaneScratch& planes, ByteWriter& writer);
Status ReadClasses(ReadCursor& cursor, PlaneScratch& planes, std::span<int8_t> classes);

}  // namespace flyweight
