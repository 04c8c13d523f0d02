#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flyweight/entry.h"
#include "flyweight/level.h"
#include "flyweight/listing.h"
#include "flyweight/lossy.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

// The public interface over files and buffers: what the command line and the Python package are made of.

namespace flyweight {

/// Progress of a long verb. `done_bytes` counts decoded bytes and never goes back; called from the calling thread only.
struct Progress {
  std::string_view stage;  ///< "compress", "verify", "decompress"
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;
};
using ProgressCallback = std::function<void(const Progress&)>;

/// Something worth saying that did not end the verb: an entry of a directory that was left out, a time that could not
/// be set.
struct Notice {
  std::string path;
  std::string reason;
  bool is_error = false;  ///< what was asked for is not all there
};
using NoticeCallback = std::function<void(const Notice&)>;

struct CompressOptions {
  size_t thread_count = 0;  ///< 0 = all CPUs
  Level level = Level::kBalanced;
  bool overwrite = false;
  bool verify = true;  ///< decode what was written and compare it with the source before it takes its name
  /// A base and the patches on it, the first made first: the archive then is a patch, which holds what changed against
  /// the version that they give. The base is a file of any container, a directory or an archive. Tensors are matched by
  /// name, then by content; each is stored as whatever is smallest: the base's own, a patch, or without a base. With it
  /// nothing is lossy but by LossyOptions::delta, and no source is removed.
  std::vector<std::string> bases = {};
  /// The source is a directory of versions of one model (checkpoint-10, checkpoint-20, ...): tensors are stored as what
  /// changed against the version before, and whole at least in every so many. 0 = versions mean nothing.
  uint32_t key_every = 0;
  bool repack = false;  ///< what the only source, an archive, holds is compressed, without being restored first
  std::vector<std::string> source_bases = {};  ///< what that archive stands on, where it is a patch
  bool replace_source = false;                 ///< with `repack` and `overwrite`: that archive may be the target
  LossyOptions lossy = {};                     ///< nothing is lossy by itself; with it no source is removed
  /// Tensors that are removed from model files before these are archived; what is restored is a smaller file of the
  /// same format. "optimizer" and "adam" mean the state of optimizers, found by its structure; any other is a pattern
  /// with * and ? of TENSOR or FILE:TENSOR names. With it no source is removed. Where nothing matches there is a
  /// notice.
  std::vector<std::string> strip = {};
  /// Delete what was compressed, once the archive stands under its name. A source of which something was left out is
  /// kept, with a notice; an archive that exists is not replaced, as it may be the only copy of what it holds.
  bool remove_source = false;
  /// Keep what was written where the run fails or is killed, and take what an interrupted run left: each of its chunks
  /// is compared with the source before it is used again.
  bool resume = false;
  /// Parity: how much of the archive may be lost and still be repaired, in thousandths; 0 = none, at most 1000.
  uint32_t recovery_permille = 0;
  uint64_t part_bytes = 0;  ///< largest file; the archive is then NAME.001, NAME.002 and so on. 0 = one file
  ProgressCallback progress = {};
  NoticeCallback notice = {};
};

struct CompressSummary {
  uint64_t source_bytes = 0;
  uint64_t archive_bytes = 0;
  uint64_t file_count = 0;  ///< 1, or the entries of a directory
  uint64_t tensor_count = 0;
};

/// Compresses a file, a directory or several of them into one archive. One file gives an archive of that file; anything
/// else gives a tree: one directory as the root, several inputs below a root of their own, each under its base name.
/// "-" as a path means standard input or standard output. To standard output nothing can be read back, so each chunk is
/// decoded and compared as it is encoded. Guarantee: `target` afterwards is a complete archive that was read back and
/// compared with the source, or is untouched. Errors: kIo, kExists, kInvalidArgument (special file, no source, equal
/// names), kSourceChanged, kInternal (what was read back differs).
Result<CompressSummary> Compress(const std::vector<std::string>& sources, const std::string& target,
                                 const CompressOptions& options);

/// Compress of one source.
Result<CompressSummary> CompressFile(const std::string& source, const std::string& target,
                                     const CompressOptions& options);

struct DecompressOptions {
  size_t thread_count = 0;
  bool overwrite = false;
  /// Restore what can be restored of a damaged archive: what cannot is zeros, in files whose names get ".damaged"
  /// appended, and is listed in the summary.
  bool salvage = false;
  uint64_t max_output_bytes = UINT64_MAX;  ///< an archive that declares more is refused before anything is written
  /// What a patch is to be applied to: a base and the patches on it, as CompressOptions has them.
  std::vector<std::string> bases = {};
  /// Only these, where there are any: names of files or directories of a tree, as the listing gives them, or patterns
  /// with * and ?. A name that matches nothing is an error. One name of a regular file restores it as the file
  /// `target`.
  std::vector<std::string> members = {};
  ProgressCallback progress = {};
  NoticeCallback notice = {};
};

/// What could not be saved: a range of a file, in which lies a tensor or other bytes.
struct LostContent {
  std::string file;    ///< as the listing names it
  std::string tensor;  ///< empty for bytes that belong to no tensor
  uint64_t file_offset = 0;
  uint64_t size_bytes = 0;
  std::string reason;
};

struct DecompressSummary {
  uint64_t archive_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t file_count = 0;
  std::vector<LostContent> lost = {};  ///< only with `salvage`
};

/// Restores what the archive holds. Every chunk's checksum and the files' SHA-256 are checked; `target` appears only
/// after they held. The tree of a directory appears as the directory `target`, which must not exist, be empty, or is
/// merged into with `overwrite`; nothing outside of it is touched whatever the archive says. Errors: those of reading
/// archives, kIo, kExists, kInvalidArgument, kLimitExceeded.
Result<DecompressSummary> DecompressFile(const std::string& source, const std::string& target,
                                         const DecompressOptions& options);

enum class VerifyMode {
  kFull,    ///< decodes everything and checks every checksum and digest there is
  kFast,    ///< structure and the checksums of everything as it is stored, at the speed of reading; decodes nothing
  kSample,  ///< structure, and some chunks decoded, chosen at random
};

struct VerifyOptions {
  size_t thread_count = 0;
  VerifyMode mode = VerifyMode::kFull;
  double sample_fraction = 0.01;  ///< of the chunks, for kSample: over 0, at most 1
  uint64_t sample_seed = 0;       ///< 0 = another choice each time
  /// What a patch stands on, as CompressOptions has it. Without it kFull and kSample of a patch do what kFast does.
  std::vector<std::string> bases = {};
  ProgressCallback progress = {};
};

struct VerifySummary {
  uint64_t archive_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t file_count = 0;
  uint64_t chunk_count = 0;    ///< of the archive; equal tensors, stored once, count once
  uint64_t checked_count = 0;  ///< of those, decoded or with their stored bytes checked
  uint64_t part_count = 1;
  bool has_parity = false;
  bool lacks_base = false;  ///< it is a patch of which only what is stored was checked, since its base was not given
};

/// Probability that checking `checked_count` of `chunk_count` chunks, chosen at random, hits at least one of
/// `damaged_count` damaged ones.
double DetectionProbability(uint64_t chunk_count, uint64_t checked_count, uint64_t damaged_count);

/// Checks an archive and writes nothing. Any damage is an error, repairable or not: with kFull of structure, both
/// indexes, every chunk, tensor digest and SHA-256, parity and parts.
Result<VerifySummary> VerifyFile(const std::string& source, const VerifyOptions& options);

// Buffers
// -------------------------------------------------------------------------------------------------------------------------------

/// A tensor in the caller's memory.
struct TensorView {
  std::string name;
  DType dtype = DType::kOpaque;
  Shape shape;
  std::span<const std::byte> bytes;
};

/// Takes the archive as it grows, in pieces.
using AppendCallback = std::function<Status(std::span<const std::byte>)>;

/// Compresses one buffer into an archive with one unnamed file of one unnamed tensor. Nothing is hashed but XXH3.
/// `shape` may be empty (then one dimension). Errors: kInvalidArgument where dtype, shape and size disagree; those of
/// `append`.
Status CompressBuffer(const TensorView& tensor, Level level, size_t thread_count, const AppendCallback& append);

/// Upper bound of what CompressBuffer appends.
uint64_t CompressBound(uint64_t size_bytes);

/// Compresses the bytes of a file that is in memory (a serialised safetensors, say): annotated, hashed and restored as
/// CompressFile would.
Status CompressFileBytes(std::span<const std::byte> file, std::string_view file_name, Level level, size_t thread_count,
                         const AppendCallback& append);

/// An archive in a file or in memory, for random access. Thread-safe.
class Archive {
 public:
  /// `bases` is what a patch stands on, as CompressOptions has it. Without it a patch opens, and gives what needs no
  /// base. Errors: those of reading archives; kBaseMismatch.
  static Result<Archive> OpenPath(const std::string& path, const std::vector<std::string>& bases = {});
  /// The bytes must outlive the Archive.
  static Result<Archive> OpenBytes(std::span<const std::byte> bytes);
  ~Archive();
  Archive(Archive&&) noexcept;
  Archive& operator=(Archive&&) noexcept;

  const ArchiveListing& listing() const;
  /// What it is read from: its bases, then its own path. Empty for an archive in memory.
  const std::vector<std::string>& paths() const;
  uint64_t file_bytes() const;

  /// Decodes the only file into `target` (file_bytes() long), checksums verified; the SHA-256 too where `check_sha256`
  /// is set and the archive has one. Errors: kInvalidArgument where the archive holds several files.
  Status DecodeFile(std::span<std::byte> target, size_t thread_count, bool check_sha256) const;

  /// Decodes bytes [begin, begin + target.size()) of extent `extent_index` of the listing, touching only the chunks it
  /// needs.
  Status DecodeExtent(size_t extent_index, uint64_t begin, std::span<std::byte> target, size_t thread_count) const;

 private:
  struct Impl;
  explicit Archive(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace flyweight
