#include "codec/patches.h"

#include <algorithm>
#include <array>

namespace flyweight {
namespace {

constexpr unsigned kSkipGap = 4095;
constexpr unsigned kLiteralRank = 15;

unsigned ExponentOf(HeadKind kind, const std::byte* heads, size_t index) {
  return kind == HeadKind::k16 ? LoadLe<uint16_t>(heads + 2 * index) >> 7 & 0xFF
                               : LoadLe<uint8_t>(heads + index) >> 2 & 0x1F;
}

}  // namespace

void WritePatches(std::span<uint32_t> heads_to_patch, HeadKind kind, const std::byte* heads, const ShiftField& shifts,
                  const HeadTable& table, ByteWriter& writer) {
  std::array<uint8_t, 256> rank_of{};
  rank_of.fill(kLiteralRank);
  for (size_t i = 0; i < table.second_count; ++i) rank_of[table.second[i]] = static_cast<uint8_t>(i);
  std::sort(heads_to_patch.begin(), heads_to_patch.end());
  uint32_t previous = 0;
  for (uint32_t head : heads_to_patch) {
    for (; head - previous >= kSkipGap; previous += kSkipGap) writer.Write(static_cast<uint16_t>(kSkipGap << 4));
    auto exponent = static_cast<uint8_t>(ExponentOf(kind, heads, head) - shifts.At(head));
    unsigned rank = rank_of[exponent];
    writer.Write(static_cast<uint16_t>((head - previous) << 4 | rank));
    if (rank == kLiteralRank) writer.Write(exponent);
    previous = head;
  }
}

// Moves on to the next patch that names a word. Without Result, since this runs for every patch.
bool PatchReader::ReadNext() {
  while (position_ + 2 <= patches_.size()) {
    unsigned patch = LoadLe<uint16_t>(patches_.data() + position_);
    unsigned gap = patch >> 4, rank = patch & 15;
    position_ += 2;
    word_index_ += gap;
    if (gap == kSkipGap) {
      if (rank != 0) return Fail("a skip in the patch list names an exponent");
      continue;
    }
    if (rank == kLiteralRank) {
      if (position_ == patches_.size()) return Fail("the patch list is cut off");
      exponent_ = static_cast<uint8_t>(patches_[position_++]);
    } else if (rank < table_.second_count) {
      exponent_ = table_.second[rank];
    } else {
      return Fail("a patch names an exponent that is not in the table");
    }
    pending_ = true;
    return true;
  }
  if (position_ != patches_.size()) return Fail("the patch list is cut off");
  return false;
}

bool PatchReader::Fail(const char* why) {
  why_ = why;
  position_ = patches_.size();
  return false;
}

void PatchReader::Apply(const uint8_t* shifts, size_t first_word, std::byte* words) const {
  unsigned shift = shifts != nullptr ? shifts[word_index_ - first_word] : 0;
  uint32_t field = ((exponent_ + shift) << layout_.exponent_shift) & layout_.exponent_mask;
  std::byte* word = words + word_index_ * layout_.word_bytes;
  if (layout_.word_bytes == 2) {
    StoreLe(word, static_cast<uint16_t>((LoadLe<uint16_t>(word) & ~layout_.exponent_mask) | field));
  } else {
    StoreLe(word, (LoadLe<uint32_t>(word) & ~layout_.exponent_mask) | field);
  }
}

Status PatchReader::ApplyBatch(size_t first_word, size_t end_word, const uint8_t* shifts, std::byte* words) {
  while ((pending_ || ReadNext()) && word_index_ < end_word) {
    Apply(shifts, first_word, words);
    pending_ = false;
  }
  if (why_ != nullptr) return Error{ErrorCode::kCorrupt, position_, why_};
  return {};
}

Status PatchReader::CheckEnd(size_t word_count) const {
  if (word_index_ >= word_count)
    return Error{ErrorCode::kCorrupt, position_, "a patch lies behind the chunk's last word"};
  return {};
}

}  // namespace flyweight
