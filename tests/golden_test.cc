#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "archive_parts.h"

// Archives of every feature of every released format version, made once and kept for ever.

namespace flyweight::test {
namespace {

std::filesystem::path GoldenFolder() { return std::filesystem::path(FLYWEIGHT_SOURCE_DIR) / "tests/golden/v1"; }

Bytes ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> chars{std::istreambuf_iterator<char>(in), {}};
  return Copy(std::as_bytes(std::span(chars)));
}

nlohmann::json Manifest();

/// The bytes of the rows of a patch's base table; nothing for other archives.
Bytes BaseOf(const std::string& name) {
  nlohmann::json manifest = Manifest()[name];
  return manifest.contains("base") ? ReadFile(GoldenFolder() / manifest["base"].get<std::string>()) : Bytes();
}

nlohmann::json Manifest() {
  std::ifstream in(GoldenFolder() / "manifest.json");
  return nlohmann::json::parse(in);
}

std::vector<std::string> ManifestNames() {
  std::vector<std::string> names;
  nlohmann::json manifest = Manifest();
  for (const auto& entry : manifest.items()) names.push_back(entry.key());
  return names;
}

/// The digest that the index holds is over the decoded chunks.
Digest TreeDigest(const ArchiveReader& reader, const IndexExtent& extent, ByteSpan content) {
  Sha256Stream tree;
  const IndexExtent& holder = reader.Resolve(extent);
  uint64_t chunk_bytes = content.size();
  if (holder.place == PlaceKind::kRecord) {
    auto record = reader.OpenRecordOf(holder);
    EXPECT_TRUE(record.ok());
    chunk_bytes = record.value().head.chunk_bytes;
  } else if (holder.is_made_of_others()) {
    chunk_bytes = ChunkBytesFor(extent.dtype);
  }
  for (size_t begin = 0; begin < content.size(); begin += chunk_bytes) {
    tree.Update(Sha256(content.subspan(begin, std::min<size_t>(chunk_bytes, content.size() - begin))));
  }
  return tree.Finish();
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, IsTheFileThatWasMade) {
  Bytes archive = ReadFile(GoldenFolder() / GetParam());
  EXPECT_EQ(ToHex(Sha256(archive)), Manifest()[GetParam()]["archive_sha256"]);
}

TEST_P(Golden, DecodesToItsContent) {
  Bytes archive = ReadFile(GoldenFolder() / GetParam());
  Bytes base = BaseOf(GetParam());
  nlohmann::json files = Manifest()[GetParam()]["files"];
  for (bool in_memory : {true, false}) {
    auto decoded = in_memory ? DecodeAll(MemorySource(archive), base) : DecodeAll(CopyingSource(archive), base);
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    EXPECT_TRUE(decoded.value().damage.empty());
    ASSERT_EQ(decoded.value().files.size(), files.size());
    for (size_t i = 0; i < files.size(); ++i) {
      EXPECT_EQ(decoded.value().files[i].size(), files[i]["bytes"]);
      EXPECT_EQ(ToHex(Sha256(decoded.value().files[i])), files[i]["sha256"]) << "file " << i;
    }
  }
}

TEST_P(Golden, HasTheDigestsOfItsIndex) {
  Bytes archive = ReadFile(GoldenFolder() / GetParam());
  MemorySource source(archive);
  Bytes base = BaseOf(GetParam());
  auto reader = OpenWithBase(source, base);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  CodecScratch scratch;
  for (const IndexFile& file : reader.value().index().files) {
    Sha256Stream whole;
    for (const IndexExtent& extent : file.extents) {
      Bytes content(extent.decoded_bytes);
      Status status = reader.value().DecodeRange(extent, 0, content, scratch);
      ASSERT_TRUE(status.ok()) << status.error().message;
      whole.Update(content);
      if (extent.digest_algorithm == DigestAlgorithm::kSha256Tree) {
        EXPECT_EQ(TreeDigest(reader.value(), extent, content), extent.digest);
      }
    }
    if (file.has_sha256) {
      EXPECT_EQ(whole.Finish(), file.sha256);
    }
  }
}

TEST_P(Golden, AnyRangeIsThatOfTheWhole) {
  Bytes archive = ReadFile(GoldenFolder() / GetParam());
  MemorySource source(archive);
  Bytes base = BaseOf(GetParam());
  auto reader = OpenWithBase(source, base);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  CodecScratch scratch;
  for (const IndexFile& file : reader.value().index().files) {
    for (const IndexExtent& extent : file.extents) {
      Bytes whole(extent.decoded_bytes);
      ASSERT_TRUE(reader.value().DecodeRange(extent, 0, whole, scratch).ok());
      for (uint64_t i = 0; i < 12; ++i) {
        size_t begin = whole.size() * i / 12;
        size_t end = std::min(whole.size(), begin + (i * i * 97) % (whole.size() + 1));
        Bytes part(end - begin);
        ASSERT_TRUE(reader.value().DecodeRange(extent, begin, part, scratch).ok());
        EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<ptrdiff_t>(begin)))
            << begin << " to " << end;
      }
    }
  }
}

std::string StemOf(const ::testing::TestParamInfo<std::string>& name) {
  return std::filesystem::path(name.param).stem().string();
}

INSTANTIATE_TEST_SUITE_P(V1, Golden, ::testing::ValuesIn(ManifestNames()), StemOf);

TEST(GoldenFolder, HasNoArchiveThatTheManifestLacks) {
  nlohmann::json manifest = Manifest();
  EXPECT_GE(manifest.size(), 48u);
  for (const auto& entry : std::filesystem::directory_iterator(GoldenFolder())) {
    if (entry.path().extension() != ".fly") continue;
    EXPECT_TRUE(manifest.contains(entry.path().filename().string())) << entry.path();
  }
}

}  // namespace
}  // namespace flyweight::test
