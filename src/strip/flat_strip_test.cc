#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "container/gguf_test_files.h"
#include "container/npy_test_files.h"
#include "container/safetensors_test_files.h"
#include "container/zip_test_files.h"
#include "strip/crc32.h"
#include "strip/strip_report.h"
#include "strip/strip_test_tools.h"

namespace flyweight {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

std::string WithLength(const std::string& json, const std::string& data) {
  std::string file(8, '\0');
  StoreLe(file.data(), uint64_t{json.size()});
  return file + json + data;
}

/// The order of the header is not that of the data.
std::string TrainingSafetensors() {
  return WithLength(R"({ "w.exp_avg" : {"dtype":"F32","shape":[2],"data_offsets":[4,12]},)"
                    R"("__metadata__":{"format":"pt","e":"1e-9"},)"
                    R"("w":{"shape":[2],"note":[1.50,"]"],"data_offsets":[16, 24],"dtype":"F32"},)"
                    R"("ssm_state":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                    R"("w.step":{"dtype":"F32","shape":[],"data_offsets":[12,16]},)"
                    R"("empty":{"dtype":"F32","shape":[0],"data_offsets":[24,24]}}   )",
                    "stat12345678STEPabcdefgh");
}

TEST(StripSafetensors, TensorsGoAndTheRestClosesUp) {
  const StripOutcome outcome = Strip(TrainingSafetensors(), ForOptimizer());
  EXPECT_THAT(outcome.removed, ElementsAre(Pair("w.exp_avg", 8), Pair("w.step", 4)));
  EXPECT_EQ(TensorsOf(outcome.file), Without(TensorsOf(TrainingSafetensors()), {"w.exp_avg", "w.step"}));
  const uint64_t header_bytes = LoadLe<uint64_t>(outcome.file.data());
  EXPECT_EQ(header_bytes % 8, 0U);
  std::string json = outcome.file.substr(8, static_cast<size_t>(header_bytes));
  json.resize(json.find_last_not_of(' ') + 1);
  EXPECT_EQ(json, R"({"__metadata__":{"format":"pt","e":"1e-9"},)"
                  R"("w":{"shape":[2],"note":[1.50,"]"],"data_offsets":[4,12],"dtype":"F32"},)"
                  R"("ssm_state":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                  R"("empty":{"dtype":"F32","shape":[0],"data_offsets":[12,12]}})");
  EXPECT_TRUE(outcome.file.ends_with("statabcdefgh"));
}

