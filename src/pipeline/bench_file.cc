#include <algorithm>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>

#include "container/annotate.h"
#include "entropy/zstd_coder.h"
#include "flyweight/bench.h"
#include "pipeline/bench_sample.h"
#include "pipeline/duplicates.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/sharing.h"

namespace flyweight {
namespace {

// What is slower than the others gets by with less.
constexpr uint64_t kMaxSampleBytes = uint64_t{48} << 20;
constexpr uint64_t kSlowZstdSampleBytes = uint64_t{12} << 20;

/// A way to compress, to be measured.
class Contestant {
 public:
  virtual ~Contestant() = default;
  virtual std::string name() const = 0;
  /// Compresses into memory of its own; returns the bytes. Errors: those of the library.
  virtual Result<uint64_t> Encode(const BenchSample& sample) = 0;
  /// Restores what was compressed last.
  virtual Status Decode(MutableByteSpan target) = 0;
};

/// Appends to memory that was touched before, so that no page is fresh.
class BufferSink final : public ByteSink {
 public:
  void Reset(uint64_t capacity_bytes) {
    if (buffer_.size() < capacity_bytes) {
      buffer_.Resize(static_cast<size_t>(capacity_bytes));
      std::memset(buffer_.data(), 0, buffer_.size());
    }
    size_ = 0;
  }
  Status Append(ByteSpan bytes) override {
    if (bytes.size() > buffer_.size() - size_) return Error{ErrorCode::kInternal, 0, "an archive is over its bound"};
    std::memcpy(buffer_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return Status::Ok();
  }
  ByteSpan span() const { return {buffer_.data(), size_}; }

 private:
  AlignedBuffer buffer_;
  size_t size_ = 0;
};

class OurLevel final : public Contestant {
 public:
  explicit OurLevel(Level level) : level_(level) {}
  std::string name() const override { return std::string(LevelName(level_)); }

  Result<uint64_t> Encode(const BenchSample& sample) override {
    MemorySource source(sample.span());
    SingleContent contents(source);
    ThreadPool pool(1);
    ProgressCallback no_callback;
    ProgressMeter progress(no_callback, sample.size_bytes);
    constexpr uint64_t kIndexRowMaxBytes = 1024;
    sink_.Reset(CompressBound(sample.size_bytes) + sample.map.extents.size() * kIndexRowMaxBytes);
    ArchiveIndex index = DescribeSingleFile(sample.map, "", sample.size_bytes);
    FLYWEIGHT_TRY(FindDuplicates(contents, index, pool));
    FLYWEIGHT_TRY(FindShared(contents, index, level_));
    FLYWEIGHT_ASSIGN(EncodedArchive encoded,
                     EncodeArchive(contents, index, {.level = level_, .hash = false}, sink_, pool, progress));
    return encoded.archive_bytes;
  }

  Status Decode(MutableByteSpan target) override {
    FLYWEIGHT_ASSIGN(Archive archive, Archive::OpenBytes(sink_.span()));
    return archive.DecodeFile(target, 1, false);
  }

 private:
  Level level_;
  BufferSink sink_;
};

class ZstdLevel final : public Contestant {
 public:
  explicit ZstdLevel(int level) : level_(level) {}
  std::string name() const override { return "zstd -" + std::to_string(level_); }

  Result<uint64_t> Encode(const BenchSample& sample) override {
    if (target_.size() < sample.size_bytes) {
      target_.Resize(static_cast<size_t>(sample.size_bytes));
      std::memset(target_.data(), 0, target_.size());
    }
    source_ = sample.span();
    size_ = zstd_.Encode(source_, {target_.data(), target_.size()}, level_);
    return size_ == 0 ? sample.size_bytes : size_;
  }

  Status Decode(MutableByteSpan target) override {
    if (size_ != 0) return zstd_.Decode({target_.data(), size_}, target);
    std::ranges::copy(source_, target.begin());  // it did not get smaller
    return Status::Ok();
  }

 private:
  int level_;
  ZstdCoder zstd_;
  AlignedBuffer target_;
  ByteSpan source_;
  size_t size_ = 0;
};

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// CPU seconds of the fastest of some runs; the first, which finds everything cold, is the only one where it is slow.
Result<double> BestOf(const std::function<Status()>& run) {
  constexpr double kEnoughSeconds = 0.5;
  constexpr double kSlowSeconds = 2;
  constexpr int kMostRuns = 5;
  double best = 0;
  double sum = 0;
  for (int i = 0; i < kMostRuns && (sum < kEnoughSeconds || (i < 2 && sum < kSlowSeconds)); ++i) {
    double begin = CpuSeconds();
    FLYWEIGHT_TRY(run());
    double seconds = CpuSeconds() - begin;
    best = i == 0 ? seconds : std::min(best, seconds);
    sum += seconds;
  }
  return best;
}

/// What is run, on how much, and what tells how the rest would do.
struct Entry {
  std::unique_ptr<Contestant> contestant;
  uint64_t sample_bytes = UINT64_MAX;
  std::unique_ptr<Contestant> reference;  ///< of those with less: a fast one that is run on both
};

class Bench {
 public:
  Bench(const ByteSource& source, const FileMap& map, const BenchOptions& options)
      : source_(source), map_(map), options_(options) {}

