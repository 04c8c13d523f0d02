#include "base/temporary_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/file.h"

namespace flyweight {
namespace {

constexpr size_t kBlockSlots = 64;
constexpr size_t kNameMaxBytes = 255;

enum class SlotState : int { kFree, kFilling, kRemembered };

struct Slot {
  std::atomic<SlotState> state{SlotState::kFree};
  std::atomic<int> directory{-1};
  std::atomic<char> name[kNameMaxBytes + 1] = {};
};

// Blocks are added when all slots are taken and never go, so that a signal handler may walk them at any moment.
struct Block {
  Slot slots[kBlockSlots];
  std::atomic<Block*> next{nullptr};
};

static_assert(std::atomic<SlotState>::is_always_lock_free, "signal handlers may touch lock-free atomics only");
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<char>::is_always_lock_free);
static_assert(std::atomic<size_t>::is_always_lock_free && std::atomic<Block*>::is_always_lock_free);

Block first_block;
std::atomic<size_t> removal_count{0};

Block* NextBlock(Block& block) {
  Block* next = block.next.load(std::memory_order_acquire);
  if (next != nullptr) return next;
  auto* fresh = new (std::nothrow) Block;
  if (fresh == nullptr) return nullptr;
  if (block.next.compare_exchange_strong(next, fresh)) return fresh;
  delete fresh;  // another thread was faster
  return next;
}

bool Claim(Slot& slot, int directory, const std::string& name) {
  SlotState expected = SlotState::kFree;
  if (!slot.state.compare_exchange_strong(expected, SlotState::kFilling)) return false;
  for (size_t at = 0; at < name.size(); ++at) slot.name[at].store(name[at], std::memory_order_relaxed);
  slot.name[name.size()].store('\0', std::memory_order_relaxed);
  slot.directory.store(directory, std::memory_order_relaxed);
  slot.state.store(SlotState::kRemembered, std::memory_order_release);
  return true;
}

void Remove(const Slot& slot) {
  if (slot.state.load(std::memory_order_acquire) != SlotState::kRemembered) return;
  char name[kNameMaxBytes + 1];
  for (size_t at = 0; at <= kNameMaxBytes; ++at) {
    name[at] = slot.name[at].load(std::memory_order_relaxed);
    if (name[at] == '\0') break;
  }
  name[kNameMaxBytes] = '\0';
  unlinkat(slot.directory.load(std::memory_order_relaxed), name, 0);
}

}  // namespace

size_t RememberTemporary(int directory, const std::string& name) {
  if (name.size() > kNameMaxBytes) return kNoTemporarySlot;
  size_t number = 0;
  for (Block* block = &first_block; block != nullptr; block = NextBlock(*block)) {
    for (Slot& slot : block->slots) {
      if (Claim(slot, directory, name)) return number;
      ++number;
    }
  }
  return kNoTemporarySlot;
}

void ForgetTemporary(size_t slot) {
  if (slot == kNoTemporarySlot) return;
  Block* block = &first_block;
  for (; slot >= kBlockSlots; slot -= kBlockSlots) block = block->next.load(std::memory_order_acquire);
  block->slots[slot].state.store(SlotState::kFree, std::memory_order_release);
}

size_t TemporaryRemovalCount() { return removal_count.load(); }

void RemoveTemporaryFiles() noexcept {
  int saved_errno = errno;
  removal_count.fetch_add(1);
  for (Block* block = &first_block; block != nullptr; block = block->next.load(std::memory_order_acquire)) {
    for (const Slot& slot : block->slots) Remove(slot);
  }
  errno = saved_errno;
}

}  // namespace flyweight
