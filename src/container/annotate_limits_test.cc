#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "container/annotate.h"
#include "container/safetensors.h"
#include "container/safetensors_test_files.h"

namespace flyweight {
namespace {

FileMap AnnotateText(const std::string& file) {
  MemorySource source(AsBytes(file));
  Result<FileMap> map = Annotate(source);
  EXPECT_TRUE(map.ok());
  return map.ok() ? std::move(map).value() : FileMap{};
}

/// Checked here independently of ValidateFileMap, which Annotate uses itself.
void ExpectExactCover(const FileMap& map, uint64_t file_bytes) {
  uint64_t offset = 0;
  for (const Extent& extent : map.extents) {
    ASSERT_EQ(extent.offset, offset);
    ASSERT_LE(extent.size_bytes, file_bytes - offset);
    ASSERT_TRUE(extent.is_tensor || extent.size_bytes > 0);
    if (extent.is_tensor && extent.dtype != DType::kOpaque) {
      ASSERT_EQ(TensorBytes(extent.dtype, extent.shape), extent.size_bytes);
    }
    offset += extent.size_bytes;
  }
  ASSERT_EQ(offset, file_bytes);
}

size_t TensorCount(const FileMap& map) {
  size_t count = 0;
  for (const Extent& extent : map.extents) count += extent.is_tensor ? 1 : 0;
  return count;
}

std::string ValidFile() {
  std::string json = R"({"__metadata__":{"format":"pt"})";
  const char* dtypes[] = {"F32", "BF16", "I8", "F4", "X"};
  const char* ends[] = {"24", "36", "42", "45", "51"};
  std::string begin = "0";
  for (size_t i = 0; i < 5; i++) {
    json += ",\"t" + std::to_string(i) + "\":" + EntryJson(dtypes[i], "[2,3]", begin, ends[i]);
    begin = ends[i];
  }
  return SafetensorsFile(json + "}", 51);
}

void Mutate(std::string& file, std::mt19937_64& random) {
  const std::string tokens = "0123456789-.eE,:[]{}\"\\ \t";
  size_t at = random() % file.size();
  switch (random() % 5) {
    case 0:
      file[at] = static_cast<char>(random());
      break;
    case 1:
      file[at] = tokens[random() % tokens.size()];
      break;
    case 2:
      file.erase(at, random() % 8);
      break;
    case 3:
      file.insert(at, file.substr(random() % file.size(), random() % 16));
      break;
    default:
      file.resize(file.size() / 2 + at / 2 + 8);
  }
}

TEST(AnnotateMutations, CoverTheFileWhateverIsChanged) {
  const std::string valid = ValidFile();
  ASSERT_EQ(TensorCount(AnnotateText(valid)), 5U);
  std::mt19937_64 random(20240607);
  size_t still_annotated = 0;
  for (int run = 0; run < 20000; run++) {
    std::string file = valid;
    for (uint64_t change = random() % 3 + 1; change > 0; change--) Mutate(file, random);
    size_t brace = file.rfind('}');
    if (random() % 2 == 0 && brace != std::string::npos && brace >= 8) StoreLe<uint64_t>(file.data(), brace - 7);
    FileMap map = AnnotateText(file);
    ASSERT_NO_FATAL_FAILURE(ExpectExactCover(map, file.size())) << "run " << run;
    still_annotated += map.format == ContainerFormat::kSafetensors ? 1 : 0;
  }
  EXPECT_GT(still_annotated, 1000U);  // else the mutations never reach behind the JSON parser
  EXPECT_LT(still_annotated, 19000U);
}

TEST(AnnotateMutations, CoverTheFileWhereverItIsCut) {
  const std::string valid = ValidFile();
  for (size_t size = 0; size < valid.size(); size++) {
    FileMap map = AnnotateText(valid.substr(0, size));
    ASSERT_NO_FATAL_FAILURE(ExpectExactCover(map, size));
  }
  EXPECT_EQ(TensorCount(AnnotateText(valid.substr(0, valid.size() - 1))), 4U);
}

TEST(AnnotateBoundaries, HugeNumbersAreNeverTakenForSizes) {
  std::vector<std::string> numbers;
  for (uint64_t power : {uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 63, uint64_t{0}}) {
    for (uint64_t delta : {uint64_t{0} - 2, uint64_t{0} - 1, uint64_t{0}, uint64_t{1}}) {
      numbers.push_back(std::to_string(power + delta));
    }
  }
  numbers.insert(numbers.end(), {"4", "8", "18446744073709551616", "18446744073709551624", "340282366920938463463"});
  const std::string sound = R"(,"s":)" + EntryJson("I8", "[4]", "0", "4") + "}";
  for (const std::string& x : numbers) {
    for (const std::string& y : numbers) {
      for (const char* dtype : {"F32", "F4", "F64", "X"}) {
        for (const std::string& entry : {EntryJson(dtype, "[" + x + "]", "4", y), EntryJson(dtype, "[" + x + "]", y, y),
                                         EntryJson(dtype, "[" + x + "," + y + "]", "4", "8"),
                                         EntryJson(dtype, "[" + y + "]", x, "18446744073709551615")}) {
          std::string file = SafetensorsFile(R"({"h":)" + entry + sound, 8);
          ASSERT_NO_FATAL_FAILURE(ExpectExactCover(AnnotateText(file), file.size())) << entry;
        }
      }
    }
  }
}

TEST(AnnotateBoundaries, DeepNestingIsRefusedWithoutRecursion) {
  for (size_t depth : {size_t{20}, size_t{40}, size_t{2'000'000}}) {
    for (const std::string& open : {std::string("["), std::string(R"({"k":)")}) {
      const std::string close = open == "[" ? "]" : "}";
      std::string json = R"({"__metadata__":)";
      for (size_t i = 0; i < depth; i++) json += open;
      json += "1";
      for (size_t i = 0; i < depth; i++) json += close;
      json += R"(,"a":)" + EntryJson("I8", "[4]", "0", "4") + "}";
      FileMap map = AnnotateText(SafetensorsFile(json, 4));
      EXPECT_EQ(TensorCount(map), depth == 20 ? 1U : 0U) << depth;
    }
  }
}

TEST(AnnotateBoundaries, HeaderOf16MiBIsParsedAndOneByteMoreIsRaw) {
  std::string json = R"({"a":)" + EntryJson("I8", "[4]", "0", "4") + "}";
  json.resize(kSafetensorsMaxHeaderBytes, ' ');
  EXPECT_EQ(TensorCount(AnnotateText(SafetensorsFile(json, 4))), 1U);
  FileMap over = AnnotateText(SafetensorsFile(json + " ", 4));
  EXPECT_EQ(over.format, ContainerFormat::kRaw);
  EXPECT_EQ(over.extents.size(), 1U);
}

TEST(AnnotateBoundaries, HundredThousandTensorsInAnyOrder) {
  constexpr size_t kCount = 100'000;
  std::string json = "{";
  for (size_t i = 0; i < kCount; i++) {
    size_t place = i * 7919 % kCount;
    json += "\"model.layers." + std::to_string(place) +
            ".w\":" + EntryJson("BF16", "[1,2]", std::to_string(4 * place), std::to_string(4 * place + 4)) + ",";
  }
  json.back() = '}';
  FileMap map = AnnotateText(SafetensorsFile(json, 4 * kCount));
  ASSERT_EQ(map.extents.size(), kCount + 1);
  EXPECT_EQ(map.extents[1].name, "model.layers.0.w");
  EXPECT_EQ(map.extents[kCount].name, "model.layers.99999.w");
  ExpectExactCover(map, 8 + json.size() + 4 * kCount);
}

/// A file that cannot be read behind `readable_bytes`.
class BrokenSource final : public ByteSource {
 public:
  BrokenSource(std::string bytes, uint64_t readable_bytes)
      : bytes_(std::move(bytes)), readable_bytes_(readable_bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    if (offset + target.size() > readable_bytes_) return Error{ErrorCode::kIo, offset, "broken"};
    return MemorySource(AsBytes(bytes_)).ReadAt(offset, target);
  }

