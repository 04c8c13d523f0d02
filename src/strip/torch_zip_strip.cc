#include <algorithm>
#include <string>
#include <utility>

#include "container/pickle_scan.h"
#include "strip/formats.h"
#include "strip/torch_pickle.h"
#include "strip/zip_edit.h"

namespace flyweight {
namespace {

/// Nothing where the member is not stored as it is, or too large to be scanned.
Result<std::optional<std::vector<std::byte>>> ReadPickleMember(const ByteSource& source, const ZipDirectory& directory,
                                                               const std::string& name) {
  auto member = std::ranges::find(directory.members, name, &ZipMember::name);
  if (member == directory.members.end() || member->size_bytes > kPickleMaxBytes)
    return std::optional<std::vector<std::byte>>();
  std::vector<std::byte> content(static_cast<size_t>(member->size_bytes));
  FLYWEIGHT_TRY(source.ReadAt(member->data_offset, content));
  return std::optional(std::move(content));
}

/// Members that hold storages which nothing refers to any more go; the pickle gets its new content. False unless there
/// is exactly one pickle of that name.
bool Mark(const std::string& pickle_name, const std::string& folder, StrippedPickle& stripped, ZipEdit& edit) {
  size_t pickle_count = 0;
  for (ZipEditMember& member : edit.members()) {
    std::string_view name = member.entry.name;
    if (name == pickle_name) {
      pickle_count++;
      member.new_content = std::move(stripped.bytes);
    }
    if (name.starts_with(folder)) member.goes = stripped.unused_keys.contains(std::string(name.substr(folder.size())));
  }
  return pickle_count == 1;
}

}  // namespace

Result<std::optional<StripPlan>> StripTorchZip(const ByteSource& source, const ZipDirectory& directory,
                                               std::string_view root, const StripRequest& request) {
  const std::string pickle_name = std::string(root) + "/data.pkl";
  FLYWEIGHT_ASSIGN(auto content, ReadPickleMember(source, directory, pickle_name));
  if (!content.has_value()) return std::optional<StripPlan>();
  Result<PickleTree> tree = ScanPickle(*content);
  // What follows STOP would not be carried over.
  if (!tree.ok() || tree.value().pickle.size() != content->size()) return std::optional<StripPlan>();
  FLYWEIGHT_ASSIGN(std::optional<StrippedPickle> stripped, StripTorchPickle(tree.value(), request));
  if (!stripped.has_value()) return std::optional<StripPlan>();

  FLYWEIGHT_ASSIGN(ZipEdit edit, ZipEdit::Open(source));
  StripPlan plan;
  plan.removed = std::move(stripped->removed);
  if (!Mark(pickle_name, std::string(root) + "/data/", *stripped, edit))
    return CannotStrip("it has two pickles of the same name");
  FLYWEIGHT_ASSIGN(plan.edits, edit.Finish());
  return std::optional<StripPlan>(std::move(plan));
}

}  // namespace flyweight
