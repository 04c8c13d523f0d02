#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "delta/model.h"
#include "flyweight/lineage.h"

namespace flyweight {

/// Finds what patches stand on, and checks each link against what it needs: identities are those of tensors alone, so
/// that several archives can have one identity and not all of them fit. What a patch gives does not depend on how its
/// base is restored, so that links can be checked one by one.
class ChainFinder {
 public:
  /// `lineage` must outlive it. Models that are no archives are looked for below `directories`.
  ChainFinder(const Lineage& lineage, std::vector<std::string> directories);

  using Filter = std::function<bool(size_t)>;
  /// Whether a model that is no archive is compared as a whole with what patch `number` needs, not just in samples.
  using MustCompare = std::function<bool(size_t number, const std::string& path)>;

  /// Finds chains for some archives, out of those that `may_use` allows, with as few links as can be.
  void Resolve(const std::set<size_t>& targets, const Filter& may_use = {}, const MustCompare& must_compare = {});

  /// What holds after Resolve.
  bool IsFound(size_t number) const { return links_[number].is_found; }
  /// The archive that it stands on; nothing where that is no archive, or where it is no patch.
  std::optional<size_t> ParentOf(size_t number) const { return links_[number].parent; }
  /// The model that is no archive and that a patch stands on; else empty.
  const std::string& PlainBaseOf(size_t number) const { return links_[number].plain_base; }
  size_t DepthOf(size_t number) const;
  /// All that it stands on, the base first. Precondition: it was found.
  std::vector<std::string> BasesOf(size_t number) const;
  /// Why an archive was not found: the link that is missing or does not fit.
  Error WhyNot(size_t number) const;

 private:
  struct Link {
    bool is_relevant = false;
    bool is_found = false;
    std::optional<size_t> parent;
    std::string plain_base;
  };

  void FindRelevant(const std::set<size_t>& targets, const Filter& may_use);
  bool IsHeld(const std::string& identity, size_t by_other_than) const;
  void Place(size_t number);
  void PlaceFull();
  void PlaceAllOnPlaced();
  void PlaceOnPlain(std::vector<size_t> patches, const MustCompare& must_compare);
  void FindPlain();
  std::shared_ptr<Model> OpenModelOf(size_t number);
  bool Fits(size_t patch, const std::shared_ptr<Model>& model, bool compare_all);

  const Lineage& lineage_;
  std::vector<std::string> directories_;
  std::optional<std::vector<std::string>> plain_;  // looked for when needed
  std::vector<Link> links_;
  std::vector<size_t> queue_;
  std::optional<size_t> opened_;  // the archive whose model is open
  std::shared_ptr<Model> opened_model_;
  std::string misfit_;
  std::unique_ptr<ThreadPool> pool_;
};

}  // namespace flyweight
