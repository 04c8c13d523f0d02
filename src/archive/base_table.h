#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

namespace flyweight {

class CodecScratch;

/// An extent of a base that a patch needs (docs/format.md section 1.5.3).
struct BaseRow {
  bool is_tensor = false;
  std::string name;  ///< of the tensor; of other bytes, the path of their file in the base
  DType dtype = DType::kOpaque;
  Shape shape;
  uint64_t size_bytes = 0;
  Digest digest{};           ///< as DigestAlgorithm::kSha256Tree, by chunks of the dtype
  uint64_t sample_xxh3 = 0;  ///< of some of its bytes: tells another base at once
};

/// What a patch says about its base.
struct BaseTable {
  Digest identity{};         ///< of the base (docs/format.md section 1.6)
  Digest result_identity{};  ///< of what the patch gives
  std::string name;          ///< what the base was called, for messages
  std::vector<BaseRow> rows;
};

/// The bytes of a base, by the rows of its table. Thread-safe.
class BaseContent {
 public:
  virtual ~BaseContent() = default;
  /// Fills `target` with bytes from `begin` of a row. Precondition: they lie in the row. Errors: those of reading the
  /// base; kBaseMismatch where it is found not to be the one of the table.
  virtual Status Read(uint64_t row, uint64_t begin, MutableByteSpan target, CodecScratch& scratch) const = 0;
};

/// Parses the value of the attribute, which begins at `offset` of the index body. Errors: kTruncated, kCorrupt,
/// kLimitExceeded.
Result<BaseTable> ParseBaseTable(ByteSpan value, uint64_t offset);

/// Precondition: CheckBaseTable succeeded.
std::vector<std::byte> WriteBaseTable(const BaseTable& table);

/// Checks sizes, shapes and names. Errors: kCorrupt, kLimitExceeded.
Status CheckBaseTable(const BaseTable& table);

/// Says which base is missing and what of it is needed.
Error MissingBase(const BaseTable& table);

/// "'NAME' (identity 0123456789ab)": how messages call the base of a patch.
std::string DescribeBase(const BaseTable& table);

/// The digits of an identity that messages show.
std::string ShortIdentity(const Digest& identity);

}  // namespace flyweight
