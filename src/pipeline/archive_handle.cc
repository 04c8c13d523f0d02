#include <algorithm>
#include <atomic>
#include <vector>

#include "archive/range_reader.h"
#include "archive/reader.h"
#include "base/checked.h"
#include "pipeline/base_input.h"
#include "pipeline/decode.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/listing.h"

namespace flyweight {

struct Archive::Impl {
  Impl(std::unique_ptr<ByteSource> source_in, ArchiveReader reader_in, ArchiveListing listing_in)
      : source(std::move(source_in)), reader(std::move(reader_in)), listing(std::move(listing_in)) {
    for (const IndexFile& file : reader.index().files) {
      for (const IndexExtent& extent : file.extents) extents.push_back(&extent);
    }
  }

  std::unique_ptr<ByteSource> source;  // reader points to it
  ArchiveReader reader;
  ArchiveListing listing;
  std::vector<const IndexExtent*> extents;  // of all files; in reader
  std::vector<std::string> paths;           // it, and what it stands on
};

namespace {

/// Decodes [begin, begin + target.size()) of a record, one chunk a job.
Status DecodeChunks(const ArchiveReader& reader, const OpenRecord& record, uint64_t begin, MutableByteSpan target,
                    size_t thread_count) {
  uint64_t chunk_bytes = record.head.chunk_bytes;
  uint64_t first_chunk = begin / chunk_bytes;
  uint64_t end = begin + target.size();
  size_t chunk_count = static_cast<size_t>(CeilDiv(end, chunk_bytes) - first_chunk);
  ThreadPool pool(std::min(UsefulThreadCount(thread_count, target.size()), chunk_count));
  std::vector<CodecScratch> scratch(pool.thread_count());
  return pool.ParallelFor(chunk_count, [&](size_t job, size_t worker) -> Status {
    uint64_t chunk = first_chunk + job;
    uint64_t chunk_begin = chunk * chunk_bytes;
    size_t decoded_bytes = static_cast<size_t>(record.head.ChunkDecodedBytes(chunk));
    uint64_t from = std::max(begin, chunk_begin);
    uint64_t to = std::min(end, chunk_begin + decoded_bytes);
    MutableByteSpan wanted = target.subspan(static_cast<size_t>(from - begin), static_cast<size_t>(to - from));
    if (wanted.size() == decoded_bytes) return reader.DecodeChunk(record, chunk, wanted, scratch[worker]);
    AlignedBuffer whole(decoded_bytes);
    FLYWEIGHT_TRY(reader.DecodeChunk(record, chunk, {whole.data(), decoded_bytes}, scratch[worker]));
    std::copy_n(whole.data() + (from - chunk_begin), wanted.size(), wanted.begin());
    return Status::Ok();
  });
}

/// The same of an extent that is made of others, in pieces that are chunks where it has any.
Status DecodeShared(const ArchiveReader& reader, const IndexExtent& extent, uint64_t begin, MutableByteSpan target,
                    size_t thread_count) {
  uint64_t part_bytes = ChunkBytesFor(extent.dtype);
  uint64_t first_part = begin / part_bytes;
  uint64_t end = begin + target.size();
  auto part_count = static_cast<size_t>(CeilDiv(end, part_bytes) - first_part);
  ThreadPool pool(std::min(UsefulThreadCount(thread_count, target.size()), part_count));
  std::vector<CodecScratch> scratch(pool.thread_count());
  std::vector<RangeReader> ranges;
  for (size_t worker = 0; worker < pool.thread_count(); ++worker) ranges.emplace_back(reader);
  return pool.ParallelFor(part_count, [&](size_t job, size_t worker) -> Status {
    uint64_t from = std::max(begin, (first_part + job) * part_bytes);
    uint64_t to = std::min(end, (first_part + job + 1) * part_bytes);
    MutableByteSpan part = target.subspan(static_cast<size_t>(from - begin), static_cast<size_t>(to - from));
    return ranges[worker].Read(extent, from, part, scratch[worker]);
  });
}

}  // namespace

Archive::Archive(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Archive::~Archive() = default;
Archive::Archive(Archive&&) noexcept = default;
Archive& Archive::operator=(Archive&&) noexcept = default;

Result<Archive> Archive::OpenPath(const std::string& path, const std::vector<std::string>& bases) {
  return Guarded([&]() -> Result<Archive> {
    FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(path, path));
    std::unique_ptr<ByteSource> source = std::move(input.source);
    FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*source));
    if (!bases.empty()) FLYWEIGHT_TRY(AttachBase(reader, path, bases, RowCheck::kWhole));
    FLYWEIGHT_ASSIGN(ArchiveListing listing, DescribeArchive(reader, path));
    auto impl = std::make_unique<Impl>(std::move(source), std::move(reader), std::move(listing));
    impl->paths = bases;
    impl->paths.push_back(path);
    return Archive(std::move(impl));
  });
}

