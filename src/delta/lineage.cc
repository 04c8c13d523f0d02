#include "delta/lineage.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <system_error>

#include "delta/identity.h"

namespace flyweight {
namespace {

/// Each link holds a few buffers, and reading goes through all of them.
constexpr size_t kLinkMaxCount = 1024;
/// How much of a model is read to find out whether a patch was applied to it.
constexpr uint64_t kAppliedMaxBytes = uint64_t{64} << 20;
constexpr size_t kAppliedMaxTensors = 4;

bool IsPatched(const IndexExtent& extent) { return extent.is_tensor && extent.place == PlaceKind::kPatched; }

/// Some tensors that the patch changes, the smallest first.
std::vector<const IndexExtent*> ChangedTensors(const ArchiveReader& patch) {
  std::vector<const IndexExtent*> changed;
  for (const IndexFile& file : patch.index().files) {
    for (const IndexExtent& extent : file.extents) {
      if (IsPatched(extent) && extent.digest_algorithm == DigestAlgorithm::kSha256Tree) changed.push_back(&extent);
    }
  }
  auto is_before = [](const IndexExtent* a, const IndexExtent* b) {
    return std::tie(a->decoded_bytes, a->name) < std::tie(b->decoded_bytes, b->name);
  };
  std::ranges::sort(changed, is_before);
  if (changed.size() > kAppliedMaxTensors) changed.resize(kAppliedMaxTensors);
  return changed;
}

/// Whether the model is what the patch gives, as far as some tensors tell.
Result<bool> IsAlreadyApplied(const ArchiveReader& patch, Model& model, ThreadPool& pool) {
  if (model.known_identity().has_value()) return *model.known_identity() == patch.base_table()->result_identity;
  uint64_t read_bytes = 0;
  std::vector<const IndexExtent*> changed = ChangedTensors(patch);
  for (const IndexExtent* extent : changed) {
    auto found = std::ranges::find_if(model.parts(), [&](const ModelPart& part) {
      return part.is_tensor && part.name == extent->name && part.dtype == extent->dtype && part.shape == extent->shape;
    });
    if (found == model.parts().end()) return false;
    if (read_bytes != 0 && read_bytes + extent->decoded_bytes > kAppliedMaxBytes) break;
    read_bytes += extent->decoded_bytes;
    auto number = static_cast<size_t>(found - model.parts().begin());
    FLYWEIGHT_TRY(model.Hash({number}, pool));
    if (*model.parts()[number].digest != extent->digest) return false;
  }
  return !changed.empty();
}

Result<std::string> WhyNot(const ArchiveReader& patch, const BindReport& report, Model& model, ThreadPool& pool) {
  FLYWEIGHT_ASSIGN(bool is_applied, IsAlreadyApplied(patch, model, pool));
  if (is_applied) return std::string("is what the patch gives: it was applied already");
  size_t row_count = patch.base_table()->rows.size();
  std::string count;
  if (report.missing_count + report.misshapen_count == 0) {
    count = std::to_string(report.different_count) + " of the " + std::to_string(row_count) +
            " tensors that are needed have other bytes";
    return "has the same tensors with other weights, so it is a relative of the base and not the base (" + count +
           "; " + report.example + ")";
  }
  return "is not the base (of " + std::to_string(row_count) + " tensors that are needed it lacks " +
         std::to_string(report.missing_count) + ", " + std::to_string(report.misshapen_count) +
         " have another type or shape and " + std::to_string(report.different_count) + " other bytes; " +
         report.example + ")";
}

/// Whether `archive` is one, and what its index says. Anything else is no patch.
LinkHead HeadOf(const std::string& path) {
  LinkHead head{path, false, {}, {}};
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return head;
  Result<std::shared_ptr<const ByteSource>> source = OpenArchiveSource(path);
  if (!source.ok()) return head;
  std::array<std::byte, 8> first_bytes{};
  if (source.value()->size() < first_bytes.size() || !source.value()->ReadAt(0, first_bytes).ok() ||
      !LooksLikeArchive(first_bytes)) {
    return head;
  }
  Result<ArchiveReader> reader = ArchiveReader::Open(*source.value());
  if (!reader.ok()) return head;
  head.result = IdentityOf(reader.value().index()).value_or(Digest{});
  if (const BaseTable* table = reader.value().base_table()) {
    head.is_patch = true;
    head.base = table->identity;
    head.result = table->result_identity;
  }
  return head;
}

}  // namespace

std::vector<std::string> FindOrder(const std::vector<LinkHead>& links) {
  std::vector<const LinkHead*> left;
  for (const LinkHead& link : links) left.push_back(&link);
  auto follows_another = [&](const LinkHead* link) {
    return link->is_patch && std::ranges::any_of(links, [&](const LinkHead& other) {
             return &other != link && other.result == link->base;
           });
  };
  // A base that is no archive has no identity yet: it stands before the patch that follows none.
  std::ranges::sort(left, [&](const LinkHead* a, const LinkHead* b) {
    return std::pair(a->is_patch, follows_another(a)) < std::pair(b->is_patch, follows_another(b));
  });
  std::vector<const LinkHead*> order;
  while (!left.empty()) {
    auto next = left.begin();
    if (!order.empty()) {
      bool knows = order.back()->is_patch || order.back()->result != Digest{};
      next = std::ranges::find_if(left, [&](const LinkHead* link) {
        return link->is_patch && (knows ? link->base == order.back()->result : !follows_another(link));
      });
    }
    if (next == left.end()) return {};
    order.push_back(*next);
    left.erase(next);
  }
  std::vector<std::string> paths;
  bool is_given = true;
  for (size_t i = 0; i < order.size(); ++i) {
    paths.push_back(order[i]->path);
    is_given = is_given && order[i] == &links[i];
  }
  return is_given ? std::vector<std::string>() : paths;
}

std::string OrderHint(const std::vector<std::string>& paths) {
  std::vector<LinkHead> heads;
  for (const std::string& path : paths) heads.push_back(HeadOf(path));
  std::vector<std::string> order = FindOrder(heads);
  if (order.empty()) return {};
  std::string hint = "they are in the wrong order; this one fits:";
  for (const std::string& path : order) hint += " " + path;
  return hint;
}

Result<std::shared_ptr<BoundBase>> BindLink(const ArchiveReader& patch, const std::string& name,
                                            std::shared_ptr<Model> model, RowCheck check, ThreadPool& pool) {
  BindReport report;
  FLYWEIGHT_ASSIGN(std::shared_ptr<BoundBase> bound, BindBase(patch, model, check, report));
  if (report.fits()) return bound;
  FLYWEIGHT_ASSIGN(std::string reason, WhyNot(patch, report, *model, pool));
  return Error{
      ErrorCode::kBaseMismatch, 0,
      "'" + name + "' is a patch on " + DescribeBase(*patch.base_table()) + ", and '" + model->name() + "' " + reason};
}

Result<std::shared_ptr<Model>> AddLink(std::shared_ptr<Model> model, const std::string& path, ThreadPool& pool) {
  FLYWEIGHT_ASSIGN(std::shared_ptr<const ByteSource> source, OpenArchiveSource(path));
  Result<ArchiveReader> opened = ArchiveReader::Open(*source);
  if (!opened.ok()) return WithContext(opened.take_error(), "'" + path + "'");
  ArchiveReader reader = std::move(opened).value();
  if (reader.base_table() == nullptr) {
    return Error{ErrorCode::kInvalidArgument, 0, "'" + path + "' is no patch, so it has no place behind a base"};
  }
  FLYWEIGHT_ASSIGN(std::shared_ptr<BoundBase> base, BindLink(reader, path, std::move(model), RowCheck::kWhole, pool));
  reader.set_base(std::move(base));
  std::string name = std::filesystem::path(path).filename().string();
  return MakeArchiveModel(std::move(source), std::move(reader), std::move(name));
}

Result<std::shared_ptr<Model>> OpenLineage(const std::vector<std::string>& paths, ThreadPool& pool) {
  if (paths.empty()) return Error{ErrorCode::kInvalidArgument, 0, "no base was given"};
  if (paths.size() > kLinkMaxCount) {
    return Error{ErrorCode::kLimitExceeded, 0, "more than 1024 patches on each other: give a newer base"};
  }
  FLYWEIGHT_ASSIGN(std::shared_ptr<Model> model, OpenModel(paths.front()));
  for (size_t link = 1; link < paths.size(); ++link) {
    FLYWEIGHT_ASSIGN(model, AddLink(std::move(model), paths[link], pool));
  }
  return model;
}

}  // namespace flyweight
