#include "pipeline/lossy_trials.h"

#include <algorithm>
#include <cstring>

#include "base/aligned_buffer.h"
#include "base/checked.h"
#include "codec/lossy_record.h"
#include "lossy/quantise.h"

namespace flyweight {
namespace {

/// One chunk of one trial.
struct TrialJob {
  size_t trial = 0;
  uint64_t chunk = 0;
  std::vector<TrialResult> results;
};

struct Buffers {
  AlignedBuffer source;
  AlignedBuffer other;
  CodecScratch scratch;
};

/// Bytes [begin, begin + size) of an extent, which may be a view.
Result<ByteSpan> ReadPiece(const ByteSource& source, uint64_t begin, uint64_t size_bytes, AlignedBuffer& buffer) {
  auto size = static_cast<size_t>(size_bytes);
  if (ByteSpan memory = source.InMemory(); !memory.empty()) return memory.subspan(static_cast<size_t>(begin), size);
  buffer.Resize(size);
  FLYWEIGHT_TRY(source.ReadAt(begin, {buffer.data(), size}));
  return ByteSpan(buffer.data(), size);
}

TrialResult Try(const LossyChoice& choice, DType dtype, ByteSpan chunk, AlignedBuffer& buffer) {
  buffer.Resize(chunk.size());
  MutableByteSpan restored(buffer.data(), chunk.size());
  RestoreChunk(choice, dtype, chunk, restored);
  return {MeasureErrors(dtype, chunk, restored), std::memcmp(chunk.data(), restored.data(), chunk.size()) == 0};
}

std::vector<TrialJob> JobsOf(const LossySubject& subject, const std::vector<LossyTrial>& trials, uint64_t most_chunks) {
  std::vector<TrialJob> jobs;
  for (size_t t = 0; t < trials.size(); ++t) {
    const IndexExtent& extent = subject.ExtentOf(trials[t].number);
    uint64_t chunk_count = CeilDiv(extent.decoded_bytes, ChunkBytesFor(extent.dtype));
    for (uint64_t chunk : SampleChunks(chunk_count, most_chunks)) jobs.push_back({t, chunk, {}});
  }
  return jobs;
}

/// The record of one way to store an extent, planned.
Result<RecordPlan> PlanFor(const SizeQuestion& question, Level level, const IndexExtent& extent,
                           const ByteSource& source, uint64_t offset, CodecScratch& scratch) {
  if (question.choice.has_value()) {
    return PlanLossyRecord(source, offset, extent.decoded_bytes, extent.dtype, extent.shape, *question.choice, scratch);
  }
  return PlanRecord(source, offset, extent.decoded_bytes, extent.dtype, extent.shape, level, scratch);
}

Result<uint64_t> EstimateSize(const LossySubject& subject, ContentCache& contents, const SizeQuestion& question,
                              uint64_t most_chunks, Buffers& buffers) {
  const IndexExtent& extent = subject.ExtentOf(question.number);
  const ExtentItem& place = subject.places[question.number];
  FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents.Open(place.file));
  FLYWEIGHT_ASSIGN(RecordPlan plan,
                   PlanFor(question, subject.level, extent, content->source(), place.offset, buffers.scratch));
  double sampled_bytes = 0;
  double frame_bytes = 0;
  for (uint64_t chunk : SampleChunks(plan.head.chunk_count, most_chunks)) {
    uint64_t size = plan.head.ChunkDecodedBytes(chunk);
    FLYWEIGHT_ASSIGN(ByteSpan bytes,
                     ReadPiece(content->source(), place.offset + chunk * plan.head.chunk_bytes, size, buffers.source));
    uint64_t bound = FrameBound(size);
    buffers.other.Resize(static_cast<size_t>(bound));
    MutableByteSpan frame(buffers.other.data(), static_cast<size_t>(bound));
    frame_bytes += static_cast<double>(EncodeFrame(plan, chunk, bytes, frame, buffers.scratch).frame_bytes);
    sampled_bytes += static_cast<double>(size);
  }
  double scaled = frame_bytes / sampled_bytes * static_cast<double>(extent.decoded_bytes);
  return plan.head_bytes.size() + plan.head.chunk_count * kChunkEntryBytes + static_cast<uint64_t>(scaled);
}

}  // namespace

std::vector<uint64_t> SampleChunks(uint64_t chunk_count, uint64_t most) {
  uint64_t count = std::min(chunk_count, most);
  std::vector<uint64_t> chunks;
  for (uint64_t i = 0; i < count; ++i) chunks.push_back(i * chunk_count / count);
  return chunks;
}

Result<std::vector<std::vector<TrialResult>>> RunTrials(const LossySubject& subject,
                                                        const std::vector<LossyTrial>& trials, uint64_t most_chunks) {
  std::vector<TrialJob> jobs = JobsOf(subject, trials, most_chunks);
  std::vector<Buffers> buffers(subject.pool.thread_count());
  ContentCache contents(subject.contents);
  FLYWEIGHT_TRY(subject.pool.ParallelFor(jobs.size(), [&](size_t number, size_t worker) -> Status {
    TrialJob& job = jobs[number];
    const LossyTrial& trial = trials[job.trial];
    const IndexExtent& extent = subject.ExtentOf(trial.number);
    const ExtentItem& place = subject.places[trial.number];
    uint64_t chunk_bytes = ChunkBytesFor(extent.dtype);
    uint64_t begin = job.chunk * chunk_bytes;
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents.Open(place.file));
    FLYWEIGHT_ASSIGN(ByteSpan chunk,
                     ReadPiece(content->source(), place.offset + begin,
                               std::min(chunk_bytes, extent.decoded_bytes - begin), buffers[worker].source));
    for (const LossyChoice& choice : trial.choices)
      job.results.push_back(Try(choice, extent.dtype, chunk, buffers[worker].other));
    return Status::Ok();
  }));
  std::vector<std::vector<TrialResult>> results(trials.size());
  for (size_t t = 0; t < trials.size(); ++t) results[t].resize(trials[t].choices.size());
  for (const TrialJob& job : jobs) {
    for (size_t c = 0; c < job.results.size(); ++c) {
      results[job.trial][c].errors.Add(job.results[c].errors);
      results[job.trial][c].is_exact = results[job.trial][c].is_exact && job.results[c].is_exact;
    }
  }
  return results;
}

Result<std::vector<uint64_t>> EstimateSizes(const LossySubject& subject, const std::vector<SizeQuestion>& questions,
                                            uint64_t most_chunks) {
  std::vector<uint64_t> sizes(questions.size());
  std::vector<Buffers> buffers(subject.pool.thread_count());
  ContentCache contents(subject.contents);
  FLYWEIGHT_TRY(subject.pool.ParallelFor(questions.size(), [&](size_t i, size_t worker) -> Status {
    FLYWEIGHT_ASSIGN(sizes[i], EstimateSize(subject, contents, questions[i], most_chunks, buffers[worker]));
    return Status::Ok();
  }));
  return sizes;
}

}  // namespace flyweight
