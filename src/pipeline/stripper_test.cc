#include "pipeline/stripper.h"

#include <filesystem>

#include "base/hash.h"
#include "flyweight/pipeline.h"
#include "support/matchers.h"
#include "support/temp_dir.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// A safetensors file of vectors of F32.
std::string Model(const std::vector<std::pair<std::string, std::string>>& tensors) {
  std::string json = "{";
  std::string data;
  for (const auto& [name, content] : tensors) {
    if (json.size() > 1) json += ",";
    json += "\"" + name + R"(":{"dtype":"F32","shape":[)" + std::to_string(content.size() / 4) +
            R"(],"data_offsets":[)" + std::to_string(data.size()) + "," + std::to_string(data.size() + content.size()) +
            "]}";
    data += content;
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  std::string length(8, '\0');
  StoreLe(length.data(), uint64_t{json.size()});
  return length + json + data;
}

const std::string kTrained = Model({{"w", "weights!"}, {"w.exp_avg", "averages"}, {"ssm_state", "ssm."}});
const std::string kPlain = Model({{"w", "weights!"}, {"ssm_state", "ssm."}});

void Write(const std::string& path, const std::string& content) { test::WriteFile(path, AsBytes(content)); }

struct Outcome {
  std::vector<Notice> notices;
  ArchiveListing listing;
};

/// Compresses `source` to `archive`, which is verified, and lists it.
Outcome Pack(const std::string& source, const std::string& archive, const std::vector<std::string>& strip) {
  Outcome outcome;
  CompressOptions options;
  options.strip = strip;
  options.notice = [&outcome](const Notice& notice) { outcome.notices.push_back(notice); };
  EXPECT_THAT(CompressFile(source, archive, options), IsOk());
  Result<ArchiveListing> listing = ListArchive(archive);
  EXPECT_THAT(listing, IsOk());
  if (listing.ok()) outcome.listing = std::move(listing).value();
  EXPECT_THAT(VerifyFile(archive, VerifyOptions()), IsOk());
  return outcome;
}

TEST(Strip, TheArchiveSaysWhatWentAndGivesTheRest) {
  TempDir directory;
  Write(directory.File("m"), kTrained);
  const Outcome outcome = Pack(directory.File("m"), directory.File("m.fly"), {"adam"});
  EXPECT_THAT(outcome.notices, IsEmpty());
  EXPECT_TRUE(outcome.listing.is_stripped);
  ASSERT_THAT(outcome.listing.files, SizeIs(1));
  const ListedFile& file = outcome.listing.files.front();
  ASSERT_THAT(file.stripped, SizeIs(1));
  EXPECT_EQ(file.stripped.front().name, "w.exp_avg");
  EXPECT_EQ(file.stripped.front().size_bytes, 8U);
  EXPECT_EQ(file.original_bytes, kTrained.size());
  EXPECT_EQ(file.original_sha256_hex, ToHex(Sha256(AsBytes(kTrained))));
  EXPECT_EQ(file.sha256_hex, ToHex(Sha256(AsBytes(kPlain))));
  EXPECT_THAT(DecompressFile(directory.File("m.fly"), directory.File("back"), {}), IsOk());
  EXPECT_EQ(test::ReadText(directory.File("back")), kPlain);
  EXPECT_EQ(test::ReadText(directory.File("m")), kTrained);
}

TEST(Strip, NothingIsStrippedByItself) {
  TempDir directory;
  Write(directory.File("m"), kTrained);
  const Outcome outcome = Pack(directory.File("m"), directory.File("m.fly"), {});
  EXPECT_FALSE(outcome.listing.is_stripped);
  EXPECT_EQ(outcome.listing.file_bytes, kTrained.size());
}

TEST(Strip, PatternsMayNameTheFile) {
  TempDir directory;
  std::filesystem::create_directories(directory.File("d/sub"));
  Write(directory.File("d/a"), kTrained);
  Write(directory.File("d/sub/b"), kTrained);
  Write(directory.File("d/z"), "no model");
  const Outcome outcome = Pack(directory.File("d"), directory.File("d.fly"), {"sub/b:w*", "a:ssm_?tate", "none"});
  EXPECT_THAT(outcome.notices, IsEmpty());
  std::map<std::string, size_t> counts;
  for (const ListedFile& file : outcome.listing.files) counts[file.name] = file.stripped.size();
  EXPECT_THAT(counts, ElementsAre(testing::Pair("", 0U), testing::Pair("a", 1U), testing::Pair("sub", 0U),
                                  testing::Pair("sub/b", 2U), testing::Pair("z", 0U)));
  EXPECT_THAT(DecompressFile(directory.File("d.fly"), directory.File("back"), {}), IsOk());
  EXPECT_EQ(test::ReadText(directory.File("back/sub/b")), Model({{"ssm_state", "ssm."}}));
  EXPECT_EQ(test::ReadText(directory.File("back/a")), Model({{"w", "weights!"}, {"w.exp_avg", "averages"}}));
  EXPECT_EQ(test::ReadText(directory.File("back/z")), "no model");
}

TEST(Strip, NothingThatMatchesIsWorthANotice) {
  TempDir directory;
  Write(directory.File("m"), kPlain);
  Outcome outcome = Pack(directory.File("m"), directory.File("m.fly"), {"optimizer", "x*"});
  ASSERT_THAT(outcome.notices, SizeIs(1));
  EXPECT_THAT(outcome.notices.front().reason, HasSubstr("nothing in"));
  EXPECT_FALSE(outcome.notices.front().is_error);
  EXPECT_FALSE(outcome.listing.is_stripped);
  std::filesystem::create_directory(directory.File("d"));
  Write(directory.File("d/m"), kPlain);
  EXPECT_THAT(Pack(directory.File("d"), directory.File("d.fly"), {"optimizer"}).notices, SizeIs(1));
}

TEST(Strip, WhatCannotBeRewrittenIsAnErrorAndLeavesNothing) {
  TempDir directory;
  Write(directory.File("m"), kTrained + "?");
  CompressOptions options;
  options.strip = {"optimizer"};
  Result<CompressSummary> refused = CompressFile(directory.File("m"), directory.File("m.fly"), options);
  EXPECT_THAT(refused, FailsWith(ErrorCode::kUnsupportedFeature));
  EXPECT_THAT(refused.error().message, HasSubstr("'m': nothing can be stripped"));
  EXPECT_FALSE(std::filesystem::exists(directory.File("m.fly")));
}

TEST(Strip, ASourceThatIsStrippedIsNeverRemoved) {
  TempDir directory;
  Write(directory.File("m"), kTrained);
  CompressOptions options;
  options.strip = {"optimizer"};
  options.remove_source = true;
  EXPECT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options),
              FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_TRUE(std::filesystem::exists(directory.File("m")));
  options = {};
  options.strip = {""};
  EXPECT_THAT(CompressFile(directory.File("m"), directory.File("m.fly"), options),
              FailsWith(ErrorCode::kInvalidArgument));
}

}  // namespace
}  // namespace flyweight
