#include "cli/json.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace flyweight::cli {
namespace {

/// "2026-05-04T10:03:00.250000000Z"; null for what no calendar knows.
Json IsoTime(const FileTime& time) {
  std::time_t seconds = time.seconds;
  std::tm parts{};
  char text[40];
  if (gmtime_r(&seconds, &parts) == nullptr || std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
    return nullptr;
  }
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%09uZ", time.nanoseconds);
  return std::string(text) + fraction;
}

/// What was compressed, where what comes back is something else.
void AddLosses(const ListedFile& file, Json& json) {
  if (!file.is_lossy && file.stripped.empty()) return;
  json["is_lossy"] = file.is_lossy;
  json["original_bytes"] = file.original_bytes;
  json["original_sha256"] = file.original_sha256_hex;
  json["stripped"] = Json::array();
  for (const StrippedTensor& tensor : file.stripped) {
    json["stripped"].push_back({{"name", tensor.name}, {"bytes", tensor.size_bytes}});
  }
}

Json OrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

std::string ToJsonLine(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace); }

Json DescribeListing(const ArchiveListing& listing) {
  uint64_t tensor_count = 0;
  for (const ListedTensor& extent : listing.extents) tensor_count += extent.is_tensor;
  Json json = {{"path", listing.path},
               {"is_tree", listing.is_tree},
               {"file_bytes", listing.file_bytes},
               {"archive_bytes", listing.archive_bytes},
               {"file_count", listing.files.size()},
               {"tensor_count", tensor_count},
               {"is_lossy", listing.is_lossy},
               {"is_stripped", listing.is_stripped},
               {"damage", listing.damage}};
  json["identity"] = nullptr;
  if (!listing.identity_hex.empty()) json["identity"] = listing.identity_hex;
  json["base"] = nullptr;
  if (listing.base.has_value()) {
    json["base"] = {{"name", listing.base->name},
                    {"identity", listing.base->identity_hex},
                    {"part_count", listing.base->part_count}};
  }
  if (listing.is_tree || listing.files.empty()) return json;
  const ListedFile& file = listing.files.front();
  json["file_name"] = file.name;
  json["container_format"] = file.container_format;
  json["sha256"] = nullptr;
  if (!file.sha256_hex.empty()) json["sha256"] = file.sha256_hex;
  AddLosses(file, json);
  return json;
}

Json DescribeTensor(const ArchiveListing& listing, const ListedTensor& tensor) {
  Json json = {{"name", tensor.name},
               {"dtype", Describe(tensor.dtype).name},
               {"shape", tensor.shape},
               {"bytes", tensor.decoded_bytes},
               {"stored_bytes", tensor.stored_bytes},
               {"shared_bytes", tensor.shared_bytes},
               {"digest", nullptr}};
  if (!tensor.digest_hex.empty()) json["digest"] = tensor.digest_hex;
  if (listing.is_tree) json["file"] = listing.files[tensor.file].name;
  if (tensor.lossy.has_value()) {
    json["lossy"] = {{"method", tensor.lossy->method},
                     {"max_error", tensor.lossy->max_error},
                     {"rms_error", tensor.lossy->rms_error}};
    if (tensor.lossy->relative_error.has_value()) json["lossy"]["relative_error"] = *tensor.lossy->relative_error;
  }
  if (tensor.patch != PatchKind::kNone) {
    json["patch"] = tensor.patch == PatchKind::kSame ? "same" : "patch";
    json["base_name"] = OrNull(tensor.base_name);
    json["patch_depth"] = tensor.patch_depth;
  }
  return json;
}

Json DescribeEntry(const ListedFile& file) {
  constexpr std::array<const char*, 4> kKinds = {"file", "directory", "symlink", "hardlink"};
  auto kind = static_cast<size_t>(file.entry.kind);
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(file.entry.mode));
  Json json = {{"name", file.name},
               {"kind", kind < kKinds.size() ? kKinds[kind] : "unknown"},
               {"mode", mode},
               {"modified", IsoTime(file.entry.modified)},
               {"link_target", OrNull(file.link_target)},
               {"container_format", OrNull(file.container_format)},
               {"bytes", file.file_bytes},
               {"stored_bytes", file.stored_bytes},
               {"tensor_count", file.tensor_count},
               {"sha256", OrNull(file.sha256_hex)}};
  AddLosses(file, json);
  return json;
}

}  // namespace flyweight::cli
