#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// What an interrupted run left of an archive: its records and their frames as far as their structure holds. Nothing
/// here was compared with a source: a frame may be used again where it decodes to exactly the bytes wanted, and only
/// there. As an archive's bytes depend on its source alone, the result is then what an uninterrupted run writes.
class ArchivePrefix {
 public:
  struct Record {
    uint64_t offset = 0;
    uint32_t head_bytes = 0;
    uint64_t head_xxh3 = 0;    ///< of all bytes of the head
    uint64_t frame_count = 0;  ///< consecutive from the first that lie in the source wholly
    bool complete = false;     ///< all frames are there, and the chunk table, which agrees with their headers
  };

  ArchivePrefix() = default;

  /// Walks from record to record and from frame header to frame header until something does not hold or the source
  /// ends; that is no error, and so is a source that cannot be read. Payloads are skipped: ReadFrame checks them.
  /// `source` must outlive the result. Memory: 4.25 bytes a frame, and a head.
  static ArchivePrefix Scan(const ByteSource& source);

  const std::vector<Record>& records() const { return records_; }

  /// The record that was written as number `record_number`, where it has exactly this head; else nullptr.
  const Record* Match(uint64_t record_number, ByteSpan head_bytes) const;

  struct Frame {
    ByteSpan bytes;  ///< at the start of the caller's buffer
    ChunkEntry entry;
  };
  /// Reads a frame into `buffer` and checks its header and the checksum of its payload. Errors: kInvalidArgument where
  /// the record has no such frame; kCorrupt, kChecksumMismatch and errors of reading where the frame must be made anew;
  /// kLimitExceeded where it does not fit the buffer, which FrameBound always does.
  Result<Frame> ReadFrame(uint64_t record_number, uint64_t chunk, MutableByteSpan buffer) const;

 private:
  class Scanner;
  static constexpr uint64_t kFramesAMark = 32;

  /// Where a record's frames stand in the tables below.
  struct Place {
    uint64_t first_frame = 0;
    uint64_t first_mark = 0;
  };

  uint64_t FrameOffset(const Place& place, uint64_t chunk) const;

  const ByteSource* source_ = nullptr;
  std::vector<Record> records_;
  std::vector<Place> places_;
  std::vector<uint32_t> frame_bytes_;  ///< of all records
  std::vector<uint64_t> marks_;        ///< offset of every kFramesAMark-th frame of each record
};

}  // namespace flyweight
