#include "pipeline/prune_choice.h"

#include <gtest/gtest.h>

namespace flyweight {
namespace {

LineageEntry Archive(const std::string& name, const std::string& identity, const std::string& base = "") {
  LineageEntry entry;
  entry.path = "d/" + name;
  entry.name = name;
  entry.is_archive = true;
  entry.is_patch = !base.empty();
  entry.identity_hex = identity;
  entry.base_identity_hex = base;
  return entry;
}

/// The names of what goes from archives that are all in the directory.
std::set<std::string> RemovedNames(const Lineage& lineage, const PruneOptions& options) {
  std::vector<size_t> own;
  std::set<size_t> bases;
  for (size_t i = 0; i < lineage.entries.size(); ++i) {
    own.push_back(i);
    if (!lineage.entries[i].is_patch) bases.insert(i);
  }
  Result<PruneChoice> choice = ChoosePruned(lineage, own, bases, options);
  std::set<std::string> names;
  if (!choice.ok()) return {"error"};
  for (size_t number : choice.value().removed) names.insert(lineage.entries[number].name);
  return names;
}

using Names = std::set<std::string>;

TEST(PruneChoice, ChainsAreWhatIdentitiesConnect) {
  Lineage lineage;
  lineage.entries = {Archive("a", "A"), Archive("b", "B", "A"), Archive("c", "C", "gone"), Archive("d", "D", "gone"),
                     Archive("e", "E")};
  std::vector<size_t> chains = FindChains(lineage);
  EXPECT_EQ(chains[0], chains[1]);
  EXPECT_EQ(chains[2], chains[3]);
  EXPECT_NE(chains[0], chains[2]);
  EXPECT_NE(chains[0], chains[4]);
}

TEST(PruneChoice, NumbersInNamesOrderVersionsAndTheBaseIsNone) {
  Lineage lineage;
  lineage.entries = {Archive("model.fly", "0"), Archive("checkpoint-100.fly", "1", "0"),
                     Archive("checkpoint-90.fly", "2", "0"), Archive("checkpoint-1000.fly", "3", "1")};
  EXPECT_EQ(RemovedNames(lineage, {.keep_last = 1}), (Names{"checkpoint-90.fly", "checkpoint-100.fly"}));
  EXPECT_EQ(RemovedNames(lineage, {.keep_last = 2}), (Names{"checkpoint-90.fly"}));
  EXPECT_EQ(RemovedNames(lineage, {.keep_last = 9}), Names{});
}

TEST(PruneChoice, NamesOfSeveralFormsGoByTheirLastNumber) {
  Lineage lineage;
  lineage.entries = {Archive("m.fly", "0"), Archive("z-step-9.fly", "1", "0"), Archive("a-step-0010.fly", "2", "1"),
                     Archive("best.fly", "3", "2")};
  EXPECT_EQ(RemovedNames(lineage, {.keep_last = 1}), (Names{"z-step-9.fly"})) << "best.fly has no number and stays";
}

TEST(PruneChoice, EachChainKeepsItsLast) {
  Lineage lineage;
  lineage.entries = {Archive("a-0.fly", "0"), Archive("a-1.fly", "1", "0"), Archive("a-2.fly", "2", "1"),
                     Archive("b-0.fly", "x"), Archive("b-7.fly", "y", "x"), Archive("b-8.fly.001", "z", "y")};
  EXPECT_EQ(RemovedNames(lineage, {.keep_last = 1}), (Names{"a-1.fly", "b-7.fly"}));
}

TEST(PruneChoice, AChainOfWhichNothingIsKeptStays) {
  Lineage lineage;
  lineage.entries = {Archive("a-0.fly", "0"), Archive("a-1.fly", "1", "0"), Archive("a-2.fly", "2", "1"),
                     Archive("b-0.fly", "x"), Archive("b-1.fly", "y", "x")};
  EXPECT_EQ(RemovedNames(lineage, {.keep = {"a-1.fly"}}), (Names{"a-0.fly", "a-2.fly"}));
  EXPECT_EQ(RemovedNames(lineage, {.keep = {"a-1.fly", "c*"}}), Names{"error"});
}

}  // namespace
}  // namespace flyweight
