#include "delta/model.h"

#include <algorithm>

#include "archive/tree_digest.h"
#include "base/aligned_buffer.h"
#include "base/checked.h"
#include "delta/identity.h"

namespace flyweight {
namespace {

constexpr uint64_t kSampleStretchBytes = 4096;
constexpr uint64_t kSampleStretchCount = 16;

/// A chunk of a part that is hashed.
struct HashJob {
  size_t part = 0;
  uint64_t begin = 0;
  Digest digest{};
};

}  // namespace

Status Model::Hash(const std::vector<size_t>& numbers, ThreadPool& pool) {
  std::vector<HashJob> jobs;
  for (size_t number : numbers) {
    if (parts_[number].digest.has_value()) continue;
    uint64_t chunk_bytes = ChunkBytesFor(parts_[number].dtype);
    for (uint64_t begin = 0; begin < parts_[number].size_bytes; begin += chunk_bytes)
      jobs.push_back({number, begin, {}});
  }
  std::vector<CodecScratch> scratch(pool.thread_count());
  std::vector<AlignedBuffer> buffers(pool.thread_count());
  Status status = pool.ParallelFor(jobs.size(), [&](size_t index, size_t worker) -> Status {
    HashJob& job = jobs[index];
    const ModelPart& part = parts_[job.part];
    auto size = static_cast<size_t>(std::min(ChunkBytesFor(part.dtype), part.size_bytes - job.begin));
    buffers[worker].Resize(size);
    MutableByteSpan chunk(buffers[worker].data(), size);
    FLYWEIGHT_TRY(Read(job.part, job.begin, chunk, scratch[worker]));
    job.digest = Sha256(chunk);
    return Status::Ok();
  });
  if (!status.ok()) return status;
  for (size_t first = 0; first < jobs.size();) {
    TreeDigest digest;
    size_t end = first;
    for (; end < jobs.size() && jobs[end].part == jobs[first].part; ++end) digest.AddChunk(jobs[end].digest);
    parts_[jobs[first].part].digest = digest.Finish();
    first = end;
  }
  for (size_t number : numbers) {
    if (parts_[number].size_bytes == 0) parts_[number].digest = Sha256({});
  }
  return Status::Ok();
}

Result<Digest> Model::Identity(ThreadPool& pool) {
  if (identity_.has_value()) return *identity_;
  std::vector<size_t> tensors;
  for (size_t number = 0; number < parts_.size(); ++number) {
    if (parts_[number].is_tensor) tensors.push_back(number);
  }
  IdentityBuilder identity;
  FLYWEIGHT_TRY(Hash(tensors, pool));
  for (size_t number : tensors) {
    const ModelPart& part = parts_[number];
    identity.AddTensor(part.name, part.dtype, part.shape, *part.digest);
  }
  if (tensors.empty()) {
    FLYWEIGHT_ASSIGN(std::vector<Digest> files, FileDigests());
    for (const Digest& sha256 : files) identity.AddFile(sha256);
  }
  identity_ = identity.Finish();
  return *identity_;
}

Status ModelPartSource::ReadAt(uint64_t offset, MutableByteSpan target) const {
  std::optional<uint64_t> end = CheckedAdd(offset, target.size());
  if (!end.has_value() || *end > size()) {
    return Error{ErrorCode::kTruncated, offset, "a read goes past the end of a tensor"};
  }
  CodecScratch scratch;
  return model_.Read(part_, offset, target, scratch);
}

Result<std::vector<std::byte>> ReadSample(const ByteSource& source, uint64_t offset, uint64_t size_bytes) {
  bool is_whole = size_bytes <= kSampleStretchBytes * kSampleStretchCount;
  std::vector<std::byte> sample(static_cast<size_t>(is_whole ? size_bytes : kSampleStretchBytes * kSampleStretchCount));
  if (is_whole) {
    if (!sample.empty()) FLYWEIGHT_TRY(source.ReadAt(offset, sample));
    return sample;
  }
  uint64_t stride = (size_bytes - kSampleStretchBytes) / (kSampleStretchCount - 1);
  for (uint64_t i = 0; i < kSampleStretchCount; ++i) {
    MutableByteSpan stretch = MutableByteSpan(sample).subspan(i * kSampleStretchBytes, kSampleStretchBytes);
    FLYWEIGHT_TRY(source.ReadAt(offset + i * stride, stretch));
  }
  return sample;
}

Result<uint64_t> SampleHash(const ByteSource& source, uint64_t offset, uint64_t size_bytes) {
  FLYWEIGHT_ASSIGN(std::vector<std::byte> sample, ReadSample(source, offset, size_bytes));
  return Xxh3(sample);
}

}  // namespace flyweight
