#include "base/partial_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "support/child_process.h"
#include "support/matchers.h"
#include "support/temp_dir.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using Names = std::vector<std::string>;

constexpr int64_t kTime = 1'600'000'000'000'000'000;
const std::string kPartial = ".f.flyweight-partial";

std::unique_ptr<AtomicFile> CreateOrDie(const std::string& path, AtomicOptions options = {}) {
  Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path, options);
  EXPECT_THAT(file, IsOk());
  return file.ok() ? std::move(file).value() : nullptr;
}

std::string ReadAll(const ByteSource& source) {
  std::string text(static_cast<size_t>(source.size()), '?');
  EXPECT_THAT(source.ReadAt(0, std::as_writable_bytes(std::span(text))), IsOk());
  return text;
}

/// Writes `text` to the target's partial file in a child, which then dies as by a power cut.
void WriteAndDie(const std::string& path, const std::string& text, AtomicOptions options = {}) {
  int status = test::RunInChild([&] {
    Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path, options);
    if (!file.ok() || !file.value()->Append(AsBytes(text)).ok()) return 1;
    kill(getpid(), SIGKILL);
    return 2;
  });
  ASSERT_TRUE(WIFSIGNALED(status)) << test::ExitStatus(status);
}

TEST(PartialName, DerivesFromTheTargetsAndFitsAnyDirectory) {
  EXPECT_EQ(PartialNameOf("f"), kPartial);
  for (size_t size : {1U, 200U, 235U, 236U, 237U, 255U}) {
    std::string name(size, 'n');
    EXPECT_LE(PartialNameOf(name).size(), 255U);
    EXPECT_NE(PartialNameOf(name), PartialNameOf(name + "m"));
  }
}

TEST(PartialFile, OfAKilledRunIsTakenOverEmpty) {
  test::TempDir dir;
  WriteAndDie(dir.File("f"), "debris of a killed run");
  ASSERT_EQ(dir.Names(), Names{kPartial});
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  EXPECT_EQ(dir.Names(), Names{kPartial});
  EXPECT_EQ(file->PreviousBytes().size(), 0U);
  EXPECT_THAT(file->Append(AsBytes("new")), IsOk());
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(dir.Names(), Names{"f"});
  EXPECT_EQ(test::ReadText(dir.File("f")), "new");
}

TEST(PartialFile, OfAKilledRunGoesWithTheNextThatFails) {
  test::TempDir dir;
  WriteAndDie(dir.File("f"), "debris");
  CreateOrDie(dir.File("f")).reset();
  EXPECT_TRUE(dir.Names().empty());
}

TEST(PartialFile, OfAnyModeIsTakenOver) {
  test::TempDir dir;
  WriteAndDie(dir.File("f"), "debris");
  ASSERT_EQ(chmod(dir.File(kPartial).c_str(), 0444), 0);
  ASSERT_EQ(chmod(dir.path().c_str(), 0777), 0);
  int status = test::RunInChild([&] {
    // Root may write to any file.
    if (chown(dir.File(kPartial).c_str(), 65534, 65534) != 0 || !test::DropPrivileges()) return test::kChildSkips;
    Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(dir.File("f"), false);
    if (!file.ok() || dir.Names() != Names{kPartial}) return 1;
    struct stat taken;
    if (stat(dir.File(kPartial).c_str(), &taken) != 0 || (taken.st_mode & 07777U) != 0600U) return 2;
    return file.value()->Commit(0600, kTime).ok() ? 0 : 3;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "cannot become another user";
  EXPECT_EQ(test::ExitStatus(status), 0);
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(PartialFile, IsRefusedToASecondRunInThisProcess) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> first = CreateOrDie(dir.File("f"));
  EXPECT_THAT(first->Append(AsBytes("first")), IsOk());
  for (bool overwrite : {false, true}) {
    for (bool resumable : {false, true}) {
      Result<std::unique_ptr<AtomicFile>> second =
          AtomicFile::Create(dir.File("f"), AtomicOptions{.overwrite = overwrite, .resumable = resumable});
      ASSERT_THAT(second, FailsWith(ErrorCode::kExists));
      EXPECT_NE(second.error().message.find("another flyweight is writing"), std::string::npos);
    }
  }
  EXPECT_THAT(first->Commit(0644, kTime), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("f")), "first");
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(PartialFile, IsRefusedToASecondProcess) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> first = CreateOrDie(dir.File("f"));
  EXPECT_THAT(first->Append(AsBytes("first")), IsOk());
  int status = test::RunInChild([&] {
    Result<std::unique_ptr<AtomicFile>> second = AtomicFile::Create(dir.File("f"), true);
    return !second.ok() && second.error().code == ErrorCode::kExists ? 0 : 1;
  });
  EXPECT_EQ(test::ExitStatus(status), 0);
  EXPECT_THAT(first->Commit(0644, kTime), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("f")), "first");
}

