#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/base_table.h"
#include "base/file.h"
#include "base/hash.h"
#include "codec/record.h"
#include "flyweight/entry.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"
#include "tensor/cast.h"
#include "tensor/file_map.h"

namespace flyweight {

enum class PlaceKind : uint8_t {
  kInline = 0,
  kRecord = 1,
  kSame = 2,
  kExternal = 3,
  kPieces = 4,
  kCast = 5,
  kPatched = 6,
  kBase = 7,
};

enum class DigestAlgorithm : uint8_t { kNone = 0, kSha256Tree = 1 };

/// Bytes of an extent of pieces: a range of what the record of an extent decodes to (docs/format.md section 1.4.1).
struct IndexPiece {
  uint64_t size_bytes = 0;
  uint32_t extent = 0;  ///< number over all files, of a record or an extent of pieces that is no later one
  uint64_t offset = 0;  ///< in the decoded record
  bool operator==(const IndexPiece&) const = default;
};

/// One extent as the index describes it (docs/format.md section 1.4).
struct IndexExtent {
  uint64_t decoded_bytes = 0;
  bool is_tensor = false;
  std::string name;
  DType dtype = DType::kOpaque;
  Shape shape;
  DigestAlgorithm digest_algorithm = DigestAlgorithm::kNone;
  Digest digest{};

  PlaceKind place = PlaceKind::kInline;
  std::vector<std::byte> inline_bytes;
  uint64_t record_offset = 0;  ///< of a record extent, a patched one, and one of pieces that has own bytes
  uint64_t record_bytes = 0;
  uint64_t record_check = 0;
  uint64_t same_as = 0;    ///< number over all files, of an extent of any other place
  uint64_t own_bytes = 0;  ///< what the record of an extent of pieces decodes to; 0: it has none
  std::vector<IndexPiece> pieces;
  CastMethod cast_method = CastMethod::kBF16;
  uint64_t cast_of = 0;          ///< number over all files, of a record or an extent of pieces
  bool base_is_outside = false;  ///< of a patched extent: base_number is a row of the base table
  uint64_t base_number = 0;  ///< of a patched extent, else of another extent over all files; of a base extent, the row
  uint32_t patch_depth = 0;  ///< of a patched extent: how many patches there are down to what is none

  bool has_record() const {
    return place == PlaceKind::kRecord || place == PlaceKind::kPatched ||
           (place == PlaceKind::kPieces && own_bytes != 0);
  }
  /// Whether its bytes follow from those of others: RangeReader decodes it.
  bool is_made_of_others() const { return place >= PlaceKind::kPieces; }
  /// What its record decodes to. Precondition: has_record().
  uint64_t record_decoded_bytes() const { return place == PlaceKind::kPieces ? own_bytes : decoded_bytes; }
};

/// An attribute of a file that the archive room keeps and does not read (docs/format.md section 1.5).
struct IndexAttribute {
  uint16_t kind = 0;
  std::vector<std::byte> value;
};

struct IndexFile {
  std::string name;  ///< in a tree the path below its root, which itself has the name ""
  ContainerFormat container_format = ContainerFormat::kRaw;
  bool has_sha256 = false;
  Digest sha256{};
  uint64_t file_bytes = 0;
  EntryStat entry;            ///< in trees only
  std::string link_target;    ///< of symbolic links
  uint32_t hard_link_to = 0;  ///< of hard links: the number of an earlier file
  std::vector<IndexAttribute> attributes;
  std::vector<IndexExtent> extents;
};

struct ArchiveIndex {
  bool is_tree = false;  ///< the files are the entries of a directory, parents before children (section 1.5)
  std::vector<IndexFile> files;
  std::optional<BaseTable> base;  ///< what patches need from outside (section 1.5.3)
};

/// A record opened for decoding: checked head and chunk table, and where its frames lie in the archive.
struct OpenRecord {
  RecordHead head;
  std::vector<ChunkEntry> table;
  std::vector<uint64_t> frame_offsets;  ///< absolute, one a chunk
};

/// Reads an archive from any source. Immutable after Open, so safe to share between threads.
class ArchiveReader {
 public:
  /// Reads footer and index (the second copy where the first is damaged). The source must outlive the reader.
  /// Errors: kCorrupt (not an archive, or damaged), kTruncated, kChecksumMismatch, kUnsupportedVersion,
  /// kUnsupportedFeature, kLimitExceeded, kIo.
  static Result<ArchiveReader> Open(const ByteSource& source);

