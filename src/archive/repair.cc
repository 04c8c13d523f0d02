#include "archive/repair.h"

#include <algorithm>

#include "archive/header.h"
#include "archive/parity_wire.h"
#include "archive/repair_parts.h"
#include "archive/wire.h"
#include "base/aligned_buffer.h"

namespace flyweight {
namespace {

constexpr uint64_t kScanWindowBytes = uint64_t{1} << 20;
constexpr uint64_t kSectorBytes = 4096;

/// False where the header, or its copy at the end of the file, holds and says that there is no parity.
bool MayHaveParity(const ByteSource& source) {
  HeaderBytes header;
  bool known = false;
  for (uint64_t from_end : {source.size(), uint64_t{wire::kFooterBytes}}) {
    if (source.size() < from_end || !ReadIfThere(source, source.size() - from_end, header)) continue;
    if (!HeaderHashHolds(header)) continue;
    auto parsed = ParseHeader(header);
    if (!parsed.ok()) continue;
    if ((parsed.value().optional_features & wire::kOptionalParity) != 0) return true;
    known = true;
  }
  return !known;
}

std::optional<InfoHead> InfoCellAt(const ByteSource& source, uint64_t offset, ByteSpan window_rest) {
  if (window_rest.size() < kInfoHeadBytes) return std::nullopt;
  auto cell_bytes = static_cast<size_t>(PeekInfoCellBytes(window_rest));
  if (cell_bytes == 0 || offset % cell_bytes != 0) return std::nullopt;
  std::vector<std::byte> cell(cell_bytes);
  if (!ReadIfThere(source, offset, cell)) return std::nullopt;
  auto head = ParseInfoCell(cell, offset);
  if (!head.ok()) return std::nullopt;
  return head.value();
}

/// Reads a window, with zeros for the sectors that cannot be read.
void ReadWindow(const ByteSource& source, uint64_t offset, MutableByteSpan window) {
  if (ReadIfThere(source, offset, window)) return;
  for (size_t at = 0; at < window.size(); at += kSectorBytes) {
    MutableByteSpan sector = window.subspan(at, std::min<size_t>(kSectorBytes, window.size() - at));
    if (!ReadIfThere(source, offset + at, sector)) std::fill(sector.begin(), sector.end(), std::byte{0});
  }
}

}  // namespace

bool ReadIfThere(const ByteSource& source, uint64_t offset, MutableByteSpan target) {
  if (offset > source.size() || target.size() > source.size() - offset) return false;
  return source.ReadAt(offset, target).ok();
}

void AddRange(std::vector<ArchiveRange>& ranges, uint64_t offset, uint64_t size_bytes) {
  if (!ranges.empty() && ranges.back().offset + ranges.back().size_bytes == offset) {
    ranges.back().size_bytes += size_bytes;
  } else {
    ranges.push_back({offset, size_bytes});
  }
}

// Cells start at multiples of their size, and the area is near the end.
std::optional<InfoHead> FindInfoCell(const ByteSource& source) {
  if (!MayHaveParity(source)) return std::nullopt;
  AlignedBuffer window(kScanWindowBytes);
  for (uint64_t end = source.size(); end > 0;) {
    uint64_t begin = (end - 1) / kScanWindowBytes * kScanWindowBytes;
    MutableByteSpan bytes(window.data(), static_cast<size_t>(end - begin));
    ReadWindow(source, begin, bytes);
    for (size_t at = (bytes.size() - 1) / kParityBlockMinBytes * kParityBlockMinBytes;; at -= kParityBlockMinBytes) {
      auto head = InfoCellAt(source, begin + at, ByteSpan(bytes).subspan(at));
      if (head.has_value()) return head;
      if (at == 0) break;
    }
    end = begin;
  }
  return std::nullopt;
}

Result<std::unique_ptr<ByteSource>> RepairArchive(const ByteSource& damaged, const ArchiveRepairOptions& options,
                                                  RepairReport& report) {
  report = {};
  if (options.pool == nullptr) return Error{ErrorCode::kInvalidArgument, 0, "repair needs a thread pool"};
  std::optional<InfoHead> head = FindInfoCell(damaged);
  bool own_head = head.has_value();
  if (!own_head && options.other != nullptr) head = FindInfoCell(*options.other);
  if (head.has_value()) {
    FLYWEIGHT_ASSIGN(auto archive, RepairByParity(*head, own_head, damaged, options, report));
    if (archive != nullptr) return archive;
  }
  report = {};
  return RepairByStructure(damaged, options, report);
}

}  // namespace flyweight
