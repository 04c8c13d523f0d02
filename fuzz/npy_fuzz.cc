#include <string_view>
#include <vector>

#include "annotate_check.h"
#include "container/npy.h"

// A file as it is, with a header length that fits, and inside another file.

namespace flyweight::fuzz {
namespace {

/// The same bytes with the length field set to what the dict takes.
std::vector<std::byte> WithFittingLength(ByteSpan file) {
  std::vector<std::byte> fitting(file.begin(), file.end());
  size_t brace = AsText(file).find('}');
  if (brace == std::string_view::npos || brace < 12) return fitting;
  if (file[6] == std::byte{1}) {
    StoreLe<uint16_t>(fitting.data() + 8, static_cast<uint16_t>(brace - 9));
  } else {
    StoreLe<uint32_t>(fitting.data() + 8, static_cast<uint32_t>(brace - 11));
  }
  return fitting;
}

/// As a member of a file: all but the first and the last 5 bytes.
void CheckMember(ByteSpan file) {
  constexpr size_t kAround = 5;
  if (file.size() < 2 * kAround) return;
  FileMap map{ContainerFormat::kNpz, {{.offset = 0, .size_bytes = kAround, .name = {}, .shape = {}}}};
  uint64_t member_bytes = file.size() - 2 * kAround;
  Result<bool> done = AnnotateNpyAt(PlainSource(file), kAround, member_bytes, "member", map.extents);
  FLYWEIGHT_FUZZ_CHECK(done.ok());
  CheckCover(map, done.value() ? kAround + member_bytes : kAround);
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  flyweight::ByteSpan file = std::as_bytes(std::span(data, size_bytes));
  CheckAnnotation(file);
  std::vector<std::byte> fitting = WithFittingLength(file);
  CheckAnnotation(fitting);
  CheckMember(file);
  fitting.insert(fitting.begin(), 5, std::byte{0});
  CheckMember(fitting);
  return 0;
}
