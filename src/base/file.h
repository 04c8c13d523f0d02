#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace flyweight {

/// Bytes that can be read at any offset, by several threads at once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  /// Fills `target` from `offset`. Errors: kTruncated past the end, kIo, kSourceChanged.
  virtual Status ReadAt(uint64_t offset, MutableByteSpan target) const = 0;
  /// The whole content where it is in memory already, else an empty span; lets callers skip a copy.
  virtual ByteSpan InMemory() const { return {}; }
};

/// A span as a source. The span must outlive it.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteSpan bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override;
  ByteSpan InMemory() const override { return bytes_; }

 private:
  ByteSpan bytes_;
};

/// Identity and attributes of a file when it was opened; equal before and after a run means the source did not change.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size_bytes = 0;
  int64_t modified_ns = 0;
  uint32_t mode = 0;
  bool operator==(const FileStamp&) const = default;
};

/// A regular file opened for parallel pread.
class FileSource final : public ByteSource {
 public:
  /// Errors: kIo (missing, unreadable), kInvalidArgument (directory, device, pipe, socket).
  static Result<std::unique_ptr<FileSource>> Open(const std::string& path);
  /// The same of a descriptor that is open for reading, which it takes over, also when it fails. `path` is for messages
  /// and for CheckUnchanged.
  static Result<std::unique_ptr<FileSource>> Adopt(int descriptor, const std::string& path);
  ~FileSource() override;
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  uint64_t size() const override { return stamp_.size_bytes; }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override;
  const FileStamp& stamp() const { return stamp_; }
  const std::string& path() const { return path_; }
  /// kSourceChanged if size, mtime or identity differ from those at Open.
  Status CheckUnchanged() const;

 private:
  FileSource(int descriptor, FileStamp stamp, std::string path);
  int descriptor_;
  FileStamp stamp_;
  std::string path_;
};

/// Copies everything readable from a pipe or terminal (descriptor, not closed) into an unnamed temporary file in
/// `directory` (empty = TMPDIR or /tmp) and opens that. Memory stays bounded. Errors: kIo.
Result<std::unique_ptr<ByteSource>> SpoolDescriptor(int descriptor, const std::string& directory);

/// Where output goes: appended front to back. Not thread-safe.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status Append(ByteSpan bytes) = 0;
};

/// Collects output in memory.
class MemorySink final : public ByteSink {
 public:
  Status Append(ByteSpan bytes) override;
  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Writes to an open descriptor such as standard output; does not close it.
class DescriptorSink final : public ByteSink {
 public:
  DescriptorSink(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  Status Append(ByteSpan bytes) override;

 private:
  int descriptor_;
  std::string name_;
};

/// Output that appears under its name complete or not at all: written under other names, then Sync, ReadBack to verify
/// it, Commit. Destroyed before Commit, it takes back what it wrote. Implemented by AtomicFile and PartsFile.
class OutputFile : public ByteSink {
 public:
  /// What an interrupted run left of this output; empty where there is nothing, or resuming was not asked for. Nothing
  /// in it can be trusted. What this run writes takes its place, so a range may hold new bytes by the time it is read.
  virtual const ByteSource& PreviousBytes() const = 0;
  /// Flushes what was written to stable storage, so that reading it back reads what a crash would leave. Errors: kIo.
  virtual Status Sync() = 0;
  /// A source over what was written so far. Precondition: this output outlives it. Errors: kIo.
  virtual Result<std::unique_ptr<ByteSource>> ReadBack() const = 0;
  /// Gives the finished output the permission bits of `mode` and the modification time, puts it under its name and
  /// makes that durable. Errors: kExists (something took the name since Create), kIo.
  virtual Status Commit(uint32_t mode, int64_t modified_ns) = 0;
  /// The name that it will have.
  virtual const std::string& path() const = 0;
};

struct AtomicOptions {
  bool overwrite = false;
  bool resumable = false;  ///< keep what was written where the run fails or is killed, and offer it to the next run
};

class PartialFile;

/// A file that appears under its name complete or not at all: written as a partial file (mode 0600, locked) in the
/// target's directory, then fsync, rename, fsync of the directory. The partial file's name derives from the target's,
/// so that two runs never write one target at a time, and a run takes over what a killed one left. Destroyed before
/// Commit, it removes the partial file unless it is resumable; a signal handler that calls RemoveTemporaryFiles() does
/// the same. A symbolic link under the name counts as existing; overwriting replaces the link and leaves what it points
/// to alone.
class AtomicFile final : public OutputFile {
 public:
  /// Errors: kExists (target exists and !overwrite, which is checked again at Commit without a race; another run is
  /// writing it now), kIo, kInvalidArgument (target is a directory or a special file).
  static Result<std::unique_ptr<AtomicFile>> Create(const std::string& path, const AtomicOptions& options);
  static Result<std::unique_ptr<AtomicFile>> Create(const std::string& path, bool overwrite) {
    return Create(path, AtomicOptions{.overwrite = overwrite});
  }
  ~AtomicFile() override;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  Status Append(ByteSpan bytes) override;
  /// Writes at any offset; safe from several threads. Do not mix with Append.
  Status WriteAt(uint64_t offset, ByteSpan bytes);
  /// Takes previous bytes as if WriteAt had written them again; for a range that was read and found right.
  void KeepPrevious(uint64_t offset, uint64_t size_bytes);
  /// Reserves disk space where the file system can, so that a full disk is an error now and not at the end. Errors: kIo
  /// (ENOSPC).
  Status Reserve(uint64_t size_bytes);
  const ByteSource& PreviousBytes() const override { return *previous_; }
  Status Sync() override;
  Result<std::unique_ptr<ByteSource>> ReadBack() const override;
  Status Commit(uint32_t mode, int64_t modified_ns) override;
  const std::string& path() const override { return path_; }

 private:
  AtomicFile() = default;
  Status DropUnwritten();
  void RaiseEnd(uint64_t end_offset);

  int directory_ = -1;  // names are resolved in it, so that neither chdir nor a renamed directory leads astray
  std::string path_;
  std::string name_;
  std::unique_ptr<PartialFile> partial_;
  std::unique_ptr<ByteSource> previous_;
  uint64_t appended_bytes_ = 0;
  std::atomic<uint64_t> end_offset_{0};  // of the furthest byte written or kept
  bool reserved_ = false;
  bool overwrite_ = false;
};

/// The name of the partial file that an output named `name` (without directory) is written as: ".NAME" and a suffix, or
/// a hash of the name where that would be too long.
std::string PartialNameOf(const std::string& name);

/// Unlinks every partial file that is being written and is not resumable. Async-signal-safe.
void RemoveTemporaryFiles() noexcept;

}  // namespace flyweight
