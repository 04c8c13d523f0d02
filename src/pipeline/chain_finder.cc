#include "pipeline/chain_finder.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "delta/bind.h"
#include "delta/lineage.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/model_walk.h"

namespace flyweight {
namespace {

constexpr size_t kEntryMaxCount = 1000000;
constexpr size_t kTriedMaxCount = 1000;  // models that may be the base; most are ruled out by their names of tensors

}  // namespace

ChainFinder::ChainFinder(const Lineage& lineage, std::vector<std::string> directories)
    : lineage_(lineage), directories_(std::move(directories)), pool_(std::make_unique<ThreadPool>(1)) {}

void ChainFinder::Resolve(const std::set<size_t>& targets, const Filter& may_use, const MustCompare& must_compare) {
  FindRelevant(targets, may_use);
  queue_.clear();
  PlaceFull();
  PlaceAllOnPlaced();
  // Patches whose base is held by no archive come first; then those whose chain leads round in a ring, as where a patch
  // changes nothing or goes back to an older version, and those whose archive of that identity does not fit.
  for (bool with_held : {false, true}) {
    auto is_done = [&](size_t target) { return links_[target].is_found; };
    if (std::ranges::all_of(targets, is_done)) break;
    std::vector<size_t> patches;
    for (size_t i = 0; i < links_.size(); ++i) {
      if (!links_[i].is_relevant || links_[i].is_found) continue;
      if (with_held || !IsHeld(lineage_.entries[i].base_identity_hex, i)) patches.push_back(i);
    }
    PlaceOnPlain(std::move(patches), must_compare);
    PlaceAllOnPlaced();
  }
  opened_.reset();
  opened_model_.reset();
}

/// The targets, and all that has the identity of a base of what is relevant.
void ChainFinder::FindRelevant(const std::set<size_t>& targets, const Filter& may_use) {
  links_.assign(lineage_.entries.size(), {});
  std::vector<size_t> waiting;
  auto add = [&](size_t number) {
    if (!lineage_.entries[number].is_archive || links_[number].is_relevant || (may_use && !may_use(number))) return;
    links_[number].is_relevant = true;
    waiting.push_back(number);
  };
  for (size_t target : targets) add(target);
  std::set<std::string> wanted;
  while (!waiting.empty()) {
    const LineageEntry& entry = lineage_.entries[waiting.back()];
    waiting.pop_back();
    if (!entry.is_patch || !wanted.insert(entry.base_identity_hex).second) continue;
    for (size_t i = 0; i < links_.size(); ++i) {
      if (lineage_.entries[i].identity_hex == entry.base_identity_hex) add(i);
    }
  }
}

bool ChainFinder::IsHeld(const std::string& identity, size_t by_other_than) const {
  for (size_t i = 0; i < links_.size(); ++i) {
    if (i != by_other_than && links_[i].is_relevant && lineage_.entries[i].identity_hex == identity) return true;
  }
  return false;
}

void ChainFinder::Place(size_t number) {
  links_[number].is_found = true;
  queue_.push_back(number);
}

/// Archives that are no patches, those first that patches name as their base.
void ChainFinder::PlaceFull() {
  std::set<std::string> names;
  for (size_t i = 0; i < links_.size(); ++i) {
    if (links_[i].is_relevant) names.insert(lineage_.entries[i].base_name);
  }
  for (bool is_named : {true, false}) {
    for (size_t i = 0; i < links_.size(); ++i) {
      const LineageEntry& entry = lineage_.entries[i];
      if (links_[i].is_relevant && !entry.is_patch && names.contains(entry.name) == is_named) Place(i);
    }
  }
}

void ChainFinder::PlaceAllOnPlaced() {
  for (size_t at = 0; at < queue_.size(); ++at) {
    size_t base = queue_[at];
    const std::string& identity = lineage_.entries[base].identity_hex;
    std::shared_ptr<Model> model;
    for (size_t i = 0; i < links_.size() && !identity.empty(); ++i) {
      if (!links_[i].is_relevant || links_[i].is_found || lineage_.entries[i].base_identity_hex != identity) continue;
      if (model == nullptr) model = OpenModelOf(base);
      if (model == nullptr) break;
      if (!Fits(i, model, false)) continue;
      links_[i].parent = base;
      Place(i);
    }
  }
  queue_.clear();
}

void ChainFinder::PlaceOnPlain(std::vector<size_t> patches, const MustCompare& must_compare) {
  if (patches.empty()) return;
  FindPlain();
  std::set<std::string> names;
  for (size_t patch : patches) names.insert(lineage_.entries[patch].base_name);
  std::vector<std::string> paths;
  for (bool is_named : {true, false}) {
    std::ranges::copy_if(*plain_, std::back_inserter(paths),
                         [&](const std::string& path) { return names.contains(BaseNameOf(path)) == is_named; });
  }
  if (paths.size() > kTriedMaxCount) paths.resize(kTriedMaxCount);
  for (const std::string& path : paths) {
    if (patches.empty()) return;
    Result<std::shared_ptr<Model>> model = Guarded([&] { return OpenModel(path); });
    if (!model.ok()) continue;
    std::erase_if(patches, [&](size_t patch) {
      if (!Fits(patch, model.value(), must_compare && must_compare(patch, path))) return false;
      links_[patch].plain_base = path;
      Place(patch);
      return true;
    });
  }
}

void ChainFinder::FindPlain() {
  if (plain_.has_value()) return;
  plain_.emplace();
  FoundModels models = FindModels(directories_, kEntryMaxCount, {});
  for (FoundModels::Directory& directory : models.directories) plain_->push_back(std::move(directory.path));
  for (std::string& file : models.files) {
    if (!HasArchiveSuffix(file)) plain_->push_back(std::move(file));
  }
}

/// Goes on from the model that is open where that is the one below; else opens all of a chain.
std::shared_ptr<Model> ChainFinder::OpenModelOf(size_t number) {
  const std::string& path = lineage_.entries[number].path;
  Result<std::shared_ptr<Model>> model = Guarded([&]() -> Result<std::shared_ptr<Model>> {
    if (opened_.has_value() && links_[number].parent == opened_) return AddLink(opened_model_, path, *pool_);
    std::vector<std::string> paths = BasesOf(number);
    paths.push_back(path);
    return OpenLineage(paths, *pool_);
  });
  if (!model.ok()) return nullptr;
  opened_ = number;
  opened_model_ = std::move(model).value();
  return opened_model_;
}

bool ChainFinder::Fits(size_t patch, const std::shared_ptr<Model>& model, bool compare_all) {
  BindReport report;
  Status status = Guarded([&]() -> Status {
    FLYWEIGHT_ASSIGN(std::shared_ptr<const ByteSource> source, OpenArchiveSource(lineage_.entries[patch].path));
    FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*source));
    if (reader.base_table() == nullptr) return Error{ErrorCode::kSourceChanged, 0, "it is no patch any more"};
    RowCheck check = compare_all ? RowCheck::kAll : RowCheck::kSample;
    FLYWEIGHT_ASSIGN(std::shared_ptr<BoundBase> bound, BindBase(reader, model, check, report));
    return compare_all && report.fits() ? bound->CheckAll() : Status::Ok();
  });
  if (status.ok() && !report.fits()) misfit_ = "'" + model->name() + "' does not fit: " + report.example;
  return status.ok() && report.fits();
}

