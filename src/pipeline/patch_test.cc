#include "pipeline/patch_test_tools.h"

// Patches: made, restored, opened and verified.

namespace flyweight {
namespace {

using namespace test;  // NOLINT: a test
using testing::ElementsAre;
using testing::HasSubstr;

/// A base, and a fine-tune as a patch on it.
class Patch : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(base_, BuildSafetensors(BaseTensors()));
    WriteFile(tune_, BuildSafetensors(TunedTensors(BaseTensors(), 5), {{"format", "pt"}}));
  }
  std::string Path(const std::string& name) const { return directory_.File(name); }
  PatchKind KindOf(const std::string& archive, const std::string& name) {
    Result<ArchiveListing> listing = ListArchive(archive);
    EXPECT_THAT(listing, IsOk());
    return TensorOf(listing.value(), name).patch;
  }
  /// Applies to a fresh name, compares, and removes what was written.
  void ExpectResult(const std::string& base, const std::vector<std::string>& patches, const std::string& expected) {
    ASSERT_THAT(ApplyPatches(base, patches, Path("out"), {}), IsOk());
    EXPECT_TRUE(ReadFile(Path("out")) == ReadFile(expected));
    std::filesystem::remove(Path("out"));
  }
  /// What an apply that fails says; that it leaves nothing behind is checked.
  Error ApplyError(const std::string& base, const std::vector<std::string>& patches) {
    std::vector<std::string> before = directory_.Names();
    Result<DecompressSummary> applied = ApplyPatches(base, patches, Path("out"), {});
    EXPECT_EQ(directory_.Names(), before) << "something was left behind";
    return applied.ok() ? Error{ErrorCode::kInternal, 0, "it was applied"} : applied.error();
  }

  TempDir directory_;
  std::string base_ = directory_.File("base.safetensors");
  std::string tune_ = directory_.File("tune.safetensors");
};

TEST_F(Patch, RestoresTheFineTuneFromBaseAndPatch) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  EXPECT_LT(std::filesystem::file_size(Path("p.fly")), std::filesystem::file_size(tune_) / 3);
  EXPECT_EQ(KindOf(Path("p.fly"), "embed.weight"), PatchKind::kPatch);
  EXPECT_EQ(KindOf(Path("p.fly"), "norm.weight"), PatchKind::kSame);
  EXPECT_EQ(KindOf(Path("p.fly"), "head.weight"), PatchKind::kSame);
  ExpectResult(base_, {Path("p.fly")}, tune_);
  DecompressOptions options;
  options.bases = {base_};
  ASSERT_THAT(DecompressFile(Path("p.fly"), Path("out2"), options), IsOk());
  EXPECT_TRUE(ReadFile(Path("out2")) == ReadFile(tune_));
}

TEST_F(Patch, DoesNotDependOnThreads) {
  CompressOptions options;
  options.bases = {base_};
  options.overwrite = true;
  Bytes expected;
  for (size_t thread_count : {1, 2, 5}) {
    options.thread_count = thread_count;
    ASSERT_THAT(CompressFile(tune_, Path("p.fly"), options), IsOk());
    Bytes written = ReadFile(Path("p.fly"));
    if (expected.empty()) expected = written;
    EXPECT_TRUE(written == expected) << thread_count;
  }
}