 private:
  std::string bytes_;
  uint64_t readable_bytes_;
};

TEST(AnnotateReading, FromAFileGivesTheMapOfTheBytesInMemory) {
  std::string file = ValidFile();
  Result<FileMap> map = Annotate(BrokenSource(file, file.size()));
  ASSERT_TRUE(map.ok());
  FileMap in_memory = AnnotateText(file);
  ASSERT_EQ(map.value().extents.size(), in_memory.extents.size());
  for (size_t i = 0; i < in_memory.extents.size(); i++) {
    EXPECT_EQ(map.value().extents[i].offset, in_memory.extents[i].offset);
    EXPECT_EQ(map.value().extents[i].name, in_memory.extents[i].name);
  }
}

TEST(AnnotateReading, PassesOnErrorsOfReading) {
  std::string file = SafetensorsFile(std::string(10000, ' '), 8);
  for (uint64_t readable_bytes : {uint64_t{0}, uint64_t{4096}}) {
    Result<FileMap> map = Annotate(BrokenSource(file, readable_bytes));
    ASSERT_FALSE(map.ok());
    EXPECT_EQ(map.error().code, ErrorCode::kIo);
  }
}

TEST(AnnotateReading, ReadsNoDataOfTensors) {
  std::string json = R"({"a":)" + EntryJson("I8", "[100000]", "0", "100000") + "}";
  Result<FileMap> map = Annotate(BrokenSource(SafetensorsFile(json, 100000), 4096));
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(TensorCount(map.value()), 1U);
}

}  // namespace
}  // namespace flyweight
