#include "strip/strip_report.h"

#include <algorithm>
#include <utility>

namespace flyweight {
namespace {

constexpr size_t kNameMaxBytes = 65535;
constexpr uint64_t kRowMinBytes = sizeof(uint16_t) + sizeof(uint64_t);

}  // namespace

std::vector<std::byte> WriteRemovedTensors(const std::vector<RemovedTensor>& removed) {
  ByteWriter writer;
  writer.Write(static_cast<uint32_t>(removed.size()));
  for (const RemovedTensor& tensor : removed) {
    const std::string_view name = std::string_view(tensor.name).substr(0, kNameMaxBytes);
    writer.Write(static_cast<uint16_t>(name.size()));
    writer.Append(AsBytes(name));
    writer.Write(tensor.size_bytes);
  }
  return writer.Release();
}

Result<std::vector<RemovedTensor>> ParseRemovedTensors(ByteSpan value) {
  ReadCursor cursor(value);
  FLYWEIGHT_ASSIGN(auto count, cursor.Read<uint32_t>());
  if (count == 0 || count > cursor.remaining() / kRowMinBytes)
    return Error{ErrorCode::kCorrupt, 0, "the list of stripped tensors is empty or cut short"};
  std::vector<RemovedTensor> removed(count);
  for (RemovedTensor& tensor : removed) {
    FLYWEIGHT_ASSIGN(auto name_bytes, cursor.Read<uint16_t>());
    FLYWEIGHT_ASSIGN(ByteSpan name, cursor.Take(name_bytes));
    tensor.name = AsText(name);
    FLYWEIGHT_ASSIGN(tensor.size_bytes, cursor.Read<uint64_t>());
  }
  if (cursor.remaining() != 0) return Error{ErrorCode::kCorrupt, 0, "the list of stripped tensors has bytes to spare"};
  return removed;
}

}  // namespace flyweight
