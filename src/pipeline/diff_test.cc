#include "flyweight/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "support/matchers.h"
#include "support/safetensors_file.h"
#include "support/temp_dir.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using test::Pattern;
using test::Random;
using test::SafetensorsEntry;
using test::TempDir;
using test::WriteFile;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;
using Entries = std::vector<SafetensorsEntry>;

SafetensorsEntry Tensor(std::string name, DType dtype, uint64_t rows, uint64_t columns, uint64_t seed) {
  Random random(seed);
  return {std::move(name),
          std::string(Describe(dtype).name),
          {rows, columns},
          test::MakeTensor(dtype, rows, columns, Pattern::kWeights, random)};
}

/// Tensors of several chunks, of one, and of another type.
Entries Model() {
  return {Tensor("embed", DType::kBF16, 4096, 512, 1), Tensor("layer.0", DType::kBF16, 64, 128, 2),
          Tensor("layer.1", DType::kBF16, 64, 128, 3), Tensor("ids", DType::kI64, 1, 16, 4)};
}

void Write(const std::string& path, const Entries& entries) { WriteFile(path, test::BuildSafetensors(entries)); }

DiffReport Diff(const std::string& a, const std::string& b, std::vector<std::string> tensors = {}) {
  DiffOptions options;
  options.thread_count = 2;
  options.tensors = std::move(tensors);
  Result<DiffReport> report = DiffModels(a, b, options);
  EXPECT_THAT(report, IsOk());
  return report.ok() ? std::move(report).value() : DiffReport();
}

/// Names of tensors that are not the same, and what they are.
std::map<std::string, std::string> Kinds(const DiffReport& report) {
  std::map<std::string, std::string> kinds;
  for (const TensorDiff& tensor : report.tensors) {
    if (tensor.kind != DiffKind::kSame) kinds.emplace(tensor.name, DiffKindName(tensor.kind));
  }
  return kinds;
}

const TensorDiff& Find(const DiffReport& report, const std::string& name) {
  auto found = std::ranges::find(report.tensors, name, &TensorDiff::name);
  if (found == report.tensors.end()) throw std::runtime_error("no tensor " + name);
  return *found;
}

void Archive(const std::string& source, const std::string& target) {
  CompressOptions options;
  options.thread_count = 2;
  EXPECT_THAT(CompressFile(source, target, options), IsOk());
}

TEST(Diff, AnArchiveIsTheSameAsItsSource) {
  TempDir directory;
  Write(directory.File("a.safetensors"), Model());
  Archive(directory.File("a.safetensors"), directory.File("a.fly"));
  for (bool swapped : {false, true}) {
    DiffReport report =
        Diff(directory.File(swapped ? "a.fly" : "a.safetensors"), directory.File(swapped ? "a.safetensors" : "a.fly"));
    EXPECT_TRUE(report.is_same());
    EXPECT_EQ(report.tensor_counts[0], 4U);
  }
}

TEST(Diff, CountsChangesAndMeasuresThem) {
  TempDir directory;
  Entries tuned = Model();
  // In the last chunk: one step up, and one element by its sign.
  std::byte* end = tuned[0].bytes.data() + tuned[0].bytes.size();
  uint16_t word = 0x3c80;
  std::memcpy(end - 2, &word, 2);
  Entries base = tuned;
  word = 0x3c81;
  std::memcpy(end - 2, &word, 2);
  tuned[3].bytes[0] ^= std::byte{1};
  Write(directory.File("a.safetensors"), base);
  Write(directory.File("b.safetensors"), tuned);
  DiffReport report = Diff(directory.File("a.safetensors"), directory.File("b.safetensors"));
  EXPECT_FALSE(report.is_same());
  EXPECT_THAT(Kinds(report), UnorderedElementsAre(Pair("embed", "changed"), Pair("ids", "changed")));
  const TensorDiff& embed = Find(report, "embed");
  EXPECT_EQ(embed.compared_count, 4096U * 512);
  EXPECT_EQ(embed.changed_count, 1U);
  EXPECT_EQ(embed.largest_ulps, 1U);
  EXPECT_DOUBLE_EQ(embed.largest_difference, 0x1p-13);
  EXPECT_GT(embed.relative_difference, 0);
  const TensorDiff& ids = Find(report, "ids");
  EXPECT_EQ(ids.changed_count, 1U);
  EXPECT_FALSE(ids.has_values);
  EXPECT_THAT(report.files, IsEmpty());
}

TEST(Diff, TellsAddedRemovedRenamedRetypedAndReshaped) {
  TempDir directory;
  Entries base = Model();
  base.push_back(Tensor("gone", DType::kF32, 8, 8, 5));
  base.push_back(Tensor("grown", DType::kF32, 8, 16, 6));
  Entries variant = Model();
  variant[1].name = "blocks.0";
  variant[2] = Tensor("layer.1", DType::kF32, 64, 128, 3);
  variant.push_back(Tensor("new", DType::kF32, 9, 9, 7));
  SafetensorsEntry grown = base.back();
  grown.shape[0] = 9;
  grown.bytes.resize(9 * 16 * 4);
  variant.push_back(grown);
  Write(directory.File("a.safetensors"), base);
  Write(directory.File("b.safetensors"), variant);
  DiffReport report = Diff(directory.File("a.safetensors"), directory.File("b.safetensors"));
  EXPECT_THAT(Kinds(report),
              UnorderedElementsAre(Pair("blocks.0", "renamed"), Pair("layer.1", "re-typed"), Pair("new", "added"),
                                   Pair("grown", "re-shaped"), Pair("gone", "removed")));
  EXPECT_EQ(Find(report, "blocks.0").base_name, "layer.0");
  EXPECT_EQ(Find(report, "grown").compared_count, 8U * 16);
  EXPECT_EQ(Find(report, "grown").changed_count, 0U);
  // The same draws, rounded.
  EXPECT_GT(Find(report, "layer.1").changed_count, 0U);
  EXPECT_LT(Find(report, "layer.1").relative_difference, 0.01);
  EXPECT_THAT(report.files, IsEmpty()) << "the header follows from the tensors";
}

