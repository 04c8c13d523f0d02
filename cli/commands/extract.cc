#include "flyweight/extract.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <span>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/tensor_file.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

/// "./a/b/" names what "a/b" names.
std::string Trimmed(std::string member) {
  while (member.starts_with("./")) member.erase(0, 2);
  return WithoutTrailingSlashes(std::move(member));
}

bool NamesFile(const ArchiveListing& listing, const std::string& member) {
  std::string wanted = Trimmed(member);
  return listing.is_tree &&
         std::ranges::any_of(listing.files, [&](const ListedFile& file) { return MatchesName(wanted, file.name); });
}

/// Numbers of the tensors that any member names, in the order of the archive; the members that name none.
struct Selection {
  std::vector<size_t> extents;
  std::vector<std::string> unknown;
};

Selection SelectTensors(const ArchiveListing& listing, const std::vector<std::string>& members) {
  Selection selection;
  std::set<size_t> chosen;
  for (const std::string& member : members) {
    size_t count_before = chosen.size();
    bool found = false;
    for (size_t number = 0; number < listing.extents.size(); ++number) {
      if (!MatchesTensor(member, listing, listing.extents[number])) continue;
      chosen.insert(number);
      found = true;
    }
    if (!found && chosen.size() == count_before) selection.unknown.push_back(member);
  }
  selection.extents.assign(chosen.begin(), chosen.end());
  return selection;
}

/// Under which name each tensor goes into a file: its own, or with its file's in front where two have the same.
std::vector<TensorEntry> EntriesOf(const ArchiveListing& listing, const std::vector<size_t>& extents) {
  std::set<std::string> names;
  for (size_t number : extents) names.insert(listing.extents[number].name);
  bool is_unique = names.size() == extents.size();
  std::vector<TensorEntry> entries;
  for (size_t number : extents) {
    const ListedTensor& tensor = listing.extents[number];
    entries.push_back({is_unique ? tensor.name : KeyOf(listing, tensor), &tensor});
  }
  return entries;
}

void Report(const std::string& file, const std::string& target, size_t tensor_count, uint64_t output_bytes,
            const Arguments& arguments, Console& console) {
  if (arguments.json) {
    console.Print(ToJsonLine(
        {{"source", file}, {"target", target}, {"tensor_count", tensor_count}, {"output_bytes", output_bytes}}));
    return;
  }
  std::string written = target == kStream ? "" : ", written to " + target;
  console.Note(DisplayName(file) + ": " + std::to_string(tensor_count) +
               (tensor_count == 1 ? " tensor, " : " tensors, ") + HumanBytes(output_bytes) + written);
}

void ExtractTensors(const std::string& file, const Archive& archive, const std::vector<size_t>& extents,
                    const std::string& target, const Arguments& arguments, Console& console) {
  std::vector<TensorEntry> entries = EntriesOf(archive.listing(), extents);
  TensorFile kind = target == kStream ? TensorFile::kBytes : TensorFileOf(target);
  Result<std::string> header = TensorFileHeader(kind, entries);
  if (!header.ok()) return console.Fail(file, header.error());
  auto output_bytes = WriteOutput<uint64_t>(file, target, arguments, console, [&](bool overwrite) {
    ProgressBar bar(console.Label(file), 1, console.wants_progress());
    ExtractOptions options;
    options.thread_count = arguments.thread_count;
    options.overwrite = overwrite;
    options.max_output_bytes = arguments.max_output_bytes.value_or(UINT64_MAX);
    options.progress = bar.Callback();
    return ExtractExtents(archive, extents, std::as_bytes(std::span(header.value())), target, options);
  });
  if (output_bytes.has_value()) Report(file, target, extents.size(), *output_bytes, arguments, console);
}

/// Where files of a tree go when nothing else is said: one file under its own name, more below a directory that is
/// named as decompress would name it.
std::optional<std::string> FilesTarget(const std::string& file, const ArchiveListing& listing,
                                       const Arguments& arguments, Console& console) {
  if (arguments.members.empty() && arguments.output.has_value()) return arguments.output;
  std::string only = arguments.members.size() == 1 ? Trimmed(arguments.members.front()) : "";
  bool is_file = std::ranges::any_of(listing.files, [&](const ListedFile& candidate) {
    return candidate.name == only && candidate.entry.kind == EntryKind::kFile;
  });
  if (arguments.to_stdout) return std::string(kStream);
  if (arguments.output.has_value()) {
    bool goes_below = is_file && *arguments.output != kStream && NamesDirectory(*arguments.output);
    return goes_below ? Join(*arguments.output, BaseNameOf(only)) : WithoutTrailingSlashes(*arguments.output);
  }
  if (is_file) return BaseNameOf(only);
  if (HasSuffix(file)) return WithoutSuffix(file);
  console.Warn(file, std::string("has not the suffix ") + kSuffix + "; name the output with -o");
  return std::nullopt;
}

std::optional<std::string> TensorsTarget(const std::string& file, const Arguments& arguments, Console& console) {
  if (arguments.to_stdout) return std::string(kStream);
  if (arguments.output.has_value() && (*arguments.output == kStream || !NamesDirectory(*arguments.output))) {
    return arguments.output;
  }
  console.Warn(file, "name a file for the tensors with -o: .safetensors, .npy, or another for plain bytes; or use -c");
  return std::nullopt;
}

}  // namespace

void RunExtract(const std::string& file, const Arguments& arguments, Console& console) {
  if (RefuseDirectory(file, console)) return;
  Result<Archive> archive = Archive::OpenPath(file, arguments.bases);
  if (!archive.ok()) return console.Fail(file, archive.error());
  const ArchiveListing& listing = archive.value().listing();
  bool are_files = std::ranges::all_of(arguments.members, [&](const std::string& m) { return NamesFile(listing, m); });
  if (are_files) {
    std::optional<std::string> target = FilesTarget(file, listing, arguments, console);
    if (target.has_value()) RestoreMembers(file, *target, arguments.members, arguments, console);
    return;
  }
  if (arguments.salvage) return console.Fail(file, "--salvage restores files; name files, or nothing for all");
  Selection selection = SelectTensors(listing, arguments.members);
  if (!selection.unknown.empty()) {
    bool is_file = NamesFile(listing, selection.unknown.front());
    return console.Fail(file, is_file ? "files and tensors cannot be taken out together; name one kind at a time"
                                      : "holds no '" + selection.unknown.front() + "'; flyweight list -v names all");
  }
  std::optional<std::string> target = TensorsTarget(file, arguments, console);
  if (target.has_value()) ExtractTensors(file, archive.value(), selection.extents, *target, arguments, console);
}

}  // namespace flyweight::cli
