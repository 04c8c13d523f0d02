#include "flyweight/scan.h"

#include <algorithm>
#include <utility>

#include "base/aligned_buffer.h"
#include "codec/record.h"
#include "pipeline/duplicates.h"
#include "pipeline/encode.h"
#include "pipeline/guard.h"
#include "pipeline/pack_input.h"
#include "pipeline/scan_reason.h"
#include "pipeline/scan_sample.h"
#include "pipeline/sharing.h"

namespace flyweight {
namespace {

constexpr uint64_t kFixedBytes = 400;     // header, footer and the heads of two index sections
constexpr uint64_t kIndexRowBytes = 100;  // a name, a place and a digest, twice
constexpr uint64_t kFileRowBytes = 120;   // a name and a SHA-256, twice
constexpr size_t kCodecOffset = 4;        // in a frame
constexpr uint64_t kMaxWorth = 8;         // what a byte at kMax counts in the progress

size_t At(Level level) { return static_cast<size_t>(level); }

/// What was learnt of an extent, or of all extents of a group.
struct Tally {
  uint64_t decoded_bytes = 0;     ///< of the extents that were looked at
  BytesByLevel head_bytes{};      ///< of their records, with chunk tables; kMax is taken for kHigh
  uint64_t sampled_bytes = 0;     ///< of their chunks
  BytesByLevel frame_bytes{};     ///< of those; kMax is not counted here
  uint64_t high_frame_bytes = 0;  ///< of the chunks that were tried at kMax
  uint64_t max_frame_bytes = 0;
  CodecShares codecs;
  SampleFacts facts;

  void Add(const Tally& other) {
    decoded_bytes += other.decoded_bytes;
    sampled_bytes += other.sampled_bytes;
    for (size_t i = 0; i < kLevelCount; ++i) {
      head_bytes[i] += other.head_bytes[i];
      frame_bytes[i] += other.frame_bytes[i];
    }
    high_frame_bytes += other.high_frame_bytes;
    max_frame_bytes += other.max_frame_bytes;
    for (auto [codec, bytes] : other.codecs.decoded_bytes) codecs.decoded_bytes[codec] += bytes;
    facts.Add(other.facts);
  }
};

/// Memory of one thread.
struct Buffers {
  AlignedBuffer chunk;
  AlignedBuffer frame;
  CodecScratch scratch;
};

class Scanner {
 public:
  Scanner(PackInput& input, const ScanOptions& options, ThreadPool& pool)
      : input_(input), options_(options), pool_(pool), contents_(input.contents()), buffers_(pool.thread_count()) {}

  Result<ScanReport> Run() {
    FLYWEIGHT_ASSIGN(index_, input_.Describe(pool_));
    places_ = ItemsOf(index_, AllFiles(index_));
    // Byte by byte: who reads that two tensors are the same may delete one.
    FLYWEIGHT_TRY(FindDuplicates(input_.contents(), index_, pool_));
    FLYWEIGHT_TRY(FindSharedParts());
    constexpr uint64_t kMaxDivisor = 4;
    sample_ = ChooseScanSample(index_, places_, options_.sample_bytes, options_.sample_bytes / kMaxDivisor);
    FLYWEIGHT_TRY(EncodeSample());
    DescribeReport();
    return std::move(report_);
  }

 private:
  IndexExtent& ExtentOf(uint64_t number) { return index_.files[places_[number].file].extents[places_[number].extent]; }

  /// What of each extent an archive has but once, by pieces and casts. Extents stay what they are: they are sampled
  /// whole, as kFast stores them.
  Status FindSharedParts() {
    ArchiveIndex shared = index_;
    FLYWEIGHT_TRY(FindShared(input_.contents(), shared, Level::kBalanced));
    for (const ExtentItem& place : places_) {
      const IndexExtent& extent = shared.files[place.file].extents[place.extent];
      own_parts_.push_back(1.0);
      if (extent.place == PlaceKind::kCast) own_parts_.back() = 0;
      if (extent.place != PlaceKind::kPieces) continue;
      own_parts_.back() = static_cast<double>(extent.own_bytes) / static_cast<double>(extent.decoded_bytes);
    }
    return Status::Ok();
  }

