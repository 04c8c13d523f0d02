#include "base/temporary_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace flyweight {
namespace {

constexpr size_t kSlotCount = 64;
constexpr size_t kNameMaxBytes = 255;

enum class SlotState : int { kFree, kFilling, kRemembered };

struct Slot {
  std::atomic<SlotState> state{SlotState::kFree};
  std::atomic<int> directory{-1};
  std::atomic<char> name[kNameMaxBytes + 1] = {};
};

static_assert(std::atomic<SlotState>::is_always_lock_free, "signal handlers may touch lock-free atomics only");
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<char>::is_always_lock_free);
static_assert(std::atomic<size_t>::is_always_lock_free);

Slot slots[kSlotCount];
std::atomic<size_t> removal_count{0};

}  // namespace

size_t RememberTemporary(int directory, const std::string& name) {
  if (name.size() > kNameMaxBytes) return kNoTemporarySlot;
  for (size_t i = 0; i < kSlotCount; ++i) {
    SlotState expected = SlotState::kFree;
    if (!slots[i].state.compare_exchange_strong(expected, SlotState::kFilling)) continue;
    for (size_t at = 0; at < name.size(); ++at) slots[i].name[at].store(name[at], std::memory_order_relaxed);
    slots[i].name[name.size()].store('\0', std::memory_order_relaxed);
    slots[i].directory.store(directory, std::memory_order_relaxed);
    slots[i].state.store(SlotState::kRemembered, std::memory_order_release);
    return i;
  }
  return kNoTemporarySlot;
}

void ForgetTemporary(size_t slot) {
  if (slot != kNoTemporarySlot) slots[slot].state.store(SlotState::kFree, std::memory_order_release);
}

size_t TemporaryRemovalCount() { return removal_count.load(); }

void RemoveTemporaryFiles() noexcept {
  int saved_errno = errno;
  removal_count.fetch_add(1);
  for (Slot& slot : slots) {
    if (slot.state.load(std::memory_order_acquire) != SlotState::kRemembered) continue;
    char name[kNameMaxBytes + 1];
    for (size_t at = 0; at <= kNameMaxBytes; ++at) {
      name[at] = slot.name[at].load(std::memory_order_relaxed);
      if (name[at] == '\0') break;
    }
    name[kNameMaxBytes] = '\0';
    unlinkat(slot.directory.load(std::memory_order_relaxed), name, 0);
  }
  errno = saved_errno;
}

}  // namespace flyweight
