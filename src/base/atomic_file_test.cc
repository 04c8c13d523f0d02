#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
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

constexpr int64_t kTime = 1'600'000'000'123'456'789;

using Names = std::vector<std::string>;

std::unique_ptr<AtomicFile> CreateOrDie(const std::string& path, bool overwrite = false) {
  Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path, overwrite);
  EXPECT_THAT(file, IsOk());
  return file.ok() ? std::move(file).value() : nullptr;
}

struct stat StatOf(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status;
}

TEST(AtomicFile, AppearsUnderItsNameOnlyWhenCommitted) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  EXPECT_EQ(file->path(), dir.File("f"));
  EXPECT_THAT(file->Append(AsBytes("hello ")), IsOk());
  EXPECT_THAT(file->Append(AsBytes("world")), IsOk());
  EXPECT_FALSE(std::filesystem::exists(dir.File("f")));
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("f")), "hello world");
  EXPECT_EQ(dir.Names(), Names{"f"});
  file.reset();
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(AtomicFile, LeavesNothingBehindWithoutCommit) {
  test::TempDir dir;
  CreateOrDie(dir.File("f"))->Append(AsBytes("x")).ok();
  EXPECT_TRUE(dir.Names().empty());
}

TEST(AtomicFile, IsPrivateUntilCommitAndThenHasModeAndTime) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  EXPECT_THAT(file->Append(AsBytes("x")), IsOk());
  ASSERT_EQ(dir.Names().size(), 1U);
  EXPECT_EQ(StatOf(dir.File(dir.Names()[0])).st_mode & 07777U, 0600U);
  EXPECT_THAT(file->Commit(S_IFREG | 06754, kTime), IsOk());
  struct stat status = StatOf(dir.File("f"));
  EXPECT_EQ(status.st_mode & 07777U, 0754U);  // permission bits only: no set-user-ID
  EXPECT_EQ(int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec, kTime);
}

TEST(AtomicFile, KeepsTimesBeforeTheEpoch) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  EXPECT_THAT(file->Commit(0600, -1), IsOk());
  struct stat status = StatOf(dir.File("f"));
  EXPECT_EQ(status.st_mtim.tv_sec, -1);
  EXPECT_EQ(status.st_mtim.tv_nsec, 999'999'999);
}

TEST(AtomicFile, TakesWritesAtAnyOffsetFromSeveralThreads) {
  test::TempDir dir;
  test::Random random(1);
  std::vector<std::byte> content = random.Bytes(400'000);
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  std::vector<std::thread> threads;
  std::vector<Status> statuses(4);
  for (size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      statuses[i] = file->WriteAt((3 - i) * 100'000, ByteSpan(content).subspan((3 - i) * 100'000, 100'000));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Status& status : statuses) EXPECT_THAT(status, IsOk());
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(test::ReadFile(dir.File("f")), content);
}

TEST(AtomicFile, RejectsOffsetsNoFileHas) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  EXPECT_THAT(file->WriteAt(UINT64_MAX, AsBytes("x")), FailsWith(ErrorCode::kIo));
  EXPECT_THAT(file->WriteAt(INT64_MAX, AsBytes("x")), FailsWith(ErrorCode::kIo));
}

TEST(AtomicFile, ReadsBackWhatWasWritten) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  EXPECT_THAT(file->Append(AsBytes("0123456789")), IsOk());
  EXPECT_THAT(file->Sync(), IsOk());
  Result<std::unique_ptr<ByteSource>> back = file->ReadBack();
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back.value()->size(), 10U);
  std::string text(4, '?');
  EXPECT_THAT(back.value()->ReadAt(3, std::as_writable_bytes(std::span(text))), IsOk());
  EXPECT_EQ(text, "3456");
  EXPECT_THAT(back.value()->ReadAt(8, std::as_writable_bytes(std::span(text))), FailsWith(ErrorCode::kTruncated));
}

TEST(AtomicFile, GivesBackWhatItReservedAndDidNotUse) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  EXPECT_THAT(file->Reserve(0), IsOk());
  EXPECT_THAT(file->Reserve(8 << 20), IsOk());
  EXPECT_THAT(file->Append(AsBytes("abc")), IsOk());
  Result<std::unique_ptr<ByteSource>> back = file->ReadBack();
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back.value()->size(), 3U);
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(StatOf(dir.File("f")).st_size, 3);
  EXPECT_LT(StatOf(dir.File("f")).st_blocks * 512, 1 << 20);
}

TEST(AtomicFile, ReservesNoMoreThanAnyFileCanHave) {
  test::TempDir dir;
  EXPECT_THAT(CreateOrDie(dir.File("f"))->Reserve(UINT64_MAX), FailsWith(ErrorCode::kIo));
}

