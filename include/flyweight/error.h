#pragma once

#include <cstdint>
#include <string>

namespace flyweight {

/// What went wrong, from the caller's point of view. Numbers are frozen once released.
enum class ErrorCode : int {
  kInvalidArgument = 10,     ///< the caller asked for something that makes no sense
  kTruncated = 20,           ///< the bytes end before the format says they may
  kCorrupt = 21,             ///< the bytes contradict the format
  kChecksumMismatch = 22,    ///< the bytes parse, but are not the bytes that were written
  kUnsupportedVersion = 30,  ///< written by a newer format version
  kUnsupportedFeature = 31,  ///< needs a feature this build does not have
  kLimitExceeded = 40,       ///< a declared size is over a safety limit
  kBaseMismatch = 50,        ///< a patch was given another base than it was made from
  kWrongBase = kBaseMismatch,
  kAlreadyApplied = 51,  ///< a patch was given what it makes, as if it were what it was made from
  kIo = 60,              ///< the operating system refused a read or a write
  kExists = 61,          ///< the target exists and overwriting was not asked for
  kSourceChanged = 62,   ///< the source changed while it was being read
  kOutOfMemory = 70,
  kInternal = 90,  ///< a bug in flyweight
};

/// A failure: its kind, the byte offset it was noticed at (0 where none applies) and one sentence that a user can act
/// on.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  uint64_t offset = 0;
  std::string message;
};

}  // namespace flyweight
