#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_io.h"
#include "base/temporary_files.h"
#include "flyweight/result.h"

namespace flyweight {

/// What an output is written as until it takes its name. It has one owner: its name derives from the target's, and it
/// is locked while it is open, so that a second run on the target is refused and the debris of a killed one is found,
/// taken over and in the end removed. Where the derived name is taken by something that is not debris (a link, a file
/// of another user), or the file system has no locks to tell, a random name serves.
class PartialFile {
 public:
  /// `target` is the name of the output in `directory`, which must stay open; `path` is for messages. Where `resumable`
  /// the content that a killed run left stays, and so does this file's content on destruction. Errors: kExists where
  /// another run holds it, kIo.
  static Result<std::unique_ptr<PartialFile>> Open(int directory, const std::string& target, const std::string& path,
                                                   bool resumable);
  /// Removes the file, unless it took its name or is kept.
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  int descriptor() const { return descriptor_.get(); }
  const std::string& name() const { return name_; }
  FileIdentity identity() const { return identity_; }
  /// Bytes that were there when it was opened; 0 unless resumable.
  uint64_t previous_bytes() const { return previous_bytes_; }
  /// Whether it has its name still: neither took the target's nor was removed.
  bool pending() const { return !name_.empty(); }

  /// Closes the descriptor and with it the lock; the file stays this object's to finish or remove.
  void Park() { descriptor_.Reset(); }
  /// Opens and locks a parked file again. Errors: kIo where it is gone or another file took its place, kExists.
  Status Unpark();
  /// From now on the file stays, whatever becomes of the run.
  void Keep();
  /// Puts the file under the target's name. Errors: kExists where that is taken and !overwrite, kIo.
  Status TakeName(bool overwrite);
  /// Undoes TakeName and Keep where they happened: for an output of several files of which one failed. The file goes
  /// with this object unless `stays`.
  void Retract(bool stays);
  /// Takes back what Open granted with `resumable`: drops the content, and lets the file go with this object.
  Status DropPrevious();

 private:
  enum class Attempt { kAcquired, kAgain, kElsewhere };

  PartialFile(int directory, const std::string& target, const std::string& path, bool resumable);
  Status Acquire();
  Result<Attempt> TryDerivedName();
  Result<Attempt> TakeOver(const struct stat& status);
  Result<Attempt> MakeWritable();
  Result<Attempt> Own(OwnedDescriptor descriptor, bool is_fresh);
  Status OpenRandomName();
  bool NameIsStillOurs() const;
  Error Busy() const;

  int directory_;
  std::string target_;
  std::string path_;
  std::string name_;
  OwnedDescriptor descriptor_;
  FileIdentity identity_;
  uint64_t previous_bytes_ = 0;
  size_t signal_slot_ = kNoTemporarySlot;
  bool owned_ = false;      ///< it exists and is in the table of this process
  bool resumable_ = false;  ///< keep it where it has content
  bool keep_ = false;
};

}  // namespace flyweight
