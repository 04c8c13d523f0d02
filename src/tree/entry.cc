#include "tree/entry.h"

#include <algorithm>

namespace flyweight {
namespace {

constexpr uint16_t kModeMax = 07777;
constexpr uint32_t kNanosecondsEnd = 1'000'000'000;

Error BadPath(std::string_view path, const std::string& why) {
  constexpr size_t kShownMaxBytes = 200;
  std::string shown(path.substr(0, kShownMaxBytes));
  if (path.size() > kShownMaxBytes) shown += "...";
  return {ErrorCode::kCorrupt, 0, "the name '" + shown + "' " + why};
}

uint8_t Rank(char byte) { return byte == '/' ? 0 : static_cast<uint8_t>(byte); }

}  // namespace

bool PathLess(std::string_view a, std::string_view b) {
  auto [in_a, in_b] = std::ranges::mismatch(a, b);
  if (in_b == b.end()) return false;
  return in_a == a.end() || Rank(*in_a) < Rank(*in_b);
}

Status CheckEntryPath(std::string_view path) {
  if (path.empty()) return Status::Ok();
  if (path.size() > kEntryPathMaxBytes) {
    return BadPath(path, "has " + std::to_string(path.size()) + " bytes; a path has at most 65535");
  }
  if (path.find('\0') != std::string_view::npos) return BadPath(path, "contains a NUL byte");
  if (path.front() == '/') return BadPath(path, "is absolute; entries are relative to their tree");
  for (size_t begin = 0; begin <= path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    std::string_view name = path.substr(begin, end - begin);
    if (name.empty()) return BadPath(path, "has an empty component");
    if (name == "." || name == "..") return BadPath(path, "has a component '.' or '..', which leads astray");
    if (name.size() > kEntryNameMaxBytes) return BadPath(path, "has a component of more than 255 bytes");
    begin = end + 1;
  }
  return Status::Ok();
}

Status CheckLinkTarget(std::string_view target) {
  if (target.empty()) return Error{ErrorCode::kCorrupt, 0, "a symbolic link leads nowhere: its target is empty"};
  if (target.size() > kLinkTargetMaxBytes) {
    return Error{ErrorCode::kCorrupt, 0, "the target of a symbolic link has more than 4095 bytes"};
  }
  if (target.find('\0') != std::string_view::npos) {
    return Error{ErrorCode::kCorrupt, 0, "the target of a symbolic link contains a NUL byte"};
  }
  return Status::Ok();
}

Status CheckEntryStat(const EntryStat& stat) {
  if (stat.kind > EntryKind::kHardLink) {
    return Error{ErrorCode::kCorrupt, 0,
                 "an entry is of the unknown kind " + std::to_string(static_cast<unsigned>(stat.kind))};
  }
  if (stat.mode > kModeMax) return Error{ErrorCode::kCorrupt, 0, "an entry has more than 12 permission bits"};
  if (stat.modified.nanoseconds >= kNanosecondsEnd || stat.accessed.nanoseconds >= kNanosecondsEnd) {
    return Error{ErrorCode::kCorrupt, 0, "an entry has a time with a second or more in its nanoseconds"};
  }
  return Status::Ok();
}

std::string_view ParentPath(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view BaseName(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace flyweight
