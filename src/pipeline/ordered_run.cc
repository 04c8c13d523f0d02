#include "pipeline/ordered_run.h"

#include <algorithm>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "pipeline/guard.h"

namespace flyweight {
namespace {

constexpr uint64_t kSlotBytesPerThreadMax = uint64_t{8} << 20;
// More only adds pages that have to be zeroed first and leave the cache before they are read.
constexpr uint64_t kSlotBytesPerThread = uint64_t{2} << 20;
constexpr uint64_t kSlotsPerThreadMax = 16;

/// The shared state of one run. Every member is guarded by mutex_ but the callbacks, which run unlocked.
class Scheduler {
 public:
  explicit Scheduler(const OrderedRun& run)
      : run_(run),
        caller_(std::this_thread::get_id()),
        chunk_counts_(run.item_window, 0),
        steps_(run.slot_count),
        step_done_(run.slot_count, false),
        consumers_(std::max<size_t>(run.consumers.size(), 1)) {}

  /// Takes steps until nothing is left to do.
  void Loop(size_t worker) {
    std::unique_lock lock(mutex_);
    while (!Finished()) {
      if (TakeConsume(lock) || TakePrepare(lock, worker) || TakeWork(lock, worker)) {
        if (waiting_ > 0) changed_.notify_all();
      } else {
        ++waiting_;
        changed_.wait(lock);
        --waiting_;
      }
      Report(lock);
    }
    changed_.notify_all();
  }

  Status Outcome() {
    if (error_.has_value()) return std::move(*error_);
    return Status::Ok();
  }

 private:
  struct Consumer {
    uint64_t next_step = 0;
    bool is_busy = false;
  };

  bool Finished() const { return error_.has_value() || (first_live_item_ == run_.item_count && busy_ == 0); }

  uint64_t ConsumedSteps() const {
    uint64_t consumed = std::numeric_limits<uint64_t>::max();
    for (const Consumer& consumer : consumers_) consumed = std::min(consumed, consumer.next_step);
    return consumed;
  }

  void Report(std::unique_lock<std::mutex>& lock) {
    if (!run_.report || std::this_thread::get_id() != caller_) return;
    lock.unlock();
    Status status = Guarded([&]() -> Status {
      run_.report();
      return Status::Ok();
    });
    lock.lock();
    if (!status.ok()) Fail(run_.item_count, 0, status.take_error());
  }

  void Fail(uint64_t item, uint64_t chunk, Error error) {
    std::pair<uint64_t, uint64_t> where(item, chunk);
    if (error_.has_value() && error_where_ <= where) return;
    error_ = std::move(error);
    error_where_ = where;
  }

  /// Hands the next finished chunk to a consumer that is free.
  bool TakeConsume(std::unique_lock<std::mutex>& lock) {
    for (size_t i = 0; i < consumers_.size(); ++i) {
      Consumer& consumer = consumers_[i];
      if (consumer.is_busy || consumer.next_step == next_step_) continue;
      size_t slot = static_cast<size_t>(consumer.next_step % run_.slot_count);
      if (!step_done_[slot]) continue;
      ChunkStep step = steps_[slot];
      if (!run_.consumers.empty()) {
        consumer.is_busy = true;
        ++busy_;
        lock.unlock();
        Status status = Guarded([&] { return run_.consumers[i](step); });
        lock.lock();
        --busy_;
        consumer.is_busy = false;
        if (!status.ok()) Fail(step.item, step.chunk, status.take_error());
      }
      ++consumer.next_step;
      // The last consumer to pass an item's last chunk retires the item.
      if (step.is_last && ConsumedSteps() == consumer.next_step && step.item == first_live_item_) ++first_live_item_;
      return true;
    }
    return false;
  }

