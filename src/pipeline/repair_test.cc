#include "flyweight/repair.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "archive/parity_test_tools.h"
#include "support/temp_dir.h"

namespace flyweight::test {
namespace {

namespace fs = std::filesystem;

class RepairFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const Bytes& bytes) {
    std::string path = Path(name);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  std::string Path(const std::string& name) const { return (fs::path(folder_.path()) / name).string(); }
  Bytes Read(const std::string& path) const {
    std::ifstream in(path, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    return Copy(text);
  }
  size_t FileCount() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()));
  }

  TempDir folder_;
  Bytes archive_ = MakeParityArchive(300'000, 50, 1).value();
  Bytes damaged_ = [this] {
    Bytes bytes = archive_;
    Damage(bytes, 100'000, 9'000);
    return bytes;
  }();
  RepairOptions options_;
  RepairReport report_;
};

TEST_F(RepairFileTest, InPlaceReplacesTheDamagedFile) {
  std::string path = Write("a.fly", damaged_);
  fs::permissions(path, fs::perms(0640));
  Status status = RepairFile(path, path, options_, report_);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_TRUE(Read(path) == archive_);
  EXPECT_EQ(fs::status(path).permissions(), fs::perms(0640));
  EXPECT_GT(report_.blocks_from_parity, 0U);
  EXPECT_EQ(FileCount(), 1U);
  report_ = {};
  ASSERT_TRUE(RepairFile(path, path, options_, report_).ok());
  EXPECT_FALSE(report_.found_damage());
}

TEST_F(RepairFileTest, AnotherTargetLeavesTheSource) {
  std::string path = Write("a.fly", damaged_);
  Status status = RepairFile(path, Path("b.fly"), options_, report_);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_TRUE(Read(path) == damaged_);
  EXPECT_TRUE(Read(Path("b.fly")) == archive_);
  EXPECT_EQ(RepairFile(path, Path("b.fly"), options_, report_).error().code, ErrorCode::kExists);
  options_.overwrite = true;
  EXPECT_TRUE(RepairFile(path, Path("b.fly"), options_, report_).ok());
}

TEST_F(RepairFileTest, ALinkKeepsPointingToTheRepairedFile) {
  std::string path = Write("a.fly", damaged_);
  fs::create_symlink("a.fly", Path("link.fly"));
  ASSERT_TRUE(RepairFile(Path("link.fly"), Path("link.fly"), options_, report_).ok());
  EXPECT_TRUE(fs::is_symlink(Path("link.fly")));
  EXPECT_TRUE(Read(path) == archive_);
}

TEST_F(RepairFileTest, WritesNothingWhereTheResultWouldNotBeWhole) {
  Bytes hopeless = damaged_;
  Damage(hopeless, 0, 150'000);
  std::string path = Write("a.fly", hopeless);
  EXPECT_FALSE(RepairFile(path, path, options_, report_).ok());
  EXPECT_FALSE(report_.lost.empty());
  EXPECT_FALSE(RepairFile(path, Path("b.fly"), options_, report_).ok());
  EXPECT_TRUE(Read(path) == hopeless);
  EXPECT_EQ(FileCount(), 1U);

  std::string empty = Write("empty.fly", {});
  EXPECT_FALSE(RepairFile(empty, empty, options_, report_).ok());
  EXPECT_EQ(fs::file_size(empty), 0U);
  EXPECT_EQ(FileCount(), 2U);
}

TEST_F(RepairFileTest, TakesWhatASecondCopyHas) {
  Bytes one = damaged_, two = archive_;
  Damage(one, 0, 120'000);
  Damage(two, 200'000, 100'000);
  std::string path = Write("a.fly", one);
  options_.other = Write("b.fly", two);
  Status status = RepairFile(path, path, options_, report_);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_TRUE(Read(path) == archive_);
  EXPECT_TRUE(Read(options_.other) == two);
  EXPECT_GT(report_.blocks_from_other, 0U);
}

TEST_F(RepairFileTest, TheSecondCopyIsNeverTheTarget) {
  std::string path = Write("a.fly", damaged_);
  options_.other = Write("b.fly", archive_);
  options_.overwrite = true;
  EXPECT_EQ(RepairFile(path, options_.other, options_, report_).error().code, ErrorCode::kInvalidArgument);
  options_.other = path;
  EXPECT_EQ(RepairFile(path, Path("c.fly"), options_, report_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(Read(Path("b.fly")) == archive_);
}

TEST_F(RepairFileTest, StreamsAreRefused) {
  std::string path = Write("a.fly", damaged_);
  EXPECT_EQ(RepairFile("-", path, options_, report_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(RepairFile(path, "-", options_, report_).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(RepairFileTest, WithoutParityTheIndexAndTheEndsAreRestored) {
  Bytes plain = MakeParityArchive(300'000, 0, 1).value();
  Bytes cut(plain.begin(), plain.end() - 60);
  Damage(cut, 0, 64);
  std::string path = Write("a.fly", cut);
  EXPECT_FALSE(RepairFile(path, path, options_, report_).ok()) << "neither header nor footer is left";
  cut = Bytes(plain.begin(), plain.end() - 60);
  path = Write("a.fly", cut);
  Status status = RepairFile(path, path, options_, report_);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_TRUE(Read(path) == plain);
}

}  // namespace
}  // namespace flyweight::test