  const ArchiveIndex& index() const { return *index_; }
  /// xxh3 of the index body.
  uint64_t index_hash() const { return index_hash_; }
  const ByteSource& source() const { return *source_; }
  /// Whether the archive says that some of its tensors are lossy.
  bool is_lossy() const { return is_lossy_; }
  uint64_t archive_bytes() const { return source_->size(); }
  /// What Open found damaged but could do without ("first index"); empty for a sound archive. `verify` treats any entry
  /// as an error.
  const std::vector<std::string>& damage() const { return damage_; }

  /// What a patch needs from outside; null where the archive is none.
  const BaseTable* base_table() const { return index_->base.has_value() ? &*index_->base : nullptr; }
  /// Whether something can only be decoded with a base.
  bool needs_base() const { return needs_base_; }
  /// Says where the bytes of the base table's rows come from. Call before the reader is shared between threads.
  void set_base(std::shared_ptr<const BaseContent> base) { base_ = std::move(base); }
  const BaseContent* base() const { return base_.get(); }

  /// The extent that holds the bytes: itself, or the one a "same as" extent points to.
  const IndexExtent& Resolve(const IndexExtent& extent) const;

  /// The extent of a number, counted over all files. Precondition: there is one.
  const IndexExtent& ExtentAt(uint64_t number) const { return *extents_by_number_[static_cast<size_t>(number)]; }

  /// Reads and checks head and chunk table of an extent's record. Precondition: extent.has_record().
  Result<OpenRecord> OpenRecordOf(const IndexExtent& extent) const;

  /// Reads one chunk and checks its checksum as it is stored, decoding nothing. Thread-safe.
  Status ScrubChunk(const OpenRecord& record, uint64_t chunk_index) const;

  /// Reads and decodes one chunk into `target`, verifying its checksums as DecodeFrame does. `target.size()` must be
  /// the chunk's decoded bytes. Thread-safe with a scratch a thread.
  Status DecodeChunk(const OpenRecord& record, uint64_t chunk_index, MutableByteSpan target, CodecScratch& scratch,
                     StoredCheck stored_check = StoredCheck::kOnFailure) const;

  /// The same of a record that is a patch; `base_chunk` is what BaseRangeOf says and may begin where `target` does.
  /// Errors: also kBaseMismatch.
  Status DecodePatchChunk(const OpenRecord& record, uint64_t chunk_index, ByteSpan base_chunk, MutableByteSpan target,
                          CodecScratch& scratch, StoredCheck stored_check = StoredCheck::kOnFailure) const;

  /// Decodes bytes [begin, begin + target.size()) of an extent of any place, reading only the chunks it needs. Errors:
  /// kInvalidArgument where the range is not inside the extent; those of DecodeChunk.
  Status DecodeRange(const IndexExtent& extent, uint64_t begin, MutableByteSpan target, CodecScratch& scratch) const;

 private:
  ArchiveReader() = default;
  const ByteSource* source_ = nullptr;
  std::shared_ptr<const ArchiveIndex> index_;
  std::vector<const IndexExtent*> extents_by_number_;
  uint64_t first_index_offset_ = 0;
  uint64_t index_hash_ = 0;
  bool is_lossy_ = false;
  bool needs_base_ = false;
  std::shared_ptr<const BaseContent> base_;
  std::vector<std::string> damage_;
};

/// True where the bytes start as an archive does (8 bytes are enough).
bool LooksLikeArchive(ByteSpan first_bytes);

}  // namespace flyweight
