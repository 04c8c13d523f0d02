#include <cstdlib>
#include <filesystem>

#include "flyweight/pipeline.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/temp_dir.h"

// Model files of every kind, mutated at random, come back byte for byte. FLYWEIGHT_MUTATED_FILES sets how many are
// tried a kind; the default makes over 500 in all.

namespace flyweight::test {
namespace {

using Bytes = std::vector<std::byte>;

size_t MutationsAFile() {
  const char* count = std::getenv("FLYWEIGHT_MUTATED_FILES");
  return count != nullptr ? std::strtoul(count, nullptr, 10) : 6;
}

/// Small files that each of the parsers knows: their fuzzers' corpora, and what the real packages wrote.
std::vector<std::filesystem::path> SeedFiles() {
  constexpr uintmax_t kSeedMaxBytes = 1 << 20;
  std::vector<std::filesystem::path> seeds;
  std::filesystem::path root(FLYWEIGHT_SOURCE_DIR);
  for (const char* folder : {"fuzz/corpus/safetensors", "fuzz/corpus/gguf", "fuzz/corpus/npy", "fuzz/corpus/onnx",
                             "fuzz/corpus/torch", "fuzz/corpus/zip", "tests/containers", "tests/golden/v1"}) {
    for (const auto& entry : std::filesystem::directory_iterator(root / folder)) {
      if (entry.is_regular_file() && entry.file_size() <= kSeedMaxBytes) seeds.push_back(entry.path());
    }
  }
  std::ranges::sort(seeds);
  return seeds;
}

Bytes Mutate(Bytes bytes, Random& random) {
  uint64_t rounds = 1 + random.Below(4);
  for (uint64_t round = 0; round < rounds && !bytes.empty(); ++round) {
    size_t at = random.Below(bytes.size());
    size_t count = 1 + random.Below(std::min<size_t>(bytes.size() - at, 64));
    auto begin = bytes.begin() + static_cast<ptrdiff_t>(at);
    auto end = begin + static_cast<ptrdiff_t>(count);
    switch (random.Below(6)) {
      case 0:
        *begin ^= std::byte{static_cast<unsigned char>(1U << random.Below(8))};
        break;
      case 1:
        random.Fill({begin, end});
        break;
      case 2:
        bytes.erase(begin, end);
        break;
      case 3: {
        Bytes copy(begin, end);
        bytes.insert(begin, copy.begin(), copy.end());
        break;
      }
      case 4:
        bytes.resize(at);
        break;
      default:
        std::fill(begin, end, std::byte{random.Below(2) == 0 ? uint8_t{0} : uint8_t{0xFF}});
    }
  }
  return bytes;
}

TEST(MutatedFiles, ComeBackByteForByte) {
  Random random(1);
  size_t file_count = 0;
  for (const std::filesystem::path& path : SeedFiles()) {
    Bytes seed = ReadFile(path.string());
    for (size_t i = 0; i <= MutationsAFile(); ++i) {
      Bytes file = i == 0 ? seed : Mutate(seed, random);
      Bytes archive;
      Status status =
          CompressFileBytes(file, "model", Level::kBalanced, 1 + file_count % 2, [&](std::span<const std::byte> piece) {
            archive.insert(archive.end(), piece.begin(), piece.end());
            return Status::Ok();
          });
      ASSERT_THAT(status, IsOk()) << path;
      Result<Archive> opened = Archive::OpenBytes(archive);
      ASSERT_THAT(opened, IsOk()) << path;
      Bytes restored(opened.value().file_bytes());
      ASSERT_THAT(opened.value().DecodeFile(restored, 1, true), IsOk()) << path;
      ASSERT_TRUE(restored == file) << path << ", mutation " << i;
      ++file_count;
    }
  }
  std::cout << file_count << " files, mutated and not, came back byte for byte\n";
  EXPECT_GE(file_count, 500U);
}

}  // namespace
}  // namespace flyweight::test
