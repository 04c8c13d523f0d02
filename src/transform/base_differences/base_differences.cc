#include "transform/base_differences/base_differences.h"

#include <type_traits>

#include "base/bytes.h"

namespace flyweight {
namespace {

template <typename Word>
Word Sign(Word word) {
  return static_cast<Word>(Word{0} - (word >> (8 * sizeof(Word) - 1)));
}

// A float's bits as an integer that grows with its value; its own inverse.
template <typename Word>
Word Ordered(Word word) {
  return static_cast<Word>(word ^ (Sign(word) & static_cast<Word>(static_cast<Word>(~Word{0}) >> 1)));
}

template <typename Word>
Word Take(BaseDifference how, Word word, Word base) {
  if (how == BaseDifference::kXor) return static_cast<Word>(word ^ base);
  if (how == BaseDifference::kOrdered) word = Ordered(word), base = Ordered(base);
  auto difference = static_cast<Word>(word - base);
  return static_cast<Word>(static_cast<Word>(difference << 1) ^ Sign(difference));
}

template <typename Word>
Word Add(BaseDifference how, Word z, Word base) {
  if (how == BaseDifference::kXor) return static_cast<Word>(z ^ base);
  auto difference = static_cast<Word>(static_cast<Word>(z >> 1) ^ static_cast<Word>(Word{0} - (z & 1)));
  if (how == BaseDifference::kModulo) return static_cast<Word>(base + difference);
  return Ordered(static_cast<Word>(Ordered(base) + difference));
}

template <typename Word, BaseDifference kHow, bool kTake>
void Run(const std::byte* a, const std::byte* base, size_t count, std::byte* target) {
  for (size_t i = 0; i < count * sizeof(Word); i += sizeof(Word)) {
    auto word = LoadLe<Word>(a + i), base_word = LoadLe<Word>(base + i);
    StoreLe(target + i, kTake ? Take(kHow, word, base_word) : Add(kHow, word, base_word));
  }
}

template <typename Word, bool kTake>
void RunAs(BaseDifference how, const std::byte* a, const std::byte* base, size_t count, std::byte* target) {
  if (how == BaseDifference::kXor) return Run<Word, BaseDifference::kXor, kTake>(a, base, count, target);
  if (how == BaseDifference::kModulo) return Run<Word, BaseDifference::kModulo, kTake>(a, base, count, target);
  Run<Word, BaseDifference::kOrdered, kTake>(a, base, count, target);
}

template <bool kTake>
void RunWide(BaseDifference how, const std::byte* a, const std::byte* base, size_t count, size_t word_bytes,
             std::byte* target) {
  if (word_bytes == 1) return RunAs<uint8_t, kTake>(how, a, base, count, target);
  if (word_bytes == 2) return RunAs<uint16_t, kTake>(how, a, base, count, target);
  if (word_bytes == 4) return RunAs<uint32_t, kTake>(how, a, base, count, target);
  RunAs<uint64_t, kTake>(how, a, base, count, target);
}

}  // namespace

void TakeBaseDifferences(BaseDifference how, const std::byte* words, const std::byte* base, size_t count,
                         size_t word_bytes, std::byte* differences) {
  RunWide<true>(how, words, base, count, word_bytes, differences);
}

void AddBaseDifferences(BaseDifference how, const std::byte* differences, const std::byte* base, size_t count,
                        size_t word_bytes, std::byte* words) {
  RunWide<false>(how, differences, base, count, word_bytes, words);
}

}  // namespace flyweight