Result<Archive> Archive::OpenBytes(std::span<const std::byte> bytes) {
  return Guarded([&]() -> Result<Archive> {
    auto source = std::make_unique<MemorySource>(bytes);
    FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*source));
    FLYWEIGHT_ASSIGN(ArchiveListing listing, DescribeArchive(reader, ""));
    return Archive(std::make_unique<Impl>(std::move(source), std::move(reader), std::move(listing)));
  });
}

const ArchiveListing& Archive::listing() const { return impl_->listing; }

const std::vector<std::string>& Archive::paths() const { return impl_->paths; }

uint64_t Archive::file_bytes() const { return impl_->listing.file_bytes; }

Status Archive::DecodeFile(std::span<std::byte> target, size_t thread_count, bool check_sha256) const {
  return Guarded([&]() -> Status {
    FLYWEIGHT_ASSIGN(size_t file, SingleFileOf(impl_->reader));
    if (target.size() != file_bytes()) {
      return Error{
          ErrorCode::kInvalidArgument, 0,
          "the target has " + std::to_string(target.size()) + " bytes, the file " + std::to_string(file_bytes())};
    }
    ThreadPool pool(UsefulThreadCount(thread_count, target.size()));
    ProgressCallback no_callback;
    ProgressMeter progress(no_callback, target.size());
    DecodeOptions options;
    options.memory = target;
    options.check_sha256 = check_sha256;
    FLYWEIGHT_TRY(DecodeArchive(impl_->reader, {file, 1}, options, pool, progress));
    return Status::Ok();
  });
}

Status Archive::DecodeExtent(size_t extent_index, uint64_t begin, std::span<std::byte> target,
                             size_t thread_count) const {
  return Guarded([&]() -> Status {
    if (extent_index >= impl_->extents.size()) return Error{ErrorCode::kInvalidArgument, 0, "no such extent"};
    const IndexExtent& extent = *impl_->extents[extent_index];
    std::optional<uint64_t> end = CheckedAdd(begin, target.size());
    if (!end.has_value() || *end > extent.decoded_bytes) {
      return Error{ErrorCode::kInvalidArgument, begin,
                   "the range ends behind the extent's " + std::to_string(extent.decoded_bytes) + " bytes"};
    }
    if (target.empty()) return Status::Ok();
    const IndexExtent& place = impl_->reader.Resolve(extent);
    if (place.is_made_of_others()) {
      return DecodeShared(impl_->reader, place, begin, target, thread_count);
    }
    if (place.place != PlaceKind::kRecord) {
      CodecScratch scratch;
      return impl_->reader.DecodeRange(extent, begin, target, scratch);
    }
    FLYWEIGHT_ASSIGN(OpenRecord record, impl_->reader.OpenRecordOf(place));
    return DecodeChunks(impl_->reader, record, begin, target, thread_count);
  });
}

}  // namespace flyweight