  /// Prepares the next item when the chunks that are ready to start are getting few.
  bool TakePrepare(std::unique_lock<std::mutex>& lock, size_t worker) {
    if (ready_chunks_ >= 2 * run_.slot_count || next_prepare_ == run_.item_count ||
        next_prepare_ >= first_live_item_ + run_.item_window) {
      return false;
    }
    uint64_t item = next_prepare_++;
    chunk_counts_[item % run_.item_window] = 0;
    ++busy_;
    lock.unlock();
    uint64_t chunk_count = 0;
    Status status = Guarded([&]() -> Status {
      FLYWEIGHT_ASSIGN(chunk_count, run_.prepare(item, worker));
      return Status::Ok();
    });
    lock.lock();
    --busy_;
    if (status.ok() && chunk_count == 0) status = Error{ErrorCode::kCorrupt, 0, "a record has no chunks"};
    if (!status.ok()) {
      Fail(item, 0, status.take_error());
      return true;
    }
    chunk_counts_[item % run_.item_window] = chunk_count;
    ready_chunks_ += chunk_count;
    return true;
  }

  /// Starts the next chunk, where its item is prepared and its slot is free.
  bool TakeWork(std::unique_lock<std::mutex>& lock, size_t worker) {
    if (work_item_ >= next_prepare_ || next_step_ >= ConsumedSteps() + run_.slot_count) return false;
    uint64_t chunk_count = chunk_counts_[work_item_ % run_.item_window];
    if (chunk_count == 0) return false;
    size_t slot = static_cast<size_t>(next_step_ % run_.slot_count);
    ChunkStep step{work_item_, work_chunk_, work_chunk_ + 1 == chunk_count, slot};
    steps_[slot] = step;
    step_done_[slot] = false;
    ++next_step_;
    --ready_chunks_;
    if (step.is_last) {
      ++work_item_;
      work_chunk_ = 0;
    } else {
      ++work_chunk_;
    }
    ++busy_;
    lock.unlock();
    Status status = Guarded([&] { return run_.work(step, worker); });
    lock.lock();
    --busy_;
    if (!status.ok()) {
      Fail(step.item, step.chunk, status.take_error());
    } else {
      step_done_[slot] = true;
    }
    return true;
  }

  const OrderedRun& run_;
  const std::thread::id caller_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t waiting_ = 0;
  size_t busy_ = 0;

  uint64_t next_prepare_ = 0;
  uint64_t first_live_item_ = 0;
  std::vector<uint64_t> chunk_counts_;  // by item % item_window, 0 = not prepared yet
  uint64_t ready_chunks_ = 0;

  uint64_t work_item_ = 0;
  uint64_t work_chunk_ = 0;
  uint64_t next_step_ = 0;
  std::vector<ChunkStep> steps_;  // by step % slot_count
  std::vector<bool> step_done_;
  std::vector<Consumer> consumers_;

  std::optional<Error> error_;
  std::pair<uint64_t, uint64_t> error_where_;
};

}  // namespace

void SizeOrderedRun(OrderedRun& run, size_t thread_count, uint64_t slot_bytes) {
  slot_bytes = std::max<uint64_t>(slot_bytes, 1);
  // Two, so that a worker whose chunk is done before its predecessor's can start another.
  uint64_t wanted = std::clamp<uint64_t>(kSlotBytesPerThread / slot_bytes, 2, kSlotsPerThreadMax);
  uint64_t slots_per_thread = std::clamp<uint64_t>(kSlotBytesPerThreadMax / slot_bytes, 1, wanted);
  // One thread alone consumes what it has just made; a second slot would only cool the cache.
  run.slot_count = thread_count == 1 ? 1 : thread_count * static_cast<size_t>(slots_per_thread);
  run.item_window = 4 * run.slot_count;
}

Status RunInOrder(ThreadPool& pool, const OrderedRun& run) {
  if (run.item_count == 0) return Status::Ok();
  Scheduler scheduler(run);
  FLYWEIGHT_TRY(pool.ParallelFor(pool.thread_count(), [&](size_t, size_t worker) -> Status {
    scheduler.Loop(worker);
    return Status::Ok();
  }));
  FLYWEIGHT_TRY(scheduler.Outcome());
  return Guarded([&]() -> Status {
    if (run.report) run.report();
    return Status::Ok();
  });
}

}  // namespace flyweight
