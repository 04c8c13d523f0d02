#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "annotate_check.h"
#include "container/onnx.h"
#include "container/onnx_test_files.h"

// A file as it is, and a well-formed model whose messages the input spells out.

namespace flyweight::fuzz {
namespace {

/// A message from a script: each byte opens a message in the one that is open, ends it, or adds a field.
std::string ModelOf(FuzzInput& input) {
  constexpr size_t kMaxDepth = 64;
  struct Open {
    uint32_t field;
    ProtobufWriter message;
  };
  std::vector<Open> stack(1);
  stack[0].message.Number(1, 9);
  auto close = [&stack] {
    Open inner = std::move(stack.back());
    stack.pop_back();
    stack.back().message.Bytes(inner.field, std::string_view(inner.message));
  };
  while (!input.empty()) {
    uint8_t code = input.Read<uint8_t>();
    uint32_t field = code & 31;
    ProtobufWriter& message = stack.back().message;
    if (field == 0) {
      if (stack.size() > 1) close();
    } else if (code < 64) {
      if (stack.size() < kMaxDepth) stack.push_back({field, {}});
    } else if (code < 128) {
      message.Number(field, input.Read<uint8_t>());
    } else if (code < 192) {
      message.Bytes(field, AsText(input.Take(input.Read<uint8_t>())));
    } else if (code < 224) {
      message.Fixed32(field, "four");
    } else {
      message.Raw(AsText(input.Take(field)));
    }
  }
  while (stack.size() > 1) close();
  return stack[0].message;
}

void CheckModel(ByteSpan file) {
  CheckAnnotation(file);
  Result<std::optional<FileMap>> all = AnnotateOnnxTensors(PlainSource(file), file, 0);
  FLYWEIGHT_FUZZ_CHECK(all.ok());
  if (all.value().has_value()) CheckCover(*all.value(), file.size());
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  CheckModel(std::as_bytes(std::span(data, size_bytes)));
  FuzzInput input(data, size_bytes);
  std::string model = ModelOf(input);
  ExactBuffer exact(flyweight::AsBytes(model));
  CheckModel(std::as_const(exact).span());
  return 0;
}
