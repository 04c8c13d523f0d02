#include <algorithm>
#include <filesystem>

#include "flyweight/lineage.h"
#include "pipeline/patch_test_tools.h"

// What pruning removes, and that what is kept can be restored.

namespace flyweight {
namespace {

using namespace test;  // NOLINT: a test
using testing::ElementsAre;
using testing::HasSubstr;

/// Versions in one directory, archives in another, and what comes of pruning that.
class Pruned : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(Directory());
    Tensors tensors = BaseTensors();
    for (int version = 0; version < 5; ++version) {
      if (version > 0) Tune(tensors[static_cast<size_t>(version) % 3], 9, static_cast<uint64_t>(version) + 30);
      WriteFile(Version(version), BuildSafetensors(tensors));
    }
  }

  std::string Version(int version) const { return made_.File("v" + std::to_string(version) + ".safetensors"); }
  std::string Directory() const { return made_.File("archives"); }
  std::string Path(const std::string& name) const { return made_.File("archives") + "/" + name; }

  void Compress(const std::string& source, const std::vector<std::string>& base_names, const std::string& name) {
    std::vector<std::string> bases;
    for (const std::string& base : base_names) bases.push_back(Path(base));
    CompressOptions options;
    options.bases = bases;
    ASSERT_THAT(CompressTo(source, name, options), IsOk());
  }

  /// A full archive X0.fly and patches X1.fly to X4.fly, each on the one before.
  void MakeChain(const std::string& prefix) {
    std::vector<std::string> bases;
    for (int version = 0; version < 5; ++version) {
      std::string name = prefix + std::to_string(version) + ".fly";
      Compress(Version(version), bases, name);
      bases.push_back(name);
    }
  }

  Result<PruneReport> Keep(const std::vector<std::string>& names, uint64_t keep_last = 0, bool dry_run = false) {
    PruneOptions options;
    options.keep = names;
    options.keep_last = keep_last;
    options.dry_run = dry_run;
    options.thread_count = 1;
    return Prune(Directory(), options);
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(Directory())) names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }

  /// Restores with what is beside it, and compares.
  void ExpectRestores(const std::string& name, const std::string& source) {
    Result<std::vector<std::string>> bases = FindBases(Path(name), {Directory()}, 1);
    ASSERT_THAT(bases, IsOk());
    DecompressOptions options;
    options.bases = bases.value();
    ASSERT_THAT(DecompressFile(Path(name), made_.File("out"), options), IsOk());
    if (!std::filesystem::is_directory(source)) {
      EXPECT_TRUE(ReadFile(made_.File("out")) == ReadFile(source));
    } else {
      for (const auto& entry : std::filesystem::directory_iterator(source)) {
        EXPECT_TRUE(ReadFile(entry.path()) == ReadFile(made_.File("out/" + entry.path().filename().string())));
      }
    }
    std::filesystem::remove_all(made_.File("out"));
  }

  /// A directory with a model and a file that is no tensor.
  std::string WriteTree(const std::string& name, int version, uint64_t tokens_seed) {
    std::string directory = made_.File(name);
    std::filesystem::create_directory(directory);
    std::filesystem::copy_file(Version(version), directory + "/model.safetensors");
    std::string tokens;
    for (uint64_t state = tokens_seed; tokens.size() < 20000;) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      tokens += static_cast<char>(state >> 56);
    }
    WriteFile(directory + "/tokens", tokens);
    return directory;
  }

  TempDir made_;

 private:
  Status CompressTo(const std::string& source, const std::string& name, const CompressOptions& options) {
    Result<CompressSummary> summary = CompressFile(source, Path(name), options);
    return summary.ok() ? Status::Ok() : Status(summary.take_error());
  }
};

