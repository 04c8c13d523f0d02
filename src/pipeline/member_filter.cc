#include "pipeline/member_filter.h"

namespace flyweight {
namespace {

/// "./a/b/" names what "a/b" names.
std::string_view Trimmed(std::string_view member) {
  while (member.starts_with("./")) member.remove_prefix(2);
  while (member.size() > 1 && member.ends_with('/')) member.remove_suffix(1);
  return member;
}

bool IsBelow(std::string_view path, std::string_view directory) {
  return directory.empty() ||
         (path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/');
}

}  // namespace

bool MatchesPattern(std::string_view pattern, std::string_view text) {
  // Greedy with one point to come back to: linear in text for each star.
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Result<MemberFilter> MemberFilter::Make(const ArchiveIndex& index, const std::vector<std::string>& members) {
  MemberFilter filter(index);
  if (members.empty()) filter.selected_.assign(index.files.size(), true);
  for (const std::string& member : members) {
    if (filter.Select(member)) continue;
    return Error{ErrorCode::kInvalidArgument, 0, "it holds no '" + member + "'"};
  }
  filter.SelectRelated();
  if (members.size() != 1) filter.named_file_.reset();
  for (size_t file = 0; file < index.files.size(); ++file) {
    if (filter.selected_[file]) filter.file_bytes_ += index.files[file].file_bytes;
  }
  return filter;
}

bool MemberFilter::Select(const std::string& member) {
  std::string_view wanted = Trimmed(member);
  // The name itself first, so that names with stars in them can be named.
  bool found = false;
  for (size_t file = 0; file < selected_.size(); ++file) {
    const IndexFile& candidate = index_->files[file];
    if (candidate.name != wanted) continue;
    found = true;
    selected_[file] = true;
    if (candidate.entry.kind == EntryKind::kFile) named_file_ = file;
  }
  for (size_t file = 0; file < selected_.size() && !found; ++file) {
    selected_[file] = selected_[file] || MatchesPattern(wanted, index_->files[file].name);
  }
  if (found) return true;
  for (bool selected : selected_) found = found || selected;
  return found;
}

void MemberFilter::SelectRelated() {
  std::string_view directory;
  bool inside = false;
  for (size_t file = 0; file < selected_.size(); ++file) {
    const IndexFile& candidate = index_->files[file];
    inside = inside && IsBelow(candidate.name, directory);
    if (inside) selected_[file] = true;
    if (!inside && selected_[file] && candidate.entry.kind == EntryKind::kDirectory) {
      inside = true;
      directory = candidate.name;
    }
  }
  for (size_t file = selected_.size(); file-- > 0;) {
    if (selected_[file] && index_->files[file].entry.kind == EntryKind::kHardLink) {
      selected_[index_->files[file].hard_link_to] = true;
    }
  }
  // Children stand behind their directory, so that going backwards one remembered child is enough.
  std::string_view child;
  bool has_child = false;
  for (size_t file = selected_.size(); file-- > 0;) {
    const IndexFile& candidate = index_->files[file];
    bool is_parent = candidate.entry.kind == EntryKind::kDirectory && has_child && IsBelow(child, candidate.name);
    if (is_parent) selected_[file] = true;
    if (!selected_[file]) continue;
    child = candidate.name;
    has_child = true;
  }
}

std::vector<FileRange> MemberFilter::Ranges() const {
  std::vector<FileRange> ranges;
  for (size_t file = 0; file < selected_.size(); ++file) {
    if (!selected_[file]) continue;
    if (ranges.empty() || ranges.back().first + ranges.back().count != file) ranges.push_back({file, 0});
    ++ranges.back().count;
  }
  return ranges;
}

Result<size_t> MemberFilter::SingleFile() const {
  std::optional<size_t> found;
  for (size_t file = 0; file < selected_.size(); ++file) {
    if (!selected_[file] || index_->files[file].entry.kind != EntryKind::kFile) continue;
    if (found.has_value()) return Error{ErrorCode::kInvalidArgument, 0, "several of its files match; name one"};
    found = file;
  }
  if (found.has_value()) return *found;
  return Error{ErrorCode::kInvalidArgument, 0, "no regular file of it matches"};
}

}  // namespace flyweight
