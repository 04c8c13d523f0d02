#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/child_process.h"
#include "support/matchers.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;

class ThreadPoolOf : public ::testing::TestWithParam<size_t> {};

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolOf, ::testing::Values(1, 2, 3, 8));

TEST_P(ThreadPoolOf, RunsEveryIndexOnce) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.thread_count(), GetParam());
  for (size_t count : {0U, 1U, 2U, 7U, 1000U}) {
    std::vector<std::atomic<int>> runs(count);
    EXPECT_THAT(pool.ParallelFor(count,
                                 [&](size_t index, size_t) {
                                   ++runs[index];
                                   return Status::Ok();
                                 }),
                IsOk());
    for (const std::atomic<int>& run : runs) EXPECT_EQ(run, 1);
  }
}

TEST_P(ThreadPoolOf, GivesEachRunningJobAWorkerNumberOfItsOwn) {
  ThreadPool pool(GetParam());
  std::vector<std::atomic<bool>> busy(GetParam());
  std::vector<size_t> plain_counters(GetParam() * 64);  // a race on one of them is the sanitizer's to see
  Status status = pool.ParallelFor(500, [&](size_t, size_t worker) -> Status {
    if (worker >= GetParam()) return Error{ErrorCode::kInternal, 0, "worker number out of range"};
    if (busy[worker].exchange(true)) return Error{ErrorCode::kInternal, 0, "worker number in use twice"};
    ++plain_counters[worker * 64];
    std::this_thread::yield();
    busy[worker] = false;
    return Status::Ok();
  });
  EXPECT_THAT(status, IsOk());
  size_t total = 0;
  for (size_t counter : plain_counters) total += counter;
  EXPECT_EQ(total, 500U);
}

TEST_P(ThreadPoolOf, ReturnsTheErrorOfTheLowestFailingIndex) {
  ThreadPool pool(GetParam());
  for (int repeat = 0; repeat < 50; ++repeat) {
    Status status = pool.ParallelFor(300, [&](size_t index, size_t) -> Status {
      if (index == 40) std::this_thread::yield();
      if (index >= 40 && index % 2 == 0) return Error{ErrorCode::kCorrupt, index, "bad index"};
      return Status::Ok();
    });
    ASSERT_THAT(status, FailsWith(ErrorCode::kCorrupt));
    EXPECT_EQ(status.error().offset, 40U);
  }
}

TEST_P(ThreadPoolOf, StartsNothingAfterAnError) {
  ThreadPool pool(GetParam());
  std::atomic<size_t> started = 0;
  Status status = pool.ParallelFor(1'000'000, [&](size_t, size_t) -> Status {
    ++started;
    return Error{ErrorCode::kIo, 0, "no"};
  });
  EXPECT_THAT(status, FailsWith(ErrorCode::kIo));
  EXPECT_LE(started, GetParam());
}

TEST_P(ThreadPoolOf, IsUsableAfterAnError) {
  ThreadPool pool(GetParam());
  EXPECT_THAT(pool.ParallelFor(10, [](size_t, size_t) -> Status { return Error{ErrorCode::kIo, 0, "no"}; }),
              FailsWith(ErrorCode::kIo));
  std::atomic<int> runs = 0;
  EXPECT_THAT(pool.ParallelFor(10,
                               [&](size_t, size_t) {
                                 ++runs;
                                 return Status::Ok();
                               }),
              IsOk());
  EXPECT_EQ(runs, 10);
}

TEST_P(ThreadPoolOf, TurnsExceptionsIntoErrors) {
  ThreadPool pool(GetParam());
  EXPECT_THAT(pool.ParallelFor(4, [](size_t, size_t) -> Status { throw std::bad_alloc(); }),
              FailsWith(ErrorCode::kOutOfMemory));
  Status status = pool.ParallelFor(4, [](size_t, size_t) -> Status { throw std::runtime_error("broken"); });
  ASSERT_THAT(status, FailsWith(ErrorCode::kInternal));
  EXPECT_NE(status.error().message.find("broken"), std::string::npos);
  EXPECT_THAT(pool.ParallelFor(4, [](size_t, size_t) -> Status { throw 7; }), FailsWith(ErrorCode::kInternal));
}

