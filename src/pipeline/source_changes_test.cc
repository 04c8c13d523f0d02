#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "flyweight/pipeline.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/temp_dir.h"

// A source that changes while it is read is an error, whatever the change, and nothing is written.

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using Names = std::vector<std::string>;

struct Change {
  const char* name;
  std::function<void(const std::string& path)> make;
};

std::vector<Change> Changes() {
  return {
      {"Grows", [](const std::string& path) { std::ofstream(path, std::ios::app) << "more"; }},
      {"Shrinks", [](const std::string& path) { EXPECT_EQ(truncate(path.c_str(), 1000), 0); }},
      {"IsTouched",
       [](const std::string& path) {
         timespec times[2] = {{0, UTIME_OMIT}, {1'000'000'000, 5}};
         EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
       }},
      {"IsReplacedByItsCopy",
       [](const std::string& path) {
         struct stat status;
         EXPECT_EQ(stat(path.c_str(), &status), 0);
         std::filesystem::copy(path, path + ".copy");
         timespec times[2] = {status.st_atim, status.st_mtim};
         EXPECT_EQ(utimensat(AT_FDCWD, (path + ".copy").c_str(), times, 0), 0);
         std::filesystem::rename(path + ".copy", path);
       }},
      {"IsDeleted", [](const std::string& path) { std::filesystem::remove(path); }},
      {"IsMoved", [](const std::string& path) { std::filesystem::rename(path, path + ".moved"); }},
  };
}

class ChangingSource : public ::testing::TestWithParam<Change> {
 protected:
  /// A callback that makes the change when it is first called.
  ProgressCallback Once(const std::string& path) {
    return [this, path](const Progress&) {
      if (!std::exchange(changed_, true)) GetParam().make(path);
    };
  }
  bool HasNoTarget() const {
    Names names = dir_.Names();
    return std::ranges::none_of(names, [](const std::string& name) { return name == "out" || name.front() == '.'; });
  }

  test::TempDir dir_;
  bool changed_ = false;
};

std::string ChangeName(const ::testing::TestParamInfo<Change>& change) { return change.param.name; }

INSTANTIATE_TEST_SUITE_P(Source, ChangingSource, ::testing::ValuesIn(Changes()), ChangeName);

TEST_P(ChangingSource, IsNoticedByCompress) {
  std::string source = dir_.File("a");
  test::WriteFile(source, test::Random(1).Bytes(3 << 20));
  for (bool verify : {true, false}) {
    CompressOptions options;
    options.thread_count = 1;
    options.verify = verify;
    options.progress = Once(source);
    EXPECT_THAT(CompressFile(source, dir_.File("out"), options), FailsWith(ErrorCode::kSourceChanged));
    EXPECT_TRUE(changed_);
    EXPECT_TRUE(HasNoTarget());
    if (!std::filesystem::exists(source)) break;
    changed_ = false;
    std::filesystem::remove(source);
    test::WriteFile(source, test::Random(1).Bytes(3 << 20));
  }
}

TEST_P(ChangingSource, IsNoticedByDecompress) {
  std::string archive = dir_.File("a.fly");
  test::WriteFile(dir_.File("a"), test::Random(1).Bytes(3 << 20));
  ASSERT_THAT(CompressFile(dir_.File("a"), archive, {}), IsOk());
  DecompressOptions options;
  options.thread_count = 1;
  options.progress = Once(archive);
  EXPECT_THAT(DecompressFile(archive, dir_.File("out"), options), FailsWith(ErrorCode::kSourceChanged));
  EXPECT_TRUE(changed_);
  EXPECT_TRUE(HasNoTarget());
}

}  // namespace
}  // namespace flyweight
