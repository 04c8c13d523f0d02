#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "archive_parts.h"
#include "codec/patch_record.h"

// Small archives of patches, for tests and golden files.

namespace flyweight::test {

/// The value of what cannot fail in a test. Throws where it does.
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}
inline void Must(Status status) {
  if (!status.ok()) throw std::runtime_error(status.error().message);
}

/// An archive of patches that is made step by step: one file of one-dimensional tensors.
class PatchArchive {
 public:
  PatchArchive() {
    Must(writer_.Begin({.required_features = wire::kFeaturePatches | wire::kFeatureCodecs}));
    index_.base.emplace();
  }

  /// Adds a record of its own. Returns the number of the extent, as all that add one do.
  size_t AddWhole(DType dtype, const Bytes& content) {
    MemorySource source(content);
    RecordPlan plan = Must(PlanRecord(source, 0, content.size(), dtype, {}, Level::kBalanced, scratch_));
    return Write(dtype, content, plan, [&](uint64_t chunk, ByteSpan bytes, MutableByteSpan frame) {
      return EncodeFrame(plan, chunk, bytes, frame, scratch_);
    });
  }

  /// Adds a patch on an extent, or on a row of the base table.
  size_t AddPatch(DType dtype, const Bytes& content, DType base_dtype, const Bytes& base, bool is_outside,
                  uint64_t number) {
    MemorySource source(content);
    MemorySource base_source(base);
    Shape shape = {content.size() / ElementBytesOf(dtype)};
    PatchPlan plan = Must(PlanPatchRecord(source, 0, content.size(), dtype, shape, base_source, 0, base.size(),
                                          base_dtype, Level::kBalanced, scratch_));
    if (plan.estimated_bytes == kNoPatchBytes) throw std::runtime_error("no patch makes these bytes of those");
    size_t added = Write(dtype, content, plan.record, [&](uint64_t chunk, ByteSpan bytes, MutableByteSpan frame) {
      BaseRange range = BaseRangeOf(plan.record.head, chunk);
      ByteSpan part =
          ByteSpan(base).subspan(static_cast<size_t>(range.begin_bytes), static_cast<size_t>(range.size_bytes));
      return EncodePatchFrame(plan.record, chunk, bytes, part, frame, scratch_);
    });
    IndexExtent& extent = extents_[added];
    extent.place = PlaceKind::kPatched;
    extent.base_is_outside = is_outside;
    extent.base_number = number;
    bool on_patch = !is_outside && extents_[static_cast<size_t>(number)].place == PlaceKind::kPatched;
    extent.patch_depth = on_patch ? extents_[static_cast<size_t>(number)].patch_depth + 1 : 1;
    return added;
  }

  size_t Add(IndexExtent extent, const Bytes& content) {
    extents_.push_back(std::move(extent));
    whole_.insert(whole_.end(), content.begin(), content.end());
    return extents_.size() - 1;
  }

  /// Adds an extent that is a row of the base table.
  size_t AddOfBase(DType dtype, const Bytes& content, uint64_t row) {
    IndexExtent extent = Describe(dtype, content);
    extent.place = PlaceKind::kBase;
    extent.base_number = row;
    return Add(std::move(extent), content);
  }

  void AddRow(DType dtype, const Bytes& content) {
    std::string name = "row" + std::to_string(index_.base->rows.size());
    index_.base->rows.push_back({true,
                                 name,
                                 dtype,
                                 {content.size() / ElementBytesOf(dtype)},
                                 content.size(),
                                 DigestOf(dtype, content),
                                 Xxh3(content)});  // the rows of tests are short samples
  }

  /// The archive, and what its file must give.
  Sample Finish(std::string file_name) {
    index_.files.push_back(FileOf(std::move(file_name), extents_));
    index_.files[0].has_sha256 = true;
    index_.files[0].sha256 = Sha256(whole_);
    Must(writer_.Finish(index_));
    return {sink_.bytes(), {whole_}};
  }

  BaseTable& table() { return *index_.base; }
  ArchiveIndex& index() { return index_; }

 private:
  static size_t ElementBytesOf(DType dtype) { return static_cast<size_t>(flyweight::Describe(dtype).bits) / 8; }

  static Digest DigestOf(DType dtype, ByteSpan content) {
    Sha256Stream digest;
    size_t chunk_bytes = static_cast<size_t>(ChunkBytesFor(dtype));
    for (size_t begin = 0; begin < content.size(); begin += chunk_bytes) {
      digest.Update(Sha256(content.subspan(begin, std::min(chunk_bytes, content.size() - begin))));
    }
    return digest.Finish();
  }

  IndexExtent Describe(DType dtype, const Bytes& content) {
    IndexExtent extent =
        AsTensor({}, "t" + std::to_string(extents_.size()), dtype, {content.size() / ElementBytesOf(dtype)});
    extent.decoded_bytes = content.size();
    extent.digest_algorithm = DigestAlgorithm::kSha256Tree;
    extent.digest = DigestOf(dtype, content);
    return extent;
  }

  template <typename Encode>
  size_t Write(DType dtype, const Bytes& content, const RecordPlan& plan, const Encode& encode) {
    Must(writer_.BeginRecord(plan));
    Bytes frame(static_cast<size_t>(FrameBound(plan.head.chunk_bytes)));
    for (uint64_t i = 0; i < plan.head.chunk_count; ++i) {
      ByteSpan chunk = ByteSpan(content).subspan(static_cast<size_t>(i * plan.head.chunk_bytes),
                                                 static_cast<size_t>(plan.head.ChunkDecodedBytes(i)));
      ChunkEntry entry = encode(i, chunk, MutableByteSpan(frame));
      Must(writer_.AppendFrame(ByteSpan(frame).first(entry.frame_bytes), entry));
    }
    ArchiveWriter::RecordPlace place = Must(writer_.EndRecord());
    IndexExtent extent = Describe(dtype, content);
    extent.place = PlaceKind::kRecord;
    extent.record_offset = place.offset;
    extent.record_bytes = place.record_bytes;
    extent.record_check = place.record_check;
    return Add(std::move(extent), content);
  }

  MemorySink sink_;
  ArchiveWriter writer_{sink_};
  CodecScratch scratch_;
  ArchiveIndex index_;
  std::vector<IndexExtent> extents_;
  Bytes whole_;
};

}  // namespace flyweight::test