TEST_F(Patch, TakesArchivesAndDirectoriesForItsBase) {
  ASSERT_THAT(CompressFile(base_, Path("base.fly"), {}), IsOk());
  std::filesystem::create_directory(Path("sharded"));
  Tensors tensors = BaseTensors();
  WriteFile(Path("sharded/b.safetensors"), BuildSafetensors({tensors[4], tensors[0]}));
  WriteFile(Path("sharded/a.safetensors"), BuildSafetensors({tensors[1], tensors[3], tensors[2]}));
  ASSERT_THAT(CompressFile(Path("sharded"), Path("sharded.fly"), {}), IsOk());
  std::string patch = Path("p.fly");
  for (const char* base : {"base.safetensors", "base.fly", "sharded", "sharded.fly"}) {
    ASSERT_THAT(MakePatch(tune_, {Path(base)}, patch), IsOk());
    for (const char* given : {"base.safetensors", "base.fly", "sharded", "sharded.fly"}) {
      SCOPED_TRACE(std::string(base) + " " + given);
      ExpectResult(Path(given), {patch}, tune_);
    }
  }
  Result<std::string> identity = IdentityOfModel({base_}, 2);
  ASSERT_THAT(identity, IsOk());
  for (const char* same : {"base.fly", "sharded", "sharded.fly"}) {
    Result<std::string> other = IdentityOfModel({Path(same)}, 1);
    ASSERT_THAT(other, IsOk());
    EXPECT_EQ(other.value(), identity.value()) << same;
  }
  EXPECT_EQ(ListArchive(patch).value().base->identity_hex, identity.value());
  EXPECT_EQ(ListArchive(patch).value().identity_hex, IdentityOfModel({tune_}, 1).value());
}

TEST_F(Patch, HoldsADirectoryOfShards) {
  std::filesystem::create_directory(Path("variant"));
  Tensors tuned = TunedTensors(BaseTensors(), 9);
  WriteFile(Path("variant/1.safetensors"), BuildSafetensors({tuned[1], tuned[4]}));
  WriteFile(Path("variant/2.safetensors"), BuildSafetensors({tuned[3], tuned[0], tuned[2]}));
  WriteFile(Path("variant/config.json"), "{\"hidden\": 512}");
  ASSERT_THAT(MakePatch(Path("variant"), {base_}, Path("p.fly")), IsOk());
  ASSERT_THAT(ApplyPatches(base_, {Path("p.fly")}, Path("out"), {}), IsOk());
  for (const char* name : {"1.safetensors", "2.safetensors", "config.json"}) {
    EXPECT_TRUE(ReadFile(Path("out/" + std::string(name))) == ReadFile(Path("variant/" + std::string(name)))) << name;
  }
  EXPECT_LT(std::filesystem::file_size(Path("p.fly")), std::filesystem::file_size(tune_) / 3);
}

TEST_F(Patch, TakesOtherFilesFromADirectory) {
  std::filesystem::create_directory(Path("b"));
  std::filesystem::create_directory(Path("v"));
  Random random(3);
  Bytes tokenizer = MakeIntegerWords(1, 50000, Pattern::kRandomBits, random);
  for (const char* name : {"b/tokenizer.model", "v/tokenizer.model"}) WriteFile(Path(name), tokenizer);
  WriteFile(Path("b/m.safetensors"), BuildSafetensors(BaseTensors()));
  WriteFile(Path("v/m.safetensors"), BuildSafetensors(TunedTensors(BaseTensors(), 2)));
  ASSERT_THAT(MakePatch(Path("v"), {Path("b")}, Path("p.fly")), IsOk());
  ASSERT_THAT(ApplyPatches(Path("b"), {Path("p.fly")}, Path("out"), {}), IsOk());
  EXPECT_TRUE(ReadFile(Path("out/tokenizer.model")) == tokenizer);
  EXPECT_THAT(ApplyError(base_, {Path("p.fly")}).message, HasSubstr("tokenizer.model"));
}

