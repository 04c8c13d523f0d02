#include "pipeline/ordered_run.h"

#include <atomic>
#include <stdexcept>
#include <thread>

#include "support/matchers.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using testing::HasSubstr;

/// Items whose numbers of chunks differ, and what the consumers must see of them.
struct Workload {
  std::vector<uint64_t> chunk_counts;

  OrderedRun Run(size_t slot_count) const {
    OrderedRun run;
    run.item_count = chunk_counts.size();
    run.slot_count = slot_count;
    run.item_window = 4 * slot_count;
    run.prepare = [this](uint64_t item, size_t) -> Result<uint64_t> { return chunk_counts[item]; };
    run.work = [](const ChunkStep&, size_t) { return Status::Ok(); };
    return run;
  }

  std::vector<std::pair<uint64_t, uint64_t>> InOrder() const {
    std::vector<std::pair<uint64_t, uint64_t>> steps;
    for (uint64_t item = 0; item < chunk_counts.size(); ++item) {
      for (uint64_t chunk = 0; chunk < chunk_counts[item]; ++chunk) steps.emplace_back(item, chunk);
    }
    return steps;
  }
};

Workload MixedItems() {
  Workload workload;
  for (uint64_t i = 0; i < 200; ++i) workload.chunk_counts.push_back(i % 7 == 0 ? 40 : 1 + i % 3);
  return workload;
}

class OrderedRunThreads : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Counts, OrderedRunThreads, testing::Values(1, 2, 5), testing::PrintToStringParamName());

TEST_P(OrderedRunThreads, ShowsEveryConsumerAllChunksInOrder) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(6);
  std::vector<std::pair<uint64_t, uint64_t>> seen[2];
  for (auto& list : seen) {
    run.consumers.push_back([&list](const ChunkStep& step) {
      list.emplace_back(step.item, step.chunk);
      return Status::Ok();
    });
  }
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), IsOk());
  EXPECT_EQ(seen[0], workload.InOrder());
  EXPECT_EQ(seen[1], workload.InOrder());
}

TEST_P(OrderedRunThreads, MarksTheLastChunkOfEachItem) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(3);
  std::vector<uint64_t> last_chunks;
  run.consumers.push_back([&](const ChunkStep& step) {
    if (step.is_last) last_chunks.push_back(step.chunk + 1);
    return Status::Ok();
  });
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), IsOk());
  EXPECT_EQ(last_chunks, workload.chunk_counts);
}

TEST_P(OrderedRunThreads, KeepsSlotsUntilEveryConsumerHasSeenThem) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(4);
  std::vector<std::pair<uint64_t, uint64_t>> slots(run.slot_count);
  std::atomic<int> overwritten = 0;
  run.work = [&](const ChunkStep& step, size_t) {
    slots[step.slot] = {step.item, step.chunk};
    return Status::Ok();
  };
  for (int i = 0; i < 2; ++i) {
    run.consumers.push_back([&](const ChunkStep& step) {
      if (slots[step.slot] != std::pair(step.item, step.chunk)) ++overwritten;
      if (step.chunk % 16 == 5) std::this_thread::yield();
      return Status::Ok();
    });
  }
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), IsOk());
  EXPECT_EQ(overwritten, 0);
}

TEST_P(OrderedRunThreads, PreparesNoFurtherThanTheItemWindow) {
  Workload workload;
  workload.chunk_counts.assign(500, 1);
  OrderedRun run = workload.Run(2);
  run.item_window = 5;
  std::atomic<uint64_t> finished = 0;
  std::atomic<bool> too_far = false;
  run.prepare = [&](uint64_t item, size_t) -> Result<uint64_t> {
    if (item >= finished + run.item_window + 1) too_far = true;  // + 1: the consumer counts before the item retires
    return uint64_t{1};
  };
  run.consumers.push_back([&](const ChunkStep&) {
    ++finished;
    return Status::Ok();
  });
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), IsOk());
  EXPECT_EQ(finished, 500U);
  EXPECT_FALSE(too_far);
}

