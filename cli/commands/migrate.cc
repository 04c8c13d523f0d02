#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/scratch_directory.h"
#include "cli/text.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {
namespace {

constexpr const char* kOldSuffix = ".old";

bool SameFile(const ListedFile& a, const ListedFile& b) {
  // Reading a file changes when it was last read: that time is none of its content.
  return a.name == b.name && a.entry.kind == b.entry.kind && a.entry.mode == b.entry.mode &&
         a.entry.modified == b.entry.modified && a.link_target == b.link_target && a.file_bytes == b.file_bytes &&
         a.sha256_hex == b.sha256_hex;
}

bool SameTensor(const ListedTensor& a, const ListedTensor& b) {
  return a.file == b.file && a.name == b.name && a.dtype == b.dtype && a.shape == b.shape &&
         a.decoded_bytes == b.decoded_bytes;
}

std::vector<const ListedTensor*> TensorsOf(const ArchiveListing& listing) {
  std::vector<const ListedTensor*> tensors;
  for (const ListedTensor& extent : listing.extents) {
    if (extent.is_tensor) tensors.push_back(&extent);
  }
  return tensors;
}

/// Whether a new archive holds the files of the old one, and every tensor that the old one knew.
bool HoldsTheSame(const ArchiveListing& old_listing, const ArchiveListing& new_listing) {
  if (old_listing.is_tree != new_listing.is_tree || old_listing.files.size() != new_listing.files.size()) return false;
  for (size_t i = 0; i < old_listing.files.size(); ++i) {
    if (!SameFile(old_listing.files[i], new_listing.files[i])) return false;
  }
  // A newer parser may find more tensors; each old one has to be there still, in order.
  std::vector<const ListedTensor*> found = TensorsOf(new_listing);
  size_t at = 0;
  for (const ListedTensor* tensor : TensorsOf(old_listing)) {
    while (at < found.size() && !SameTensor(*tensor, *found[at])) ++at;
    if (at++ >= found.size()) return false;
  }
  return true;
}

Error SystemError(const std::string& what) { return {ErrorCode::kIo, 0, what + ": " + std::strerror(errno)}; }

/// Puts the new archive in the old one's place; with `keep` the old one stays under a name of its own.
Status Replace(const std::string& replacement, const std::string& archive, bool keep) {
  std::string old_name = archive + kOldSuffix;
  if (keep && link(archive.c_str(), old_name.c_str()) != 0) return SystemError("cannot keep it as '" + old_name + "'");
  if (rename(replacement.c_str(), archive.c_str()) == 0) return Status::Ok();
  return SystemError("cannot replace it");
}

class Migration {
 public:
  Migration(const std::string& file, const Arguments& arguments, Console& console)
      : file_(file), arguments_(arguments), console_(console) {}

  /// Returns the archive's new size, or its old one where it stays. Errors: those of the library; kInternal where what
  /// was encoded anew differs.
  Result<uint64_t> Run(const ArchiveListing& old_listing) {
    const ListedFile* only = old_listing.is_tree || old_listing.files.empty() ? nullptr : &old_listing.files.front();
    if (!old_listing.is_tree && (only == nullptr || only->name.empty())) {
      return Error{ErrorCode::kInvalidArgument, 0, "its file has no name; decompress it and compress it anew"};
    }
    FLYWEIGHT_ASSIGN(ScratchDirectory scratch, ScratchDirectory::MakeBeside(file_));
    std::string content = Join(scratch.path(), only == nullptr ? "tree" : only->name);
    std::string replacement = Join(scratch.path(), only == nullptr || only->name != "new" ? "new" : "newer");
    FLYWEIGHT_TRY(Restore(content));
    FLYWEIGHT_TRY(CompressAnew(content, replacement));
    FLYWEIGHT_ASSIGN(ArchiveListing new_listing, ListArchive(replacement));
    if (!HoldsTheSame(old_listing, new_listing)) {
      return Error{ErrorCode::kInternal, 0, "encoded anew it would not hold the same; it was left as it is"};
    }
    if (new_listing.archive_bytes >= old_listing.archive_bytes) return old_listing.archive_bytes;
    FLYWEIGHT_TRY(Replace(replacement, file_, arguments_.keep));
    return new_listing.archive_bytes;
  }