TEST_F(Patch, IsNoLargerThanAnArchiveWithoutABase) {
  SafetensorsEntry block = MakeEntry("w", DType::kBF16, {300, 400}, 3);
  SafetensorsEntry repeated = {"w", "BF16", {3000, 400}, {}};
  for (int i = 0; i < 10; ++i) repeated.bytes.insert(repeated.bytes.end(), block.bytes.begin(), block.bytes.end());
  // Half of it changed: a patch takes a part of the tensor, but more than a block.
  SafetensorsEntry near = repeated;
  Tune(near, 2, 9);
  SafetensorsEntry zeros = {"w", "U8", {18, 300007}, Bytes(size_t{18} * 300007)};
  struct Case {
    const char* what;
    SafetensorsEntry base, tune;
  };
  const Case cases[] = {{"repeats", MakeEntry("w", DType::kBF16, {3000, 400}, 4), repeated},
                        {"repeats with a near base", near, repeated},
                        {"zeros", MakeEntry("w", DType::kU8, {1, 300007}, 5), zeros}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    WriteFile(base_, BuildSafetensors({c.base}));
    WriteFile(tune_, BuildSafetensors({c.tune}));
    ASSERT_THAT(CompressFile(tune_, Path("alone.fly"), {.overwrite = true}), IsOk());
    ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
    EXPECT_LT(std::filesystem::file_size(Path("p.fly")), std::filesystem::file_size(Path("alone.fly")) + 700);
    ExpectResult(base_, {Path("p.fly")}, tune_);
  }
}

TEST_F(Patch, RepeatsOfOthersThatStayPatchesArePatchesToo) {
  Tensors base = {MakeEntry("a", DType::kBF16, {600, 512}, 1), MakeEntry("b", DType::kBF16, {600, 512}, 2)};
  Tensors tune = base;
  Tune(tune[0], 50, 3);
  // Most of b is that of a, which is small only as a patch; so is b, whose base is near as well.
  base[1].bytes = base[0].bytes;
  tune[1].bytes = tune[0].bytes;
  Tune(base[1], 90, 4);
  std::fill_n(tune[1].bytes.begin(), 4000, std::byte{7});
  WriteFile(base_, BuildSafetensors(base));
  WriteFile(tune_, BuildSafetensors(tune));
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  EXPECT_EQ(KindOf(Path("p.fly"), "a"), PatchKind::kPatch);
  EXPECT_EQ(KindOf(Path("p.fly"), "b"), PatchKind::kPatch);
  ExpectResult(base_, {Path("p.fly")}, tune_);
}

TEST_F(Patch, StandsOnOtherPatches) {
  std::vector<std::string> patches;
  Tensors tensors = BaseTensors();
  std::string last = base_;
  for (uint64_t step = 0; step < 10; ++step) {
    tensors = TunedTensors(std::move(tensors), 100 * step);
    if (step % 3 == 1) Tune(tensors[3], 9, step);
    last = Path("step" + std::to_string(step));
    WriteFile(last, BuildSafetensors(tensors));
    std::vector<std::string> bases = {base_};
    bases.insert(bases.end(), patches.begin(), patches.end());
    patches.push_back(Path("p" + std::to_string(step) + ".fly"));
    ASSERT_THAT(MakePatch(last, bases, patches.back()), IsOk());
    ExpectResult(base_, patches, last);
  }
  EXPECT_EQ(ListArchive(patches[4]).value().base->identity_hex, ListArchive(patches[3]).value().identity_hex);
  Result<VerifySummary> verified = VerifyFile(patches.back(), {.bases = {base_}});
  EXPECT_THAT(verified, FailsWith(ErrorCode::kBaseMismatch));
}

TEST_F(Patch, FollowsTensorsThatGrowShrinkAppearAndGetOtherNames) {
  Tensors tensors = TunedTensors(BaseTensors(), 3);
  Tensors more = BaseTensors(8);
  tensors[0].shape[0] = 704;
  tensors[0].bytes.insert(tensors[0].bytes.end(), more[0].bytes.begin(), more[0].bytes.begin() + 4 * 1024);
  tensors[1].shape[0] = 250;
  tensors[1].bytes.resize(250 * 1024);
  tensors[2].name = "model.layer.1.weight";
  tensors[4].name = "lm_head";
  tensors.erase(tensors.begin() + 3);
  tensors.push_back(MakeEntry("new", DType::kBF16, {64, 64}, 77));
  WriteFile(tune_, BuildSafetensors(tensors));
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  EXPECT_EQ(KindOf(Path("p.fly"), "embed.weight"), PatchKind::kPatch);
  EXPECT_EQ(KindOf(Path("p.fly"), "layer.0.weight"), PatchKind::kPatch);
  EXPECT_EQ(KindOf(Path("p.fly"), "model.layer.1.weight"), PatchKind::kPatch);
  EXPECT_EQ(KindOf(Path("p.fly"), "lm_head"), PatchKind::kSame);
  EXPECT_EQ(KindOf(Path("p.fly"), "new"), PatchKind::kNone);
  ExpectResult(base_, {Path("p.fly")}, tune_);
}