TEST(AtomicFile, ReportsALimitOnFileSizesAndLeavesNothing) {
  test::TempDir dir;
  test::FileSizeLimit limit(10'000);
  std::vector<std::byte> content(20'000);
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  Status status = file->Append(content);
  ASSERT_THAT(status, FailsWith(ErrorCode::kIo));
  EXPECT_EQ(status.error().offset, 10'000U);  // the first part fitted
  EXPECT_NE(status.error().message.find(dir.File("f")), std::string::npos);
  file.reset();
  EXPECT_TRUE(dir.Names().empty());
}

TEST(AtomicFile, ReportsAFullDiskAndLeavesNothing) {
  test::TempDir dir;
  int status = test::RunInChild([&] {
    bool mounted = unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                   mount("none", dir.path().c_str(), "tmpfs", 0, "size=256k") == 0;
    if (!mounted) return test::kChildSkips;
    std::vector<std::byte> content(1 << 20);
    std::unique_ptr<AtomicFile> file = std::move(AtomicFile::Create(dir.File("f"), false)).value();
    Status reserved = file->Reserve(content.size());
    if (reserved.ok() || reserved.error().message.find("No space left") == std::string::npos) return 1;
    Status appended = file->Append(content);
    if (appended.ok() || appended.error().message.find("No space left") == std::string::npos) return 2;
    file.reset();
    return dir.Names().empty() ? 0 : 3;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "may not mount a small file system";
  EXPECT_EQ(test::ExitStatus(status), 0);
}

TEST(AtomicFile, RefusesAnExistingTarget) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "old");
  Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(dir.File("f"), false);
  ASSERT_THAT(file, FailsWith(ErrorCode::kExists));
  EXPECT_NE(file.error().message.find(dir.File("f")), std::string::npos);
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(AtomicFile, RefusesATargetThatAppearedSinceCreate) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  EXPECT_THAT(file->Append(AsBytes("new")), IsOk());
  test::WriteFile(dir.File("f"), "theirs");
  EXPECT_THAT(file->Commit(0644, kTime), FailsWith(ErrorCode::kExists));
  EXPECT_EQ(test::ReadText(dir.File("f")), "theirs");
  file.reset();
  EXPECT_EQ(dir.Names(), Names{"f"});
  EXPECT_EQ(test::ReadText(dir.File("f")), "theirs");
}

TEST(AtomicFile, ReplacesAFileWhenAskedAndOnlyAtCommit) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "old");
  {
    std::unique_ptr<AtomicFile> abandoned = CreateOrDie(dir.File("f"), true);
    EXPECT_THAT(abandoned->Append(AsBytes("half")), IsOk());
  }
  EXPECT_EQ(test::ReadText(dir.File("f")), "old");
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"), true);
  EXPECT_THAT(file->Append(AsBytes("new")), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("f")), "old");
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("f")), "new");
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(AtomicFile, CountsASymbolicLinkAsExisting) {
  test::TempDir dir;
  std::filesystem::create_symlink("elsewhere", dir.File("dangling"));
  EXPECT_THAT(AtomicFile::Create(dir.File("dangling"), false), FailsWith(ErrorCode::kExists));
  EXPECT_EQ(dir.Names(), Names{"dangling"});
}

TEST(AtomicFile, ReplacesASymbolicLinkAndNotWhatItPointsTo) {
  test::TempDir dir;
  test::WriteFile(dir.File("elsewhere"), "precious");
  std::filesystem::create_symlink("elsewhere", dir.File("link"));
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("link"), true);
  EXPECT_THAT(file->Append(AsBytes("new")), IsOk());
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("elsewhere")), "precious");
  EXPECT_TRUE(S_ISREG(StatOf(dir.File("link")).st_mode));
  EXPECT_EQ(test::ReadText(dir.File("link")), "new");
}

