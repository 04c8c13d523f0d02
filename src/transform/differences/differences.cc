#include "transform/differences/differences.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "base/bytes.h"

namespace flyweight {
namespace {

constexpr size_t kSampledRuns = 16;
constexpr size_t kRunElements = 64;

template <typename Word>
Word ZigZag(Word difference) {
  auto sign = static_cast<Word>(static_cast<std::make_signed_t<Word>>(difference) >> (8 * sizeof(Word) - 1));
  return static_cast<Word>(static_cast<Word>(difference << 1) ^ sign);
}

template <typename Word>
void Take(const std::byte* elements, size_t count, std::byte* differences) {
  Word before = 0;
  for (size_t i = 0; i < count; ++i) {
    auto element = LoadLe<Word>(elements + i * sizeof(Word));
    StoreLe(differences + i * sizeof(Word), ZigZag(static_cast<Word>(element - before)));
    before = element;
  }
}

template <typename Word>
void Add(std::byte* differences, size_t count) {
  Word element = 0;
  for (size_t i = 0; i < count; ++i) {
    auto z = LoadLe<Word>(differences + i * sizeof(Word));
    auto difference = static_cast<Word>(static_cast<Word>(z >> 1) ^ static_cast<Word>(Word{0} - (z & 1)));
    element = static_cast<Word>(element + difference);
    StoreLe(differences + i * sizeof(Word), element);
  }
}

// Runs spread over the elements. Noise needs nearly all bits; a sample of half of them leaves room for what planes
// cost.
template <typename Word>
bool Smooth(const std::byte* elements, size_t count) {
  if (count < kSampledRuns * kRunElements) return false;
  size_t bits = 0;
  for (size_t run = 0; run < kSampledRuns; ++run) {
    const std::byte* at = elements + (count - kRunElements) * run / (kSampledRuns - 1) * sizeof(Word);
    for (size_t i = 1; i < kRunElements; ++i) {
      auto step = static_cast<Word>(LoadLe<Word>(at + i * sizeof(Word)) - LoadLe<Word>(at + (i - 1) * sizeof(Word)));
      bits += static_cast<size_t>(std::bit_width(ZigZag(step)));
    }
  }
  return bits * 2 < kSampledRuns * (kRunElements - 1) * 8 * sizeof(Word);
}

}  // namespace

void TakeDifferences(const std::byte* elements, size_t count, size_t element_bytes, std::byte* differences) {
  if (element_bytes == 2) return Take<uint16_t>(elements, count, differences);
  if (element_bytes == 4) return Take<uint32_t>(elements, count, differences);
  Take<uint64_t>(elements, count, differences);
}

void AddDifferences(std::byte* differences, size_t count, size_t element_bytes) {
  if (element_bytes == 2) return Add<uint16_t>(differences, count);
  if (element_bytes == 4) return Add<uint32_t>(differences, count);
  Add<uint64_t>(differences, count);
}

bool LooksSmooth(const std::byte* elements, size_t count, size_t element_bytes) {
  if (element_bytes == 2) return Smooth<uint16_t>(elements, count);
  if (element_bytes == 4) return Smooth<uint32_t>(elements, count);
  return element_bytes == 8 && Smooth<uint64_t>(elements, count);
}

}  // namespace flyweight
