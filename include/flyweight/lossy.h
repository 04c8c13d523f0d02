#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "flyweight/result.h"

// Lossy compression, which nothing does unless it was asked for (docs/format.md section 3.6).

namespace flyweight {

/// How the elements of a lossy tensor are stored. Numbers are written into archives and never change meaning.
enum class LossyMethod : uint8_t {
  kF16 = 1,     ///< rounded to F16
  kBF16 = 2,    ///< rounded to BF16
  kBlocks = 3,  ///< integers of a few bits, with a scale for each block of elements
};

inline constexpr uint32_t kLossyDefaultBlock = 64;
inline constexpr uint32_t kLossyMinBlock = 16;
inline constexpr uint32_t kLossyMaxBlock = 4096;
inline constexpr uint8_t kLossyMinBits = 2;
inline constexpr uint8_t kLossyMaxBits = 8;

/// How one tensor is stored.
struct LossyChoice {
  LossyMethod method = LossyMethod::kF16;
  uint8_t bits = 16;         ///< of one stored element
  bool has_minimum = false;  ///< kBlocks: each block has a minimum beside its scale
  uint32_t block = 0;        ///< kBlocks: elements that share a scale, a power of two
  bool operator==(const LossyChoice&) const = default;
};

/// "fp16", "bf16", "int8/64" (bits and block), "int4/64+min".
std::string NameOf(const LossyChoice& choice);

/// What a user asked for. As it is made nothing is lossy.
struct LossyOptions {
  std::optional<LossyChoice> method;       ///< the same for every tensor; has_minimum is chosen by measured error
  std::optional<uint64_t> budget_bytes;    ///< of the archive: methods are chosen tensor by tensor
  std::optional<double> bits_per_element;  ///< the same, as the archive's bits for each element of its tensors

  bool enabled() const { return method.has_value() || is_adaptive(); }
  bool is_adaptive() const { return budget_bytes.has_value() || bits_per_element.has_value(); }
};

/// Reads what stands behind --lossy: "fp16", "bf16", "int8", "int4" (any of int2 to int8), "int8:32" with the elements
/// of a block (a power of two from 16 to 4096, 64 by itself), "auto=SIZE" with the bytes that the archive may have
/// ("auto=12.5M", "auto=40MiB"; K M G T are powers of 1000, Ki Mi Gi Ti of 1024, a B may follow), or "auto=4.5bit" with
/// its bits for each element. Errors: kInvalidArgument.
Result<LossyOptions> ParseLossyOptions(std::string_view text);

/// What a listing says of a lossy tensor.
struct LossyInfo {
  std::string method;    ///< as NameOf gives it
  double max_error = 0;  ///< the largest absolute error of any element, measured when it was compressed
  double rms_error = 0;  ///< the root of the mean squared error
};

}  // namespace flyweight
