#include <string_view>
#include <vector>

#include "annotate_check.h"

// A file as it is, and with a length field that fits.

namespace flyweight::fuzz {
namespace {

/// The same bytes with the length field set to what their JSON has.
std::vector<std::byte> WithFittingLength(ByteSpan file) {
  std::vector<std::byte> fitting(file.begin(), file.end());
  size_t brace = AsText(file).rfind('}');
  if (brace != std::string_view::npos && brace >= 8) StoreLe<uint64_t>(fitting.data(), brace - 7);
  return fitting;
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  flyweight::ByteSpan file = std::as_bytes(std::span(data, size_bytes));
  CheckAnnotation(file);
  CheckAnnotation(WithFittingLength(file));
  return 0;
}