  Result<BenchReport> Run() {
    AddEntries();
    FLYWEIGHT_ASSIGN(sample_, TakeBenchSample(source_, map_, options_.sample_bytes));
    restored_.Resize(static_cast<size_t>(sample_.size_bytes));
    std::fill_n(restored_.data(), restored_.size(), std::byte{0});  // null where there is nothing
    report_.container_format = std::string(ContainerFormatName(map_.format));
    report_.file_bytes = source_.size();
    report_.sample_bytes = sample_.size_bytes;
    uint64_t done = 0;
    for (Entry& entry : entries_) {
      if (options_.progress) options_.progress({entry.contestant->name(), done * sample_.size_bytes, Total()});
      FLYWEIGHT_TRY(Measure(entry));
      entry = {};  // its memory is as large as the sample
      ++done;
    }
    return std::move(report_);
  }

 private:
  uint64_t Total() const { return entries_.size() * sample_.size_bytes; }

  void AddEntries() {
    for (Level level : kAllLevels) {
      if (std::ranges::count(options_.levels, level) == 0) continue;
      bool is_slow = level == Level::kMax;
      entries_.push_back({std::make_unique<OurLevel>(level), is_slow ? kMaxSampleBytes : UINT64_MAX,
                          is_slow ? std::make_unique<OurLevel>(Level::kHigh) : nullptr});
    }
    if (!options_.zstd) return;
    constexpr int kSlow = 19;
    for (int level : {1, 3, kSlow}) {
      bool is_slow = level == kSlow;
      entries_.push_back({std::make_unique<ZstdLevel>(level), is_slow ? kSlowZstdSampleBytes : UINT64_MAX,
                          is_slow ? std::make_unique<ZstdLevel>(3) : nullptr});
    }
  }

  Status Measure(Entry& entry) {
    if (sample_.size_bytes <= entry.sample_bytes) {
      FLYWEIGHT_ASSIGN(BenchRow row, MeasureOn(sample_, *entry.contestant));
      report_.rows.push_back(std::move(row));
      return Status::Ok();
    }
    FLYWEIGHT_ASSIGN(BenchSample part, TakeBenchSample(source_, map_, entry.sample_bytes));
    FLYWEIGHT_ASSIGN(BenchRow row, MeasureOn(part, *entry.contestant));
    FLYWEIGHT_ASSIGN(uint64_t whole_bytes, entry.reference->Encode(sample_));
    FLYWEIGHT_ASSIGN(uint64_t part_bytes, entry.reference->Encode(part));
    double gain = static_cast<double>(row.stored_bytes) / static_cast<double>(part_bytes);
    row.ratio = gain * static_cast<double>(whole_bytes) / static_cast<double>(sample_.size_bytes);
    report_.rows.push_back(std::move(row));
    return Status::Ok();
  }

  Result<BenchRow> MeasureOn(const BenchSample& sample, Contestant& contestant) {
    BenchRow row;
    row.name = contestant.name();
    row.source_bytes = sample.size_bytes;
    auto encode = [&]() -> Status {
      FLYWEIGHT_ASSIGN(row.stored_bytes, contestant.Encode(sample));
      return Status::Ok();
    };
    FLYWEIGHT_ASSIGN(row.encode_seconds, BestOf(encode));
    MutableByteSpan target(restored_.data(), static_cast<size_t>(sample.size_bytes));
    std::ranges::fill(target, std::byte{0xA5});  // of what the one before restored
    FLYWEIGHT_ASSIGN(row.decode_seconds, BestOf([&] { return contestant.Decode(target); }));
    if (!std::ranges::equal(target, sample.span())) {
      return Error{ErrorCode::kInternal, 0, row.name + " did not give the same bytes back; please report this"};
    }
    if (sample.size_bytes != 0) {
      row.ratio = static_cast<double>(row.stored_bytes) / static_cast<double>(sample.size_bytes);
    }
    return row;
  }

  const ByteSource& source_;
  const FileMap& map_;
  const BenchOptions& options_;
  std::vector<Entry> entries_;
  BenchSample sample_;
  AlignedBuffer restored_;
  BenchReport report_;
};

}  // namespace

Result<BenchReport> BenchFile(const std::string& path, const BenchOptions& options) {
  return Guarded([&]() -> Result<BenchReport> {
    if (path == kStreamPath) return Error{ErrorCode::kInvalidArgument, 0, "standard input cannot be measured"};
    FLYWEIGHT_ASSIGN(InputEndpoint input, OpenInput(path, std::string(kStreamPath)));
    FLYWEIGHT_ASSIGN(FileMap map, Annotate(*input.source));
    FLYWEIGHT_ASSIGN(BenchReport report, Bench(*input.source, map, options).Run());
    FLYWEIGHT_TRY(input.CheckUnchanged());
    return report;
  });
}

}  // namespace flyweight
