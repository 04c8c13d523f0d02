#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "support/child_process.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/temp_dir.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;

std::unique_ptr<FileSource> OpenOrDie(const std::string& path) {
  Result<std::unique_ptr<FileSource>> source = FileSource::Open(path);
  EXPECT_THAT(source, IsOk());
  return source.ok() ? std::move(source).value() : nullptr;
}

std::string ReadText(const ByteSource& source, uint64_t offset, size_t count) {
  std::string text(count, '?');
  Status status = source.ReadAt(offset, std::as_writable_bytes(std::span(text)));
  return status.ok() ? text : "error: " + status.error().message;
}

TEST(MemorySource, ReadsItsSpan) {
  MemorySource source(AsBytes("0123456789"));
  EXPECT_EQ(source.size(), 10U);
  EXPECT_EQ(ReadText(source, 3, 4), "3456");
  EXPECT_EQ(ReadText(source, 10, 0), "");
  EXPECT_EQ(AsText(source.InMemory()), "0123456789");
}

TEST(MemorySource, RejectsReadsPastTheEnd) {
  MemorySource source(AsBytes("0123456789"));
  std::byte target[4];
  Status status = source.ReadAt(7, target);
  ASSERT_THAT(status, FailsWith(ErrorCode::kTruncated));
  EXPECT_EQ(status.error().offset, 7U);
  EXPECT_THAT(source.ReadAt(UINT64_MAX, target), FailsWith(ErrorCode::kTruncated));
  EXPECT_THAT(source.ReadAt(UINT64_MAX - 1, target), FailsWith(ErrorCode::kTruncated));
}

TEST(FileSource, ReadsAtAnyOffset) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "0123456789");
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  EXPECT_EQ(source->size(), 10U);
  EXPECT_EQ(source->path(), dir.File("f"));
  EXPECT_TRUE(source->InMemory().empty());
  EXPECT_EQ(ReadText(*source, 0, 10), "0123456789");
  EXPECT_EQ(ReadText(*source, 9, 1), "9");
  EXPECT_EQ(ReadText(*source, 10, 0), "");
  EXPECT_THAT(source->CheckUnchanged(), IsOk());
}

TEST(FileSource, StampsWhatItOpened) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "0123456789");
  ASSERT_EQ(chmod(dir.File("f").c_str(), 0640), 0);
  timespec times[2] = {{0, UTIME_OMIT}, {1234567890, 123456789}};
  ASSERT_EQ(utimensat(AT_FDCWD, dir.File("f").c_str(), times, 0), 0);
  FileStamp stamp = OpenOrDie(dir.File("f"))->stamp();
  EXPECT_EQ(stamp.size_bytes, 10U);
  EXPECT_EQ(stamp.mode & 0777U, 0640U);
  EXPECT_EQ(stamp.modified_ns, 1234567890123456789);
  EXPECT_EQ(stamp, OpenOrDie(dir.File("f"))->stamp());
}

TEST(FileSource, RejectsReadsPastTheEnd) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "0123456789");
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  std::byte target[4];
  EXPECT_THAT(source->ReadAt(7, target), FailsWith(ErrorCode::kTruncated));
  EXPECT_THAT(source->ReadAt(11, {}), FailsWith(ErrorCode::kTruncated));
  EXPECT_THAT(source->ReadAt(UINT64_MAX - 1, target), FailsWith(ErrorCode::kTruncated));
}

TEST(FileSource, IsReadBySeveralThreadsAtOnce) {
  test::TempDir dir;
  test::Random random(1);
  std::vector<std::byte> content = random.Bytes(1 << 20);
  test::WriteFile(dir.File("f"), content);
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  std::atomic<int> mismatches = 0;
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<std::byte> piece(4096);
      for (size_t offset = thread * 4096; offset < content.size(); offset += 4 * 4096) {
        bool same = source->ReadAt(offset, piece).ok() &&
                    std::equal(piece.begin(), piece.end(), content.begin() + static_cast<ptrdiff_t>(offset));
        if (!same) ++mismatches;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(mismatches, 0);
}

TEST(FileSource, OpensAnEmptyFile) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "");
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  EXPECT_EQ(source->size(), 0U);
  EXPECT_THAT(source->ReadAt(0, {}), IsOk());
}

TEST(FileSource, FollowsASymbolicLink) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "0123456789");
  std::filesystem::create_symlink("f", dir.File("link"));
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("link"));
  EXPECT_EQ(ReadText(*source, 0, 3), "012");
  EXPECT_THAT(source->CheckUnchanged(), IsOk());
}

TEST(FileSource, NamesTheFileThatIsMissing) {
  test::TempDir dir;
  Result<std::unique_ptr<FileSource>> source = FileSource::Open(dir.File("missing"));
  ASSERT_THAT(source, FailsWith(ErrorCode::kIo));
  EXPECT_NE(source.error().message.find("missing"), std::string::npos);
  EXPECT_NE(source.error().message.find("No such file"), std::string::npos);
  EXPECT_THAT(FileSource::Open(""), FailsWith(ErrorCode::kIo));
}

