#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "codec/base_check.h"
#include "codec/patch_record.h"
#include "pipeline/encode.h"
#include "pipeline/guard.h"
#include "sync/open_patch.h"

namespace flyweight {
namespace {

/// What a chunk of a target is, as far as a patch can tell.
enum class ChunkState : uint8_t {
  kUnchanged,  ///< the base's, which the patch leaves as it is
  kBase,       ///< what the patch changes
  kAny,        ///< what the patch overwrites, whatever it is
  kDone,       ///< what the patch makes of it
  kWrong,      ///< none of these
};

constexpr size_t kNamedMaxCount = 4;

/// A tensor of the patch and the target that it changes.
struct Change {
  size_t tensor = 0;  ///< number in the patch
  MutableByteSpan bytes;
  ByteSpan inline_bytes;                ///< of tensors that are stored in the index
  std::optional<PatchRecordView> view;  ///< of the others
  bool must_be_done = false;            ///< it cannot be made in place
  bool is_tied = false;                 ///< its memory is that of another, with which it is changed
};

struct Job {
  uint32_t change = 0;
  uint32_t chunk = 0;
  ChunkState state = ChunkState::kWrong;
};

Error Wrong(const std::string& what) { return {ErrorCode::kWrongBase, 0, what}; }

class InPlaceRun {
 public:
  InPlaceRun(const OpenedPatch& patch, std::span<const TensorTarget> targets, const ApplyOptions& options)
      : patch_(patch), targets_(targets), options_(options) {}

  Result<ApplySummary> Run() {
    FLYWEIGHT_TRY(Match());
    uint64_t size_bytes = 0;
    for (const Change& change : changes_) size_bytes += change.bytes.size();
    ThreadPool pool(UsefulThreadCount(options_.thread_count, size_bytes));
    std::vector<CodecScratch> scratch(pool.thread_count());
    if (options_.check_first) {
      FLYWEIGHT_TRY(pool.ParallelFor(jobs_.size(), [&](size_t job, size_t) { return Look(jobs_[job]); }));
      FLYWEIGHT_TRY(Judge());
    }
    Status written = pool.ParallelFor(jobs_.size(), [&](size_t job, size_t worker) -> Status {
      if (!options_.check_first) FLYWEIGHT_TRY(LookAtOne(jobs_[job]));
      return Write(jobs_[job], scratch[worker]);
    });
    if (!written.ok()) return written.take_error();
    if (!options_.check_first) FLYWEIGHT_TRY(Judge());
    return Summary();
  }

 private:
  /// Finds the target of each tensor and opens the records. Errors: kWrongBase, kInvalidArgument.
  Status Match() {
    std::unordered_map<std::string_view, const TensorTarget*> by_name;
    for (const TensorTarget& target : targets_) {
      if (by_name.emplace(target.name, &target).second) continue;
      return Error{ErrorCode::kInvalidArgument, 0, "tensor '" + target.name + "' is there twice"};
    }
    for (size_t i = 0; i < patch_.tensors.size(); ++i) {
      const PatchedTensor& tensor = patch_.tensors[i];
      auto found = by_name.find(tensor.name);
      if (found == by_name.end() && options_.only_targets) continue;
      if (found == by_name.end()) return Wrong("the patch makes tensor '" + tensor.name + "', which is not there");
      FLYWEIGHT_TRY(CheckTarget(tensor, *found->second));
      FLYWEIGHT_TRY(AddChange(i, found->second->bytes));
    }
    FLYWEIGHT_TRY(JoinTied());
    ListJobs();
    return {};
  }

  static Status CheckTarget(const PatchedTensor& tensor, const TensorTarget& target) {
    if (target.bytes.size() == tensor.size_bytes && target.dtype == tensor.dtype && target.shape == tensor.shape)
      return {};
    return Wrong("tensor '" + tensor.name + "' has another type or shape than the one that the patch makes");
  }

  Status AddChange(size_t tensor, MutableByteSpan bytes) {
    Change change{.tensor = tensor,
                  .bytes = bytes,
                  .inline_bytes = {},
                  .view = {},
                  .must_be_done = !patch_.tensors[tensor].is_in_place};
    if (patch_.extents[tensor]->place == PlaceKind::kInline) {
      change.inline_bytes = patch_.extents[tensor]->inline_bytes;
    } else {
      FLYWEIGHT_ASSIGN(change.view, OpenPatchRecord(patch_, tensor));
    }
    changes_.push_back(std::move(change));
    return {};
  }

