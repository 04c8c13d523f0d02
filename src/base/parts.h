#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/file_io.h"
#include "base/hash.h"
#include "base/parts_format.h"

namespace flyweight {

struct PartsOptions {
  bool overwrite = false;
  bool resumable = false;
  uint64_t part_bytes = 0;  ///< of each file but the last, header included; at least kPartMinBytes
};

/// An output in files NAME.001, NAME.002, ... of at most a given size. They are written as partial files; Commit
/// renames them, the first one last, so that no kill leaves what looks whole. Overwriting an archive in more parts
/// removes those left over, but no file that is not a part. At most three files are open at a time.
class PartsFile final : public OutputFile {
 public:
  /// `path` is NAME, without a number. Errors: kInvalidArgument (part_bytes too small), and those of AtomicFile::Create
  /// for the parts: kExists, also where a part of an interrupted Commit cannot be taken back.
  static Result<std::unique_ptr<PartsFile>> Create(const std::string& path, const PartsOptions& options);
  ~PartsFile() override;
  PartsFile(const PartsFile&) = delete;
  PartsFile& operator=(const PartsFile&) = delete;

  /// Errors: kIo, kExists (the next part's name is taken), kLimitExceeded (too many parts).
  Status Append(ByteSpan bytes) override;
  const ByteSource& PreviousBytes() const override { return *previous_; }
  /// Ends the output: nothing may be appended after.
  Status Sync() override;
  Result<std::unique_ptr<ByteSource>> ReadBack() const override;
  /// Where this fails while files are replaced, those not yet in place stay as partial files, which the next run that
  /// overwrites takes over: of old and new archive neither may be whole then.
  Status Commit(uint32_t mode, int64_t modified_ns) override;
  const std::string& path() const override { return path_; }

  uint32_t part_count() const { return static_cast<uint32_t>(parts_.size()); }

 private:
  struct Part {
    std::unique_ptr<PartialFile> file;
    uint64_t payload_bytes = 0;
    uint64_t payload_xxh3 = 0;
  };

  PartsFile() = default;
  std::string PathOf(uint32_t number) const { return PartName(path_, number); }
  std::string NameOf(uint32_t number) const { return PartName(name_, number); }
  Status AddPart();
  Status TakeBackInterruptedCommit();
  void OpenPrevious();
  Status FinishPart();
  Status WriteHeaders(uint32_t mode, int64_t modified_ns);
  Status TakeNames();
  void RemoveLeftovers();
  Status RemoveOldParts();

  int directory_ = -1;
  std::string path_;
  std::string name_;
  PartsOptions options_;
  std::vector<Part> parts_;
  std::vector<uint32_t> leftovers_;  // numbers of partial files that earlier runs left, ascending
  std::unique_ptr<ByteSource> previous_;
  Xxh3Stream payload_hash_;
  bool part_open_ = false;
  bool ended_ = false;
  bool committed_ = false;
};

/// An archive in parts, read as one. Reading is safe from several threads.
class PartsSource final : public ByteSource {
 public:
  /// The name without number of the archive that `path` means: where it is a part, or where it does not exist but
  /// `path`.001 (or another of the first three) is one. Nothing where it is any other file. Errors: kIo,
  /// kInvalidArgument (a part whose name has no number).
  static Result<std::optional<std::string>> FindBase(const std::string& path);

  /// Opens all parts, given the name of one or the name without number, and checks their headers and sizes. Each error
  /// names the part at fault. Errors: kIo (missing), kTruncated (cut), kChecksumMismatch (damaged header), kCorrupt
  /// (exchanged, of another archive, not a part), kUnsupportedVersion, kUnsupportedFeature, kLimitExceeded.
  static Result<std::unique_ptr<PartsSource>> Open(const std::string& path);

  uint64_t size() const override { return size_bytes_; }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override;

  /// Reads everything and compares each part's payload with the checksum in its header, then the checksums with the
  /// identity of the archive. Names the first part that is damaged. `report` is called with the bytes done. Errors:
  /// kChecksumMismatch, kSourceChanged, kIo.
  Status VerifyParts(const std::function<void(uint64_t)>& report) const;
  /// kSourceChanged where a part changed since Open.
  Status CheckUnchanged() const;

  uint32_t part_count() const { return static_cast<uint32_t>(parts_.size()); }
  /// Of part `number`, counted from 1.
  const FileStamp& stamp(uint32_t number) const { return parts_[number - 1].stamp; }
  const std::string& part_path(uint32_t number) const { return parts_[number - 1].path; }
  /// NAME, without a number.
  const std::string& path() const { return path_; }

 private:
  struct Part {
    std::string path;
    FileStamp stamp;
    PartHeader header;
    std::shared_ptr<const FileSource> file;  // null where too many are open: then opened for each read
  };

  PartsSource() = default;
  Status AddPart(uint32_t number);
  static Result<std::shared_ptr<const FileSource>> FileOf(const Part& part);

  std::string path_;
  uint64_t size_bytes_ = 0;
  std::vector<Part> parts_;
};

}  // namespace flyweight
