#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"

namespace flyweight {

/// Bytes that are written in any order and read back later: in memory where they are few, else in a temporary file
/// without a name. Starts as zeros. Safe from several threads as long as they write different ranges.
class ScratchStore final : public ByteSource {
 public:
  /// What is kept in memory.
  static constexpr uint64_t kMemoryMaxBytes = uint64_t{16} << 20;

  /// `directory` (empty = TMPDIR or /tmp) is where the file goes. Errors: kIo.
  static Result<std::unique_ptr<ScratchStore>> Make(uint64_t size_bytes, const std::string& directory);
  ~ScratchStore() override;
  ScratchStore(const ScratchStore&) = delete;
  ScratchStore& operator=(const ScratchStore&) = delete;

  /// Errors: kTruncated past the end, kIo.
  Status WriteAt(uint64_t offset, ByteSpan bytes);
  uint64_t size() const override { return size_bytes_; }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override;

 private:
  explicit ScratchStore(uint64_t size_bytes) : size_bytes_(size_bytes) {}
  uint64_t size_bytes_;
  std::vector<std::byte> memory_;
  int descriptor_ = -1;
  std::string place_;
};

}  // namespace flyweight
