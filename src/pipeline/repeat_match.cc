#include "pipeline/repeat_match.h"

#include <algorithm>
#include <cstring>

namespace flyweight {
namespace {

constexpr uint64_t kCompareBytes = uint64_t{64} << 10;
/// How far behind a difference the same content is looked for.
constexpr uint64_t kGapMaxBytes = uint64_t{256} << 10;
constexpr uint64_t kStepBytes = 64;

}  // namespace

Result<ByteSpan> ExtentContent::Read(uint64_t begin, uint64_t count, AlignedBuffer& storage) const {
  ByteSpan memory = content->source().InMemory();
  if (!memory.empty()) return memory.subspan(static_cast<size_t>(offset + begin), static_cast<size_t>(count));
  if (storage.size() < count) storage.Resize(static_cast<size_t>(count));
  MutableByteSpan target(storage.data(), static_cast<size_t>(count));
  FLYWEIGHT_TRY(content->source().ReadAt(offset + begin, target));
  return ByteSpan(target);
}

Result<RepeatMatcher::Views> RepeatMatcher::ReadBoth(const Pair& pair, uint64_t begin, uint64_t size_bytes) {
  FLYWEIGHT_ASSIGN(ByteSpan later, pair.later->Read(begin, size_bytes, later_));
  FLYWEIGHT_ASSIGN(ByteSpan earlier, pair.earlier->Read(begin - pair.begin + pair.source, size_bytes, earlier_));
  return Views{later, earlier};
}

Result<uint64_t> RepeatMatcher::FirstDifference(const Pair& pair, uint64_t begin, uint64_t end) {
  // The first step is small: most of what only looks equal differs at once.
  uint64_t step_bytes = 4096;
  for (uint64_t at = begin; at < end; at += step_bytes, step_bytes = kCompareBytes) {
    uint64_t count = std::min(step_bytes, end - at);
    FLYWEIGHT_ASSIGN(Views views, ReadBoth(pair, at, count));
    if (std::memcmp(views.later.data(), views.earlier.data(), views.later.size()) == 0) continue;
    auto differs = std::mismatch(views.later.begin(), views.later.end(), views.earlier.begin());
    return at + static_cast<uint64_t>(differs.first - views.later.begin());
  }
  return end;
}

Result<uint64_t> RepeatMatcher::LastDifference(const Pair& pair, uint64_t begin, uint64_t end) {
  uint64_t step_bytes = 4096;
  for (uint64_t at = end; at > begin; step_bytes = kCompareBytes) {
    uint64_t count = std::min(step_bytes, at - begin);
    at -= count;
    FLYWEIGHT_ASSIGN(Views views, ReadBoth(pair, at, count));
    if (std::memcmp(views.later.data(), views.earlier.data(), views.later.size()) == 0) continue;
    auto differs = std::mismatch(views.later.rbegin(), views.later.rend(), views.earlier.rbegin());
    return at + static_cast<uint64_t>(views.later.rend() - differs.first);
  }
  return begin;
}

Result<uint64_t> RepeatMatcher::NextStretch(const Pair& pair, uint64_t begin, uint64_t end) {
  uint64_t equal_bytes = 0;
  uint64_t limit = std::min(end, begin + kGapMaxBytes);
  for (uint64_t at = begin; at < limit;) {
    uint64_t count = std::min(kCompareBytes, limit - at);
    FLYWEIGHT_ASSIGN(Views views, ReadBoth(pair, at, count));
    for (uint64_t step = 0; step < count; step += kStepBytes) {
      auto bytes = static_cast<size_t>(std::min(kStepBytes, count - step));
      bool is_equal = std::memcmp(views.later.data() + step, views.earlier.data() + step, bytes) == 0;
      equal_bytes = is_equal ? equal_bytes + bytes : 0;
      if (equal_bytes >= kStretchMinBytes) return at + step + bytes - equal_bytes;
    }
    at += count;
  }
  return end;
}

Result<uint64_t> RepeatMatcher::PreviousStretch(const Pair& pair, uint64_t begin, uint64_t end) {
  uint64_t equal_bytes = 0;
  uint64_t limit = end - std::min(end - begin, kGapMaxBytes);
  for (uint64_t at = end; at > limit;) {
    uint64_t count = std::min(kCompareBytes, at - limit);
    at -= count;
    FLYWEIGHT_ASSIGN(Views views, ReadBoth(pair, at, count));
    for (uint64_t step = count; step > 0;) {
      auto bytes = static_cast<size_t>(std::min(kStepBytes, step));
      step -= bytes;
      bool is_equal = std::memcmp(views.later.data() + step, views.earlier.data() + step, bytes) == 0;
      equal_bytes = is_equal ? equal_bytes + bytes : 0;
      if (equal_bytes >= kStretchMinBytes) return at + step + equal_bytes;
    }
  }
  return begin;
}

Result<std::vector<RepeatMatch>> RepeatMatcher::Match(const Pair& pair) {
  std::vector<RepeatMatch> matches;
  bool is_self = pair.later->content == pair.earlier->content && pair.later->offset == pair.earlier->offset;
  uint64_t ahead = pair.later->size_bytes - pair.begin;
  if (!is_self) ahead = std::min(ahead, pair.earlier->size_bytes - pair.source);
  uint64_t limit = pair.begin + ahead;
  uint64_t floor = pair.begin - std::min(pair.begin - pair.floor, pair.source);
  auto add = [&](uint64_t begin, uint64_t end) {
    matches.push_back({begin, end, begin - pair.begin + pair.source, 0});
  };
  FLYWEIGHT_ASSIGN(uint64_t end, FirstDifference(pair, pair.begin, limit));
  if (end - pair.begin < kStretchMinBytes) return matches;
  FLYWEIGHT_ASSIGN(uint64_t begin, LastDifference(pair, floor, pair.begin));
  add(begin, end);
  while (begin > floor) {
    FLYWEIGHT_ASSIGN(uint64_t stretch_end, PreviousStretch(pair, floor, begin - 1));
    if (stretch_end == floor) break;
    FLYWEIGHT_ASSIGN(stretch_end, FirstDifference(pair, stretch_end, begin));
    FLYWEIGHT_ASSIGN(begin, LastDifference(pair, floor, stretch_end));
    add(begin, stretch_end);
  }
  std::ranges::reverse(matches);
  while (end < limit) {
    FLYWEIGHT_ASSIGN(uint64_t next, NextStretch(pair, end + 1, limit));
    if (next == limit) break;
    FLYWEIGHT_ASSIGN(uint64_t stretch_begin, LastDifference(pair, end, next));
    FLYWEIGHT_ASSIGN(end, FirstDifference(pair, next, limit));
    add(stretch_begin, end);
  }
  return matches;
}

}  // namespace flyweight