  /// Tensors may be tied: one memory under several names, which then is changed once. Errors: kInvalidArgument where
  /// they overlap otherwise or the patch makes different ones of them.
  Status JoinTied() {
    std::vector<Change*> order;
    for (Change& change : changes_) {
      if (!change.bytes.empty()) order.push_back(&change);
    }
    std::ranges::sort(order, [](const Change* a, const Change* b) {
      return std::pair(a->bytes.data(), a->tensor) < std::pair(b->bytes.data(), b->tensor);
    });
    const Change* last = nullptr;  // of those that are changed
    for (Change* change : order) {
      if (last == nullptr || last->bytes.data() + last->bytes.size() <= change->bytes.data()) {
        last = change;
        continue;
      }
      change->is_tied = true;
      bool is_same_memory = last->bytes.data() == change->bytes.data() && last->bytes.size() == change->bytes.size();
      if (is_same_memory && MakesTheSame(*last, *change)) continue;
      return Error{ErrorCode::kInvalidArgument, 0,
                   "tensors '" + patch_.tensors[last->tensor].name + "' and '" + patch_.tensors[change->tensor].name +
                       "' share memory, and the patch makes different ones of them"};
    }
    return {};
  }

  static bool MakesTheSame(const Change& left, const Change& right) {
    if (!left.view.has_value() || !right.view.has_value()) {
      return left.view.has_value() == right.view.has_value() &&
             std::ranges::equal(left.inline_bytes, right.inline_bytes);
    }
    return left.view->record.head.chunk_bytes == right.view->record.head.chunk_bytes &&
           std::ranges::equal(left.view->record.table, right.view->record.table, {}, &ChunkEntry::decoded_xxh3,
                              &ChunkEntry::decoded_xxh3);
  }

  void ListJobs() {
    for (size_t i = 0; i < changes_.size(); ++i) {
      const Change& change = changes_[i];
      if (change.is_tied) continue;
      uint64_t chunk_count = change.view.has_value() ? change.view->record.head.chunk_count : 1;
      for (uint64_t chunk = 0; chunk < chunk_count; ++chunk) {
        jobs_.push_back({static_cast<uint32_t>(i), static_cast<uint32_t>(chunk), ChunkState::kWrong});
      }
    }
  }

  MutableByteSpan ChunkOf(const Job& job) const {
    const Change& change = changes_[job.change];
    if (!change.view.has_value()) return change.bytes;
    const RecordHead& head = change.view->record.head;
    return change.bytes.subspan(job.chunk * static_cast<size_t>(head.chunk_bytes),
                                static_cast<size_t>(head.ChunkDecodedBytes(job.chunk)));
  }

  /// Compares a chunk, and the frame that changes it, with their checksums. Errors: of the frame alone.
  Status Look(Job& job) const {
    const Change& change = changes_[job.change];
    ByteSpan chunk = ChunkOf(job);
    if (!change.view.has_value()) {
      bool is_done = std::ranges::equal(chunk, change.inline_bytes);
      job.state = is_done ? ChunkState::kUnchanged : ChunkState::kAny;
      return {};
    }
    const ChunkEntry& entry = change.view->record.table[job.chunk];
    ByteSpan frame = change.view->Frame(job.chunk);
    Status sound = ScrubFrame(frame, entry);
    if (!sound.ok()) return WithContext(sound.take_error(), "tensor '" + NameOf(job) + "'");
    uint64_t found = Xxh3(chunk);
    std::optional<uint64_t> base_check = BaseCheckOf(frame);
    if (found == entry.decoded_xxh3) {
      job.state = base_check == found ? ChunkState::kUnchanged : ChunkState::kDone;
    } else if (!base_check.has_value()) {
      job.state = change.must_be_done ? ChunkState::kWrong : ChunkState::kAny;
    } else {
      job.state = *base_check == found && !change.must_be_done ? ChunkState::kBase : ChunkState::kWrong;
    }
    return {};
  }

