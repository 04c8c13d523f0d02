#include "container/torch_zip.h"

#include <string>
#include <unordered_map>
#include <utility>

#include "container/pickle_scan.h"
#include "container/torch_storages.h"

namespace flyweight {
namespace {

constexpr std::string_view kPickleSuffix = ".pkl";
constexpr std::string_view kMainPickle = "data";
constexpr size_t kAmbiguous = SIZE_MAX;
constexpr size_t kMaxStemBytes = 255;

/// Numbers of members by name; a name that several have is nobody's.
using MembersByName = std::unordered_map<std::string_view, size_t>;

MembersByName IndexMembers(const ZipDirectory& directory) {
  MembersByName by_name;
  for (size_t i = 0; i < directory.members.size(); i++) {
    auto [place, is_new] = by_name.try_emplace(directory.members[i].name, i);
    if (!is_new) place->second = kAmbiguous;
  }
  return by_name;
}

const ZipMember* Find(const ZipDirectory& directory, const MembersByName& by_name, const std::string& name) {
  auto found = by_name.find(name);
  return found == by_name.end() || found->second == kAmbiguous ? nullptr : &directory.members[found->second];
}

/// The content of a member. Precondition: it is small enough to be held in memory.
Result<std::vector<std::byte>> ReadMember(const ByteSource& source, const ZipMember& member) {
  std::vector<std::byte> content(static_cast<size_t>(member.size_bytes));
  FLYWEIGHT_TRY(source.ReadAt(member.data_offset, content));
  return content;
}

/// Files without a word about it are little-endian, as all machines were that wrote them.
Result<bool> IsLittleEndian(const ByteSource& source, const ZipMember* byteorder) {
  constexpr std::string_view kLittle = "little";
  if (byteorder == nullptr) return true;
  if (byteorder->size_bytes != kLittle.size()) return false;
  FLYWEIGHT_ASSIGN(std::vector<std::byte> content, ReadMember(source, *byteorder));
  return AsText(content) == kLittle;
}

/// "X" of ROOT/X.pkl; empty for other members.
std::string_view PickleStem(std::string_view member_name, std::string_view root) {
  if (!member_name.starts_with(root) || !member_name.ends_with(kPickleSuffix)) return {};
  if (member_name.size() < root.size() + 1 + kPickleSuffix.size() || member_name[root.size()] != '/') return {};
  member_name.remove_prefix(root.size() + 1);
  member_name.remove_suffix(kPickleSuffix.size());
  return member_name.find('/') == std::string_view::npos ? member_name : std::string_view();
}

/// Types the members that the pickle ROOT/STEM.pkl knows of.
Status TypeByPickle(const ByteSource& source, const ZipDirectory& directory, const MembersByName& by_name,
                    const ZipMember& pickle, std::string_view stem, std::vector<TorchStorage>& storages) {
  FLYWEIGHT_ASSIGN(std::vector<std::byte> content, ReadMember(source, pickle));
  Result<PickleTree> tree = ScanPickle(content);
  if (!tree.ok()) return Status::Ok();
  std::string folder(pickle.name.substr(0, pickle.name.size() - kPickleSuffix.size()));
  std::string name_prefix = stem == kMainPickle ? std::string() : std::string(stem) + ".";
  for (TorchStorage& storage : FindTorchStorages(tree.value(), name_prefix)) {
    const ZipMember* member = Find(directory, by_name, folder + "/" + std::string(storage.key));
    if (member == nullptr || member->size_bytes != storage.size_bytes) continue;
    storage.key = {};  // it ends with the pickle
    storages[static_cast<size_t>(member - directory.members.data())] = std::move(storage);
  }
  return Status::Ok();
}

}  // namespace

std::string_view FindTorchRoot(const ZipDirectory& directory) {
  std::string_view root;
  for (const ZipMember& member : directory.members) {
    std::string_view candidate = member.name.substr(0, member.name.find('/'));
    if (candidate.empty() || PickleStem(member.name, candidate) != kMainPickle) continue;
    if (!root.empty()) return {};
    root = candidate;
  }
  return root;
}

Result<std::vector<TorchStorage>> TypeTorchMembers(const ByteSource& source, const ZipDirectory& directory,
                                                   std::string_view root) {
  std::vector<TorchStorage> storages(directory.members.size());
  const MembersByName by_name = IndexMembers(directory);
  for (const ZipMember& member : directory.members) {
    std::string_view stem = PickleStem(member.name, root);
    if (stem.empty() || stem.size() > kMaxStemBytes || member.size_bytes > kPickleMaxBytes) continue;
    FLYWEIGHT_TRY(TypeByPickle(source, directory, by_name, member, stem, storages));
  }
  FLYWEIGHT_ASSIGN(bool little_endian,
                   IsLittleEndian(source, Find(directory, by_name, std::string(root) + "/byteorder")));
  for (TorchStorage& storage : storages) {
    if (!little_endian && Describe(storage.dtype).bits > 8) storage.dtype = DType::kOpaque;
  }
  return storages;
}

}  // namespace flyweight
