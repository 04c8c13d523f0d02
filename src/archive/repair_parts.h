#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "archive/parity_info.h"
#include "archive/pieced_source.h"
#include "archive/repair.h"

// What the files of repair share.

namespace flyweight {

/// An archive in pieces, and what they need to live.
class RepairedArchive final : public ByteSource {
 public:
  PiecedSource& pieces() { return pieces_; }
  /// Keeps a source alive and returns it.
  const ByteSource& Keep(std::unique_ptr<ByteSource> source) { return *owned_.emplace_back(std::move(source)); }
  const ByteSource& Keep(std::vector<std::byte> bytes) {
    return Keep(std::make_unique<MemorySource>(memory_.emplace_back(std::move(bytes))));
  }

  uint64_t size() const override { return pieces_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override { return pieces_.ReadAt(offset, target); }

 private:
  PiecedSource pieces_;
  std::vector<std::unique_ptr<ByteSource>> owned_;
  std::deque<std::vector<std::byte>> memory_;  // whose elements do not move
};

/// True where the range lies in the source and can be read: what cannot is damage.
bool ReadIfThere(const ByteSource& source, uint64_t offset, MutableByteSpan target);

/// Adds a range, joined with the last one where they touch.
void AddRange(std::vector<ArchiveRange>& ranges, uint64_t offset, uint64_t size_bytes);

/// The last info cell of the source that holds, if there is one.
std::optional<InfoHead> FindInfoCell(const ByteSource& source);

/// Repair by parity. `head` is what FindInfoCell found, in the damaged source if `own_head`, else in the other.
/// Null where too little of the table of checksums is left.
Result<std::unique_ptr<ByteSource>> RepairByParity(const InfoHead& head, bool own_head, const ByteSource& damaged,
                                                   const ArchiveRepairOptions& options, RepairReport& report);

/// Repair by what there is twice.
Result<std::unique_ptr<ByteSource>> RepairByStructure(const ByteSource& damaged, const ArchiveRepairOptions& options,
                                                      RepairReport& report);

}  // namespace flyweight