TEST(Diff, ShardsDoNotMatter) {
  TempDir directory;
  Entries model = Model();
  std::filesystem::create_directories(directory.File("two"));
  Write(directory.File("one.safetensors"), model);
  Write(directory.File("two/model-00001-of-00002.safetensors"), {model[0]});
  Write(directory.File("two/model-00002-of-00002.safetensors"), {model[3], model[2], model[1]});
  EXPECT_TRUE(Diff(directory.File("one.safetensors"), directory.File("two")).is_same());
  Archive(directory.File("two"), directory.File("two.fly"));
  EXPECT_TRUE(Diff(directory.File("two.fly"), directory.File("one.safetensors")).is_same());
}

TEST(Diff, FilesOfDirectoriesAreCompared) {
  TempDir directory;
  for (const char* side : {"a", "b"}) {
    std::filesystem::create_directories(directory.File(side));
    Write(directory.File(side) + "/m.safetensors", Model());
    WriteFile(directory.File(side) + "/same.json", "{}");
    WriteFile(directory.File(side) + "/config.json", side);
    WriteFile(directory.File(side) + "/only_" + side, side);
  }
  DiffReport report = Diff(directory.File("a"), directory.File("b"));
  std::map<std::string, std::string> kinds;
  for (const FileDiff& file : report.files) kinds.emplace(file.name, DiffKindName(file.kind));
  EXPECT_THAT(kinds,
              UnorderedElementsAre(Pair("config.json", "changed"), Pair("only_a", "removed"), Pair("only_b", "added")));
  EXPECT_THAT(Kinds(report), IsEmpty());
  EXPECT_FALSE(report.is_same());
  EXPECT_TRUE(Diff(directory.File("a"), directory.File("b"), {"*"}).is_same()) << "tensors alone were asked for";
}

TEST(Diff, AHeaderThatSaysSomethingElseIsADifference) {
  TempDir directory;
  Entries model = Model();
  std::vector<std::byte> plain = test::BuildSafetensors(model);
  // Padding of the header: other bytes, the same tensors.
  std::vector<std::byte> padded = plain;
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, padded.data(), 8);
  header_bytes += 8;
  std::memcpy(padded.data(), &header_bytes, 8);
  padded.insert(padded.begin() + static_cast<ptrdiff_t>(header_bytes), 8, std::byte{' '});
  WriteFile(directory.File("a.safetensors"), plain);
  WriteFile(directory.File("b.safetensors"), padded);
  DiffReport report = Diff(directory.File("a.safetensors"), directory.File("b.safetensors"));
  EXPECT_THAT(Kinds(report), IsEmpty());
  ASSERT_EQ(report.files.size(), 1U);
  EXPECT_TRUE(report.files[0].is_rest);
  EXPECT_FALSE(report.is_same());
}

TEST(Diff, PatternsChooseTensors) {
  TempDir directory;
  Entries variant = Model();
  variant[1].bytes[5] ^= std::byte{1};
  Write(directory.File("a.safetensors"), Model());
  Write(directory.File("b.safetensors"), variant);
  EXPECT_TRUE(Diff(directory.File("a.safetensors"), directory.File("b.safetensors"), {"embed"}).is_same());
  EXPECT_FALSE(Diff(directory.File("a.safetensors"), directory.File("b.safetensors"), {"layer.*"}).is_same());
}

TEST(Diff, APatchIsComparedWithItsBase) {
  TempDir directory;
  Entries variant = Model();
  variant[0].bytes[5] ^= std::byte{1};
  Write(directory.File("a.safetensors"), Model());
  Write(directory.File("b.safetensors"), variant);
  CompressOptions options;
  options.bases = {directory.File("a.safetensors")};
  ASSERT_THAT(CompressFile(directory.File("b.safetensors"), directory.File("p.fly"), options), IsOk());
  DiffReport report = Diff(directory.File("a.safetensors"), directory.File("p.fly"));
  EXPECT_THAT(Kinds(report), UnorderedElementsAre(Pair("embed", "changed")));
  EXPECT_EQ(Find(report, "embed").changed_count, 1U);
  // On another model it is no patch.
  EXPECT_THAT(DiffModels(directory.File("b.safetensors"), directory.File("p.fly"), {}),
              FailsWith(ErrorCode::kBaseMismatch));
}

TEST(Diff, NamesWhatIsMissing) {
  TempDir directory;
  Write(directory.File("a.safetensors"), Model());
  EXPECT_THAT(DiffModels(directory.File("a.safetensors"), directory.File("none"), {}), FailsWith(ErrorCode::kIo));
}

}  // namespace
}  // namespace flyweight
