#include "codec/row_lengths.h"

#include <optional>

#include "base/checked.h"
#include "codec/float_side.h"

namespace flyweight {
namespace {

constexpr uint64_t kMinSide = 8;

}  // namespace

std::vector<uint64_t> RowLengths(const Shape& shape, uint64_t words_per_element, uint64_t word_count,
                                 size_t max_dimensions) {
  std::vector<uint64_t> lengths;
  uint64_t rows = 1;
  for (size_t d = 0; d + 1 < shape.size() && d < max_dimensions; ++d) {
    std::optional<uint64_t> product = CheckedMul(rows, shape[d]);
    if (!product || *product == 0) break;
    rows = *product;
    uint64_t columns = word_count / rows;
    if (rows * columns != word_count || columns % words_per_element != 0) break;
    bool worthwhile = rows >= kMinSide && columns >= kMinSide && columns <= kMaxColumns;
    bool repeated = !lengths.empty() && lengths.back() == columns;
    if (worthwhile && !repeated) lengths.push_back(columns);
  }
  return lengths;
}

}  // namespace flyweight