TEST(AtomicFile, RefusesWhatIsNotARegularFileEvenWhenOverwriting) {
  test::TempDir dir;
  ASSERT_EQ(mkfifo(dir.File("fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(dir.File("folder"));
  std::filesystem::create_symlink("folder", dir.File("folder-link"));
  std::filesystem::create_symlink("/dev/null", dir.File("device-link"));
  Names before = dir.Names();
  for (bool overwrite : {false, true}) {
    for (const std::string& path : {dir.File("fifo"), dir.File("folder"), dir.File("folder-link"),
                                    dir.File("device-link"), std::string("/dev/null"), std::string("/dev/full")}) {
      EXPECT_THAT(AtomicFile::Create(path, overwrite), FailsWith(ErrorCode::kInvalidArgument)) << path;
    }
  }
  EXPECT_EQ(dir.Names(), before);
  EXPECT_TRUE(S_ISCHR(StatOf("/dev/null").st_mode));
}

TEST(AtomicFile, RefusesPathsThatNameNoFile) {
  test::TempDir dir;
  for (const std::string& path : {std::string(), std::string("."), dir.path() + "/", dir.File("new/"), dir.File(".."),
                                  dir.File(std::string_view("a\0b", 3))}) {
    EXPECT_THAT(AtomicFile::Create(path, true), FailsWith(ErrorCode::kInvalidArgument)) << path;
  }
  EXPECT_TRUE(dir.Names().empty());
}

TEST(AtomicFile, ReportsADirectoryThatIsMissingOrIsNone) {
  test::TempDir dir;
  test::WriteFile(dir.File("file"), "");
  EXPECT_THAT(AtomicFile::Create(dir.File("missing/f"), false), FailsWith(ErrorCode::kIo));
  EXPECT_THAT(AtomicFile::Create(dir.File("file/f"), false), FailsWith(ErrorCode::kIo));
}

TEST(AtomicFile, ReportsADirectoryThatMayNotBeWritten) {
  test::TempDir dir;
  ASSERT_EQ(chmod(dir.path().c_str(), 0555), 0);
  int status = test::RunInChild([&] {
    if (!test::DropPrivileges()) return test::kChildSkips;
    Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(dir.File("f"), false);
    return !file.ok() && file.error().code == ErrorCode::kIo ? 0 : 1;
  });
  ASSERT_EQ(chmod(dir.path().c_str(), 0755), 0);
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "cannot become another user";
  EXPECT_EQ(test::ExitStatus(status), 0);
}

TEST(AtomicFile, ReportsANameThatIsTooLong) {
  test::TempDir dir;
  Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(dir.File(std::string(300, 'n')), false);
  EXPECT_THAT(file, FailsWith(ErrorCode::kIo));
  EXPECT_TRUE(dir.Names().empty());
}

TEST(AtomicFile, TakesTheLongestName) {
  test::TempDir dir;
  std::string name(255, 'n');
  EXPECT_THAT(CreateOrDie(dir.File(name))->Commit(0644, kTime), IsOk());
  EXPECT_EQ(dir.Names(), Names{name});
}

TEST(AtomicFile, WritesWhereItWasCreatedThoughTheWorkingDirectoryChanges) {
  test::TempDir dir;
  std::filesystem::path old_directory = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  std::unique_ptr<AtomicFile> file = CreateOrDie("f");
  std::unique_ptr<AtomicFile> abandoned = CreateOrDie("g");
  std::filesystem::current_path(old_directory);
  EXPECT_THAT(file->Append(AsBytes("here")), IsOk());
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  abandoned.reset();
  EXPECT_EQ(dir.Names(), Names{"f"});
  EXPECT_EQ(test::ReadText(dir.File("f")), "here");
}

TEST(AtomicFile, CommitsOnce) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_THAT(file->Commit(0644, kTime), FailsWith(ErrorCode::kInternal));
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(AtomicFile, ManyAtOnceDoNotDisturbEachOther) {
  test::TempDir dir;
  std::vector<std::unique_ptr<AtomicFile>> files;
  for (int i = 0; i < 100; ++i) files.push_back(CreateOrDie(dir.File(std::to_string(i))));
  for (auto& file : files) EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(dir.Names().size(), 100U);
}

TEST(RemoveTemporaryFiles, RemovesWhatIsBeingWrittenAndNothingElse) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> done = CreateOrDie(dir.File("done"));
  std::unique_ptr<AtomicFile> half = CreateOrDie(dir.File("half"));
  EXPECT_THAT(done->Commit(0644, kTime), IsOk());
  CreateOrDie(dir.File("abandoned")).reset();
  RemoveTemporaryFiles();
  EXPECT_EQ(dir.Names(), Names{"done"});
  EXPECT_THAT(half->Commit(0644, kTime), FailsWith(ErrorCode::kIo));
  half.reset();
  EXPECT_EQ(dir.Names(), Names{"done"});
}

TEST(RemoveTemporaryFiles, LeavesLaterFilesAlone) {
  test::TempDir dir;
  RemoveTemporaryFiles();
  EXPECT_THAT(CreateOrDie(dir.File("f"))->Commit(0644, kTime), IsOk());
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(RemoveTemporaryFiles, MayRunInASignalHandler) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "old");
  int status = test::RunInChild([&] {
    std::signal(SIGINT, [](int signal_number) {
      RemoveTemporaryFiles();
      std::signal(signal_number, SIG_DFL);
      raise(signal_number);
    });
    Result<std::unique_ptr<AtomicFile>> replacement = AtomicFile::Create(dir.File("f"), true);
    Result<std::unique_ptr<AtomicFile>> fresh = AtomicFile::Create(dir.File("g"), false);
    if (!replacement.ok() || !fresh.ok() || !replacement.value()->Append(AsBytes("half")).ok()) return 1;
    if (dir.Names().size() != 3) return 2;
    kill(getpid(), SIGINT);
    while (true) pause();
  });
  ASSERT_TRUE(WIFSIGNALED(status)) << test::ExitStatus(status);
  EXPECT_EQ(WTERMSIG(status), SIGINT);
  EXPECT_EQ(dir.Names(), Names{"f"});
  EXPECT_EQ(test::ReadText(dir.File("f")), "old");
}

TEST(RemoveTemporaryFiles, MayRunWhileFilesComeAndGoInOtherThreads) {
  test::TempDir dir;
  std::thread creator([&] {
    for (int i = 0; i < 200; ++i) {
      Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(dir.File("f" + std::to_string(i)), false);
      if (file.ok()) file.value()->Append(AsBytes("x")).ok();
    }
  });
  for (int i = 0; i < 200; ++i) RemoveTemporaryFiles();
  creator.join();
  EXPECT_TRUE(dir.Names().empty());
}

}  // namespace
}  // namespace flyweight