  Status EncodeSample() {
    const std::vector<ExtentSample>& extents = sample_.extents;
    tallies_.resize(extents.size());
    uint64_t total_bytes = 0;
    for (const ExtentSample& extent : extents) total_bytes += WorthOf(extent);
    ProgressMeter progress(options_.progress, total_bytes);
    progress.SetStage("scan");
    const size_t batch = pool_.thread_count() * 2;  // between two reports of progress
    for (size_t first = 0; first < extents.size(); first += batch) {
      size_t count = std::min(batch, extents.size() - first);
      Status status = pool_.ParallelFor(count, [&](size_t job, size_t worker) -> Status {
        progress.Add(WorthOf(extents[first + job]));
        return EncodeExtent(extents[first + job], tallies_[first + job], buffers_[worker]);
      });
      FLYWEIGHT_TRY(std::move(status));
      progress.Report();
    }
    return input_.CheckUnchanged();
  }

  uint64_t WorthOf(const ExtentSample& sample) {
    uint64_t chunk_bytes = ChunkBytesFor(ExtentOf(sample.number).dtype);
    auto max_count = static_cast<uint64_t>(std::ranges::count(sample.is_for_max, true));
    return (sample.chunks.size() + kMaxWorth * max_count) * chunk_bytes;
  }

  Status EncodeExtent(const ExtentSample& sample, Tally& tally, Buffers& buffers) {
    const IndexExtent& extent = ExtentOf(sample.number);
    uint64_t offset = places_[sample.number].offset;
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(places_[sample.number].file));
    const ByteSource& source = content->source();
    bool wants_max = std::ranges::count(sample.is_for_max, true) > 0;
    std::array<RecordPlan, kLevelCount> plans;
    for (Level level : kAllLevels) {
      if (level == Level::kMax && !wants_max) continue;
      FLYWEIGHT_ASSIGN(plans[At(level)], PlanRecord(source, offset, extent.decoded_bytes, extent.dtype, extent.shape,
                                                    level, buffers.scratch));
    }
    const RecordHead& head = plans[At(Level::kBalanced)].head;
    tally.decoded_bytes = extent.decoded_bytes;
    for (size_t i = 0; i < kLevelCount; ++i) {
      tally.head_bytes[i] = plans[i].head_bytes.size() + head.chunk_count * kChunkEntryBytes;
    }
    for (size_t i = 0; i < sample.chunks.size(); ++i) {
      auto size = static_cast<size_t>(head.ChunkDecodedBytes(sample.chunks[i]));
      buffers.chunk.Resize(size);
      MutableByteSpan chunk(buffers.chunk.data(), size);
      FLYWEIGHT_TRY(source.ReadAt(offset + sample.chunks[i] * head.chunk_bytes, chunk));
      tally.facts.Observe(extent.is_tensor ? extent.dtype : DType::kOpaque, chunk);
      EncodeChunk(plans, sample.chunks[i], chunk, sample.is_for_max[i], tally, buffers);
    }
    return content->CheckUnchanged();
  }

  static void EncodeChunk(const std::array<RecordPlan, kLevelCount>& plans, uint64_t number, ByteSpan chunk,
                          bool is_for_max, Tally& tally, Buffers& buffers) {
    buffers.frame.Resize(static_cast<size_t>(FrameBound(chunk.size())));
    MutableByteSpan frame(buffers.frame.data(), static_cast<size_t>(FrameBound(chunk.size())));
    tally.sampled_bytes += chunk.size();
    uint64_t frame_bytes = 0;
    for (Level level : kAllLevels) {
      if (level == Level::kMax && !is_for_max) continue;
      uint64_t high_bytes = frame_bytes;
      frame_bytes = EncodeFrame(plans[At(level)], number, chunk, frame, buffers.scratch).frame_bytes;
      if (level == Level::kMax) {
        tally.high_frame_bytes += high_bytes;
        tally.max_frame_bytes += frame_bytes;
        continue;
      }
      tally.frame_bytes[At(level)] += frame_bytes;
      if (level == Level::kBalanced) {
        tally.codecs.decoded_bytes[static_cast<uint8_t>(frame[kCodecOffset])] += chunk.size();
      }
    }
  }

  void DescribeReport() {
    std::vector<Tally> groups(sample_.group_count);
    std::vector<size_t> sample_of(places_.size(), sample_.extents.size());
    for (size_t i = 0; i < sample_.extents.size(); ++i) {
      groups[sample_.groups[sample_.extents[i].number]].Add(tallies_[i]);
      sample_of[sample_.extents[i].number] = i;
    }
    report_.is_tree = index_.is_tree;
    report_.estimated_bytes.fill(kFixedBytes);
    for (const IndexFile& file : index_.files) {
      report_.files.push_back(file.name);
      report_.file_bytes += file.file_bytes;
      for (uint64_t& bytes : report_.estimated_bytes) bytes += kFileRowBytes;
    }
    if (!index_.is_tree && !index_.files.empty()) {
      report_.container_format = std::string(ContainerFormatName(index_.files.front().container_format));
    }
    for (uint64_t number = 0; number < places_.size(); ++number) {
      const Tally& group = groups[sample_.groups[number]];
      bool is_sampled = sample_of[number] < tallies_.size();
      Tally own = is_sampled ? tallies_[sample_of[number]] : group;
      report_.extents.push_back(Scanned(number, own, group, is_sampled));
    }
    for (ScannedExtent& extent : report_.extents) {
      if (extent.same_as.has_value()) extent.reason = "same bytes as " + NameOf(report_.extents[*extent.same_as]);
      report_.sampled_bytes += extent.sampled_bytes;
      for (size_t i = 0; i < kLevelCount; ++i) report_.estimated_bytes[i] += extent.estimated_bytes[i];
    }
  }