TEST_P(OrderedRunThreads, PreparesEachItemBeforeItsWorkAndOnce) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(4);
  std::vector<std::atomic<int>> prepared(workload.chunk_counts.size());
  std::atomic<int> unprepared = 0;
  run.prepare = [&](uint64_t item, size_t) -> Result<uint64_t> {
    ++prepared[item];
    return workload.chunk_counts[item];
  };
  run.work = [&](const ChunkStep& step, size_t) {
    if (prepared[step.item] != 1) ++unprepared;
    return Status::Ok();
  };
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), IsOk());
  EXPECT_EQ(unprepared, 0);
}

TEST_P(OrderedRunThreads, ReturnsTheErrorOfTheLowestChunkThatFails) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(8);
  run.work = [](const ChunkStep& step, size_t) -> Status {
    if (step.item < 14) return Status::Ok();
    return Error{ErrorCode::kCorrupt, 0, std::to_string(step.item) + "." + std::to_string(step.chunk)};
  };
  ThreadPool pool(GetParam());
  Status status = RunInOrder(pool, run);
  ASSERT_THAT(status, FailsWith(ErrorCode::kCorrupt));
  EXPECT_EQ(status.error().message, "14.0");
}

TEST_P(OrderedRunThreads, StopsWhereAConsumerFails) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(4);
  uint64_t last_seen = 0;
  run.consumers.push_back([&](const ChunkStep& step) -> Status {
    last_seen = step.item;
    if (step.item == 20) return Error{ErrorCode::kIo, 0, "disk full"};
    return Status::Ok();
  });
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), FailsWith(ErrorCode::kIo));
  EXPECT_EQ(last_seen, 20U);
}

TEST_P(OrderedRunThreads, TurnsExceptionsIntoErrors) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(4);
  run.work = [](const ChunkStep& step, size_t) -> Status {
    if (step.item == 3) throw std::bad_alloc();
    return Status::Ok();
  };
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), FailsWith(ErrorCode::kOutOfMemory));
  run.work = [](const ChunkStep&, size_t) -> Status { throw std::runtime_error("odd"); };
  EXPECT_THAT(RunInOrder(pool, run), FailsWith(ErrorCode::kInternal));
}

TEST_P(OrderedRunThreads, RefusesAnItemWithoutChunks) {
  Workload workload{{1, 0, 1}};
  OrderedRun run = workload.Run(2);
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), FailsWith(ErrorCode::kCorrupt));
}

TEST_P(OrderedRunThreads, ReportsOnTheCallingThreadOnly) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(4);
  std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> elsewhere = 0;
  run.report = [&] { elsewhere += std::this_thread::get_id() != caller; };
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), IsOk());
  EXPECT_EQ(elsewhere, 0);
}

TEST_P(OrderedRunThreads, ReportsAfterTheLastChunkWasConsumed) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(4);
  std::atomic<size_t> consumed = 0;
  size_t reported = 0;
  run.consumers.push_back([&](const ChunkStep&) {
    ++consumed;
    return Status::Ok();
  });
  run.report = [&] { reported = consumed; };
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), IsOk());
  EXPECT_EQ(reported, workload.InOrder().size());
}

TEST_P(OrderedRunThreads, TurnsExceptionsOfTheReportIntoErrors) {
  Workload workload = MixedItems();
  OrderedRun run = workload.Run(4);
  run.report = [] { throw std::runtime_error("stop"); };
  ThreadPool pool(GetParam());
  EXPECT_THAT(RunInOrder(pool, run), FailsWith(ErrorCode::kInternal));
}

TEST(OrderedRun, DoesNothingWithoutItems) {
  ThreadPool pool(2);
  EXPECT_THAT(RunInOrder(pool, OrderedRun{}), IsOk());
}

TEST(OrderedRun, BoundsTheMemoryOfItsSlots) {
  for (size_t thread_count : {1, 2, 16}) {
    for (uint64_t slot_bytes : {uint64_t{1}, uint64_t{600} << 10, uint64_t{4} << 20}) {
      OrderedRun run;
      SizeOrderedRun(run, thread_count, slot_bytes);
      EXPECT_GE(run.slot_count, thread_count);
      EXPECT_LE(run.slot_count * slot_bytes, thread_count * (uint64_t{8} << 20));
      EXPECT_GT(run.item_window, run.slot_count);
    }
  }
}

}  // namespace
}  // namespace flyweight
