#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "archive_parts.h"

// Damage and malice: whatever happens to an archive's bytes, its reader answers with an error or with the data that was
// written.

namespace flyweight::test {
namespace {

Sample GoodSample(uint64_t seed = 1) {
  auto sample = MakeSample(seed);
  EXPECT_TRUE(sample.ok()) << sample.error().message;
  return std::move(sample).value();
}

/// A golden archive, for damage to codecs that the sample does not have.
Sample GoldenSample(const std::string& name) {
  std::filesystem::path path = std::filesystem::path(FLYWEIGHT_SOURCE_DIR) / "tests/golden/v1" / name;
  std::ifstream in(path, std::ios::binary);
  std::vector<char> chars{std::istreambuf_iterator<char>(in), {}};
  Sample sample;
  sample.archive = Copy(std::as_bytes(std::span(chars)));
  auto decoded = DecodeAll(sample.archive);
  EXPECT_TRUE(decoded.ok()) << name << ": " << decoded.error().message;
  if (decoded.ok()) sample.files = decoded.value().files;
  return sample;
}

/// Where header, records (head, frames, tables), index sections and footer begin.
std::vector<size_t> Borders(const Bytes& archive) {
  MemorySource source(archive);
  auto reader = ArchiveReader::Open(source);
  EXPECT_TRUE(reader.ok());
  std::vector<size_t> borders = {0, wire::kHeaderBytes};
  for (const IndexFile& file : reader.value().index().files) {
    for (const IndexExtent& extent : file.extents) {
      if (extent.place != PlaceKind::kRecord) continue;
      borders.push_back(extent.record_offset);
      auto record = reader.value().OpenRecordOf(extent);
      EXPECT_TRUE(record.ok());
      for (uint64_t offset : record.value().frame_offsets) borders.push_back(offset);
      borders.push_back(record.value().frame_offsets.back() + record.value().table.back().frame_bytes);
    }
  }
  size_t footer = archive.size() - wire::kFooterBytes;
  borders.push_back(LoadLe<uint64_t>(archive.data() + footer + wire::kFooterFirstIndexOffset));
  borders.push_back(LoadLe<uint64_t>(archive.data() + footer + wire::kFooterSecondIndexOffset));
  borders.push_back(footer);
  borders.push_back(archive.size());
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  return borders;
}

void ExpectErrorOrSameData(const Sample& sample, const Bytes& damaged, const std::string& what) {
  auto decoded = DecodeAll(damaged);
  if (!decoded.ok()) {
    EXPECT_FALSE(decoded.error().message.empty()) << what;
    auto unchecked = DecodeOnly(MemorySource(damaged));
    if (unchecked.ok()) {
      EXPECT_EQ(unchecked.value().files, sample.files) << what;
    }
    return;
  }
  EXPECT_EQ(decoded.value().files, sample.files) << what;
  EXPECT_FALSE(decoded.value().damage.empty()) << what << ": damage went unnoticed";
}

TEST(ArchiveDamage, SampleIsSoundFromMemoryAndFromAFile) {
  Sample sample = GoodSample();
  for (bool in_memory : {true, false}) {
    auto decoded = in_memory ? DecodeAll(MemorySource(sample.archive)) : DecodeAll(CopyingSource(sample.archive));
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    EXPECT_EQ(decoded.value().files, sample.files);
    EXPECT_TRUE(decoded.value().damage.empty());
  }
}

TEST(ArchiveDamage, TruncationAtEveryByteIsAnError) {
  Sample sample = GoodSample();
  for (size_t size = 0; size < sample.archive.size(); ++size) {
    Bytes cut(sample.archive.begin(), sample.archive.begin() + static_cast<ptrdiff_t>(size));
    auto decoded = DecodeAll(cut);
    ASSERT_FALSE(decoded.ok()) << "cut to " << size;
    EXPECT_TRUE(decoded.error().code == ErrorCode::kTruncated || size < 8)
        << "cut to " << size << ": " << decoded.error().message;
  }
}

TEST(ArchiveDamage, MissingBytesInFrontAreAnError) {
  Sample sample = GoodSample();
  for (size_t size = 1; size < sample.archive.size(); ++size) {
    EXPECT_FALSE(DecodeAll(Bytes(sample.archive.begin() + static_cast<ptrdiff_t>(size), sample.archive.end())).ok())
        << size;
  }
}

TEST(ArchiveDamage, MissingOrDoubledByteAnywhereIsAnError) {
  Sample sample = GoodSample();
  for (size_t at = 0; at < sample.archive.size(); ++at) {
    Bytes shorter = sample.archive;
    shorter.erase(shorter.begin() + static_cast<ptrdiff_t>(at));
    EXPECT_FALSE(DecodeAll(shorter).ok()) << at;
    Bytes longer = sample.archive;
    longer.insert(longer.begin() + static_cast<ptrdiff_t>(at), longer[at]);
    EXPECT_FALSE(DecodeAll(longer).ok()) << at;
  }
}

TEST(ArchiveDamage, EveryBitFlipIsAnErrorOrIsRepairedFromTheCopyAndSaid) {
  Sample sample = GoodSample();
  size_t repaired = 0;
  for (size_t bit = 0; bit < 8 * sample.archive.size(); ++bit) {
    Bytes damaged = sample.archive;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    ExpectErrorOrSameData(sample, damaged, "bit " + std::to_string(bit));
    repaired += DecodeAll(damaged).ok() ? 1 : 0;
  }
  // The header and both index sections are what can be lost.
  std::vector<size_t> borders = Borders(sample.archive);
  size_t footer = sample.archive.size() - wire::kFooterBytes;
  auto first = LoadLe<uint64_t>(sample.archive.data() + footer + wire::kFooterFirstIndexOffset);
  EXPECT_EQ(repaired, 8 * (wire::kHeaderBytes + footer - first));
}

class GoldenDamage : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenDamage, EveryDamagedByteIsAnErrorOrIsRepairedFromTheCopyAndSaid) {
  Sample sample = GoldenSample(GetParam());
  for (size_t at = 0; at < sample.archive.size(); ++at) {
    Bytes damaged = sample.archive;
    damaged[at] ^= static_cast<std::byte>(1 + at % 255);
    ExpectErrorOrSameData(sample, damaged, "byte " + std::to_string(at));
  }
}

std::string StemOf(const ::testing::TestParamInfo<const char*>& info) {
  return std::filesystem::path(info.param).stem().string();
}

INSTANTIATE_TEST_SUITE_P(Codecs, GoldenDamage,
                         ::testing::Values("codecs_mixed.fly", "planes_each_method.fly", "masked_bits_runs.fly",
                                           "archive_same_as.fly", "archive_zstd_index.fly", "float_bf16.fly",
                                           "recentred_columns_of_one.fly"),
                         StemOf);

TEST(ArchiveDamage, BothIndexesDamagedIsAnError) {
  Sample sample = GoodSample();
  size_t footer = sample.archive.size() - wire::kFooterBytes;
  sample.archive[LoadLe<uint64_t>(sample.archive.data() + footer + wire::kFooterFirstIndexOffset) + 40] ^= std::byte{4};
  sample.archive[LoadLe<uint64_t>(sample.archive.data() + footer + wire::kFooterSecondIndexOffset) + 40] ^=
      std::byte{4};
  auto decoded = DecodeAll(sample.archive);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code, ErrorCode::kChecksumMismatch);
}

