#include <algorithm>
#include <utility>

#include "strip/flat_names.h"
#include "strip/formats.h"
#include "strip/zip_edit.h"

namespace flyweight {
namespace {

constexpr std::string_view kNpySuffix = ".npy";

/// What a member is called as a tensor.
std::string_view TensorName(std::string_view member_name) {
  if (member_name.ends_with(kNpySuffix)) member_name.remove_suffix(kNpySuffix.size());
  return member_name;
}

}  // namespace

Result<std::optional<StripPlan>> StripZip(const ByteSource& source, const ZipDirectory&, const StripRequest& request) {
  FLYWEIGHT_ASSIGN(ZipEdit edit, ZipEdit::Open(source));
  std::vector<std::string_view> names;
  for (const ZipEditMember& member : edit.members()) names.push_back(TensorName(member.entry.name));
  const std::vector<bool> goes = ChooseFlatNames(names, request);
  StripPlan plan;
  for (size_t i = 0; i < goes.size(); i++) {
    ZipEditMember& member = edit.members()[i];
    member.goes = goes[i];
    if (goes[i]) plan.removed.push_back({std::string(names[i]), member.entry.plain_bytes});
  }
  if (plan.removed.empty()) return std::optional<StripPlan>();
  FLYWEIGHT_ASSIGN(plan.edits, edit.Finish());
  return std::optional<StripPlan>(std::move(plan));
}

}  // namespace flyweight