 private:
  Status Restore(const std::string& content) {
    ProgressBar bar(console_.Label(file_), 1, console_.wants_progress());
    DecompressOptions options;
    options.thread_count = arguments_.thread_count;
    options.progress = bar.Callback();
    options.notice = TellNotices(file_, bar, console_);
    auto restored = DecompressFile(file_, content, options);
    return restored.ok() ? Status::Ok() : Status(restored.take_error());
  }

  Status CompressAnew(const std::string& content, const std::string& replacement) {
    ProgressBar bar(console_.Label(file_), 2, console_.wants_progress());
    CompressOptions options;
    options.thread_count = arguments_.thread_count;
    options.level = arguments_.level;
    options.recovery_permille = arguments_.recovery_permille;
    options.progress = bar.Callback();
    options.notice = TellNotices(file_, bar, console_);
    auto compressed = Compress({content}, replacement, options);
    return compressed.ok() ? Status::Ok() : Status(compressed.take_error());
  }

  const std::string& file_;
  const Arguments& arguments_;
  Console& console_;
};

/// Whether the name is that of an archive in one file, which can be replaced.
bool IsReplaceable(const std::string& file, Console& console) {
  struct stat status;
  bool is_there = lstat(file.c_str(), &status) == 0;
  if (is_there && !S_ISREG(status.st_mode)) {
    console.Fail(file, "is no regular file of its own; name the archive itself");
    return false;
  }
  Result<bool> is_archive = IsArchive(file);
  if (!is_there || (is_archive.ok() && is_archive.value())) return true;
  console.Fail(file, HasSuffix(file) && !file.ends_with(kSuffix)
                         ? "is a part; decompress the archive and compress it anew"
                         : "not a flyweight archive");
  return false;
}

/// Whether encoding anew would lose nothing that the archive has beside its content.
bool KeepsEverything(const std::string& file, const ArchiveListing& listing, const Arguments& arguments,
                     Console& console) {
  if (listing.base.has_value()) {
    console.Warn(file, "is a patch, which migrate leaves as it is; flyweight rebase makes it anew");
    return false;
  }
  if (listing.is_lossy || listing.is_stripped) {
    console.Warn(file, "is lossy or stripped, which a new archive would not tell; left as it is");
    return false;
  }
  VerifyOptions options;
  options.thread_count = arguments.thread_count;
  options.mode = VerifyMode::kFast;
  Result<VerifySummary> summary = VerifyFile(file, options);
  if (!summary.ok()) {
    console.Fail(file, summary.error());
    return false;
  }
  if (!summary.value().has_parity || arguments.recovery_permille != 0) return true;
  console.Warn(file, "has parity; say with --recovery N% how much the new archive shall have");
  return false;
}

}  // namespace

void RunMigrate(const std::string& file, const Arguments& arguments, Console& console) {
  if (RefuseDirectory(file, console) || !IsReplaceable(file, console)) return;
  std::string old_name = file + kOldSuffix;
  if (arguments.keep && Exists(old_name)) return console.Fail(old_name, "is there already, and -k needs the name");
  std::optional<ArchiveListing> listing = ReadListing(file, console);
  if (!listing.has_value() || !KeepsEverything(file, *listing, arguments, console)) return;
  if (arguments.dry_run && arguments.json) {
    return console.Print(ToJsonLine({{"source", file}, {"target", file}, {"dry_run", true}}));
  }
  if (arguments.dry_run) return console.Print(EscapeForTerminal(file) + " -> " + EscapeForTerminal(file));
  Result<uint64_t> new_bytes = Migration(file, arguments, console).Run(*listing);
  if (!new_bytes.ok()) return console.Fail(file, new_bytes.error());
  bool is_replaced = new_bytes.value() != listing->archive_bytes;
  if (arguments.json) {
    console.Print(ToJsonLine({{"path", file},
                              {"old_bytes", listing->archive_bytes},
                              {"archive_bytes", new_bytes.value()},
                              {"is_replaced", is_replaced}}));
    return;
  }
  console.Note(file + ": " +
               (is_replaced ? HumanBytes(listing->archive_bytes) + " to " + HumanBytes(new_bytes.value())
                            : "not smaller when encoded anew; left as it is"));
}

}  // namespace flyweight::cli
