#include "codec/patches.h"

#include <algorithm>
#include <array>

namespace flyweight {
namespace {

constexpr unsigned kSkipGap = 4095;
constexpr unsigned kLiteralRank = 15;

unsigned ExponentOf(HeadKind kind, const std::byte* heads, size_t index) {
  return kind == HeadKind::k16 ? LoadLe<uint16_t>(heads + 2 * index) >> 7 & 0xFF : LoadLe<uint8_t>(heads + index) >> 2 & 0x1F;
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

// Moves on to the next patch that names a word.
Status PatchReader::ReadNext() {
  while (!pending_ && cursor_.remaining() != 0) {
    FLYWEIGHT_ASSIGN(uint16_t patch, cursor_.Read<uint16_t>());
    unsigned gap = patch >> 4, rank = patch & 15;
    word_index_ += gap;
    if (gap == kSkipGap) continue;
    if (rank == kLiteralRank) {
      FLYWEIGHT_ASSIGN(exponent_, cursor_.Read<uint8_t>());
    } else if (rank < table_.second_count) {
      exponent_ = table_.second[rank];
    } else {
      return Error{ErrorCode::kCorrupt, cursor_.offset(), "a patch names an exponent that is not in the table"};
    }
    pending_ = true;
  }
  return {};
}

void PatchReader::Apply(std::byte* words) const {
  auto exponent = static_cast<uint8_t>(exponent_ + shifts_.At(word_index_));
  uint32_t field = (static_cast<uint32_t>(exponent) << layout_.exponent_shift) & layout_.exponent_mask;
  std::byte* word = words + word_index_ * layout_.word_bytes;
  if (layout_.word_bytes == 2) {
    StoreLe(word, static_cast<uint16_t>((LoadLe<uint16_t>(word) & ~layout_.exponent_mask) | field));
  } else {
    StoreLe(word, (LoadLe<uint32_t>(word) & ~layout_.exponent_mask) | field);
  }
}

Status PatchReader::ApplyUntil(size_t end_word, std::byte* words) {
  for (;;) {
    FLYWEIGHT_TRY(ReadNext());
    if (!pending_ || word_index_ >= end_word) return {};
    Apply(words);
    pending_ = false;
  }
}

Status PatchReader::CheckEnd() const {
  if (pending_) return Error{ErrorCode::kCorrupt, cursor_.offset(), "a patch lies behind the chunk's last word"};
  return {};
}

}  // namespace flyweight