  Status LookAtOne(Job& job) const {
    FLYWEIGHT_TRY(Look(job));
    if (job.state != ChunkState::kWrong) return {};
    return Wrong("tensor '" + NameOf(job) + "': chunk " + std::to_string(job.chunk) + " is not that of " + BaseName());
  }

  Status Write(const Job& job, CodecScratch& scratch) const {
    if (job.state == ChunkState::kUnchanged || job.state == ChunkState::kDone) return {};
    const Change& change = changes_[job.change];
    MutableByteSpan chunk = ChunkOf(job);
    if (!change.view.has_value()) {
      std::ranges::copy(change.inline_bytes, chunk.begin());
      return {};
    }
    const PatchRecordView& view = *change.view;
    // Look() compared frame and base with their checksums.
    PatchTrust trust{.base_is_known = true, .result = !options_.check_result};
    ByteSpan base = patch_.tensors[change.tensor].needs_base ? ByteSpan(chunk) : ByteSpan();
    Status status =
        DecodePatchFrame(view.record.head, job.chunk, view.Frame(job.chunk), view.ReadableBytes(job.chunk),
                         view.record.table[job.chunk], base, chunk, scratch, StoredCheck::kOnFailure, trust);
    if (status.ok()) return status;
    return WithContext(status.take_error(), "tensor '" + NameOf(job) + "': chunk " + std::to_string(job.chunk));
  }

  /// What the states of all chunks together mean. Errors: kWrongBase, kAlreadyApplied.
  Status Judge() const {
    std::array<size_t, 5> counts{};
    for (const Job& job : jobs_) ++counts[static_cast<size_t>(job.state)];
    auto count = [&](ChunkState state) { return counts[static_cast<size_t>(state)]; };
    if (count(ChunkState::kWrong) != 0) {
      bool is_mixed = count(ChunkState::kBase) + count(ChunkState::kDone) != 0;
      return Wrong(DescribeWrong(count(ChunkState::kWrong), is_mixed));
    }
    bool nothing_to_do = count(ChunkState::kBase) + count(ChunkState::kAny) == 0;
    if (nothing_to_do && count(ChunkState::kDone) != 0 && !options_.idempotent) {
      return Error{ErrorCode::kAlreadyApplied, 0,
                   "the patch was applied already: the tensors are those of " + Called(patch_.name, "its result")};
    }
    return {};
  }

  std::string DescribeWrong(size_t wrong_count, bool is_mixed) const {
    std::string text = is_mixed ? "some chunks are neither those of " + BaseName() + " nor those of " +
                                      Called(patch_.name, "the result") + ": "
                                : "the tensors are not those of " + BaseName() + ", from which the patch was made: ";
    size_t named = 0;
    for (const Job& job : jobs_) {
      if (job.state != ChunkState::kWrong) continue;
      if (named == kNamedMaxCount) break;
      text += (named++ == 0 ? "" : ", ") + std::string("'") + NameOf(job) + "' chunk " + std::to_string(job.chunk);
    }
    if (wrong_count > named) text += " and " + std::to_string(wrong_count - named) + " more";
    return text;
  }

  static std::string Called(const std::string& name, const std::string& otherwise) {
    return name.empty() ? otherwise : "'" + name + "'";
  }
  std::string BaseName() const { return Called(patch_.base_name, "the base"); }
  const std::string& NameOf(const Job& job) const { return patch_.tensors[changes_[job.change].tensor].name; }

  ApplySummary Summary() const {
    ApplySummary summary;
    summary.chunk_count = jobs_.size();
    for (const Job& job : jobs_) {
      summary.written_count += job.state == ChunkState::kBase || job.state == ChunkState::kAny ? 1 : 0;
      summary.done_count += job.state == ChunkState::kDone ? 1 : 0;
    }
    return summary;
  }

  const OpenedPatch& patch_;
  std::span<const TensorTarget> targets_;
  const ApplyOptions& options_;
  std::vector<Change> changes_;
  std::vector<Job> jobs_;
};

}  // namespace

Result<ApplySummary> TensorPatch::ApplyInPlace(std::span<const TensorTarget> targets,
                                               const ApplyOptions& options) const {
  return Guarded([&]() -> Result<ApplySummary> { return InPlaceRun(*impl_, targets, options).Run(); });
}

}  // namespace flyweight
