#include <cstdlib>
#include <filesystem>
#include <map>

#include "flyweight/pipeline.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/safetensors_file.h"
#include "support/temp_dir.h"
#include "support/weights.h"

// No flipped bit of an archive ever gives other data. FLYWEIGHT_BIT_FLIPS sets how many are tried (100000 for a
// release); the default takes seconds.

namespace flyweight::test {
namespace {

using Bytes = std::vector<std::byte>;

size_t FlipCount() {
  const char* count = std::getenv("FLYWEIGHT_BIT_FLIPS");
  return count != nullptr ? std::strtoul(count, nullptr, 10) : 3000;
}

/// A model with tensors of several types and sizes; the second is the first one again.
Bytes Model(uint64_t seed) {
  Random random(seed);
  auto entry = [&](std::string name, std::string dtype, DType type, uint64_t rows, uint64_t columns) {
    return SafetensorsEntry{
        std::move(name), std::move(dtype), {rows, columns}, MakeTensor(type, rows, columns, Pattern::kWeights, random)};
  };
  SafetensorsEntry first = entry("bf16", "BF16", DType::kBF16, 20, 60);
  SafetensorsEntry again = first;
  again.name = "tied";
  return BuildSafetensors({first, again, entry("f32", "F32", DType::kF32, 20, 40),
                           entry("f16", "F16", DType::kF16, 9, 9), entry("tiny", "I64", DType::kI64, 2, 2)});
}

/// An archive in memory and what all its extents hold.
struct Subject {
  std::string name;
  Bytes archive;
  std::vector<Bytes> extents;
};

std::vector<Bytes> DecodeExtents(const Archive& archive) {
  std::vector<Bytes> extents;
  for (size_t i = 0; i < archive.listing().extents.size(); ++i) {
    Bytes content(archive.listing().extents[i].decoded_bytes);
    if (!archive.DecodeExtent(i, 0, content, 1).ok()) content.clear();
    extents.push_back(std::move(content));
  }
  return extents;
}

std::vector<Subject> MakeSubjects() {
  TempDir directory;
  std::filesystem::create_directories(directory.File("tree/sub"));
  WriteFile(directory.File("tree/a.safetensors"), Model(1));
  WriteFile(directory.File("tree/sub/b.safetensors"), Model(1));
  WriteFile(directory.File("tree/config.json"), "{\"hidden\": 60}\n");
  WriteFile(directory.File("single"), Model(2));
  std::vector<Subject> subjects;
  auto add = [&](const std::string& name, const std::string& source, const CompressOptions& options) {
    std::string target = directory.File(name + ".fly");
    if (!Compress({directory.File(source)}, target, options).ok()) throw std::runtime_error("cannot make " + name);
    Subject& subject = subjects.emplace_back(name, ReadFile(target));
    subject.extents = DecodeExtents(Archive::OpenBytes(subject.archive).value());
  };
  CompressOptions plain;
  add("single", "single", plain);
  add("tree", "tree", plain);
  CompressOptions parity;
  parity.recovery_permille = 100;
  add("parity", "single", parity);
  CompressOptions lossy;
  lossy.lossy = ParseLossyOptions("int8").value();
  add("lossy", "tree", lossy);
  return subjects;
}

/// What is told about an archive must not change either, except where damage is reported.
bool SameListing(const ArchiveListing& a, const ArchiveListing& b) {
  if (a.is_tree != b.is_tree || a.files.size() != b.files.size() || a.extents.size() != b.extents.size()) return false;
  for (size_t i = 0; i < a.files.size(); ++i) {
    if (a.files[i].name != b.files[i].name || !(a.files[i].entry == b.files[i].entry) ||
        a.files[i].sha256_hex != b.files[i].sha256_hex || a.files[i].is_lossy != b.files[i].is_lossy) {
      return false;
    }
  }
  for (size_t i = 0; i < a.extents.size(); ++i) {
    if (a.extents[i].name != b.extents[i].name || a.extents[i].dtype != b.extents[i].dtype ||
        a.extents[i].shape != b.extents[i].shape) {
      return false;
    }
  }
  return true;
}

TEST(BitFlips, AreNeverSilent) {
  std::vector<Subject> subjects = MakeSubjects();
  Random random(1);
  size_t refused = 0;
  size_t survived = 0;
  for (size_t trial = 0; trial < FlipCount(); ++trial) {
    const Subject& subject = subjects[trial % subjects.size()];
    Archive sound = Archive::OpenBytes(subject.archive).value();
    Bytes damaged = subject.archive;
    size_t at = random.Below(damaged.size());
    damaged[at] ^= std::byte{static_cast<unsigned char>(1U << random.Below(8))};
    Result<Archive> opened = Archive::OpenBytes(damaged);
    if (!opened.ok()) {
      ++refused;
      continue;
    }
    ASSERT_TRUE(SameListing(opened.value().listing(), sound.listing())) << subject.name << ", byte " << at;
    std::vector<Bytes> decoded = DecodeExtents(opened.value());
    bool whole = true;
    for (size_t i = 0; i < decoded.size(); ++i) {
      if (decoded[i].empty() && !subject.extents[i].empty()) {
        whole = false;  // an error was reported
        continue;
      }
      ASSERT_TRUE(decoded[i] == subject.extents[i]) << subject.name << ", byte " << at << ", extent " << i;
    }
    ++(whole ? survived : refused);
  }
  std::cout << FlipCount() << " bits flipped: " << refused << " found, " << survived
            << " without effect on the data (what is there twice, or parity), 0 silent\n";
  EXPECT_GT(refused, 0U);
  EXPECT_GT(survived, 0U);
}

}  // namespace
}  // namespace flyweight::test
