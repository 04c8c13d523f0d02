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
  kDelta = 4,   ///< what changed against a base, made smaller; `bits` says how, a DeltaMethod
};

/// How what changed against a base is made smaller. Numbers are written into archives and never change meaning.
enum class DeltaMethod : uint8_t {
  kUniform = 1,  ///< whole numbers of one step, rounded so that error and size together are least
  kInt4 = 2,     ///< 15 levels, and exact elements where differences are largest
  kSparse = 3,   ///< exact elements where differences are largest, all others the base's
  kOneBit = 4,   ///< signs, with the mean magnitude of each row
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

/// "fp16", "bf16", "int8/64" (bits and block), "int4/64+min", "delta", "delta int4", "delta sparse", "delta 1 bit".
std::string NameOf(const LossyChoice& choice);

/// How lossy a patch may be.
struct LossyDeltaOptions {
  DeltaMethod method = DeltaMethod::kUniform;
  /// kUniform: the error of all tensors together, ||result - source|| / ||source - base||; over 0, under 1.
  double error = 0.05;
  double exact_fraction = 0.01;  ///< kInt4 and kSparse: the part of each tensor's elements that is exact
  double tensor_error = 1;       ///< a tensor that would lose more than this, relative as `error`, is stored exactly
};

/// What a user asked for. As it is made nothing is lossy.
struct LossyOptions {
  std::optional<LossyChoice> method;       ///< the same for every tensor; has_minimum is chosen by measured error
  std::optional<uint64_t> budget_bytes;    ///< of the archive: methods are chosen tensor by tensor
  std::optional<double> bits_per_element;  ///< the same, as the archive's bits for each element of its tensors

  std::optional<LossyDeltaOptions> delta;  ///< of patches only, and nothing else with it

  bool enabled() const { return method.has_value() || is_adaptive() || delta.has_value(); }
  bool is_adaptive() const { return budget_bytes.has_value() || bits_per_element.has_value(); }
};

/// Reads what stands behind --lossy: "fp16", "bf16", "int8", "int4" (any of int2 to int8), "int8:32" with the elements
/// of a block (a power of two from 16 to 4096, 64 by itself), "auto=SIZE" with the bytes that the archive may have
/// ("auto=12.5M", "auto=40MiB"; K M G T are powers of 1000, Ki Mi Gi Ti of 1024, a B may follow), or "auto=4.5bit" with
/// its bits for each element. Errors: kInvalidArgument.
Result<LossyOptions> ParseLossyOptions(std::string_view text);

/// Reads what stands behind --lossy-delta: "error=0.05", "strategy=int4,outliers=0.01", "strategy=sparse,keep=0.1",
/// "strategy=one_bit"; "tensor=0.5" may be added to each. Errors: kInvalidArgument.
Result<LossyDeltaOptions> ParseLossyDelta(std::string_view text);

/// What a listing says of a lossy tensor.
struct LossyInfo {
  std::string method;    ///< as NameOf gives it
  double max_error = 0;  ///< the largest absolute error of any element, measured when it was compressed
  double rms_error = 0;  ///< the root of the mean squared error
  std::optional<double> relative_error = {};  ///< of what changed against the base, where that was made smaller
};

}  // namespace flyweight