TEST_F(Pruned, PatchesThatChangeNothingOrGoBackAreLinks) {
  std::filesystem::copy_file(Version(0), Path("v0.safetensors"));
  struct Case {
    const char* name;
    std::vector<int> versions;  // of p1, p2, p3
    const char* kept;
    int kept_version;
  };
  const std::vector<Case> cases = {{"nothing changed", {0, 1, 2}, "p3.fly", 2},
                                   {"back, and the end kept", {1, 0, 2}, "p3.fly", 2},
                                   {"back, and that kept", {1, 0, 2}, "p2.fly", 0}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    std::vector<std::string> bases = {"v0.safetensors"};
    for (size_t i = 0; i < c.versions.size(); ++i) {
      std::string name = "p" + std::to_string(i + 1) + ".fly";
      Compress(Version(c.versions[i]), bases, name);
      bases.push_back(name);
    }
    Result<Lineage> lineage = ReadLineage({Directory()}, {});
    ASSERT_THAT(lineage, IsOk());
    ASSERT_EQ(lineage.value().entries.size(), 4U);
    EXPECT_TRUE(lineage.value().entries.front().is_guess);
    for (size_t i = 1; i < 4; ++i) EXPECT_TRUE(lineage.value().entries[i].parent.has_value());
    ExpectRestores("p3.fly", Version(c.versions[2]));
    ASSERT_THAT(Keep({c.kept}), IsOk());
    EXPECT_THAT(Names(), ElementsAre(c.kept, "v0.safetensors"));
    ExpectRestores(c.kept, Version(c.kept_version));
    std::filesystem::remove(Path(c.kept));
  }
}

TEST_F(Pruned, AMissingOrDamagedLinkStopsIt) {
  MakeChain("a");
  Bytes link = ReadFile(Path("a2.fly"));
  std::filesystem::remove(Path("a2.fly"));
  Result<PruneReport> missing = Keep({"a3.fly"});
  ASSERT_THAT(missing, FailsWith(ErrorCode::kBaseMismatch));
  EXPECT_THAT(missing.error().message, HasSubstr("a2.fly"));
  WriteFile(Path("a2.fly"), Bytes(link.begin(), link.begin() + 100));
  Result<PruneReport> damaged = Keep({}, 1);
  ASSERT_THAT(damaged, FailsWith(ErrorCode::kIo));
  EXPECT_THAT(damaged.error().message, HasSubstr("a2.fly"));
  EXPECT_THAT(Keep({"a1.fly"}), FailsWith(ErrorCode::kIo));
  EXPECT_THAT(Names(), ElementsAre("a0.fly", "a1.fly", "a2.fly", "a3.fly", "a4.fly"));
  WriteFile(Path("a2.fly"), link);
  ASSERT_THAT(Keep({"a3.fly"}), IsOk());
  EXPECT_THAT(Names(), ElementsAre("a3.fly"));
  ExpectRestores("a3.fly", Version(3));
}

TEST_F(Pruned, OfEqualTensorsTheArchiveThatFitsIsTheBase) {
  std::string base = WriteTree("b", 0, 1);
  std::string other = WriteTree("v1x", 1, 2);
  std::string right = WriteTree("v1y", 1, 3);
  std::string tuned = WriteTree("v2", 2, 3);
  Compress(base, {}, "b.fly");
  Compress(other, {"b.fly"}, "p1x.fly");
  Compress(right, {"b.fly"}, "p1y.fly");
  Compress(tuned, {"b.fly", "p1y.fly"}, "p2.fly");
  ExpectRestores("p2.fly", tuned);
  // Names say nothing.
  std::filesystem::rename(Path("p1y.fly"), Path("z.fly"));
  ExpectRestores("p2.fly", tuned);
  ASSERT_THAT(Keep({"p2.fly", "p1x.fly", "b.fly"}), IsOk());
  EXPECT_THAT(Names(), ElementsAre("b.fly", "p1x.fly", "p2.fly"));
  ExpectRestores("p2.fly", tuned);
  ExpectRestores("p1x.fly", other);
}

TEST_F(Pruned, WhereNothingOfAnIdentityFitsTheErrorSaysSo) {
  Compress(WriteTree("v1x", 1, 2), {}, "x.fly");
  Compress(WriteTree("v1y", 1, 3), {}, "y.fly");
  Compress(WriteTree("v2", 2, 3), {"y.fly"}, "p.fly");
  std::filesystem::remove(Path("y.fly"));
  Result<std::vector<std::string>> bases = FindBases(Path("p.fly"), {Directory()}, 1);
  ASSERT_THAT(bases, FailsWith(ErrorCode::kBaseMismatch));
  EXPECT_THAT(bases.error().message, HasSubstr("'x.fly' does not fit"));
}

TEST_F(Pruned, TheLastOfEachChainAndTheBasesStay) {
  MakeChain("a");
  Tensors tensors = BaseTensors(2);
  std::vector<std::string> bases;
  for (const char* name : {"model.fly", "checkpoint-90.fly", "checkpoint-100.fly", "checkpoint-1000.fly"}) {
    WriteFile(made_.File(name), BuildSafetensors(tensors));
    Compress(made_.File(name), bases, name);
    bases.emplace_back(name);
    Tune(tensors[0], 9, bases.size());
  }
  ASSERT_THAT(Keep({}, 1), IsOk());
  EXPECT_THAT(Names(), ElementsAre("a0.fly", "a4.fly", "checkpoint-1000.fly", "model.fly"));
  ExpectRestores("a4.fly", Version(4));
  ExpectRestores("checkpoint-1000.fly", made_.File("checkpoint-1000.fly"));
}

