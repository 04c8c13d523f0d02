#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "container/safetensors_header.h"
#include "strip/flat_names.h"
#include "strip/formats.h"

namespace flyweight {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr size_t kHeaderAlignment = 8;

/// A key of a JSON object, with its quotes, and its value, both as they are written.
struct JsonMember {
  std::string_view key;
  std::string_view value;
};

/// Cuts JSON that is known to be sound into pieces. Where it turns out not to be, it says so.
class JsonCutter {
 public:
  explicit JsonCutter(std::string_view text) : text_(text) {}

  /// The members of the object that the text is.
  std::optional<std::vector<JsonMember>> Members() {
    std::vector<JsonMember> members;
    if (Next() != '{') return std::nullopt;
    at_++;
    if (Next() == '}') return members;
    while (true) {
      Next();
      std::string_view key = String();
      if (key.empty() || Next() != ':') return std::nullopt;
      at_++;
      Next();
      std::string_view value = Value();
      if (value.empty()) return std::nullopt;
      members.push_back({key, value});
      const char end = Next();
      at_++;
      if (end == '}') return members;
      if (end != ',') return std::nullopt;
    }
  }

 private:
  /// The next character that is no white space; 0 at the end.
  char Next() {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  std::string_view String() {
    const size_t begin = at_;
    if (at_ >= text_.size() || text_[at_] != '"') return {};
    for (at_++; at_ < text_.size(); at_++) {
      if (text_[at_] == '\\') {
        at_++;
      } else if (text_[at_] == '"') {
        return text_.substr(begin, ++at_ - begin);
      }
    }
    return {};
  }

  std::string_view Value() {
    const size_t begin = at_;
    size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (String().empty()) return {};
        if (depth == 0) return text_.substr(begin, at_ - begin);
        continue;
      }
      const bool closes = c == '}' || c == ']';
      if (depth == 0 && (closes || c == ',')) return text_.substr(begin, at_ - begin);
      at_++;
      if (c == '{' || c == '[') depth++;
      if (closes && --depth == 0) return text_.substr(begin, at_ - begin);
    }
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
};

/// The value of a tensor with other offsets; empty where it is not written as all writers do.
std::string WithOffsets(std::string_view value, uint64_t begin, uint64_t end) {
  std::optional<std::vector<JsonMember>> fields = JsonCutter(value).Members();
  if (!fields.has_value()) return {};
  for (const JsonMember& field : *fields) {
    if (field.key != "\"data_offsets\"") continue;
    const auto at = static_cast<size_t>(field.value.data() - value.data());
    return std::string(value.substr(0, at)) + "[" + std::to_string(begin) + "," + std::to_string(end) + "]" +
           std::string(value.substr(at + field.value.size()));
  }
  return {};
}

struct Header {
  std::vector<std::byte> json;
  std::vector<SafetensorsEntry> entries;  ///< in the order of the header
  std::vector<size_t> by_place;           ///< numbers of entries, front to back
  uint64_t data_offset = 0;
};

Result<Header> ReadHeader(const ByteSource& source) {
  std::byte length[kLengthBytes];
  FLYWEIGHT_TRY(source.ReadAt(0, length));
  Header header;
  const uint64_t header_bytes = LoadLe<uint64_t>(length);
  if (header_bytes > source.size() - kLengthBytes) return CannotStrip("its header is cut short");
  header.json.resize(static_cast<size_t>(header_bytes));
  FLYWEIGHT_TRY(source.ReadAt(kLengthBytes, header.json));
  auto entries = ParseSafetensorsHeader(header.json);
  if (!entries.has_value()) return CannotStrip("its header is malformed");
  header.entries = std::move(*entries);
  header.data_offset = kLengthBytes + header_bytes;
  header.by_place.resize(header.entries.size());
  std::iota(header.by_place.begin(), header.by_place.end(), size_t{0});
  std::ranges::sort(header.by_place, {}, [&](size_t number) {
    const SafetensorsEntry& entry = header.entries[number];
    return std::tuple(entry.begin_bytes, entry.end_bytes, number);
  });
  return header;
}

/// The format demands it: what lies between tensors would be nobody's.
bool TensorsFillTheFile(const Header& header, uint64_t file_bytes) {
  uint64_t end = 0;
  for (size_t number : header.by_place) {
    if (header.entries[number].begin_bytes != end) return false;
    end = header.entries[number].end_bytes;
  }
  return end == file_bytes - header.data_offset;
}

/// Gives the entries that stay their new places and plans their bytes.
void CloseUp(Header& header, const std::vector<bool>& goes, StripPlan& plan) {
  uint64_t end = 0;
  for (size_t number : header.by_place) {
    SafetensorsEntry& entry = header.entries[number];
    const uint64_t size_bytes = entry.end_bytes - entry.begin_bytes;
    if (goes[number]) {
      plan.removed.push_back({entry.name, size_bytes});
      continue;
    }
    plan.edits.Keep(header.data_offset + entry.begin_bytes, size_bytes);
    entry.begin_bytes = end;
    entry.end_bytes = end += size_bytes;
  }
}

/// The new JSON; empty where a member cannot be assigned to its entry with certainty.
std::string Rewrite(const Header& header, const std::vector<JsonMember>& members, const std::vector<bool>& goes) {
  std::string json = "{";
  size_t number = 0;
  for (const JsonMember& member : members) {
    std::string value(member.value);
    if (member.key != "\"__metadata__\"") {
      if (number == header.entries.size()) return {};
      const SafetensorsEntry& entry = header.entries[number];
      if (goes[number++]) continue;
      value = WithOffsets(value, entry.begin_bytes, entry.end_bytes);
      if (value.empty()) return {};
    }
    if (json.size() > 1) json += ',';
    json.append(member.key).append(":").append(value);
  }
  if (number != header.entries.size()) return {};
  json += '}';
  json.append((kHeaderAlignment - json.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  return json;
}

}  // namespace

Result<std::optional<StripPlan>> StripSafetensors(const ByteSource& source, const StripRequest& request) {
  FLYWEIGHT_ASSIGN(Header header, ReadHeader(source));
  std::vector<std::string_view> names;
  for (const SafetensorsEntry& entry : header.entries) names.push_back(entry.name);
  const std::vector<bool> goes = ChooseFlatNames(names, request);
  if (std::ranges::count(goes, true) == 0) return std::optional<StripPlan>();
  if (!TensorsFillTheFile(header, source.size())) return CannotStrip("its tensors do not fill the file");

  StripPlan data;
  CloseUp(header, goes, data);
  auto members = JsonCutter(AsText(header.json)).Members();
  std::string json = members.has_value() ? Rewrite(header, *members, goes) : std::string();
  if (json.empty()) return CannotStrip("its header is written in an unusual way");

  ByteWriter writer;
  writer.Write(uint64_t{json.size()});
  writer.Append(AsBytes(json));
  StripPlan plan;
  plan.edits.Insert(writer.Release());
  plan.edits.Append(data.edits);
  plan.removed = std::move(data.removed);
  return std::optional<StripPlan>(std::move(plan));
}

}  // namespace flyweight