TEST(ArchiveDamage, DamageIsNamed) {
  Sample sample = GoodSample();
  size_t footer = sample.archive.size() - wire::kFooterBytes;
  size_t first = LoadLe<uint64_t>(sample.archive.data() + footer + wire::kFooterFirstIndexOffset);
  size_t second = LoadLe<uint64_t>(sample.archive.data() + footer + wire::kFooterSecondIndexOffset);
  for (auto [offset, name] : {std::pair<size_t, std::string>{0, "header"},
                              {63, "header"},
                              {first, "first index"},
                              {second, "second index"}}) {
    Bytes damaged = sample.archive;
    damaged[offset] ^= std::byte{1};
    auto decoded = DecodeAll(damaged);
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    EXPECT_EQ(decoded.value().damage, std::vector<std::string>{name});
  }
}

TEST(ArchiveDamage, PartsOfTwoArchivesJoinedAtAnyBorderAreAnError) {
  Sample one = GoodSample(1);
  Sample two = GoodSample(50);
  ASSERT_EQ(one.archive.size(), two.archive.size()) << "the sizes agree, so only content can tell";
  std::vector<size_t> borders = Borders(one.archive);
  ASSERT_GT(borders.size(), 10u);
  for (size_t from : borders) {
    for (size_t to : borders) {
      Bytes joined(one.archive.begin(), one.archive.begin() + static_cast<ptrdiff_t>(from));
      joined.insert(joined.end(), two.archive.begin() + static_cast<ptrdiff_t>(to), two.archive.end());
      if (joined == one.archive || joined == two.archive) continue;
      EXPECT_FALSE(DecodeAll(joined).ok()) << "up to " << from << ", then from " << to;
    }
  }
}

