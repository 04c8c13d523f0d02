#include "cli/json.h"

namespace flyweight::cli {

std::string ToJsonLine(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace); }

Json DescribeListing(const ArchiveListing& listing) {
  uint64_t tensor_count = 0;
  for (const ListedTensor& extent : listing.extents) tensor_count += extent.is_tensor;
  Json json = {{"path", listing.path},
               {"file_name", listing.file_name},
               {"container_format", listing.container_format},
               {"file_bytes", listing.file_bytes},
               {"archive_bytes", listing.archive_bytes},
               {"tensor_count", tensor_count},
               {"sha256", nullptr},
               {"damage", listing.damage}};
  if (!listing.sha256_hex.empty()) json["sha256"] = listing.sha256_hex;
  return json;
}

Json DescribeTensor(const ListedTensor& tensor) {
  Json json = {{"name", tensor.name},           {"dtype", Describe(tensor.dtype).name}, {"shape", tensor.shape},
               {"bytes", tensor.decoded_bytes}, {"stored_bytes", tensor.stored_bytes},  {"digest", nullptr}};
  if (!tensor.digest_hex.empty()) json["digest"] = tensor.digest_hex;
  return json;
}

}  // namespace flyweight::cli
