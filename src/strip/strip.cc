#include "strip/strip.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "container/annotate.h"
#include "container/torch_zip.h"
#include "container/zip_directory.h"
#include "strip/formats.h"

namespace flyweight {
namespace {

constexpr uint64_t kSniffBytes = 4096;

Result<std::optional<StripPlan>> StripAnyZip(const ByteSource& source, const StripRequest& request) {
  std::vector<std::byte> first_bytes(static_cast<size_t>(std::min(source.size(), kSniffBytes)));
  FLYWEIGHT_TRY(source.ReadAt(0, first_bytes));
  FLYWEIGHT_ASSIGN(std::optional<ZipDirectory> directory, ReadZipDirectory(source, first_bytes));
  if (!directory.has_value()) return std::optional<StripPlan>();
  std::string_view root = FindTorchRoot(*directory);
  return root.empty() ? StripZip(source, *directory, request) : StripTorchZip(source, *directory, root, request);
}

bool IsSameTensor(const Extent& a, const Extent& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.size_bytes == b.size_bytes;
}

/// Exactly the tensors that are left must be found in the edited file.
Result<std::optional<StripPlan>> Checked(const ByteSource& source, const FileMap& map,
                                         Result<std::optional<StripPlan>> plan) {
  if (!plan.ok() || !plan.value().has_value()) return plan;
  std::unordered_set<std::string_view> removed;
  for (const RemovedTensor& tensor : plan.value()->removed) removed.insert(tensor.name);
  const EditList& edits = plan.value()->edits;
  const EditedSource edited(source, std::shared_ptr<const EditList>(std::shared_ptr<void>(), &edits));
  FLYWEIGHT_ASSIGN(FileMap edited_map, Annotate(edited));

  // By name, as tensors without bytes have no order; names are unique in these formats.
  std::unordered_map<std::string_view, const Extent*> left;
  for (const Extent& extent : edited_map.extents) {
    if (extent.is_tensor) left.emplace(extent.name, &extent);
  }
  bool is_sound = edited_map.format == map.format;
  for (const Extent& extent : map.extents) {
    if (!extent.is_tensor || removed.contains(extent.name)) continue;
    auto found = left.find(extent.name);
    is_sound = is_sound && found != left.end() && IsSameTensor(extent, *found->second);
    if (found != left.end()) left.erase(found);
  }
  if (!is_sound || !left.empty()) return CannotStrip("what would be left of it is not a sound file");
  return plan;
}

}  // namespace

Result<std::optional<StripPlan>> PlanStrip(const ByteSource& source, const StripRequest& request) {
  FLYWEIGHT_ASSIGN(FileMap map, Annotate(source));
  switch (map.format) {
    case ContainerFormat::kSafetensors:
      return Checked(source, map, StripSafetensors(source, request));
    case ContainerFormat::kGguf:
      return Checked(source, map, StripGguf(source, map, request));
    case ContainerFormat::kTorchLegacy:
      return StripTorchLegacy(source, request);
    case ContainerFormat::kTorchZip:
    case ContainerFormat::kNpz:
    case ContainerFormat::kZip:
    case ContainerFormat::kRaw:  // zip files whose members are all compressed
      return StripAnyZip(source, request);
    case ContainerFormat::kNpy:
    case ContainerFormat::kOnnx:
      break;
  }
  return std::optional<StripPlan>();
}

}  // namespace flyweight
