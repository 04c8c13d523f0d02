#include <string>
#include <vector>

#include "flyweight/pipeline.h"
#include "fuzz_support.h"

// The promise: any bytes, a model or not, come back from an archive as they were.

namespace flyweight::fuzz {
namespace {

std::vector<std::byte> Compress(ByteSpan file, size_t thread_count) {
  std::vector<std::byte> archive;
  Status status = CompressFileBytes(file, "model", Level::kBalanced, thread_count, [&](ByteSpan piece) {
    archive.insert(archive.end(), piece.begin(), piece.end());
    return Status::Ok();
  });
  FLYWEIGHT_FUZZ_CHECK(status.ok());
  return archive;
}

void CheckExtents(const Archive& archive, ByteSpan file) {
  uint64_t offset = 0;
  for (size_t i = 0; i < archive.listing().extents.size(); i++) {
    uint64_t size_bytes = archive.listing().extents[i].decoded_bytes;
    FLYWEIGHT_FUZZ_CHECK(size_bytes <= file.size() - offset);
    uint64_t begin = size_bytes / 3;
    ExactBuffer target(static_cast<size_t>(size_bytes - begin));
    FLYWEIGHT_FUZZ_CHECK(archive.DecodeExtent(i, begin, target.span(), 1).ok());
    FLYWEIGHT_FUZZ_CHECK(SameBytes(
        target.span(), file.subspan(static_cast<size_t>(offset + begin), static_cast<size_t>(size_bytes - begin))));
    offset += size_bytes;
  }
  FLYWEIGHT_FUZZ_CHECK(offset == file.size());
}

void CheckRoundTrip(ByteSpan file) {
  std::vector<std::byte> bytes = Compress(file, 1);
  ExactBuffer exact(bytes);
  Result<Archive> archive = Archive::OpenBytes(exact.span());
  FLYWEIGHT_FUZZ_CHECK(archive.ok());
  FLYWEIGHT_FUZZ_CHECK(archive.value().file_bytes() == file.size());
  FLYWEIGHT_FUZZ_CHECK(archive.value().listing().damage.empty());
  ExactBuffer target(file.size());
  FLYWEIGHT_FUZZ_CHECK(archive.value().DecodeFile(target.span(), 1, true).ok());
  FLYWEIGHT_FUZZ_CHECK(SameBytes(target.span(), file));
  CheckExtents(archive.value(), file);
  FLYWEIGHT_FUZZ_CHECK(Compress(file, 2) == bytes);
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  CheckRoundTrip(std::as_bytes(std::span(data, size_bytes)));
  return 0;
}
