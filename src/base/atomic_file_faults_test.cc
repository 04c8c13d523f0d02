#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

#include "base/file.h"
#include "support/child_process.h"
#include "support/temp_dir.h"

// AtomicFile on file systems that lack a call, or fail one: a filter makes the kernel answer so in a child.

namespace flyweight {
namespace {

struct FailingCall {
  long number;
  int error_number;
};

/// From now on these calls fail in this process. False where the kernel does not offer it.
bool MakeCallsFail(const std::vector<FailingCall>& calls) {
  auto at = [](size_t offset) { return static_cast<uint32_t>(offset); };
  std::vector<sock_filter> program = {
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, at(offsetof(seccomp_data, nr))},
  };
  for (const FailingCall& call : calls) {
    program.push_back(sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<uint32_t>(call.number)});
    program.push_back(sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<uint32_t>(call.error_number)});
  }
  program.push_back(sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
  sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

constexpr int kCannotFilter = test::kChildSkips;
constexpr int kCommitted = 40;

/// Writes "new" to `path` while `calls` fail; the code of Commit's error, or kCommitted.
int CommitWithFailing(
    const std::vector<FailingCall>& calls, const std::string& path, bool overwrite,
    const std::function<void()>& before_commit = [] {}) {
  int status = test::RunInChild([&] {
    if (!MakeCallsFail(calls)) return kCannotFilter;
    Result<std::unique_ptr<AtomicFile>> file = AtomicFile::Create(path, overwrite);
    if (!file.ok() || !file.value()->Append(AsBytes("new")).ok()) return 1;
    before_commit();
    Status committed = file.value()->Commit(0644, 0);
    return committed.ok() ? kCommitted : static_cast<int>(committed.error().code);
  });
  return test::ExitStatus(status);
}

using Names = std::vector<std::string>;

struct Fallback {
  const char* name;
  std::vector<FailingCall> calls;
};

std::vector<Fallback> Fallbacks() {
  std::vector<Fallback> fallbacks = {
      {"Rename", {}},
      {"LinkWhereTheKernelLacksTheCall", {{SYS_renameat2, ENOSYS}}},
      {"LinkWhereTheFileSystemLacksTheFlag", {{SYS_renameat2, EINVAL}}},
  };
#if defined(SYS_renameat)
  // Elsewhere a plain rename is renameat2 too, and nothing would be left.
  fallbacks.push_back({"Placeholder", {{SYS_renameat2, EINVAL}, {SYS_linkat, EPERM}}});
#endif
  return fallbacks;
}

class AtomicFileFallback : public ::testing::TestWithParam<Fallback> {};

std::string FallbackName(const ::testing::TestParamInfo<Fallback>& fallback) { return fallback.param.name; }

INSTANTIATE_TEST_SUITE_P(NoReplaceBy, AtomicFileFallback, ::testing::ValuesIn(Fallbacks()), FallbackName);

TEST_P(AtomicFileFallback, TakesAFreeName) {
  test::TempDir dir;
  int result = CommitWithFailing(GetParam().calls, dir.File("f"), false);
  if (result == kCannotFilter) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(result, kCommitted);
  EXPECT_EQ(dir.Names(), Names{"f"});
  EXPECT_EQ(test::ReadText(dir.File("f")), "new");
}

TEST_P(AtomicFileFallback, RefusesATargetThatAppearedSinceCreate) {
  test::TempDir dir;
  int result =
      CommitWithFailing(GetParam().calls, dir.File("f"), false, [&] { test::WriteFile(dir.File("f"), "theirs"); });
  if (result == kCannotFilter) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(result, static_cast<int>(ErrorCode::kExists));
  EXPECT_EQ(dir.Names(), Names{"f"});
  EXPECT_EQ(test::ReadText(dir.File("f")), "theirs");
}

TEST(AtomicFileFaults, LeaveTheOldFileWhereTheDiskFailsToStore) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "old");
  int result = CommitWithFailing({{SYS_fsync, EIO}}, dir.File("f"), true);
  if (result == kCannotFilter) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(result, static_cast<int>(ErrorCode::kIo));
  EXPECT_EQ(dir.Names(), Names{"f"});
  EXPECT_EQ(test::ReadText(dir.File("f")), "old");
}

#if defined(SYS_renameat)
TEST(AtomicFileFaults, LeaveTheOldFileWhereItCannotBeReplaced) {
  test::TempDir dir;
  test::WriteFile(dir.File("f"), "old");
  int result = CommitWithFailing({{SYS_renameat, EACCES}}, dir.File("f"), true);
  if (result == kCannotFilter) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(result, static_cast<int>(ErrorCode::kIo));
  EXPECT_EQ(dir.Names(), Names{"f"});
  EXPECT_EQ(test::ReadText(dir.File("f")), "old");
}

TEST(AtomicFileFaults, LeaveNoPlaceholder) {
  test::TempDir dir;
  int result =
      CommitWithFailing({{SYS_renameat2, EINVAL}, {SYS_linkat, EPERM}, {SYS_renameat, EIO}}, dir.File("f"), false);
  if (result == kCannotFilter) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(result, static_cast<int>(ErrorCode::kIo));
  EXPECT_TRUE(dir.Names().empty());
}
#endif

TEST(AtomicFileFaults, DoNotIncludeFileSystemsWithoutModesAndTimes) {
  test::TempDir dir;
  int result = CommitWithFailing({{SYS_fchmod, EPERM}, {SYS_utimensat, EPERM}}, dir.File("f"), false);
  if (result == kCannotFilter) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(result, kCommitted);
  EXPECT_EQ(test::ReadText(dir.File("f")), "new");
}

TEST(AtomicFileFaults, DoNotIncludeAMissingRandomSource) {
  test::TempDir dir;
  int result = CommitWithFailing({{SYS_getrandom, ENOSYS}}, dir.File("f"), false);
  if (result == kCannotFilter) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(result, kCommitted);
}

TEST(AtomicFileFaults, DoNotIncludeAMissingFallocate) {
  test::TempDir dir;
  int status = test::RunInChild([&] {
    if (!MakeCallsFail({{SYS_fallocate, EOPNOTSUPP}})) return kCannotFilter;
    return AtomicFile::Create(dir.File("f"), false).value()->Reserve(1000).ok() ? 0 : 1;
  });
  if (test::ExitStatus(status) == kCannotFilter) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(test::ExitStatus(status), 0);
}

}  // namespace
}  // namespace flyweight