TEST_P(ThreadPoolOf, RefusesNestingInsteadOfWaitingForItself) {
  ThreadPool pool(GetParam());
  auto nothing = [](size_t, size_t) { return Status::Ok(); };
  EXPECT_THAT(pool.ParallelFor(4, [&](size_t, size_t) { return pool.ParallelFor(2, nothing); }),
              FailsWith(ErrorCode::kInternal));
  EXPECT_THAT(pool.ParallelFor(4, nothing), IsOk());
}

TEST_P(ThreadPoolOf, MayBeUsedInsideAJobOfAnotherPool) {
  ThreadPool outer(GetParam());
  std::atomic<int> runs = 0;
  Status status = outer.ParallelFor(4, [&](size_t, size_t) {
    ThreadPool inner(2);
    return inner.ParallelFor(5, [&](size_t, size_t) {
      ++runs;
      return Status::Ok();
    });
  });
  EXPECT_THAT(status, IsOk());
  EXPECT_EQ(runs, 20);
}

TEST_P(ThreadPoolOf, ServesSeveralCallersOneAfterAnother) {
  ThreadPool pool(GetParam());
  std::atomic<int> runs = 0;
  auto call = [&] {
    for (int i = 0; i < 20; ++i) {
      Status status = pool.ParallelFor(10, [&](size_t, size_t) {
        ++runs;
        return Status::Ok();
      });
      EXPECT_THAT(status, IsOk());
    }
  };
  std::thread other(call);
  call();
  other.join();
  EXPECT_EQ(runs, 400);
}

TEST(ThreadPool, HandsIndicesOutInAscendingOrder) {
  ThreadPool pool(1);
  std::vector<size_t> order;
  EXPECT_THAT(pool.ParallelFor(100,
                               [&](size_t index, size_t) {
                                 order.push_back(index);
                                 return Status::Ok();
                               }),
              IsOk());
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
  EXPECT_EQ(order.size(), 100U);
}

TEST(ThreadPool, OfOneRunsInTheCallingThread) {
  ThreadPool pool(1);
  std::thread::id caller = std::this_thread::get_id();
  Status status = pool.ParallelFor(5, [&](size_t, size_t worker) -> Status {
    if (worker == 0 && std::this_thread::get_id() == caller) return Status::Ok();
    return Error{ErrorCode::kInternal, 0, "ran elsewhere"};
  });
  EXPECT_THAT(status, IsOk());
}

TEST(ThreadPool, UsesItsThreads) {
  // Each of two jobs waits for the other, so one thread alone could not end them.
  ThreadPool pool(2);
  std::atomic<int> arrived = 0;
  EXPECT_THAT(pool.ParallelFor(2,
                               [&](size_t, size_t) {
                                 ++arrived;
                                 while (arrived < 2) std::this_thread::yield();
                                 return Status::Ok();
                               }),
              IsOk());
}

TEST(ThreadPool, DoesWithFewerThreadsWhereTheSystemRefusesMore) {
  int status = test::RunInChild([] {
    if (!test::DropPrivileges()) return test::kChildSkips;
    rlimit limit{1, 1};  // of processes and threads of this user, of which there is one already
    if (setrlimit(RLIMIT_NPROC, &limit) != 0) return test::kChildSkips;
    ThreadPool pool(200);
    std::atomic<int> runs = 0;
    Status result = pool.ParallelFor(100, [&](size_t, size_t) {
      ++runs;
      return Status::Ok();
    });
    return result.ok() && runs == 100 && pool.thread_count() < 200 ? 0 : 1;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "cannot lower the limit of threads";
  EXPECT_EQ(test::ExitStatus(status), 0);
}

TEST(ResolveThreadCount, KeepsWhatIsAskedForUpToALimit) {
  EXPECT_EQ(ResolveThreadCount(1), 1U);
  EXPECT_EQ(ResolveThreadCount(7), 7U);
  EXPECT_EQ(ResolveThreadCount(256), 256U);
  EXPECT_EQ(ResolveThreadCount(1'000'000), 256U);
}

TEST(ResolveThreadCount, CountsTheCpusThisProcessMayUse) {
  EXPECT_GE(ResolveThreadCount(0), 1U);
  int status = test::RunInChild([] {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return test::kChildSkips;
    int first = 0;
    while (!CPU_ISSET(first, &allowed)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) return test::kChildSkips;
    return ResolveThreadCount(0) == 1 ? 0 : 1;
  });
  if (test::ExitStatus(status) == test::kChildSkips) GTEST_SKIP() << "cannot set the affinity";
  EXPECT_EQ(test::ExitStatus(status), 0);
}

}  // namespace
}  // namespace flyweight
