#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/file.h"

namespace flyweight {

/// What a file becomes: ranges of the original and new bytes, one behind the other. It knows the original by offsets
/// only, so that it outlives an open file.
class EditList {
 public:
  /// Appends [offset, offset + size_bytes) of the original.
  void Keep(uint64_t offset, uint64_t size_bytes);
  /// Appends new bytes.
  void Insert(std::vector<std::byte> bytes);
  void Insert(ByteSpan bytes) { Insert(std::vector<std::byte>(bytes.begin(), bytes.end())); }
  /// Appends ranges of the original, as `kept` has them. Precondition: it has no new bytes.
  void Append(const EditList& kept);
  /// Of the edited file.
  uint64_t size() const { return pieces_.empty() ? 0 : pieces_.back().end; }

  /// Fills `target` from `offset` of the edited file. Errors: kTruncated past its end, those of reading `original`.
  Status ReadAt(const ByteSource& original, uint64_t offset, MutableByteSpan target) const;

 private:
  static constexpr size_t kOriginal = SIZE_MAX;
  struct Piece {
    uint64_t end;         ///< offset in the edited file
    size_t literal;       ///< number of the new bytes, or kOriginal
    uint64_t source_end;  ///< where the piece ends in what it is taken from
  };
  std::vector<Piece> pieces_;
  std::vector<std::vector<std::byte>> literals_;
};

/// An edited file, to be read like any other. The original must outlive it.
class EditedSource final : public ByteSource {
 public:
  EditedSource(const ByteSource& original, std::shared_ptr<const EditList> edits)
      : original_(original), edits_(std::move(edits)) {}
  uint64_t size() const override { return edits_->size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    return edits_->ReadAt(original_, offset, target);
  }

 private:
  const ByteSource& original_;
  std::shared_ptr<const EditList> edits_;
};

}  // namespace flyweight
