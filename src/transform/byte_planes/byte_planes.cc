#include "transform/byte_planes/byte_planes.h"

#include <bit>

#include "base/bytes.h"

namespace flyweight {
namespace {

template <typename Word, bool kRotate>
void Split(const std::byte* source, size_t count, std::byte* planes) {
  for (size_t i = 0; i < count; ++i) {
    Word word = LoadLe<Word>(source + i * sizeof(Word));
    if constexpr (kRotate) word = std::rotl(word, 1);
    for (size_t p = 0; p < sizeof(Word); ++p) planes[p * count + i] = static_cast<std::byte>(word >> (8 * p));
  }
}

template <typename Word, bool kRotate>
void Merge(const std::byte* const* planes, size_t count, std::byte* target) {
  for (size_t i = 0; i < count; ++i) {
    Word word = 0;
    for (size_t p = 0; p < sizeof(Word); ++p) {
      word = static_cast<Word>(word | static_cast<Word>(static_cast<Word>(planes[p][i]) << (8 * p)));
    }
    if constexpr (kRotate) word = std::rotr(word, 1);
    StoreLe(target + i * sizeof(Word), word);
  }
}

template <typename Word>
void SplitWords(const std::byte* source, size_t count, bool rotate, std::byte* planes) {
  rotate ? Split<Word, true>(source, count, planes) : Split<Word, false>(source, count, planes);
}

template <typename Word>
void MergeWords(const std::byte* const* planes, size_t count, bool rotate, std::byte* target) {
  rotate ? Merge<Word, true>(planes, count, target) : Merge<Word, false>(planes, count, target);
}

}  // namespace

void SplitPlanes(const std::byte* source, size_t count, size_t width, bool rotate, std::byte* planes) {
  switch (width) {
    case 1:
      return SplitWords<uint8_t>(source, count, rotate, planes);
    case 2:
      return SplitWords<uint16_t>(source, count, rotate, planes);
    case 4:
      return SplitWords<uint32_t>(source, count, rotate, planes);
    default:
      return SplitWords<uint64_t>(source, count, rotate, planes);
  }
}

void MergePlanes(const std::byte* const* planes, size_t count, size_t width, bool rotate, std::byte* target) {
  switch (width) {
    case 1:
      return MergeWords<uint8_t>(planes, count, rotate, target);
    case 2:
      return MergeWords<uint16_t>(planes, count, rotate, target);
    case 4:
      return MergeWords<uint32_t>(planes, count, rotate, target);
    default:
      return MergeWords<uint64_t>(planes, count, rotate, target);
  }
}

}  // namespace flyweight
