#include "pipeline/prune_journal.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/hash.h"

namespace flyweight {
namespace {

constexpr size_t kLineMaxCount = 1000000;

std::string LineOf(const LineageEntry& entry) {
  return std::to_string(entry.archive_bytes) + " " + entry.identity_hex + " " + entry.name;
}

/// Tells the options of two runs apart.
std::string HeadOf(const PruneOptions& options) {
  std::vector<std::string> keep = options.keep;
  std::ranges::sort(keep);
  std::string text = std::to_string(options.keep_last);
  for (const std::string& pattern : keep) text += "\n" + std::to_string(pattern.size()) + " " + pattern;
  return "flyweight prune 1 " + ToHex(Sha256(std::as_bytes(std::span(text))));
}

}  // namespace

PruneJournal::PruneJournal(const std::string& directory, const PruneOptions& options)
    : path_(directory + "/.flyweight-prune"), head_(HeadOf(options)) {
  std::ifstream file(path_, std::ios::binary);
  std::string line;
  if (!std::getline(file, line) || line != head_) return;
  while (lines_.size() < kLineMaxCount && std::getline(file, line)) lines_.push_back(line);
}

bool PruneJournal::Holds(const LineageEntry& entry) const {
  return !entry.identity_hex.empty() && std::ranges::find(lines_, LineOf(entry)) != lines_.end();
}

Status PruneJournal::Write(const std::vector<const LineageEntry*>& removed) const {
  std::ofstream file(path_, std::ios::binary | std::ios::trunc);
  file << head_ << "\n";
  for (const LineageEntry* entry : removed) {
    if (entry->name.find('\n') == std::string::npos) file << LineOf(*entry) << "\n";
  }
  file.close();
  return file ? Status::Ok() : Status(Error{ErrorCode::kIo, 0, "cannot write '" + path_ + "'"});
}

void PruneJournal::Remove() const { unlink(path_.c_str()); }

}  // namespace flyweight
