#include "cli/commands/listing.h"

#include <algorithm>
#include "cli/commands/output.h"

namespace flyweight::cli {

std::optional<ArchiveListing> ReadListing(const std::string& file, Console& console) {
  if (RefuseDirectory(file, console)) return std::nullopt;
  Result<ArchiveListing> listing = ListArchive(file);
  if (!listing.ok()) {
    console.Fail(file, listing.error());
    return std::nullopt;
  }
  for (const std::string& part : listing.value().damage) {
    console.Warn(file, "the " + part + " is damaged, its second copy was used; decompress and compress anew");
  }
  return std::move(listing).value();
}

uint64_t OverheadBytes(const ArchiveListing& listing) {
  uint64_t overhead_bytes = listing.archive_bytes;
  // Extents may share a record, so their sum may be more than there is.
  for (const ListedTensor& extent : listing.extents) overhead_bytes -= std::min(overhead_bytes, extent.stored_bytes);
  return overhead_bytes;
}

}  // namespace flyweight::cli