TEST_F(Patch, IsNoLargerThanAnArchiveWhereTheBaseIsOfNoUse) {
  WriteFile(Path("other"), BuildSafetensors(BaseTensors(40)));
  ASSERT_THAT(CompressFile(Path("other"), Path("alone.fly"), {}), IsOk());
  ASSERT_THAT(MakePatch(Path("other"), {base_}, Path("p.fly")), IsOk());
  EXPECT_LT(std::filesystem::file_size(Path("p.fly")), std::filesystem::file_size(Path("alone.fly")) + 500);
  ExpectResult(base_, {Path("p.fly")}, Path("other"));
}

TEST_F(Patch, OpensWithItsBaseForRandomAccess) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  Result<Archive> archive = Archive::OpenPath(Path("p.fly"), {base_});
  ASSERT_THAT(archive, IsOk());
  Tensors tuned = TunedTensors(BaseTensors(), 5);
  for (size_t number = 0; number < archive.value().listing().extents.size(); ++number) {
    const ListedTensor& extent = archive.value().listing().extents[number];
    if (!extent.is_tensor) continue;
    auto entry = std::ranges::find(tuned, extent.name, &SafetensorsEntry::name);
    for (uint64_t begin : {uint64_t{0}, uint64_t{1}, extent.decoded_bytes / 2, extent.decoded_bytes - 3}) {
      Bytes slice(std::min<uint64_t>(extent.decoded_bytes - begin, 600000));
      ASSERT_THAT(archive.value().DecodeExtent(number, begin, slice, 2), IsOk());
      EXPECT_TRUE(std::equal(slice.begin(), slice.end(), entry->bytes.begin() + static_cast<ptrdiff_t>(begin)))
          << extent.name;
    }
  }
  Bytes whole(archive.value().file_bytes());
  ASSERT_THAT(archive.value().DecodeFile(whole, 2, true), IsOk());
  EXPECT_TRUE(whole == ReadFile(tune_));
  Result<Archive> alone = Archive::OpenPath(Path("p.fly"));
  ASSERT_THAT(alone, IsOk());
  EXPECT_THAT(alone.value().DecodeFile(whole, 2, true), FailsWith(ErrorCode::kBaseMismatch));
}

TEST_F(Patch, VerifiesWithAndWithoutItsBase) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  for (VerifyMode mode : {VerifyMode::kFull, VerifyMode::kFast, VerifyMode::kSample}) {
    VerifyOptions options{.mode = mode, .sample_fraction = 1};
    Result<VerifySummary> alone = VerifyFile(Path("p.fly"), options);
    ASSERT_THAT(alone, IsOk());
    EXPECT_TRUE(alone.value().lacks_base);
    options.bases = {base_};
    Result<VerifySummary> with_base = VerifyFile(Path("p.fly"), options);
    ASSERT_THAT(with_base, IsOk());
    EXPECT_FALSE(with_base.value().lacks_base);
  }
}

TEST_F(Patch, GoesWithParityPartsStreamsAndResuming) {
  CompressOptions options;
  options.bases = {base_};
  options.recovery_permille = 50;
  ASSERT_THAT(CompressFile(tune_, Path("parity.fly"), options), IsOk());
  ExpectResult(base_, {Path("parity.fly")}, tune_);
  options = {};
  options.bases = {base_};
  options.part_bytes = 100000;
  ASSERT_THAT(CompressFile(tune_, Path("parts.fly"), options), IsOk());
  ExpectResult(base_, {Path("parts.fly")}, tune_);
  options = {};
  options.bases = {base_};
  options.resume = true;
  ASSERT_THAT(CompressFile(tune_, Path("resumed.fly"), options), IsOk());
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  EXPECT_TRUE(ReadFile(Path("resumed.fly")) == ReadFile(Path("p.fly")));
}

