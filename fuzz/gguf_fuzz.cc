#include <vector>

#include "annotate_check.h"

// A file as it is, and behind a sound magic and version of either byte order.

namespace flyweight::fuzz {
namespace {

std::vector<std::byte> WithSoundStart(ByteSpan file, std::byte version, size_t version_offset) {
  std::vector<std::byte> sound(file.begin(), file.end());
  ByteSpan magic = AsBytes("GGUF");
  std::copy(magic.begin(), magic.end(), sound.begin());
  std::fill_n(sound.begin() + 4, 4, std::byte{0});
  sound[version_offset] = version;
  return sound;
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  flyweight::ByteSpan file = std::as_bytes(std::span(data, size_bytes));
  CheckAnnotation(file);
  if (size_bytes < 8) return 0;
  for (size_t version_offset : {size_t{4}, size_t{7}}) {
    CheckAnnotation(WithSoundStart(file, std::byte{1}, version_offset));
    CheckAnnotation(WithSoundStart(file, std::byte{3}, version_offset));
  }
  return 0;
}