TEST(PartialFile, IsFreeAgainWhenItsRunEnds) {
  test::TempDir dir;
  CreateOrDie(dir.File("f")).reset();
  std::unique_ptr<AtomicFile> second = CreateOrDie(dir.File("f"));
  EXPECT_THAT(second->Commit(0644, kTime), IsOk());
  CreateOrDie(dir.File("f"), {.overwrite = true});
}

TEST(PartialFile, HasOneOwnerHoweverManyThreadsTry) {
  test::TempDir dir;
  for (int round = 0; round < 50; ++round) {
    std::vector<std::thread> threads;
    std::vector<std::unique_ptr<AtomicFile>> owners(4);
    for (auto& owner : owners) {
      threads.emplace_back([&] {
        Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(dir.File("f"), false);
        if (file.ok()) owner = std::move(file).value();
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(std::ranges::count_if(owners, [](auto& owner) { return owner != nullptr; }), 1);
    EXPECT_EQ(dir.Names(), Names{kPartial});
  }
}

TEST(PartialFile, ThatIsALinkOrAnothersIsLeftAlone) {
  test::TempDir dir;
  test::WriteFile(dir.File("precious"), "precious");
  std::filesystem::create_symlink("precious", dir.File(kPartial));
  CreateOrDie(dir.File("f"))->Append(AsBytes("x")).ok();
  EXPECT_EQ(test::ReadText(dir.File("precious")), "precious");
  EXPECT_EQ(dir.Names(), (Names{kPartial, "precious"}));

  std::filesystem::remove(dir.File(kPartial));
  std::filesystem::create_hard_link(dir.File("precious"), dir.File(kPartial));
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"), {.resumable = true});
  EXPECT_EQ(file->PreviousBytes().size(), 0U);
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("precious")), "precious");

  std::filesystem::remove(dir.File(kPartial));
  std::filesystem::create_directory(dir.File(kPartial));
  CreateOrDie(dir.File("f"), {.overwrite = true}).reset();
  EXPECT_EQ(dir.Names(), (Names{kPartial, "f", "precious"}));
}

TEST(PartialFile, OfAnotherUserIsLeftAlone) {
  test::TempDir dir;
  test::WriteFile(dir.File(kPartial), "theirs");
  if (chown(dir.File(kPartial).c_str(), 65534, 65534) != 0) GTEST_SKIP() << "cannot give files away";
  CreateOrDie(dir.File("f")).reset();
  EXPECT_EQ(test::ReadText(dir.File(kPartial)), "theirs");
}

TEST(PartialFile, ThatIsALinkOfTheFinishedTargetGoes) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "finished");  // by linking, before the partial name could be removed
  std::filesystem::create_hard_link(dir.File("f"), dir.File(kPartial));
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"), {.overwrite = true});
  EXPECT_THAT(file->Append(AsBytes("new")), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("f")), "finished");
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(dir.Names(), Names{"f"});
  EXPECT_EQ(test::ReadText(dir.File("f")), "new");
}

TEST(PartialFile, ThatWasReplacedIsNeverPutUnderTheName) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"));
  std::filesystem::remove(dir.File(kPartial));
  test::WriteFile(dir.File(kPartial), "theirs");
  EXPECT_THAT(file->Commit(0644, kTime), FailsWith(ErrorCode::kIo));
  file.reset();
  EXPECT_EQ(test::ReadText(dir.File(kPartial)), "theirs");
  EXPECT_EQ(dir.Names(), Names{kPartial});
}