TEST(ArchiveDamage, RangesOfAnotherArchiveInPlaceAreAnErrorOrChangeNothing) {
  Sample one = GoodSample(1);
  Sample two = GoodSample(50);
  std::vector<size_t> borders = Borders(one.archive);
  for (size_t i = 0; i + 1 < borders.size(); ++i) {
    Bytes mixed = one.archive;
    std::copy(two.archive.begin() + static_cast<ptrdiff_t>(borders[i]),
              two.archive.begin() + static_cast<ptrdiff_t>(borders[i + 1]),
              mixed.begin() + static_cast<ptrdiff_t>(borders[i]));
    auto decoded = DecodeAll(mixed);
    if (mixed == one.archive) continue;
    EXPECT_FALSE(decoded.ok()) << "part " << i << " of " << borders.size();
  }
}

TEST(ArchiveDamage, AnythingAppendedIsAnError) {
  Sample sample = GoodSample();
  for (size_t count : {1, 8, 127, 128, 129, 65536, 70000}) {
    for (auto value : {std::byte{0}, std::byte{0xFF}}) {
      Bytes longer = sample.archive;
      longer.insert(longer.end(), count, value);
      EXPECT_FALSE(DecodeAll(longer).ok()) << count;
    }
  }
  Bytes twice = sample.archive;
  twice.insert(twice.end(), sample.archive.begin(), sample.archive.end());
  EXPECT_FALSE(DecodeAll(twice).ok());
  Bytes footer_twice = sample.archive;
  footer_twice.insert(footer_twice.end(), sample.archive.end() - wire::kFooterBytes, sample.archive.end());
  EXPECT_FALSE(DecodeAll(footer_twice).ok());
}

TEST(ArchiveDamage, FramesThatChangedPlacesAreAnError) {
  // Two records of four stored chunks of the same size: every frame fits where any other stood.
  StoredRecord records[2] = {MakeStoredRecord(Noise(256, 3), 64), MakeStoredRecord(Noise(256, 4), 64)};
  Bytes first = records[0].Whole();
  ArchiveIndex index;
  index.files.push_back(FileOf("f", {RecordExtent(wire::kHeaderBytes, records[0]),
                                     RecordExtent(wire::kHeaderBytes + first.size(), records[1])}));
  for (size_t a = 0; a < 8; ++a) {
    for (size_t b = a + 1; b < 8; ++b) {
      StoredRecord swapped[2] = {records[0], records[1]};
      std::swap(swapped[a / 4].frames[a % 4], swapped[b / 4].frames[b % 4]);
      for (bool tables_too : {false, true}) {
        if (tables_too) std::swap(swapped[a / 4].table[a % 4], swapped[b / 4].table[b % 4]);
        Bytes whole = swapped[0].Whole();
        Bytes second = swapped[1].Whole();
        whole.insert(whole.end(), second.begin(), second.end());
        auto decoded = DecodeAll(Assemble(whole, index));
        ASSERT_FALSE(decoded.ok()) << a << " " << b;
        EXPECT_NE(decoded.error().code, ErrorCode::kLimitExceeded);
      }
    }
  }
  Bytes exchanged = records[1].Whole();
  exchanged.insert(exchanged.end(), first.begin(), first.end());
  auto decoded = DecodeAll(Assemble(exchanged, index));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code, ErrorCode::kChecksumMismatch);
}

TEST(ArchiveDamage, RandomBytesAreAnError) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Bytes bytes = Noise(seed * 7, seed);
    EXPECT_FALSE(DecodeAll(bytes).ok());
    if (bytes.size() < wire::kArchiveMinBytes) continue;
    StoreLe(bytes.data(), wire::kHeaderMagic);
    StoreLe(bytes.data() + bytes.size() - 8, wire::kEndMagic);
    EXPECT_FALSE(DecodeAll(bytes).ok());
    EXPECT_FALSE(DecodeAll(AssembleBody({}, Noise(seed * 3, seed))).ok()) << "a random index";
  }
}

}  // namespace
}  // namespace flyweight::test
