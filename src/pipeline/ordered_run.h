#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "flyweight/result.h"

namespace flyweight {

/// One chunk on its way through an ordered run.
struct ChunkStep {
  uint64_t item = 0;
  uint64_t chunk = 0;
  bool is_last = false;  ///< the item's last chunk
  size_t slot = 0;       ///< whose buffers hold the chunk's data until every consumer has seen it
};

/// A stream of items cut into chunks: chunks are worked on in parallel and consumed in order, with no barrier in
/// between. Memory is bounded by `slot_count` chunks that were started and not yet consumed, and `item_window` items
/// that were prepared and not yet consumed.
struct OrderedRun {
  uint64_t item_count = 0;
  size_t slot_count = 1;
  size_t item_window = 4;  ///< the state of item i may live at index i % item_window

  /// Makes an item ready and returns its number of chunks, at least 1. Runs on any worker, ahead of the item's chunks.
  std::function<Result<uint64_t>(uint64_t item, size_t worker)> prepare;
  /// Does one chunk. Runs on any worker, chunks are started in order.
  std::function<Status(const ChunkStep& step, size_t worker)> work;
  /// Each sees all chunks in order, one at a time, after their work; different consumers run beside each other.
  std::vector<std::function<Status(const ChunkStep& step)>> consumers;
  /// Called between steps and after the last one, on the thread that called RunInOrder; may be empty.
  std::function<void()> report;
};

/// Slots and items that suit `thread_count` threads when a slot's buffers take `slot_bytes`: a few a thread, about 2
/// MiB of them, and all together under 8 MiB a thread (or one slot a thread, where that is more).
void SizeOrderedRun(OrderedRun& run, size_t thread_count, uint64_t slot_bytes);

/// Runs everything; returns when all chunks were consumed, or the error of the lowest (item, chunk) that failed.
/// Exceptions of the callbacks become kOutOfMemory or kInternal.
Status RunInOrder(ThreadPool& pool, const OrderedRun& run);

}  // namespace flyweight
