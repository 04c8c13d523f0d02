#include "pipeline/stripper.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "archive/wire.h"
#include "base/aligned_buffer.h"
#include "base/hash.h"
#include "lossy/lossy_report.h"
#include "pipeline/member_filter.h"
#include "strip/strip.h"
#include "strip/strip_report.h"

namespace flyweight {
namespace {

constexpr uint64_t kReadBytes = uint64_t{1} << 20;

bool MeansOptimizer(const std::string& pattern) { return pattern == "optimizer" || pattern == "adam"; }

StripRequest RequestFor(const std::vector<std::string>& patterns, const std::string& file_name) {
  StripRequest request;
  request.optimizer = std::ranges::any_of(patterns, MeansOptimizer);
  request.matches = [&patterns, &file_name](std::string_view name) {
    const std::string long_name = file_name + ":" + std::string(name);
    return std::ranges::any_of(patterns, [&](const std::string& pattern) {
      return !MeansOptimizer(pattern) && (MatchesPattern(pattern, name) || MatchesPattern(pattern, long_name));
    });
  };
  return request;
}

Result<Digest> Sha256Of(const ByteSource& source) {
  Sha256Stream sha256;
  AlignedBuffer buffer;
  buffer.Resize(static_cast<size_t>(std::min(kReadBytes, source.size())));
  for (uint64_t offset = 0; offset < source.size();) {
    const auto count = static_cast<size_t>(std::min(kReadBytes, source.size() - offset));
    FLYWEIGHT_TRY(source.ReadAt(offset, {buffer.data(), count}));
    sha256.Update({buffer.data(), count});
    offset += count;
  }
  return sha256.Finish();
}

}  // namespace

Result<std::optional<Stripper::Stripped>> Stripper::Apply(const ByteSource& source, const std::string& name) const {
  if (!enabled()) return std::optional<Stripped>();
  Result<std::optional<StripPlan>> plan = PlanStrip(source, RequestFor(patterns_, name));
  if (!plan.ok()) return WithContext(plan.take_error(), "'" + name + "'");
  if (!plan.value().has_value()) return std::optional<Stripped>();
  OriginalFile original;
  original.file_bytes = source.size();
  FLYWEIGHT_ASSIGN(original.sha256, Sha256Of(source));
  Stripped stripped;
  stripped.attributes.push_back({wire::kAttributeOriginal, WriteOriginalFile(original)});
  stripped.attributes.push_back({wire::kAttributeStripped, WriteRemovedTensors(plan.value()->removed)});
  stripped.edits = std::make_shared<const EditList>(std::move(plan.value()->edits));
  return std::optional<Stripped>(std::move(stripped));
}

}  // namespace flyweight