TEST_F(Patch, GoesOnWithWhatAnInterruptedRunLeft) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("whole.fly")), IsOk());
  Bytes whole = ReadFile(Path("whole.fly"));
  std::filesystem::remove(Path("whole.fly"));
  std::vector<std::string> before = directory_.Names();
  CompressOptions options;
  options.bases = {base_};
  options.resume = true;
  options.thread_count = 1;
  bool is_changed = false;
  options.progress = [&](const Progress& progress) {  // the base changes once all was encoded, so the run fails
    if (is_changed || progress.done_bytes < ReadFile(tune_).size()) return;
    WriteFile(base_, BuildSafetensors(BaseTensors()));
    is_changed = true;
  };
  ASSERT_THAT(CompressFile(tune_, Path("p.fly"), options), FailsWith(ErrorCode::kSourceChanged));
  std::vector<std::string> after = directory_.Names();
  ASSERT_EQ(after.size(), before.size() + 1) << "the partial archive is kept";
  std::string partial = Path(after.front().starts_with(".") ? after.front() : after.back());
  Bytes left = ReadFile(partial);
  ASSERT_GT(left.size(), whole.size() / 2);
  options.progress = {};
  for (size_t cut : {left.size(), left.size() / 2, size_t{3000}}) {
    for (bool is_poisoned : {false, true}) {
      Bytes content(left.begin(), left.begin() + static_cast<ptrdiff_t>(cut));
      if (is_poisoned) content[cut / 2] ^= std::byte{1};
      WriteFile(partial, content);
      ASSERT_THAT(CompressFile(tune_, Path("p.fly"), options), IsOk());
      EXPECT_TRUE(ReadFile(Path("p.fly")) == whole) << cut;
      std::filesystem::remove(Path("p.fly"));
    }
  }
}

