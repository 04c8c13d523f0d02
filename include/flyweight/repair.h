#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "flyweight/pipeline.h"
#include "flyweight/result.h"

namespace flyweight {

/// A range of bytes of an archive.
struct ArchiveRange {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

/// What a repair found and did. Filled in as far as things went, also where it fails.
struct RepairReport {
  uint64_t archive_bytes = 0;  ///< of the whole archive; 0 where nobody knows
  bool has_parity = false;     ///< and it was used: the block counts below are then set
  uint64_t block_bytes = 0;
  uint64_t block_count = 0;  ///< blocks of the archive and cells of its parity area
  uint64_t damaged_blocks = 0;
  uint64_t blocks_from_parity = 0;
  uint64_t blocks_from_other = 0;
  uint64_t extra_bytes = 0;          ///< behind the end of the archive, dropped
  std::vector<std::string> repairs;  ///< what else was put right, in words: "header"
  std::vector<ArchiveRange> lost;    ///< where nothing could be done, in ascending order
  bool lacks_base = false;  ///< it is a patch whose base was not given, so that the checksums of what is stored were
                            ///< checked and not what it gives

  bool found_damage() const { return damaged_blocks != 0 || extra_bytes != 0 || !repairs.empty() || !lost.empty(); }
};

struct RepairOptions {
  size_t thread_count = 0;              ///< 0 = all CPUs
  bool overwrite = false;               ///< of a target that is another file than the source
  std::string other;                    ///< path of a second copy, which may be damaged elsewhere; empty = none
  std::vector<std::string> bases = {};  ///< what a patch stands on, to check what it gives; not needed to repair it
  ProgressCallback progress;
};

/// Makes a damaged archive whole: from its parity (`compress --recovery`) where it has some, else from what it has
/// twice or what can be computed, and from a second copy. The result is byte-identical to the archive that was written.
/// `target` may be `source`: then the damaged file is replaced, and only after its successor was read back from the
/// disk and verified as VerifyFile does. A patch needs no base for that. Where nothing is damaged the source stays as
/// it is; another target gets a copy. Guarantee: nothing is written under `target` unless the result is whole; the
/// second copy is never touched. Errors: kCorrupt and kChecksumMismatch where it cannot be whole (`report.lost` says
/// which bytes), kExists, kIo, kInvalidArgument, kSourceChanged.
Status RepairFile(const std::string& source, const std::string& target, const RepairOptions& options,
                  RepairReport& report);

}  // namespace flyweight