  std::string NameOf(const ScannedExtent& extent) const {
    if (!extent.is_tensor) return "bytes of " + report_.files[extent.file];
    return report_.is_tree ? report_.files[extent.file] + ":" + extent.name : extent.name;
  }

  ScannedExtent Scanned(uint64_t number, const Tally& own, const Tally& group, bool is_sampled) {
    const IndexExtent& extent = ExtentOf(number);
    ScannedExtent scanned;
    scanned.name = extent.name;
    scanned.kind = WithoutNumbers(extent.name);
    scanned.file = places_[number].file;
    scanned.dtype = extent.dtype;
    scanned.shape = extent.shape;
    scanned.is_tensor = extent.is_tensor;
    scanned.size_bytes = extent.decoded_bytes;
    scanned.sampled_bytes = is_sampled ? own.sampled_bytes : 0;
    if (extent.place == PlaceKind::kSame) {
      scanned.same_as = static_cast<size_t>(extent.same_as);
      scanned.estimated_bytes.fill(kIndexRowBytes);
      return scanned;
    }
    scanned.estimated_bytes.fill(kIndexRowBytes + (extent.place == PlaceKind::kInline ? extent.decoded_bytes : 0));
    if (extent.place == PlaceKind::kInline) {
      scanned.reason = "a few bytes: kept in the index";
      return scanned;
    }
    scanned.reason = own_parts_[number] == 1 ? "" : SharedText(own_parts_[number]);
    scanned.reason += ReasonFor(extent.dtype, extent.is_tensor, own.codecs, own.facts);
    AddRecord(own, group, own_parts_[number], scanned);
    return scanned;
  }

  static std::string SharedText(double own_part) {
    if (own_part == 0) return "a cast of another tensor; ";
    return std::to_string(static_cast<int>(100 * (1 - own_part))) + " % stored elsewhere; ";
  }

  /// The bytes of a record whose chunks are like those that were looked at.
  static void AddRecord(const Tally& own, const Tally& group, double own_part, ScannedExtent& scanned) {
    auto size = static_cast<double>(scanned.size_bytes);
    double max_gain = group.high_frame_bytes == 0
                          ? 1.0
                          : static_cast<double>(group.max_frame_bytes) / static_cast<double>(group.high_frame_bytes);
    for (Level level : kAllLevels) {
      size_t measured = At(level == Level::kMax ? Level::kHigh : level);
      double head_rate = static_cast<double>(own.head_bytes[measured]) / static_cast<double>(own.decoded_bytes);
      double rate = static_cast<double>(own.frame_bytes[measured]) / static_cast<double>(own.sampled_bytes);
      double gain = (level == Level::kMax ? max_gain : 1.0) * (level == Level::kFast ? 1.0 : own_part);
      scanned.estimated_bytes[At(level)] += static_cast<uint64_t>((head_rate + rate * gain) * size);
    }
  }

  PackInput& input_;
  const ScanOptions& options_;
  ThreadPool& pool_;
  ContentCache contents_;
  std::vector<Buffers> buffers_;
  ArchiveIndex index_;
  std::vector<ExtentItem> places_;
  std::vector<double> own_parts_;  // one an extent
  ScanSample sample_;
  std::vector<Tally> tallies_;  // one a sampled extent
  ScanReport report_;
};

}  // namespace

Result<ScanReport> ScanFile(const std::string& path, const ScanOptions& options) {
  return Guarded([&]() -> Result<ScanReport> {
    if (path == kStreamPath) return Error{ErrorCode::kInvalidArgument, 0, "standard input cannot be scanned"};
    FLYWEIGHT_ASSIGN(std::unique_ptr<PackInput> input,
                     OpenPackInput({path}, std::string(kStreamPath), Stripper(), options.notice));
    ThreadPool pool(UsefulThreadCount(options.thread_count, input->source_bytes()));
    return Scanner(*input, options, pool).Run();
  });
}

}  // namespace flyweight