TEST_F(Patch, RefusesWhatMakesNoSense) {
  CompressOptions options;
  options.bases = {base_};
  options.remove_source = true;
  EXPECT_THAT(CompressFile(tune_, Path("p.fly"), options), FailsWith(ErrorCode::kInvalidArgument));
  options = {};
  options.bases = {Path("nowhere")};
  EXPECT_THAT(CompressFile(tune_, Path("p.fly"), options), FailsWith(ErrorCode::kIo));
  ASSERT_THAT(CompressFile(tune_, Path("whole.fly"), {}), IsOk());
  EXPECT_THAT(ApplyPatches(base_, {Path("whole.fly")}, Path("out"), {}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(ApplyPatches(base_, {}, Path("out"), {}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_EQ(directory_.Names().size(), 3U);
}

TEST_F(Patch, SaysThatItsBaseChangedMeanwhile) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  std::vector<std::string> before = directory_.Names();
  bool is_changed = false;
  auto change = [&](const Progress&) {
    if (!is_changed) WriteFile(base_, BuildSafetensors(BaseTensors(9)));
    is_changed = true;
  };
  CompressOptions compress;
  compress.bases = {base_};
  compress.progress = change;
  EXPECT_THAT(CompressFile(tune_, Path("q.fly"), compress), FailsWith(ErrorCode::kSourceChanged));
  EXPECT_TRUE(is_changed);
  WriteFile(base_, BuildSafetensors(BaseTensors()));
  is_changed = false;
  DecompressOptions decompress;
  decompress.bases = {base_};
  decompress.progress = change;
  EXPECT_THAT(DecompressFile(Path("p.fly"), Path("out"), decompress), FailsWith(ErrorCode::kSourceChanged));
  EXPECT_TRUE(is_changed);
  EXPECT_EQ(directory_.Names(), before);
}

TEST_F(Patch, DoesNotReplaceItsBase) {
  ASSERT_THAT(CompressFile(base_, Path("base.fly"), {}), IsOk());
  Bytes before = ReadFile(Path("base.fly"));
  EXPECT_THAT(MakePatch(tune_, {Path("base.fly")}, Path("base.fly")), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_TRUE(ReadFile(Path("base.fly")) == before);
}

TEST_F(Patch, SaysThatItsBaseIsMissing) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  Result<DecompressSummary> restored = DecompressFile(Path("p.fly"), Path("out"), {});
  ASSERT_THAT(restored, FailsWith(ErrorCode::kBaseMismatch));
  std::string identity = IdentityOfModel({base_}, 1).value();
  EXPECT_THAT(restored.error().message, HasSubstr("base.safetensors"));
  EXPECT_THAT(restored.error().message, HasSubstr(identity.substr(0, 12)));
  EXPECT_THAT(restored.error().message, HasSubstr("embed.weight"));
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
}

TEST_F(Patch, SaysWhyAModelIsNotItsBase) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  Tensors sibling = TunedTensors(BaseTensors(), 50);
  WriteFile(Path("sibling"), BuildSafetensors(sibling));
  Tensors other = BaseTensors(3);
  for (SafetensorsEntry& entry : other) entry.name = "x." + entry.name;
  WriteFile(Path("other"), BuildSafetensors(other));
  Tensors broadcast = BaseTensors();
  broadcast[3].shape = {1, 512};
  WriteFile(Path("broadcast"), BuildSafetensors(broadcast));
  struct Case {
    std::string base;
    const char* says;
  };
  for (const Case& wrong : {Case{Path("sibling"), "other weights"}, Case{Path("other"), "it lacks 5"},
                            Case{Path("broadcast"), "[1, 512] and not F32 [512]"}, Case{tune_, "applied already"}}) {
    SCOPED_TRACE(wrong.base);
    Error error = ApplyError(wrong.base, {Path("p.fly")});
    EXPECT_EQ(error.code, ErrorCode::kBaseMismatch) << error.message;
    EXPECT_THAT(error.message, HasSubstr(wrong.says));
    ASSERT_THAT(CompressFile(wrong.base, Path("wrong.fly"), {.overwrite = true}), IsOk());
    error = ApplyError(Path("wrong.fly"), {Path("p.fly")});
    EXPECT_EQ(error.code, ErrorCode::kBaseMismatch);
    EXPECT_THAT(error.message, HasSubstr(wrong.says));
  }
}

TEST_F(Patch, SaysWhichOrderFits) {
  WriteFile(Path("second"), BuildSafetensors(TunedTensors(TunedTensors(BaseTensors(), 5), 60)));
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p1.fly")), IsOk());
  ASSERT_THAT(MakePatch(Path("second"), {base_, Path("p1.fly")}, Path("p2.fly")), IsOk());
  ExpectResult(base_, {Path("p1.fly"), Path("p2.fly")}, Path("second"));
  Error error = ApplyError(base_, {Path("p2.fly"), Path("p1.fly")});
  EXPECT_EQ(error.code, ErrorCode::kBaseMismatch);
  EXPECT_THAT(error.message, HasSubstr(base_ + " " + Path("p1.fly") + " " + Path("p2.fly")));
  error = ApplyError(base_, {Path("p2.fly")});
  EXPECT_EQ(error.code, ErrorCode::kBaseMismatch);
  error = ApplyError(base_, {Path("p1.fly"), Path("p1.fly")});
  EXPECT_EQ(error.code, ErrorCode::kBaseMismatch);
  EXPECT_THAT(error.message, HasSubstr("applied already"));
}

/// A base in which one word was changed that no sample hits.
TEST_F(Patch, IsNeverAppliedToABaseThatDiffersInOneBit) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  Bytes base = ReadFile(base_);
  Random random(4);
  for (int i = 0; i < 40; ++i) {
    Bytes flipped = base;
    size_t at = 1000 + random.Below(flipped.size() - 1000);
    flipped[at] ^= std::byte{1} << random.Below(8);
    WriteFile(Path("flipped"), flipped);
    Error error = ApplyError(Path("flipped"), {Path("p.fly")});
    EXPECT_TRUE(error.code == ErrorCode::kBaseMismatch || error.code == ErrorCode::kChecksumMismatch)
        << at << ": " << error.message;
  }
}

TEST_F(Patch, OfTensorsThatStayIsNotReadFromAnotherBase) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  Tensors tensors = BaseTensors();
  tensors[4].bytes[5000] ^= std::byte{1};  // between two stretches of the sample
  WriteFile(Path("flipped"), BuildSafetensors(tensors));
  Result<Archive> archive = Archive::OpenPath(Path("p.fly"), {Path("flipped")});
  ASSERT_THAT(archive, IsOk()) << "the sample should not hit the change";
  for (size_t number = 0; number < archive.value().listing().extents.size(); ++number) {
    if (archive.value().listing().extents[number].name != "head.weight") continue;
    Bytes slice(10);
    EXPECT_THAT(archive.value().DecodeExtent(number, 100000, slice, 1), FailsWith(ErrorCode::kBaseMismatch));
  }
}

