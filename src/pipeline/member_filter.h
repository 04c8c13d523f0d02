#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/reader.h"
#include "pipeline/extent_items.h"

namespace flyweight {

/// True where `pattern` matches all of `text`: '*' stands for any bytes, '?' for one, all others for themselves.
bool MatchesPattern(std::string_view pattern, std::string_view text);

/// Which entries of an archive are wanted. With a directory come all that it holds; with any entry the directories it
/// is in; with a hard link the file it links to.
class MemberFilter {
 public:
  /// No members select all. Errors: kInvalidArgument, naming a member that matches nothing.
  static Result<MemberFilter> Make(const ArchiveIndex& index, const std::vector<std::string>& members);

  bool IsSelected(size_t file) const { return selected_[file]; }
  /// Selected files that follow each other, in order.
  std::vector<FileRange> Ranges() const;
  /// Decoded bytes of all that is selected.
  uint64_t file_bytes() const { return file_bytes_; }
  /// The regular file that a single member names outright, if it does.
  std::optional<size_t> NamedFile() const { return named_file_; }
  /// The one selected regular file. Errors: kInvalidArgument where there are several or none.
  Result<size_t> SingleFile() const;

 private:
  explicit MemberFilter(const ArchiveIndex& index) : index_(&index), selected_(index.files.size(), false) {}
  bool Select(const std::string& member);
  void SelectRelated();
  const ArchiveIndex* index_;
  std::vector<bool> selected_;
  std::optional<size_t> named_file_;
  uint64_t file_bytes_ = 0;
};

}  // namespace flyweight
