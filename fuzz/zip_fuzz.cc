#include "annotate_check.h"

// Zip files of every kind; what their pickles hold is torch_fuzz's.

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  flyweight::fuzz::CheckAnnotation(std::as_bytes(std::span(data, size_bytes)));
  return 0;
}
