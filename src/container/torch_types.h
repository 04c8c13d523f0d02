#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "flyweight/tensor.h"

namespace flyweight {

/// What the elements of a PyTorch storage are.
struct TorchElement {
  DType dtype = DType::kOpaque;
  uint64_t bytes = 1;    ///< of one element
  bool is_pair = false;  ///< one element is two of `dtype`
};

/// The element of a storage class of the module `torch`, such as "FloatStorage". Quantised types and double complex
/// ones are opaque. Nothing where the class is unknown.
std::optional<TorchElement> TorchElementOfStorage(std::string_view class_name);

/// The element of a dtype of the module `torch`, such as "float8_e4m3fn". Nothing where it is unknown.
std::optional<TorchElement> TorchElementOfDType(std::string_view name);

}  // namespace flyweight
