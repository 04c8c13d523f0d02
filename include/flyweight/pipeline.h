#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

struct CompressOptions {
  size_t thread_count = 0;  ///< 0 = all CPUs
  bool overwrite = false;
  bool verify = true;  ///< decode what was written and compare it with the source before it takes its name
  ProgressCallback progress;
};

struct CompressSummary {
  uint64_t source_bytes = 0;
  uint64_t archive_bytes = 0;
  uint64_t tensor_count = 0;
};

/// "-" as a path means standard input or standard output. To standard output nothing can be read back, so each chunk is
/// decoded and compared as it is encoded. Guarantee: `target` afterwards is a complete archive that was read back and
/// compared with the source, or is untouched. Errors: kIo, kExists, kInvalidArgument (directory, special file),
/// kSourceChanged, kInternal (what was read back differs).
Result<CompressSummary> CompressFile(const std::string& source, const std::string& target,
                                     const CompressOptions& options);

struct DecompressOptions {
  size_t thread_count = 0;
  bool overwrite = false;
  ProgressCallback progress;
};

struct DecompressSummary {
  uint64_t archive_bytes = 0;
  uint64_t file_bytes = 0;
};

/// Restores the archive's single file. Every chunk's checksum and the file's SHA-256 are checked; `target` appears only
/// after they held. Errors: those of reading archives, kIo, kExists, kInvalidArgument.
Result<DecompressSummary> DecompressFile(const std::string& source, const std::string& target,
                                         const DecompressOptions& options);

struct VerifySummary {
  uint64_t archive_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t chunk_count = 0;
};

/// Decodes everything, checking structure, both indexes, every checksum, every tensor digest and the file's SHA-256;
/// writes nothing. Any damage is an error, repairable or not.
Result<VerifySummary> VerifyFile(const std::string& source, size_t thread_count, const ProgressCallback& progress);

/// One extent of a listing.
struct ListedTensor {
  std::string name;
  DType dtype = DType::kOpaque;
  Shape shape;
  bool is_tensor = false;
  uint64_t decoded_bytes = 0;
  uint64_t stored_bytes = 0;
  std::string digest_hex;  ///< empty where there is none
};

struct ArchiveListing {
  std::string path;
  uint64_t archive_bytes = 0;
  uint64_t file_bytes = 0;
  std::string file_name;
  std::string container_format;  ///< "raw", "safetensors"
  std::string sha256_hex;        ///< empty where there is none
  std::vector<ListedTensor> extents;
  std::vector<std::string> damage;
};

/// Reads the index only.
Result<ArchiveListing> ListArchive(const std::string& path);

/// True where the file starts as an archive does. Errors: kIo.
Result<bool> IsArchive(const std::string& path);

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
Status CompressBuffer(const TensorView& tensor, size_t thread_count, const AppendCallback& append);

/// Upper bound of what CompressBuffer appends.
uint64_t CompressBound(uint64_t size_bytes);

/// Compresses the bytes of a file that is in memory (a serialised safetensors, say): annotated, hashed and restored as
/// CompressFile would.
Status CompressFileBytes(std::span<const std::byte> file, std::string_view file_name, size_t thread_count,
                         const AppendCallback& append);

/// An archive in a file or in memory, for random access. Thread-safe.
class Archive {
 public:
  static Result<Archive> OpenPath(const std::string& path);
  /// The bytes must outlive the Archive.
  static Result<Archive> OpenBytes(std::span<const std::byte> bytes);
  ~Archive();
  Archive(Archive&&) noexcept;
  Archive& operator=(Archive&&) noexcept;

  const ArchiveListing& listing() const;
  uint64_t file_bytes() const;

  /// Decodes the whole file into `target` (file_bytes() long), checksums verified; the SHA-256 too where `check_sha256`
  /// is set and the archive has one.
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
