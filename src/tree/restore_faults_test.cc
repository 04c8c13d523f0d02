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
#include <filesystem>

#include "support/child_process.h"
#include "tree/restore.h"
#include "tree/tree_test_tools.h"

// File systems and kernels that lack a call, or fail one: a filter makes the kernel answer so in a child.

namespace flyweight {
namespace {

namespace fs = std::filesystem;
using Paths = std::vector<std::string>;

struct FailingCall {
  long number;
  int error_number;
};

/// From now on these calls fail in this process. False where the kernel does not offer it.
bool MakeCallsFail(const std::vector<FailingCall>& calls) {
  auto at = [](size_t offset) { return static_cast<uint32_t>(offset); };
  std::vector<sock_filter> program = {sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, at(offsetof(seccomp_data, nr))}};
  for (const FailingCall& call : calls) {
    program.push_back(sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<uint32_t>(call.number)});
    program.push_back(sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<uint32_t>(call.error_number)});
  }
  program.push_back(sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
  sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

constexpr int kOk = 40;
constexpr int kFailed = 41;

/// Restores a small tree to dir/out while `calls` fail. Gives kOk or kFailed, +10 where errors, +20 where warnings were
/// told.
int RestoreWithFailing(const std::vector<FailingCall>& calls, const test::TempDir& dir, bool overwrite = false) {
  int status = test::RunInChild([&] {
    if (!MakeCallsFail(calls)) return test::kChildSkips;
    test::NoticeLog log;
    auto restore = [&]() -> Status {
      FLYWEIGHT_ASSIGN(auto restorer, TreeRestorer::Create(dir.File("out"), {overwrite, log.Callback()}));
      FLYWEIGHT_TRY(restorer->AddDirectory(test::DirectoryEntry("")));
      FLYWEIGHT_TRY(restorer->AddDirectory(test::DirectoryEntry("d", 0750)));
      FLYWEIGHT_TRY(test::AddFile(*restorer, "d/f", "content", 0640));
      FLYWEIGHT_TRY(restorer->AddHardLink(test::HardLinkEntry("h"), "d/f"));
      FLYWEIGHT_TRY(restorer->AddHardLink(test::HardLinkEntry("d/h"), "d/f"));
      FLYWEIGHT_TRY(restorer->AddSymlink(test::SymlinkEntry("s", "d")));
      return restorer->Finish();
    };
    int result = restore().ok() ? kOk : kFailed;
    if (log.Count(TreeSeverity::kError) > 0) result += 10;
    if (log.Count(TreeSeverity::kWarning) > 0) result += 20;
    return result;
  });
  return test::ExitStatus(status);
}

Paths Walked(const test::TempDir& dir) { return test::PathsOf(test::WalkOrDie(test::RootsOrDie({dir.File("out")}))); }

const Paths kWhole = {"", "d", "d/f", "d/h", "h", "s"};

class Faults : public testing::Test {
 protected:
  void SetUp() override {
    int status = test::RunInChild([] { return MakeCallsFail({}) ? 0 : test::kChildSkips; });
    if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "the kernel has no filters";
  }
  test::TempDir dir_;
};

TEST_F(Faults, RestoresOnKernelsThatKnowOldCallsOnly) {
  for (int error : {ENOSYS, EPERM}) {
    EXPECT_EQ(RestoreWithFailing({{SYS_openat2, error}, {SYS_renameat2, error}, {SYS_statx, error}}, dir_), kOk);
    EXPECT_EQ(Walked(dir_), kWhole);
    EXPECT_EQ(dir_.Names(), Paths{"out"});
    fs::remove_all(dir_.File("out"));
  }
}

TEST_F(Faults, MergesOnKernelsThatKnowOldCallsOnly) {
  fs::create_directories(dir_.File("out/d"));
  test::WriteFile(dir_.File("out/d/f"), "old");
  EXPECT_EQ(RestoreWithFailing({{SYS_openat2, ENOSYS}, {SYS_renameat2, EINVAL}}, dir_, true), kOk);
  EXPECT_EQ(Walked(dir_), kWhole);
  EXPECT_EQ(test::ReadText(dir_.File("out/d/f")), "content");
}

TEST_F(Faults, CopiesWhereThereAreNoHardLinks) {
  for (int error : {EPERM, EOPNOTSUPP, EMLINK}) {
    EXPECT_EQ(RestoreWithFailing({{SYS_linkat, error}}, dir_), kOk + 20);
    EXPECT_EQ(Walked(dir_), kWhole);
    for (const char* name : {"out/h", "out/d/h"}) {
      EXPECT_EQ(test::ReadText(dir_.File(name)), "content");
      EXPECT_EQ(test::StatOf(dir_.File(name)).st_mode & 07777U, 0640U);
      EXPECT_EQ(test::StatOf(dir_.File(name)).st_mtim.tv_nsec, 123'456'789);
    }
    fs::remove_all(dir_.File("out"));
  }
}

TEST_F(Faults, GoesOnWithoutLinksThatCannotBeMade) {
  EXPECT_EQ(RestoreWithFailing({{SYS_symlinkat, EPERM}}, dir_), kOk + 10);
  EXPECT_EQ(Walked(dir_), (Paths{"", "d", "d/f", "d/h", "h"}));
}

TEST_F(Faults, KeepsContentWhereModesAndTimesCannotBe) {
  EXPECT_EQ(RestoreWithFailing({{SYS_fchmod, EPERM}, {SYS_utimensat, EOPNOTSUPP}}, dir_), kOk + 20);
  EXPECT_EQ(Walked(dir_), kWhole);
  EXPECT_EQ(test::ReadText(dir_.File("out/d/f")), "content");
}

TEST_F(Faults, RestoresWithoutLocks) {
  EXPECT_EQ(RestoreWithFailing({{SYS_flock, ENOLCK}}, dir_), kOk);
  EXPECT_EQ(Walked(dir_), kWhole);
}

TEST_F(Faults, DoesNotTouchDebrisThatItCannotLock) {
  fs::create_directories(dir_.File(".out.flyweight-tree/d"));
  EXPECT_EQ(RestoreWithFailing({{SYS_flock, ENOLCK}}, dir_), kFailed);
  EXPECT_TRUE(fs::exists(dir_.File(".out.flyweight-tree/d")));
}

TEST_F(Faults, LeavesNothingWhenACallFails) {
  std::vector<FailingCall> calls = {{SYS_fsync, EIO},  {SYS_pwrite64, ENOSPC},  {SYS_renameat, EIO},
                                    {SYS_fchmod, EIO}, {SYS_utimensat, EIO},    {SYS_symlinkat, EIO},
                                    {SYS_linkat, EIO}, {SYS_flock, EWOULDBLOCK}};
  for (const FailingCall& call : calls) {
    EXPECT_EQ(RestoreWithFailing({call}, dir_), kFailed) << call.number;
    if (call.number != SYS_flock && call.number != SYS_fchmod) {
      EXPECT_TRUE(dir_.Names().empty()) << call.number;
    }
    EXPECT_FALSE(fs::exists(dir_.File("out"))) << call.number;
  }
  EXPECT_EQ(RestoreWithFailing({}, dir_), kOk);  // and what is left stops nobody
  EXPECT_EQ(dir_.Names(), Paths{"out"});
}

}  // namespace
}  // namespace flyweight
