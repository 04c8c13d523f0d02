#include "container/npy_header.h"

#include <charconv>

#include "base/checked.h"

namespace flyweight {
namespace {

constexpr size_t kMaxRank = 255;

/// Takes a Python literal apart from the front. Every step passes over white space first and gives false where
/// something else stands there.
class LiteralReader {
 public:
  explicit LiteralReader(std::string_view text) : text_(text) {}

  bool Symbol(char symbol) {
    SkipSpace();
    if (text_.empty() || text_.front() != symbol) return false;
    text_.remove_prefix(1);
    return true;
  }

  /// Text in either kind of quotes; numpy writes none that would need a backslash.
  bool Text(std::string_view& value) {
    SkipSpace();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) return false;
    size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) return false;
    value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value.find('\\') == std::string_view::npos;
  }

  bool Boolean(bool& value) {
    SkipSpace();
    value = text_.starts_with("True");
    if (!value && !text_.starts_with("False")) return false;
    text_.remove_prefix(value ? 4 : 5);
    return true;
  }

  /// A number from 0 to 2^64 - 1, with the L that Python 2 put behind it.
  bool Number(uint64_t& value) {
    SkipSpace();
    std::from_chars_result result = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (result.ec != std::errc()) return false;
    text_.remove_prefix(static_cast<size_t>(result.ptr - text_.data()));
    if (text_.starts_with('L')) text_.remove_prefix(1);
    return true;
  }

  bool AtEnd() {
    SkipSpace();
    return text_.empty();
  }

 private:
  void SkipSpace() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n"), text_.size())); }

  std::string_view text_;
};

/// "()", "(3,)", "(3, 4)"; Python would read "(3)" as a number.
bool ReadShape(LiteralReader& reader, Shape& shape) {
  if (!reader.Symbol('(')) return false;
  bool comma = true;
  while (!reader.Symbol(')')) {
    uint64_t dimension = 0;
    if (!comma || shape.size() == kMaxRank || !reader.Number(dimension)) return false;
    shape.push_back(dimension);
    comma = reader.Symbol(',');
  }
  return shape.size() != 1 || comma;
}

/// Reads the value of a key that did not come before.
bool ReadField(LiteralReader& reader, std::string_view key, NpyHeader& header, unsigned& seen) {
  unsigned bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
  if (bit == 0 || (seen & bit) != 0 || !reader.Symbol(':')) return false;
  seen |= bit;
  if (bit == 2) return reader.Boolean(header.fortran_order);
  if (bit == 4) return ReadShape(reader, header.shape);
  std::string_view descr;
  bool is_text = reader.Text(descr);
  header.descr = descr;
  return is_text;
}

DType PlainType(char kind, uint64_t item_bytes) {
  auto one_of = [item_bytes](DType one, DType two, DType four, DType eight) {
    return item_bytes == 1   ? one
           : item_bytes == 2 ? two
           : item_bytes == 4 ? four
           : item_bytes == 8 ? eight
                             : DType::kOpaque;
  };
  constexpr DType kNone = DType::kOpaque;
  switch (kind) {
    case 'b':
      return one_of(DType::kBool, kNone, kNone, kNone);
    case 'u':
      return one_of(DType::kU8, DType::kU16, DType::kU32, DType::kU64);
    case 'i':
      return one_of(DType::kI8, DType::kI16, DType::kI32, DType::kI64);
    case 'f':
      return one_of(kNone, DType::kF16, DType::kF32, DType::kF64);
    case 'c':
      return one_of(kNone, kNone, kNone, DType::kC64);
    default:
      return kNone;
  }
}

}  // namespace

std::optional<NpyHeader> ParseNpyHeader(std::string_view text) {
  LiteralReader reader(text);
  NpyHeader header;
  unsigned seen = 0;
  if (!reader.Symbol('{')) return std::nullopt;
  bool comma = true;
  while (!reader.Symbol('}')) {
    std::string_view key;
    if (!comma || !reader.Text(key) || !ReadField(reader, key, header, seen)) return std::nullopt;
    comma = reader.Symbol(',');
  }
  if (seen != 7 || !reader.AtEnd()) return std::nullopt;
  return header;
}

std::optional<NpyType> FindNpyType(std::string_view descr) {
  constexpr std::string_view kKinds = "buifcSUVmM";
  if (descr.size() < 3 || kKinds.find(descr[1]) == std::string_view::npos) return std::nullopt;
  char order = descr[0];
  char kind = descr[1];
  if (order != '<' && order != '>' && order != '|') return std::nullopt;
  uint64_t number = 0;
  const char* end = descr.data() + descr.size();
  std::from_chars_result result = std::from_chars(descr.data() + 2, end, number);
  if (result.ec != std::errc()) return std::nullopt;
  bool is_date = kind == 'm' || kind == 'M';  // "<M8[ns]"
  if (result.ptr != end && !(is_date && *result.ptr == '[' && descr.back() == ']')) return std::nullopt;
  std::optional<uint64_t> item_bytes = CheckedMul(number, kind == 'U' ? 4 : 1);  // characters of 4 bytes
  if (!item_bytes.has_value()) return std::nullopt;
  if (order == '>' && *item_bytes != 1) return NpyType{DType::kOpaque, *item_bytes};
  // The types of ml_dtypes are void to numpy; with a byte order in front there is only one of two bytes.
  if (descr == "<V2") return NpyType{DType::kBF16, 2};
  return NpyType{PlainType(kind, *item_bytes), *item_bytes};
}

}  // namespace flyweight
