#include <fcntl.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "tree/walk.h"

namespace flyweight {
namespace {

Error Unusable(const std::string& given, const std::string& why) {
  return {ErrorCode::kInvalidArgument, 0, "'" + given + "' " + why};
}

std::string WithoutEndSlashes(const std::string& path) {
  size_t end = path.find_last_not_of('/');
  return end == std::string::npos ? path.substr(0, 1) : path.substr(0, end + 1);
}

Result<std::string> RealPath(const std::string& path) {
  std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr), std::free);
  if (real == nullptr) return SystemError(Cannot("read", path), errno);
  return std::string(real.get());
}

std::string Join(const std::string& directory, std::string_view rest) {
  std::string joined = directory;
  if (!joined.empty() && joined.back() != '/') joined += '/';
  return joined.append(rest);
}

// What is missing was there when it was walked.
Error CannotHold(const std::string& disk_path) {
  if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) {
    return {ErrorCode::kSourceChanged, 0, "'" + disk_path + "' was moved, deleted or replaced while it was read"};
  }
  return SystemError(Cannot("open", disk_path), errno);
}

}  // namespace

Result<TreeRoots> TreeRoots::Open(const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    if (input.empty()) return Unusable(input, "is no name of a file");
    if (input.find('\0') != std::string::npos) return Unusable(input, "contains a NUL byte");
  }
  if (inputs.empty()) return Error{ErrorCode::kInvalidArgument, 0, "there is nothing to read: no input was named"};
  TreeRoots roots;
  if (inputs.size() == 1) {
    roots.root_ = OpenAt(AT_FDCWD, inputs[0].c_str(), O_PATH | O_DIRECTORY);
    roots.root_path_ = WithoutEndSlashes(inputs[0]);
    if (roots.root_.valid()) return roots;
    if (errno != ENOTDIR && errno != ENOENT && errno != ELOOP) return SystemError(Cannot("open", inputs[0]), errno);
  }
  FLYWEIGHT_TRY(roots.AddInputs(inputs));
  return roots;
}

Result<TreeRoots::Input> TreeRoots::MakeInput(const std::string& given) {
  std::string path = WithoutEndSlashes(given);
  std::string name(BaseName(path));
  std::string shown_name = name;
  // A slash at the end or dots ask for the directory that this is, not for the link that may stand there.
  if (given.back() == '/' || name == "." || name == "..") {
    FLYWEIGHT_ASSIGN(path, RealPath(given));
    if (name == "." || name == "..") shown_name = std::string(BaseName(path));
    name = std::string(BaseName(path));
  }
  if (name.empty() || shown_name.empty()) {
    return Unusable(given, "has no name of its own to stand under; compress it as the only input");
  }
  Input input{std::move(shown_name), ".", std::move(name)};
  if (size_t slash = path.rfind('/'); slash != std::string::npos) input.directory = path.substr(0, slash + 1);
  struct stat status;
  OwnedDescriptor holder = OpenAt(AT_FDCWD, input.directory.c_str(), O_PATH | O_DIRECTORY);
  if (!holder.valid() || !StatName(holder.get(), input.disk_name, status)) {
    return SystemError(Cannot("read", given), errno);
  }
  return input;
}

Status TreeRoots::AddInputs(const std::vector<std::string>& inputs) {
  for (const std::string& given : inputs) {
    FLYWEIGHT_ASSIGN(Input input, MakeInput(given));
    inputs_.push_back(std::move(input));
  }
  std::ranges::sort(inputs_, {}, &Input::name);
  auto twice = std::ranges::adjacent_find(inputs_, {}, &Input::name);
  if (twice == inputs_.end()) return Status::Ok();
  return Error{ErrorCode::kInvalidArgument, 0,
               "'" + Join(twice[0].directory, twice[0].disk_name) + "' and '" +
                   Join(twice[1].directory, twice[1].disk_name) + "' would both be '" + twice->name +
                   "' in the archive; compress them apart, or the directory that holds both"};
}

const TreeRoots::Input* TreeRoots::Find(std::string_view name) const {
  auto found =
      std::ranges::lower_bound(inputs_, name, {}, [](const Input& input) { return std::string_view(input.name); });
  return found == inputs_.end() || found->name != name ? nullptr : &*found;
}

std::vector<std::string> TreeRoots::names() const {
  std::vector<std::string> names;
  for (const Input& input : inputs_) names.push_back(input.name);
  return names;
}

std::string TreeRoots::DiskPath(std::string_view entry_path) const {
  if (is_single_directory()) return entry_path.empty() ? root_path_ : Join(root_path_, entry_path);
  std::string_view first = entry_path.substr(0, entry_path.find('/'));
  const Input* input = Find(first);
  if (input == nullptr) return std::string(entry_path);
  std::string on_disk = input->directory == "." ? input->disk_name : Join(input->directory, input->disk_name);
  return on_disk.append(entry_path.substr(first.size()));
}

Result<HeldName> TreeRoots::HoldName(std::string_view entry_path) const {
  if (entry_path.empty()) return Error{ErrorCode::kInvalidArgument, 0, "the root of a tree stands in no directory"};
  constexpr int kPathHandle = O_PATH | O_DIRECTORY;
  std::string_view parent = ParentPath(entry_path);
  std::string_view first = entry_path.substr(0, entry_path.find('/'));
  const Input* input = is_single_directory() ? nullptr : Find(first);
  if (input == nullptr && !is_single_directory()) {
    return Error{ErrorCode::kInvalidArgument, 0, "'" + std::string(entry_path) + "' is below none of the inputs"};
  }
  auto open_start = [&](size_t& path_bytes) {
    if (input == nullptr) return OpenAt(root_.get(), ".", kPathHandle);
    path_bytes = first.size();
    OwnedDescriptor directory = OpenAt(AT_FDCWD, input->directory.c_str(), kPathHandle);
    if (!directory.valid() || parent.empty()) return directory;
    return OpenBeneath(directory.get(), input->disk_name, kPathHandle);
  };
  HeldName held;
  held.name = input != nullptr && parent.empty() ? input->disk_name : std::string(BaseName(entry_path));
  if (input != nullptr && parent.empty()) {
    // Every input may lie elsewhere, so "" names no directory that could be remembered.
    size_t ignored = 0;
    held.holder = std::make_shared<OwnedDescriptor>(open_start(ignored));
    if (!held.holder->valid()) held.holder.reset();
  } else {
    held.holder = cache_->Open(parent, open_start);
  }
  if (held.holder == nullptr) return CannotHold(DiskPath(entry_path));
  return held;
}

}  // namespace flyweight
