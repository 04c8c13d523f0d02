#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "container/zip_records.h"
#include "strip/edit_list.h"

namespace flyweight {

/// A member of a zip file that is rewritten, compressed ones included.
struct ZipEditMember {
  ZipCentralEntry entry;
  ByteSpan row;             ///< of the central directory
  uint64_t end_offset = 0;  ///< where the next member, or the directory, starts
  bool goes = false;
  std::optional<std::vector<std::byte>> new_content;  ///< takes the place of a stored member's
};

/// Rewrites a zip file: members go or get other content, all others keep their local headers and bytes. Padding of
/// PyTorch ("FB" extra fields) is adjusted so that content stays as aligned as it was. The central directory, its
/// comment, zip64 records included, is rewritten.
class ZipEdit {
 public:
  /// Precondition: ReadZipDirectory took the file. Errors: kUnsupportedFeature, those of reading.
  static Result<ZipEdit> Open(const ByteSource& source);

  std::vector<ZipEditMember>& members() { return members_; }
  /// Errors: kUnsupportedFeature, those of reading.
  Result<EditList> Finish();

 private:
  explicit ZipEdit(const ByteSource& source) : source_(source) {}

  struct LocalHeader {
    std::vector<std::byte> bytes;      ///< name and extra fields included
    std::optional<size_t> pad_offset;  ///< of the "FB" field in `bytes`
    size_t pad_bytes = 0;              ///< of its body
    size_t name_bytes = 0;
  };
  Result<LocalHeader> ReadLocal(const ZipEditMember& member) const;
  Status FindAlignment();
  Status AppendMember(const ZipEditMember& member);
  Status Pad(LocalHeader& local) const;
  Status AppendRow(const ZipEditMember& member, uint64_t new_offset, const std::vector<std::byte>* content);
  Status AppendEnd();
  Status CheckResult() const;

  const ByteSource& source_;
  ZipEnd end_;
  std::vector<std::byte> central_;
  std::vector<ZipEditMember> members_;
  uint64_t alignment_ = 1;  ///< of padded members
  EditList edits_;
  std::vector<std::byte> new_central_;
  uint64_t kept_count_ = 0;
};

}  // namespace flyweight
