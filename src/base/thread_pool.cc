#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace flyweight {
namespace {

using Job = std::function<Status(size_t, size_t)>;

constexpr size_t kMaxThreads = 256;
constexpr size_t kNoIndex = std::numeric_limits<size_t>::max();

// CPUs in this process's affinity mask, or 0 where the system does not say.
size_t AffinityCpuCount() {
  // The kernel refuses a mask smaller than its own, whose size it does not tell.
  for (size_t cpu_limit = 1024; cpu_limit <= size_t{1} << 17; cpu_limit *= 4) {
    cpu_set_t* mask = CPU_ALLOC(cpu_limit);
    if (mask == nullptr) return 0;
    size_t mask_bytes = CPU_ALLOC_SIZE(cpu_limit);
    CPU_ZERO_S(mask_bytes, mask);
    bool known = sched_getaffinity(0, mask_bytes, mask) == 0;
    int count = known ? CPU_COUNT_S(mask_bytes, mask) : 0;
    CPU_FREE(mask);
    if (count > 0) return static_cast<size_t>(count);
  }
  return 0;
}

Status RunJob(const Job& job, size_t index, size_t worker) {
  try {
    return job(index, worker);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOutOfMemory, 0, "out of memory"};
  } catch (const std::exception& exception) {
    return Error{ErrorCode::kInternal, 0, std::string("unexpected exception: ") + exception.what()};
  } catch (...) {
    return Error{ErrorCode::kInternal, 0, "unexpected exception of an unknown type"};
  }
}

}  // namespace

size_t ResolveThreadCount(size_t requested) {
  size_t count = requested;
  if (count == 0) count = AffinityCpuCount();
  if (count == 0) count = std::thread::hardware_concurrency();
  return std::clamp<size_t>(count, 1, kMaxThreads);
}

struct ThreadPool::Impl {
  explicit Impl(size_t thread_count) {
    workers.reserve(thread_count - 1);
    try {
      for (size_t worker = 1; worker < thread_count; ++worker) {
        workers.emplace_back([this, worker] { WorkerLoop(worker); });
      }
    } catch (const std::exception&) {
      // No more threads or no memory for them: fewer do the same work.
    }
  }

  ~Impl() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    work_available.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  void WorkerLoop(size_t worker) {
    current_pool = this;
    std::unique_lock lock(mutex);
    while (true) {
      work_available.wait(lock, [this] { return stopping || next_index < end_index; });
      if (stopping) return;
      RunIndices(lock, worker);
      if (running_count == 0) work_finished.notify_one();
    }
  }

  // Takes indices one at a time until none is left. Under the lock, so that an index below a failing one has always
  // been started.
  void RunIndices(std::unique_lock<std::mutex>& lock, size_t worker) {
    while (next_index < end_index) {
      size_t index = next_index++;
      const Job& current_job = *job;
      ++running_count;
      lock.unlock();
      Status status = RunJob(current_job, index, worker);
      lock.lock();
      --running_count;
      if (!status.ok()) RecordError(index, status.take_error());
    }
  }

  void RecordError(size_t index, Error error) {
    next_index = end_index;
    if (index > failed_index) return;
    failed_index = index;
    first_error = std::move(error);
  }

  Status ParallelFor(size_t count, const Job& new_job) {
    if (current_pool == this) {
      return Error{ErrorCode::kInternal, 0, "ParallelFor was called from inside a job of the same pool"};
    }
    std::lock_guard one_caller_at_a_time(caller_mutex);
    const Impl* outer_pool = std::exchange(current_pool, this);
    Status status = Run(count, new_job);
    current_pool = outer_pool;
    return status;
  }

  Status Run(size_t count, const Job& new_job) {
    std::unique_lock lock(mutex);
    job = &new_job;
    next_index = 0;
    end_index = count;
    failed_index = kNoIndex;
    if (count > 1) {
      size_t helper_count = std::min(count - 1, workers.size());
      for (size_t i = 0; i < helper_count; ++i) work_available.notify_one();
    }
    RunIndices(lock, 0);
    work_finished.wait(lock, [this] { return running_count == 0; });
    next_index = end_index = 0;
    job = nullptr;
    if (failed_index != kNoIndex) return std::move(first_error);
    return Status::Ok();
  }

  static thread_local const Impl* current_pool;

  std::mutex caller_mutex;
  std::mutex mutex;  // guards all below
  std::condition_variable work_available;
  std::condition_variable work_finished;
  const Job* job = nullptr;
  size_t next_index = 0;
  size_t end_index = 0;
  size_t running_count = 0;
  size_t failed_index = kNoIndex;
  Error first_error;
  bool stopping = false;
  std::vector<std::thread> workers;
};

thread_local const ThreadPool::Impl* ThreadPool::Impl::current_pool = nullptr;

ThreadPool::ThreadPool(size_t thread_count) : impl_(std::make_unique<Impl>(ResolveThreadCount(thread_count))) {}
ThreadPool::~ThreadPool() = default;

size_t ThreadPool::thread_count() const { return impl_->workers.size() + 1; }

Status ThreadPool::ParallelFor(size_t count, const std::function<Status(size_t index, size_t worker)>& job) {
  return impl_->ParallelFor(count, job);
}

}  // namespace flyweight
