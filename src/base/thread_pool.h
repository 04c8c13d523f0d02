#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "flyweight/result.h"

namespace flyweight {

/// A fixed set of worker threads with one operation. No nesting: `job` must not call ParallelFor of the same pool.
class ThreadPool {
 public:
  /// `thread_count` counts the calling thread too; 0 = one a hardware thread; 1 = everything runs inline, no thread is
  /// made.
  explicit ThreadPool(size_t thread_count);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t thread_count() const;

  /// Runs job(index, worker) for index in [0, count), indices handed out in ascending order; worker in [0,
  /// thread_count()) names the executing thread, for per-thread scratch. Returns the error of the lowest failing index.
  /// After an error no new indices start.
  Status ParallelFor(size_t count, const std::function<Status(size_t index, size_t worker)>& job);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What `-T` and `threads=` mean: 0 becomes the number of CPUs this process may use.
size_t ResolveThreadCount(size_t requested);

}  // namespace flyweight