TEST(StripSafetensors, TensorsWithoutBytesMayMeet) {
  const std::string file = WithLength(R"({"z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
                                      R"("go":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                      R"("a":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
                                      "1234");
  EXPECT_THAT(TensorsOf(Strip(file, ForPrefix("go")).file), ElementsAre(Pair("a", "F32 0: "), Pair("z", "F32 0: ")));
}

TEST(StripSafetensors, AllTensorsMayGo) {
  const StripOutcome outcome = Strip(TrainingSafetensors(), ForPrefix(""));
  EXPECT_EQ(outcome.removed.size(), 5U);
  EXPECT_THAT(TensorsOf(outcome.file), IsEmpty());
}

TEST(StripSafetensors, FilesWithUncertainLayoutAreRefused) {
  std::string gap = TrainingSafetensors() + "?";
  EXPECT_EQ(Strip(gap, ForOptimizer()).failure, "refused");
  std::string escaped = WithLength(R"({"w":{"dtype":"F32","shape":[1],"data\u005foffsets":[0,4]},)"
                                   R"("x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                   "12345678");
  EXPECT_EQ(Strip(escaped, ForPrefix("x")).failure, "refused");
}

TEST(StripSafetensors, NothingMatches) { EXPECT_EQ(Strip(TrainingSafetensors(), ForPrefix("q")).failure, "nothing"); }

TEST(StripFile, OtherFormatsAreLeftAlone) {
  EXPECT_EQ(Strip("no model at all", ForPrefix("")).failure, "nothing");
  EXPECT_EQ(Strip("", ForPrefix("")).failure, "nothing");
}

class StripGguf : public testing::TestWithParam<std::pair<uint32_t, bool>> {};

TEST_P(StripGguf, TensorsGoAndAlignmentStays) {
  const std::string file = ManySidedGguf(GetParam().first, GetParam().second);
  const auto before = TensorsOf(file);
  ASSERT_EQ(before.size(), 4U);
  for (const auto& [name, content] : before) {
    const StripOutcome outcome = Strip(file, ForPrefix(name));
    if (outcome.failure == "refused") continue;  // padding behind `i8` is more than the alignment
    EXPECT_EQ(outcome.failure, "");
    EXPECT_EQ(TensorsOf(outcome.file), Without(before, {name}));
    EXPECT_LT(outcome.file.size(), file.size());
  }
  EXPECT_EQ(Strip(file, ForPrefix("q4")).failure, "");
}

INSTANTIATE_TEST_SUITE_P(Versions, StripGguf,
                         testing::Values(std::pair(1U, false), std::pair(2U, false), std::pair(3U, false),
                                         std::pair(3U, true)));

TEST(StripGguf, TheHeadIsThatOfAFileWithoutTheTensor) {
  GgufWriter before, after;
  before.Alignment(64).Tensor("a", {16}, 0, 0).Tensor("b", {3}, 0, 64).Tensor("c", {4}, 0, 128);
  after.Alignment(64).Tensor("a", {16}, 0, 0).Tensor("c", {4}, 0, 64);
  const std::string file = before.File(144);
  const StripOutcome outcome = Strip(file, ForPrefix("b"));
  std::string expected = after.File(0) + file.substr(before.HeadBytes(), 64) + file.substr(before.HeadBytes() + 128);
  EXPECT_EQ(outcome.file, expected);
  EXPECT_THAT(outcome.removed, ElementsAre(Pair("b", 12)));
}

TEST(StripGguf, UncertainLayoutsAreRefused) {
  GgufWriter overlapping, unaligned, unknown;
  overlapping.Tensor("a", {16}, 0, 0).Tensor("b", {16}, 0, 32);
  EXPECT_EQ(Strip(overlapping.File(96), ForPrefix("a")).failure, "refused");
  unaligned.Tensor("a", {4}, 0, 0).Tensor("b", {4}, 0, 16);
  EXPECT_EQ(Strip(unaligned.File(32), ForPrefix("a")).failure, "refused");
  unknown.Tensor("a", {4}, 0, 0).Tensor("b", {4}, 4, 32);
  EXPECT_EQ(Strip(unknown.File(64), ForPrefix("a")).failure, "refused");
}

std::string Array(std::string_view shape, const std::string& data) {
  return NpyFile(NpyDict("'<f4'", "False", shape), 0) + data;
}

std::string Npz(bool zip64, std::string_view comment) {
  ZipWriter writer;
  ZipOptions options;
  options.zip64 = zip64;
  ZipOptions compressed = options;
  compressed.method = 8;
  writer.Add("w.npy", Array("(2,)", "12345678"), options);
  writer.Add("w.exp_avg.npy", Array("(2,)", "abcdefgh"), options);
  writer.Add("packed.npy", "nobody unpacks this", compressed);
  writer.Add("bn.running_mean.npy", Array("(1,)", "mean"), options);
  return writer.File(comment, zip64);
}

TEST(StripNpz, MembersGo) {
  for (bool zip64 : {false, true}) {
    const std::string file = Npz(zip64, "a comment");
    const StripOutcome outcome = Strip(file, ForOptimizer());
    ASSERT_EQ(outcome.failure, "");
    EXPECT_EQ(TensorsOf(outcome.file), Without(TensorsOf(file), {"w.exp_avg"}));
    EXPECT_EQ(TensorsOf(outcome.file).size(), 2U);
    EXPECT_THAT(outcome.file, HasSubstr("nobody unpacks this"));
    EXPECT_THAT(outcome.file, Not(HasSubstr("abcdefgh")));
    EXPECT_TRUE(outcome.file.ends_with("a comment"));
    // Again: the result is as sound as the file was.
    const StripOutcome again = Strip(outcome.file, ForPrefix("packed"));
    EXPECT_EQ(TensorsOf(again.file), TensorsOf(outcome.file));
    EXPECT_EQ(Strip(again.file, ForPrefix("packed")).failure, "nothing");
  }
}

TEST(StripNpz, SomethingMustBeLeft) { EXPECT_EQ(Strip(Npz(false, ""), ForPrefix("")).failure, "refused"); }

TEST(StripReport, SaysWhatWentAndRefusesWhatIsMalformed) {
  const std::vector<RemovedTensor> removed = {{"a", 5}, {"", 0}, {"b.c", uint64_t{1} << 40}};
  std::vector<std::byte> value = WriteRemovedTensors(removed);
  Result<std::vector<RemovedTensor>> parsed = ParseRemovedTensors(value);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().size(), 3U);
  EXPECT_EQ(parsed.value()[2].name, "b.c");
  EXPECT_EQ(parsed.value()[2].size_bytes, uint64_t{1} << 40);
  for (size_t size = 0; size < value.size(); size++)
    EXPECT_FALSE(ParseRemovedTensors(ByteSpan(value).first(size)).ok());
  value.push_back(std::byte{0});
  EXPECT_FALSE(ParseRemovedTensors(value).ok());
}

TEST(Crc32, KnownValue) { EXPECT_EQ(Crc32(AsBytes("123456789")), 0xCBF43926U); }

TEST(EditList, ReadsAcrossPieces) {
  const std::string original = "0123456789";
  MemorySource source(AsBytes(original));
  EditList edits;
  edits.Keep(0, 3);
  edits.Insert(AsBytes("abc"));
  edits.Keep(8, 2);
  const std::string expected = "012abc89";
  ASSERT_EQ(edits.size(), expected.size());
  for (size_t begin = 0; begin <= expected.size(); begin++) {
    for (size_t end = begin; end <= expected.size(); end++) {
      std::string read(end - begin, '\0');
      ASSERT_TRUE(edits.ReadAt(source, begin, std::as_writable_bytes(std::span(read))).ok());
      EXPECT_EQ(read, expected.substr(begin, end - begin));
    }
  }
  std::byte byte;
  EXPECT_EQ(edits.ReadAt(source, 8, {&byte, 1}).error().code, ErrorCode::kTruncated);
}

TEST(StripMutated, FlatFilesKeepWhatStays) {
  std::mt19937 random(7);
  size_t stripped_count = 0;
  GgufWriter gguf;
  gguf.Tensor("a", {8}, 0, 0).Tensor("w", {8}, 0, 32).Tensor("w.exp_avg", {8}, 0, 64);
  for (const std::string& file : {TrainingSafetensors(), gguf.File(96), Npz(false, ""), Npz(true, "")}) {
    for (int round = 0; round < 1500; round++) {
      std::string mutated = file;
      for (int i = 0; i < 1 + round % 3; i++) mutated[random() % mutated.size()] = static_cast<char>(random());
      if (round % 7 == 0) mutated.resize(random() % mutated.size());
      stripped_count += ExpectKeptTensorsStay(mutated, ForOptimizer());
      stripped_count += ExpectKeptTensorsStay(mutated, ForPrefix("w"));
    }
  }
  EXPECT_GT(stripped_count, 1000U);
}

}  // namespace
}  // namespace flyweight
