#include "container/safetensors.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "container/safetensors_header.h"

namespace flyweight {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr size_t kMaxNameBytes = 65535;

/// The dtype of exactly this spelling; aliases belong to other containers.
DType SafetensorsDType(std::string_view name) {
  std::optional<DType> dtype = FindDType(name);
  return dtype.has_value() && Describe(*dtype).name == name ? *dtype : DType::kOpaque;
}

void SortByPlace(std::vector<SafetensorsEntry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin_bytes, a.end_bytes, a.name) < std::tie(b.begin_bytes, b.end_bytes, b.name);
  });
}

/// Precondition: sorted.
bool Overlap(const std::vector<SafetensorsEntry>& entries) {
  for (size_t i = 1; i < entries.size(); i++) {
    if (entries[i].begin_bytes < entries[i - 1].end_bytes) return true;
  }
  return false;
}

/// Extents front to back; what lies between two tensors becomes raw.
class ExtentList {
 public:
  void RawUntil(uint64_t offset) {
    if (offset == end_offset_) return;
    extents_.push_back({.offset = end_offset_, .size_bytes = offset - end_offset_, .name = {}, .shape = {}});
    end_offset_ = offset;
  }

  void Tensor(uint64_t size_bytes, SafetensorsEntry& entry, DType dtype) {
    extents_.push_back({.offset = end_offset_,
                        .size_bytes = size_bytes,
                        .is_tensor = true,
                        .name = std::move(entry.name),
                        .dtype = dtype,
                        .shape = std::move(entry.shape)});
    end_offset_ += size_bytes;
  }

  void Reserve(size_t count) { extents_.reserve(count); }
  std::vector<Extent> Release() { return std::move(extents_); }

 private:
  std::vector<Extent> extents_;
  uint64_t end_offset_ = 0;
};

/// Preconditions: sorted, no overlap, data_offset <= file_bytes.
std::vector<Extent> MakeExtents(std::vector<SafetensorsEntry>& entries, uint64_t data_offset, uint64_t file_bytes) {
  ExtentList list;
  list.Reserve(entries.size() + 2);
  list.RawUntil(data_offset);
  for (SafetensorsEntry& entry : entries) {
    if (entry.end_bytes > file_bytes - data_offset) break;
    if (entry.rank > kSafetensorsMaxRank || entry.name.size() > kMaxNameBytes) continue;
    uint64_t size_bytes = entry.end_bytes - entry.begin_bytes;
    DType dtype = SafetensorsDType(entry.dtype);
    if (dtype != DType::kOpaque && TensorBytes(dtype, entry.shape) != size_bytes) continue;
    list.RawUntil(data_offset + entry.begin_bytes);
    list.Tensor(size_bytes, entry, dtype);
  }
  list.RawUntil(file_bytes);
  return list.Release();
}

Result<std::optional<std::vector<SafetensorsEntry>>> ReadHeader(const ByteSource& source, uint64_t header_bytes) {
  if (!source.InMemory().empty()) {
    return ParseSafetensorsHeader(
        source.InMemory().subspan(static_cast<size_t>(kLengthBytes), static_cast<size_t>(header_bytes)));
  }
  std::vector<std::byte> json(static_cast<size_t>(header_bytes));
  FLYWEIGHT_TRY(source.ReadAt(kLengthBytes, json));
  return ParseSafetensorsHeader(json);
}

/// Cheap refusal of files of other kinds, before up to 16 MiB are read: a length that fits, then white space and a
/// brace.
bool LooksLikeSafetensors(ByteSpan first_bytes, uint64_t header_bytes, uint64_t file_bytes) {
  if (header_bytes < 2 || header_bytes > kSafetensorsMaxHeaderBytes || header_bytes > file_bytes - kLengthBytes)
    return false;
  std::string_view text = AsText(first_bytes.subspan(static_cast<size_t>(kLengthBytes)));
  size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos || text[first] == '{';
}

}  // namespace

Result<std::optional<FileMap>> AnnotateSafetensors(const ByteSource& source, ByteSpan first_bytes) {
  if (first_bytes.size() < kLengthBytes) return std::optional<FileMap>();
  uint64_t header_bytes = LoadLe<uint64_t>(first_bytes.data());
  if (!LooksLikeSafetensors(first_bytes, header_bytes, source.size())) return std::optional<FileMap>();

  FLYWEIGHT_ASSIGN(std::optional<std::vector<SafetensorsEntry>> entries, ReadHeader(source, header_bytes));
  if (!entries.has_value()) return std::optional<FileMap>();
  SortByPlace(*entries);
  if (Overlap(*entries)) return std::optional<FileMap>();

  FileMap map{ContainerFormat::kSafetensors, MakeExtents(*entries, kLengthBytes + header_bytes, source.size())};
  return std::optional<FileMap>(std::move(map));
}

}  // namespace flyweight