TEST_F(Pruned, AModelFileTakesThePlaceOfARemovedArchiveOnlyWhereAllIsEqual) {
  for (bool is_equal : {true, false}) {
    MakeChain("a");
    Bytes model = ReadFile(Version(0));
    // Samples of so large a tensor do not see every byte.
    if (!is_equal) model[20000] ^= std::byte{1};
    WriteFile(Path("v0.safetensors"), model);
    Result<PruneReport> pruned = Keep({"a1.fly"});
    ASSERT_THAT(pruned, IsOk());
    EXPECT_EQ(pruned.value().steps.size(), is_equal ? 4U : 5U) << "packed anew without a base where it is not";
    EXPECT_THAT(Names(), ElementsAre("a1.fly", "v0.safetensors"));
    ExpectRestores("a1.fly", Version(1));
    std::filesystem::remove(Path("a1.fly"));
  }
}

TEST_F(Pruned, ANameThatMatchesNothingIsAnError) {
  MakeChain("a");
  Result<PruneReport> pruned = Keep({"a3.fly", "a9.fly"}, 1);
  ASSERT_THAT(pruned, FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(pruned.error().message, HasSubstr("'a9.fly'"));
  EXPECT_EQ(Names().size(), 5U);
}

TEST_F(Pruned, DirectoriesBelowAndHiddenFilesStay) {
  MakeChain("a");
  std::filesystem::create_directory(Path("below"));
  std::filesystem::copy_file(Path("a1.fly"), Path("below/a1.fly"));
  EXPECT_THAT(Keep({"a1.fly"}), FailsWith(ErrorCode::kInvalidArgument)) << "below/a1.fly needs a0.fly";
  ASSERT_THAT(Keep({"a0.fly", "a2.fly"}), IsOk());
  EXPECT_THAT(Names(), ElementsAre("a0.fly", "a2.fly", "below"));
  EXPECT_TRUE(std::filesystem::exists(Path("below/a1.fly")));
  std::filesystem::rename(Path("below/a1.fly"), Path(".a1.fly"));
  ASSERT_THAT(Keep({"a0.fly"}), IsOk());
  EXPECT_THAT(Names(), ElementsAre(".a1.fly", "a0.fly", "below"));
}

TEST_F(Pruned, WhatAnInterruptedRunLeftIsRemovedByTheNext) {
  MakeChain("a");
  Bytes a3 = ReadFile(Path("a3.fly"));
  PruneOptions options;
  options.keep = {"a3.fly"};
  bool was_packed = false;
  // The state between packing anew and removing: a directory that cannot be read stops the run there.
  options.progress = [&](const Progress&) {
    if (!was_packed) WriteFile(Path("broken.fly"), "no archive");
    was_packed = true;
  };
  options.thread_count = 1;
  ASSERT_THAT(Prune(Directory(), options), FailsWith(ErrorCode::kIo));
  ASSERT_TRUE(was_packed);
  EXPECT_FALSE(ReadFile(Path("a3.fly")) == a3) << "it was packed anew";
  EXPECT_TRUE(std::filesystem::exists(Path("a1.fly")));
  std::filesystem::remove(Path("broken.fly"));
  ASSERT_THAT(Keep({"a3.fly"}), IsOk());
  EXPECT_THAT(Names(), ElementsAre("a3.fly"));
  ExpectRestores("a3.fly", Version(3));
}

TEST_F(Pruned, ADryRunCountsWhatGrows) {
  MakeChain("a");
  Result<PruneReport> dry = Keep({"a3.fly"}, 0, true);
  ASSERT_THAT(dry, IsOk());
  EXPECT_EQ(dry.value().steps.size(), 5U);
  uint64_t all_links = 0;
  for (int version = 0; version < 4; ++version) {
    all_links += std::filesystem::file_size(Path("a" + std::to_string(version) + ".fly"));
  }
  EXPECT_EQ(dry.value().steps.front().new_bytes, all_links);
  EXPECT_EQ(dry.value().freed_bytes, std::filesystem::file_size(Path("a4.fly")));
  EXPECT_EQ(Names().size(), 5U);
}

}  // namespace
}  // namespace flyweight