TEST(PartialFile, GetsARandomNameWhereItCannotTellDebrisForLackOfLocks) {
  test::TempDir dir;
  test::WriteFile(dir.File(kPartial), "of whoever");
  int status = test::RunInChild([&] {
    sock_filter program[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_flock},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOLCK},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    sock_fprog filter{4, program};
    bool filtered =
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
    if (!filtered) return test::kChildSkips;
    Result<std::unique_ptr<AtomicFile>> second = AtomicFile::Create(dir.File("f"), false);
    Result<std::unique_ptr<AtomicFile>> other = AtomicFile::Create(dir.File("g"), false);
    if (!second.ok() || !other.ok() || dir.Names().size() != 3) return 1;
    return second.value()->Commit(0600, kTime).ok() && other.value()->Commit(0600, kTime).ok() ? 0 : 2;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(test::ExitStatus(status), 0);
  EXPECT_EQ(dir.Names(), (Names{kPartial, "f", "g"}));
  EXPECT_EQ(test::ReadText(dir.File(kPartial)), "of whoever");
}

TEST(Resumable, KeepsWhatWasWrittenAndOffersItToTheNextRun) {
  test::TempDir dir;
  CreateOrDie(dir.File("f"), {.resumable = true})->Append(AsBytes("0123456789")).ok();
  ASSERT_EQ(dir.Names(), Names{kPartial});
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"), {.resumable = true});
  EXPECT_EQ(ReadAll(file->PreviousBytes()), "0123456789");
  EXPECT_THAT(file->Append(AsBytes("01234")), IsOk());
  EXPECT_EQ(ReadAll(file->PreviousBytes()), "0123456789");
  Result<std::unique_ptr<ByteSource>> back = file->ReadBack();
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(ReadAll(*back.value()), "01234");
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("f")), "01234");
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(Resumable, TakesOverWhatAKilledRunLeftWhetherThatWasResumableOrNot) {
  test::TempDir dir;
  for (bool resumable : {false, true}) {
    WriteAndDie(dir.File("f"), "half", {.overwrite = true, .resumable = resumable});
    std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"), {.overwrite = true, .resumable = true});
    EXPECT_EQ(ReadAll(file->PreviousBytes()), "half");
    EXPECT_THAT(file->Append(AsBytes("half and more")), IsOk());
    EXPECT_THAT(file->Commit(0644, kTime), IsOk());
    EXPECT_EQ(test::ReadText(dir.File("f")), "half and more");
  }
}

TEST(Resumable, KeepsNoEmptyFile) {
  test::TempDir dir;
  CreateOrDie(dir.File("f"), {.resumable = true}).reset();
  EXPECT_TRUE(dir.Names().empty());
}

TEST(Resumable, SurvivesSignals) {
  test::TempDir dir;
  std::unique_ptr<AtomicFile> resumable = CreateOrDie(dir.File("f"), {.resumable = true});
  std::unique_ptr<AtomicFile> other = CreateOrDie(dir.File("g"));
  EXPECT_THAT(resumable->Append(AsBytes("half")), IsOk());
  RemoveTemporaryFiles();
  EXPECT_EQ(dir.Names(), Names{kPartial});
  EXPECT_THAT(resumable->Commit(0644, kTime), IsOk());
}

TEST(Resumable, CountsKeptRangesAsWritten) {
  test::TempDir dir;
  CreateOrDie(dir.File("f"), {.resumable = true})->Append(AsBytes("0123456789rest")).ok();
  std::unique_ptr<AtomicFile> file = CreateOrDie(dir.File("f"), {.resumable = true});
  EXPECT_THAT(file->WriteAt(0, AsBytes("abc")), IsOk());
  file->KeepPrevious(3, 7);
  EXPECT_THAT(file->Commit(0644, kTime), IsOk());
  EXPECT_EQ(test::ReadText(dir.File("f")), "abc3456789");
}

TEST(Resumable, RemovesAPartialFileOnlyWhereItIsNotAskedFor) {
  test::TempDir dir;
  CreateOrDie(dir.File("f"), {.resumable = true})->Append(AsBytes("half")).ok();
  CreateOrDie(dir.File("f")).reset();
  EXPECT_TRUE(dir.Names().empty());
}

TEST(RemoveTemporaryFiles, KnowsAnyNumberOfFiles) {
  test::TempDir dir;
  std::vector<std::unique_ptr<AtomicFile>> files;
  for (int i = 0; i < 200; ++i) files.push_back(CreateOrDie(dir.File(std::to_string(i))));
  EXPECT_EQ(dir.Names().size(), 200U);
  RemoveTemporaryFiles();
  EXPECT_TRUE(dir.Names().empty());
}

}  // namespace
}  // namespace flyweight