size_t ChainFinder::DepthOf(size_t number) const {
  size_t depth = 0;
  for (std::optional<size_t> link = ParentOf(number); link.has_value(); link = ParentOf(*link)) ++depth;
  return depth;
}

std::vector<std::string> ChainFinder::BasesOf(size_t number) const {
  std::vector<std::string> bases;
  size_t link = number;
  while (links_[link].parent.has_value()) {
    link = *links_[link].parent;
    bases.push_back(lineage_.entries[link].path);
  }
  if (!links_[link].plain_base.empty()) bases.push_back(links_[link].plain_base);
  std::ranges::reverse(bases);
  return bases;
}

Error ChainFinder::WhyNot(size_t number) const {
  std::set<size_t> seen = {number};
  size_t link = number;
  std::optional<size_t> unfit;
  for (bool goes_on = true; goes_on && !unfit.has_value();) {
    goes_on = false;
    for (size_t i = 0; i < links_.size(); ++i) {
      if (!links_[i].is_relevant || lineage_.entries[i].identity_hex != lineage_.entries[link].base_identity_hex)
        continue;
      if (links_[i].is_found) unfit = i;
      if (links_[i].is_found || !seen.insert(i).second) continue;
      link = i;
      goes_on = true;
      break;
    }
  }
  const LineageEntry& entry = lineage_.entries[link];
  std::string needed = "'" + entry.base_name + "' (identity " + entry.base_identity_hex.substr(0, 16) + ")";
  if (Result<std::shared_ptr<const ByteSource>> source = OpenArchiveSource(entry.path); source.ok()) {
    Result<ArchiveReader> reader = ArchiveReader::Open(*source.value());
    if (reader.ok() && reader.value().base_table() != nullptr) needed = DescribeBase(*reader.value().base_table());
  }
  std::string where;
  for (const std::string& directory : directories_) where += (where.empty() ? "" : ", ") + directory;
  std::string text = "'" + entry.name + "' is a patch on " + needed + ", which is none of the archives and of the " +
                     std::to_string(plain_.has_value() ? plain_->size() : 0) + " other models below " + where;
  if (unfit.has_value()) {
    text = "'" + entry.name + "' is a patch on " + needed + ", and what has that identity below " + where +
           " is not what it was made from (" + misfit_ + ")";
  }
  return Error{ErrorCode::kBaseMismatch, 0, std::move(text)};
}

}  // namespace flyweight