TEST_F(Patch, ThatIsDamagedNeverGivesOtherBytes) {
  WriteFile(base_, BuildSafetensors({MakeEntry("a", DType::kBF16, {40, 64}, 1), MakeEntry("b", DType::kF32, {64}, 2)}));
  Tensors tuned = {MakeEntry("a", DType::kBF16, {40, 64}, 1), MakeEntry("b", DType::kF32, {64}, 2)};
  Tune(tuned[0], 3, 1);
  WriteFile(tune_, BuildSafetensors(tuned));
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("p.fly")), IsOk());
  Bytes patch = ReadFile(Path("p.fly"));
  Bytes expected = ReadFile(tune_);
  for (size_t at = 0; at < patch.size(); at += 7) {
    Bytes damaged = patch;
    damaged[at] ^= std::byte{1} << (at % 8);
    WriteFile(Path("damaged.fly"), damaged);
    std::vector<std::string> before = directory_.Names();
    Result<DecompressSummary> applied = ApplyPatches(base_, {Path("damaged.fly")}, Path("out"), {.thread_count = 1});
    if (applied.ok()) {
      EXPECT_TRUE(ReadFile(Path("out")) == expected) << at;
      std::filesystem::remove(Path("out"));
    }
    EXPECT_EQ(directory_.Names(), before) << at;
    EXPECT_FALSE(VerifyFile(Path("damaged.fly"), {.thread_count = 1, .bases = {base_}}).ok()) << at;
    EXPECT_FALSE(VerifyFile(Path("damaged.fly"), {.thread_count = 1}).ok()) << at;
  }
  for (size_t size = 0; size < patch.size(); size += 37) {
    WriteFile(Path("damaged.fly"), std::span(patch).first(size));
    EXPECT_FALSE(ApplyPatches(base_, {Path("damaged.fly")}, Path("out"), {.thread_count = 1}).ok()) << size;
  }
}

TEST_F(Patch, OfFilesWithoutTensorsTakesEqualOnes) {
  Random random(3);
  WriteFile(Path("raw"), MakeIntegerWords(1, 50000, Pattern::kRandomBits, random));
  std::filesystem::copy(Path("raw"), Path("raw2"));
  ASSERT_THAT(MakePatch(Path("raw2"), {Path("raw")}, Path("p.fly")), IsOk());
  EXPECT_LT(std::filesystem::file_size(Path("p.fly")), 2000U);
  ExpectResult(Path("raw"), {Path("p.fly")}, Path("raw2"));
}

}  // namespace
}  // namespace flyweight