TEST(FileSource, RefusesWhatIsNotARegularFileWithoutWaitingForIt) {
  test::TempDir dir;
  ASSERT_EQ(mkfifo(dir.File("fifo").c_str(), 0600), 0);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", dir.File("socket").c_str());
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  for (const std::string& path : {dir.path(), dir.File("fifo"), dir.File("socket"), std::string("/dev/null")}) {
    EXPECT_THAT(FileSource::Open(path), FailsWith(ErrorCode::kInvalidArgument)) << path;
  }
  close(listener);
}

TEST(FileSource, RefusesAFileThatDeniesItsContent) {
  struct stat status;
  if (stat("/proc/version", &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != 0) {
    GTEST_SKIP() << "no /proc here";
  }
  EXPECT_THAT(FileSource::Open("/proc/version"), FailsWith(ErrorCode::kInvalidArgument));
}

TEST(FileSource, SaysWhatAFileIsThatEndsBeforeItsSize) {
  const std::string path = "/sys/kernel/uevent_seqnum";
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || status.st_size == 0) GTEST_SKIP() << "no /sys here";
  std::unique_ptr<FileSource> source = OpenOrDie(path);
  std::vector<std::byte> target(static_cast<size_t>(status.st_size));
  Status read = source->ReadAt(0, target);
  ASSERT_THAT(read, FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_NE(read.error().message.find(path), std::string::npos);
  EXPECT_NE(read.error().message.find("standard input"), std::string::npos);
}

TEST(FileSource, ReportsAFileThatMayNotBeRead) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "secret");
  ASSERT_EQ(chmod(dir.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(dir.File("f").c_str(), 0), 0);
  int status = test::RunInChild([&] {
    if (!test::DropPrivileges()) return test::kChildSkips;
    Result<std::unique_ptr<FileSource>> source = FileSource::Open(dir.File("f"));
    bool denied = !source.ok() && source.error().code == ErrorCode::kIo &&
                  source.error().message.find("Permission denied") != std::string::npos;
    return denied ? 0 : 1;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "cannot become another user";
  EXPECT_EQ(test::ExitStatus(status), 0);
}

TEST(FileSource, NoticesThatItBecameShorterWhileItIsRead) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), std::string(10'000, 'x'));
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  ASSERT_EQ(truncate(dir.File("f").c_str(), 5000), 0);
  std::vector<std::byte> target(10'000);
  Status status = source->ReadAt(0, target);
  ASSERT_THAT(status, FailsWith(ErrorCode::kSourceChanged));
  EXPECT_EQ(status.error().offset, 5000U);
  EXPECT_EQ(ReadText(*source, 0, 5), "xxxxx");
  EXPECT_THAT(source->CheckUnchanged(), FailsWith(ErrorCode::kSourceChanged));
}

TEST(FileSource, NoticesThatItGrew) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "0123456789");
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  ASSERT_EQ(truncate(dir.File("f").c_str(), 11), 0);
  EXPECT_THAT(source->CheckUnchanged(), FailsWith(ErrorCode::kSourceChanged));
}

TEST(FileSource, NoticesAWriteThatKeepsTheSize) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "0123456789");
  timespec old_times[2] = {{0, UTIME_OMIT}, {1000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, dir.File("f").c_str(), old_times, 0), 0);
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  test::WriteFile(dir.File("f"), "9876543210");
  EXPECT_THAT(source->CheckUnchanged(), FailsWith(ErrorCode::kSourceChanged));
}

TEST(FileSource, NoticesThatItWasReplaced) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "0123456789");
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  test::WriteFile(dir.File("other"), "9876543210");
  timespec times[2] = {{0, UTIME_OMIT},
                       {source->stamp().modified_ns / 1'000'000'000, source->stamp().modified_ns % 1'000'000'000}};
  ASSERT_EQ(utimensat(AT_FDCWD, dir.File("other").c_str(), times, 0), 0);
  std::filesystem::rename(dir.File("other"), dir.File("f"));
  EXPECT_THAT(source->CheckUnchanged(), FailsWith(ErrorCode::kSourceChanged));
  EXPECT_EQ(ReadText(*source, 0, 10), "0123456789");  // what was opened, not what has its name
}

TEST(FileSource, NoticesThatItWasDeleted) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "0123456789");
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  std::filesystem::remove(dir.File("f"));
  EXPECT_THAT(source->CheckUnchanged(), FailsWith(ErrorCode::kSourceChanged));
}

TEST(FileSource, ReadsBehindTheFourthGibibyte) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "start");
  constexpr uint64_t kSize = (uint64_t{1} << 32) + 10;
  if (truncate(dir.File("f").c_str(), static_cast<off_t>(kSize)) != 0) GTEST_SKIP() << "no large sparse files here";
  std::unique_ptr<FileSource> source = OpenOrDie(dir.File("f"));
  EXPECT_EQ(source->size(), kSize);
  EXPECT_EQ(ReadText(*source, kSize - 3, 3), std::string(3, '\0'));
  EXPECT_EQ(ReadText(*source, 0, 5), "start");
}

}  // namespace
}  // namespace flyweight
