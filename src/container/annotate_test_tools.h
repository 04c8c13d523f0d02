#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "container/annotate.h"

// What the tests of the parsers share.

namespace flyweight {

inline std::string Render(const Extent& extent) {
  if (!extent.is_tensor) return "raw " + std::to_string(extent.size_bytes);
  std::string text = extent.name + " " + std::string(Describe(extent.dtype).name) + "[";
  for (size_t i = 0; i < extent.shape.size(); i++) text += (i == 0 ? "" : ",") + std::to_string(extent.shape[i]);
  return text + "] " + std::to_string(extent.size_bytes);
}

/// "gguf: head | a F32[2] 8 | raw 5"; "head" are the first `head_bytes`, where they are raw, and "head + 3" with what
/// is raw behind them.
inline std::string Render(const FileMap& map, uint64_t head_bytes) {
  std::string text(ContainerFormatName(map.format));
  std::string separator = ": ";
  for (const Extent& extent : map.extents) {
    text += std::exchange(separator, " | ");
    if (extent.is_tensor || extent.offset > 0 || extent.size_bytes < head_bytes || head_bytes == 0) {
      text += Render(extent);
    } else {
      text += extent.size_bytes == head_bytes ? "head" : "head + " + std::to_string(extent.size_bytes - head_bytes);
    }
  }
  return text;
}

inline FileMap AnnotateSource(const ByteSource& source) {
  Result<FileMap> map = Annotate(source);
  EXPECT_TRUE(map.ok());
  return map.ok() ? std::move(map).value() : FileMap{};
}

inline FileMap AnnotateText(const std::string& file) { return AnnotateSource(MemorySource(AsBytes(file))); }

/// Checked here independently of ValidateFileMap, which Annotate uses itself.
inline void ExpectExactCover(const FileMap& map, uint64_t file_bytes) {
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

inline size_t TensorCount(const FileMap& map) {
  return static_cast<size_t>(std::ranges::count(map.extents, true, &Extent::is_tensor));
}

/// A file: `bytes`, which are not offered in memory, then zeros up to `size`; nothing can be read from `readable_bytes`
/// on.
class FakeFile final : public ByteSource {
 public:
  explicit FakeFile(std::string bytes) : FakeFile(bytes, bytes.size(), bytes.size()) {}
  FakeFile(std::string bytes, uint64_t size, uint64_t readable_bytes)
      : bytes_(std::move(bytes)), size_(size), readable_bytes_(readable_bytes) {}
  uint64_t size() const override { return size_; }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    if (offset + target.size() > readable_bytes_) return Error{ErrorCode::kIo, offset, "broken"};
    for (size_t i = 0; i < target.size(); i++) {
      target[i] =
          offset + i < bytes_.size() ? static_cast<std::byte>(bytes_[static_cast<size_t>(offset) + i]) : std::byte{0};
    }
    return Status::Ok();
  }

 private:
  std::string bytes_;
  uint64_t size_;
  uint64_t readable_bytes_;
};

inline void ExpectCoverWhereverItIsCut(const std::string& file) {
  for (size_t size = 0; size < file.size(); size++) {
    FileMap map = AnnotateText(file.substr(0, size));
    ASSERT_NO_FATAL_FAILURE(ExpectExactCover(map, size)) << "cut at " << size;
  }
}

inline void MutateFile(std::string& file, std::mt19937_64& random) {
  if (file.empty()) return;
  size_t at = random() % file.size();
  switch (random() % 6) {
    case 0:
      file[at] = static_cast<char>(random());
      break;
    case 1:
      file[at] = static_cast<char>(file[at] ^ 1 << random() % 8);
      break;
    case 2:
      file[at] = random() % 2 == 0 ? '\0' : '\xff';
      break;
    case 3:
      file.erase(at, random() % 8);
      break;
    case 4:
      file.insert(at, file.substr(random() % file.size(), random() % 16));
      break;
    default:
      file.resize(file.size() / 2 + at / 2);
  }
}

/// How many of `run_count` files, each with 1 to 3 changes, are still taken for one of `format`. Fails where a map does
/// not cover its file, or differs from that of the same file read from a disk.
inline size_t CountMutantsThatAreStill(ContainerFormat format, const std::string& file, int run_count) {
  std::mt19937_64 random(20240607);
  size_t count = 0;
  for (int run = 0; run < run_count; run++) {
    std::string mutant = file;
    for (uint64_t change = random() % 3 + 1; change > 0; change--) MutateFile(mutant, random);
    FileMap map = AnnotateText(mutant);
    ExpectExactCover(map, mutant.size());
    EXPECT_EQ(Render(AnnotateSource(FakeFile(mutant)), 0), Render(map, 0));
    if (testing::Test::HasFailure()) ADD_FAILURE() << "run " << run;
    if (testing::Test::HasFailure()) return count;
    count += map.format == format ? 1 : 0;
  }
  return count;
}

}  // namespace flyweight
