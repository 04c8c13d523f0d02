#include <algorithm>
#include <unordered_map>
#include <utility>

#include "container/gguf_header.h"
#include "strip/flat_names.h"
#include "strip/formats.h"

namespace flyweight {
namespace {

constexpr uint64_t kCountOffset = 8;

/// Integers in the byte order and the widths of the file.
class GgufNumbers {
 public:
  explicit GgufNumbers(const GgufHeader& header) : header_(header) {}

  /// Of a count, a length or a dimension.
  size_t LengthBytes() const { return header_.version > 1 ? 8 : 4; }

  std::vector<std::byte> Number(uint64_t value, size_t size_bytes) const {
    std::vector<std::byte> bytes(size_bytes);
    for (size_t i = 0; i < size_bytes; i++) {
      bytes[header_.big_endian ? size_bytes - 1 - i : i] = static_cast<std::byte>(value >> (8 * i));
    }
    return bytes;
  }

  /// Of a tensor's row in the table.
  uint64_t RowBytes(const GgufTensor& tensor) const {
    return LengthBytes() + tensor.name.size() + 4 + tensor.shape.size() * LengthBytes() + 4 + 8;
  }

 private:
  const GgufHeader& header_;
};

/// A tensor of the table, in the order of the table.
struct Row {
  uint64_t row_offset = 0;
  uint64_t row_bytes = 0;
  uint64_t data_offset = 0;  ///< in the file
  uint64_t region_end = 0;   ///< where the next tensor starts: padding belongs to the tensor before it
  uint64_t size_bytes = 0;
  uint64_t new_offset = 0;  ///< from the start of the new file's data
  bool goes = false;
};

/// Sizes of annotated tensors by where they lie and what they are called.
std::unordered_map<std::string_view, const Extent*> IndexTensors(const FileMap& map) {
  std::unordered_map<std::string_view, const Extent*> by_name;
  for (const Extent& extent : map.extents) {
    if (extent.is_tensor) by_name.emplace(extent.name, &extent);
  }
  return by_name;
}

Result<std::vector<Row>> ListRows(const GgufHeader& header, const FileMap& map, const std::vector<bool>& goes) {
  const auto by_name = IndexTensors(map);
  const GgufNumbers numbers(header);
  std::vector<Row> rows;
  uint64_t at = header.table_offset;
  for (size_t i = 0; i < header.tensors.size(); i++) {
    const GgufTensor& tensor = header.tensors[i];
    auto found = by_name.find(tensor.name);
    // An annotated tensor lies in the file, is of a known size and overlaps no other.
    if (found == by_name.end() || found->second->offset - header.data_offset != tensor.offset_bytes)
      return CannotStrip("the place of its tensor '" + tensor.name + "' is not certain");
    if (tensor.offset_bytes % header.alignment != 0)
      return CannotStrip("its tensor '" + tensor.name + "' is not aligned");
    rows.push_back({.row_offset = at,
                    .row_bytes = numbers.RowBytes(tensor),
                    .data_offset = found->second->offset,
                    .size_bytes = found->second->size_bytes,
                    .goes = goes[i]});
    at += rows.back().row_bytes;
  }
  if (at != header.table_end_offset) return CannotStrip("its table of tensors is malformed");
  return rows;
}

std::vector<Row*> ByPlace(std::vector<Row>& rows) {
  std::vector<Row*> by_place;
  for (Row& row : rows) by_place.push_back(&row);
  std::ranges::sort(by_place, {}, [](const Row* row) { return std::pair(row->data_offset, row->size_bytes); });
  return by_place;
}

/// Gives each tensor the bytes up to the next, and each that stays its new offset.
Status PlaceRows(const GgufHeader& header, uint64_t file_bytes, const std::vector<Row*>& by_place) {
  if (by_place.front()->data_offset != header.data_offset)
    return CannotStrip("bytes that belong to no tensor lie before its first tensor");
  uint64_t new_offset = 0;
  for (size_t i = 0; i < by_place.size(); i++) {
    Row& row = *by_place[i];
    row.region_end = i + 1 < by_place.size() ? by_place[i + 1]->data_offset : file_bytes;
    if (row.region_end - row.data_offset - row.size_bytes >= header.alignment)
      return CannotStrip("bytes that belong to no tensor lie between its tensors or behind them");
    row.new_offset = new_offset;
    if (!row.goes) new_offset += row.region_end - row.data_offset;
  }
  return Status::Ok();
}

void KeepTable(const GgufHeader& header, const std::vector<Row>& rows, EditList& edits) {
  const GgufNumbers numbers(header);
  const auto kept_count = static_cast<uint64_t>(std::ranges::count(rows, false, &Row::goes));
  edits.Keep(0, kCountOffset);
  edits.Insert(numbers.Number(kept_count, numbers.LengthBytes()));
  const uint64_t values_offset = kCountOffset + numbers.LengthBytes();
  edits.Keep(values_offset, header.table_offset - values_offset);
  for (const Row& row : rows) {
    if (row.goes) continue;
    edits.Keep(row.row_offset, row.row_bytes - sizeof(uint64_t));
    edits.Insert(numbers.Number(row.new_offset, sizeof(uint64_t)));
  }
  edits.Insert(std::vector<std::byte>((header.alignment - edits.size() % header.alignment) % header.alignment));
}

}  // namespace

Result<std::optional<StripPlan>> StripGguf(const ByteSource& source, const FileMap& map, const StripRequest& request) {
  FLYWEIGHT_ASSIGN(std::optional<GgufHeader> header, ReadGgufHeader(source));
  if (!header.has_value()) return std::optional<StripPlan>();
  std::vector<std::string_view> names;
  for (const GgufTensor& tensor : header->tensors) names.push_back(tensor.name);
  const std::vector<bool> goes = ChooseFlatNames(names, request);
  if (std::ranges::count(goes, true) == 0) return std::optional<StripPlan>();

  FLYWEIGHT_ASSIGN(std::vector<Row> rows, ListRows(*header, map, goes));
  const std::vector<Row*> by_place = ByPlace(rows);
  FLYWEIGHT_TRY(PlaceRows(*header, source.size(), by_place));
  StripPlan plan;
  KeepTable(*header, rows, plan.edits);
  for (const Row* row : by_place) {
    if (!row->goes) plan.edits.Keep(row->data_offset, row->region_end - row->data_offset);
  }
  for (size_t i = 0; i < rows.size(); i++) {
    if (rows[i].goes) plan.removed.push_back({header->tensors[i].name, rows[i].size_bytes});
  }
  return std::optional<StripPlan>(std::move(plan));
}

}  // namespace flyweight
