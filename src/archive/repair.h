#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/thread_pool.h"
#include "flyweight/repair.h"
#include "flyweight/result.h"

namespace flyweight {

struct ArchiveRepairOptions {
  const ByteSource* other = nullptr;  ///< a second copy, which may be damaged elsewhere
  ThreadPool* pool = nullptr;         ///< must be set
  std::string scratch_directory;      ///< for what is rebuilt and does not fit into memory; empty = TMPDIR or /tmp
};

/// Puts a damaged archive together again: from its parity where it has some, else from what it has twice (header,
/// index) or what can be computed (footer, parity), and from the second copy. The result reads as the whole archive,
/// byte for byte as it was written, through `damaged` and `other`, which must outlive it; nothing is written. Every
/// block was checked where there is parity; else every frame, chunk table and index. Unreadable sectors count as
/// damage. Memory: under 64 MiB and two more a thread, and 9 bytes a block.
/// Errors: kCorrupt and kChecksumMismatch where the result would not be whole (`report.lost` says where), kIo.
Result<std::unique_ptr<ByteSource>> RepairArchive(const ByteSource& damaged, const ArchiveRepairOptions& options,
                                                  RepairReport& report);

/// Checks every block and parity cell against the table of an archive with parity, reading all of it and decoding
/// nothing. `report.damaged_blocks` says how many are bad. Nothing is checked, and has_parity stays false, where the
/// archive has no parity. Errors: kIo; kCorrupt where the table is lost.
Status CheckParity(const ByteSource& archive, ThreadPool& pool, RepairReport& report);

}  // namespace flyweight
