#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "archive/reader.h"
#include "base/hash.h"
#include "lossy/error_sums.h"
#include "lossy/lossy_report.h"

namespace flyweight {

/// Keeps what an archive has to say about its lossy tensors while it is made: their errors, and the SHA-256 of the
/// files as they were. HashSource and AddChunk may run beside each other, each sees its chunks in order.
class LossyLedger {
 public:
  /// Takes the next chunk of a file as it was read.
  void HashSource(size_t file, ByteSpan source, bool is_last_of_file);

  /// Takes what a chunk of a lossy tensor lost. Errors: kSourceChanged where it lost what was found before that it
  /// could hold. `squared_change`: of a lossy patch, what changed against the base.
  Status AddChunk(size_t file, uint32_t extent, const LossyChoice& choice, const ErrorSums& errors,
                  double squared_change, bool is_last);

  /// Gives the files that have lossy tensors their attributes.
  void WriteAttributes(ArchiveIndex& index) const;

 private:
  Sha256Stream sha256_;
  std::vector<Digest> digests_;  ///< by file
  ErrorSums errors_;             ///< of the tensor whose chunks come by
  double squared_change_ = 0;    ///< of the same
  std::map<size_t, std::vector<LossyRow>> rows_;
};

}  // namespace flyweight
