#include "strip/zip_edit.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "container/zip_directory.h"
#include "strip/crc32.h"
#include "strip/formats.h"

namespace flyweight {
namespace {

constexpr uint16_t kPaddingExtraId = 0x4246;  // "FB"
constexpr uint16_t kZip64ExtraId = 1;
constexpr uint64_t kMaxAlignment = 16384;
constexpr uint64_t kMaxEndBytes = uint64_t{1} << 20;
constexpr uint32_t kEnd64Magic = 0x06064B50;
constexpr uint64_t kEnd64MinBytes = 56;
constexpr uint64_t kLocatorBytes = 20;
constexpr uint16_t kSaturated16 = 0xFFFF;
constexpr uint32_t kSaturated = static_cast<uint32_t>(kZipSaturated32);

/// Where the body of an extra field lies in `extra`.
struct ExtraField {
  size_t offset = 0;
  size_t size_bytes = 0;
};

/// The first extra field of that kind. Nothing where there is none before the fields are malformed.
std::optional<ExtraField> FindExtra(ByteSpan extra, uint16_t wanted_id) {
  size_t at = 0;
  while (extra.size() - at >= 4) {
    const uint16_t id = LoadLe<uint16_t>(extra.data() + at);
    const size_t size_bytes = LoadLe<uint16_t>(extra.data() + at + 2);
    at += 4;
    if (size_bytes > extra.size() - at) return std::nullopt;
    if (id == wanted_id) return ExtraField{at, size_bytes};
    at += size_bytes;
  }
  return std::nullopt;
}

/// The fields of a central row that may stand in its zip64 extra field, in that order.
class WideFields {
 public:
  explicit WideFields(MutableByteSpan row) : row_(row) {
    const size_t name_bytes = LoadLe<uint16_t>(row.data() + 28);
    extra_offset_ = static_cast<size_t>(kZipCentralEntryBytes) + name_bytes;
    ByteSpan extra = ByteSpan(row).subspan(extra_offset_, LoadLe<uint16_t>(row.data() + 30));
    field_ = FindExtra(extra, kZip64ExtraId);
  }

  /// Sets the next of plain bytes, stored bytes, header offset, where its 32-bit field is at `at`. False where it does
  /// not fit.
  bool Set(size_t at, uint64_t value) {
    if (LoadLe<uint32_t>(row_.data() + at) != kSaturated) {
      if (value >= kSaturated) return false;
      StoreLe(row_.data() + at, static_cast<uint32_t>(value));
      return true;
    }
    if (!field_.has_value() || field_->size_bytes - used_bytes_ < sizeof value) return false;
    StoreLe(row_.data() + extra_offset_ + field_->offset + used_bytes_, value);
    used_bytes_ += sizeof value;
    return true;
  }
  /// Passes over one that stays.
  void Skip(size_t at) {
    if (LoadLe<uint32_t>(row_.data() + at) == kSaturated) used_bytes_ += sizeof(uint64_t);
  }

 private:
  MutableByteSpan row_;
  size_t extra_offset_;
  std::optional<ExtraField> field_;
  size_t used_bytes_ = 0;
};

size_t RowBytes(const std::byte* row) {
  return static_cast<size_t>(kZipCentralEntryBytes) + LoadLe<uint16_t>(row + 28) + LoadLe<uint16_t>(row + 30) +
         LoadLe<uint16_t>(row + 32);
}

void StoreUnlessSaturated(std::byte* at, uint64_t value) {
  if (LoadLe<uint32_t>(at) != kSaturated) StoreLe(at, static_cast<uint32_t>(value));
}

Result<std::optional<ZipDirectory>> ReadDirectory(const ByteSource& source) {
  std::vector<std::byte> first_bytes(static_cast<size_t>(std::min(source.size(), kZipLocalHeaderBytes)));
  FLYWEIGHT_TRY(source.ReadAt(0, first_bytes));
  return ReadZipDirectory(source, first_bytes);
}

}  // namespace

Result<ZipEdit> ZipEdit::Open(const ByteSource& source) {
  ZipEdit edit(source);
  FLYWEIGHT_ASSIGN(std::optional<ZipEnd> end, ReadZipEnd(source));
  if (!end.has_value()) return CannotStrip("it is not a sound zip file");
  edit.end_ = *end;
  edit.central_.resize(static_cast<size_t>(end->directory_bytes));
  FLYWEIGHT_TRY(source.ReadAt(end->directory_offset, edit.central_));
  auto entries = ParseZipCentralEntries(edit.central_, end->entry_count);
  if (!entries.has_value()) return CannotStrip("its directory is malformed");
  std::ranges::sort(*entries, {}, &ZipCentralEntry::header_offset);
  for (const ZipCentralEntry& entry : *entries) {
    const std::byte* row = AsBytes(entry.name).data() - kZipCentralEntryBytes;
    edit.members_.push_back({.entry = entry, .row = {row, RowBytes(row)}, .new_content = {}});
  }
  for (size_t i = 0; i < edit.members_.size(); i++) {
    edit.members_[i].end_offset =
        i + 1 < edit.members_.size() ? edit.members_[i + 1].entry.header_offset : end->directory_offset;
  }
  return edit;
}

Result<ZipEdit::LocalHeader> ZipEdit::ReadLocal(const ZipEditMember& member) const {
  const ZipCentralEntry& entry = member.entry;
  FLYWEIGHT_ASSIGN(std::optional<ZipLocalHeader> header,
                   ReadZipLocalHeader(source_, entry.header_offset, entry.name.size()));
  const Error malformed = CannotStrip("the header of its member '" + std::string(entry.name) + "' is malformed");
  if (!header.has_value() || header->header_bytes > member.end_offset - entry.header_offset) return malformed;
  LocalHeader local;
  local.name_bytes = entry.name.size();
  local.bytes.resize(static_cast<size_t>(header->header_bytes));
  FLYWEIGHT_TRY(source_.ReadAt(entry.header_offset, local.bytes));
  const size_t extra_offset = static_cast<size_t>(kZipLocalHeaderBytes) + local.name_bytes;
  if (auto pad = FindExtra(ByteSpan(local.bytes).subspan(extra_offset), kPaddingExtraId)) {
    local.pad_offset = extra_offset + pad->offset;
    local.pad_bytes = pad->size_bytes;
  }
  return local;
}

/// What padding was made for: the content of all padded members is aligned so.
Status ZipEdit::FindAlignment() {
  uint64_t places = kMaxAlignment;
  bool any = false;
  for (const ZipEditMember& member : members_) {
    FLYWEIGHT_ASSIGN(LocalHeader local, ReadLocal(member));
    if (!local.pad_offset.has_value()) continue;
    any = true;
    places |= member.entry.header_offset + local.bytes.size();
  }
  alignment_ = any ? places & (~places + 1) : 1;
  return Status::Ok();
}

/// Gives the padding the size that aligns the content where it will lie.
Status ZipEdit::Pad(LocalHeader& local) const {
  if (!local.pad_offset.has_value()) return Status::Ok();
  const auto at = static_cast<std::ptrdiff_t>(*local.pad_offset);
  local.bytes.erase(local.bytes.begin() + at, local.bytes.begin() + at + static_cast<std::ptrdiff_t>(local.pad_bytes));
  const uint64_t unpadded_end = edits_.size() + local.bytes.size();
  const size_t pad_bytes = static_cast<size_t>((alignment_ - unpadded_end % alignment_) % alignment_);
  local.bytes.insert(local.bytes.begin() + at, pad_bytes, std::byte{'Z'});
  const size_t extra_bytes = local.bytes.size() - static_cast<size_t>(kZipLocalHeaderBytes) - local.name_bytes;
  if (extra_bytes > UINT16_MAX) return CannotStrip("its members have too much padding");
  StoreLe(local.bytes.data() + *local.pad_offset - 2, static_cast<uint16_t>(pad_bytes));
  StoreLe(local.bytes.data() + 28, static_cast<uint16_t>(extra_bytes));
  return Status::Ok();
}

Status ZipEdit::AppendMember(const ZipEditMember& member) {
  FLYWEIGHT_ASSIGN(LocalHeader local, ReadLocal(member));
  const uint64_t content_offset = member.entry.header_offset + local.bytes.size();
  const uint64_t new_offset = edits_.size();
  FLYWEIGHT_TRY(Pad(local));
  if (!member.new_content.has_value()) {
    edits_.Insert(std::move(local.bytes));
    edits_.Keep(content_offset, member.end_offset - content_offset);
    return AppendRow(member, new_offset, nullptr);
  }
  // Sizes stand in the header, so that no data descriptor is needed.
  const std::vector<std::byte>& content = *member.new_content;
  if (content.size() >= kSaturated) return CannotStrip("its pickle is too large");
  std::byte* header = local.bytes.data();
  StoreLe(header + 6, static_cast<uint16_t>(LoadLe<uint16_t>(header + 6) & ~kZipFlagDataDescriptor));
  StoreLe(header + 14, Crc32(content));
  StoreLe(header + 18, static_cast<uint32_t>(content.size()));
  StoreLe(header + 22, static_cast<uint32_t>(content.size()));
  const size_t extra_offset = static_cast<size_t>(kZipLocalHeaderBytes) + local.name_bytes;
  auto wide = FindExtra(ByteSpan(local.bytes).subspan(extra_offset), kZip64ExtraId);
  if (wide.has_value() && wide->size_bytes >= 2 * sizeof(uint64_t)) {
    StoreLe(header + extra_offset + wide->offset, uint64_t{content.size()});
    StoreLe(header + extra_offset + wide->offset + sizeof(uint64_t), uint64_t{content.size()});
  }
  edits_.Insert(std::move(local.bytes));
  edits_.Insert(ByteSpan(content));
  return AppendRow(member, new_offset, &content);
}

Status ZipEdit::AppendRow(const ZipEditMember& member, uint64_t new_offset, const std::vector<std::byte>* content) {
  std::vector<std::byte> row(member.row.begin(), member.row.end());
  WideFields wide(row);
  bool fits = true;
  if (content != nullptr) {
    StoreLe(row.data() + 8, static_cast<uint16_t>(LoadLe<uint16_t>(row.data() + 8) & ~kZipFlagDataDescriptor));
    StoreLe(row.data() + 16, Crc32(*content));
    fits = wide.Set(24, content->size()) && wide.Set(20, content->size());
  } else {
    wide.Skip(24);
    wide.Skip(20);
  }
  fits = fits && wide.Set(42, new_offset);
  if (!fits) return CannotStrip("a size or an offset of its directory does not fit");
  new_central_.insert(new_central_.end(), row.begin(), row.end());
  kept_count_++;
  return Status::Ok();
}

/// The end records with the new count and place of the directory.
Status ZipEdit::AppendEnd() {
  const uint64_t offset = end_.directory_offset + end_.directory_bytes;
  if (source_.size() - offset > kMaxEndBytes) return CannotStrip("its end records are too long");
  std::vector<std::byte> tail(static_cast<size_t>(source_.size() - offset));
  FLYWEIGHT_TRY(source_.ReadAt(offset, tail));
  const uint64_t directory_bytes = new_central_.size();
  const uint64_t directory_offset = edits_.size();
  std::byte* end = tail.data();
  if (tail.size() >= kEnd64MinBytes + kLocatorBytes + kZipEndBytes && LoadLe<uint32_t>(end) == kEnd64Magic) {
    const uint64_t record_bytes = LoadLe<uint64_t>(end + 4) + 12;
    if (record_bytes > tail.size() - kLocatorBytes - kZipEndBytes) return CannotStrip("its end records are malformed");
    StoreLe(end + 24, kept_count_);
    StoreLe(end + 32, kept_count_);
    StoreLe(end + 40, directory_bytes);
    StoreLe(end + 48, directory_offset);
    StoreLe(end + record_bytes + 8, directory_offset + directory_bytes);
    end += record_bytes + kLocatorBytes;
  }
  for (size_t at : {size_t{8}, size_t{10}}) {
    if (LoadLe<uint16_t>(end + at) != kSaturated16) StoreLe(end + at, static_cast<uint16_t>(kept_count_));
  }
  if (directory_offset >= kSaturated && LoadLe<uint32_t>(end + 16) != kSaturated)
    return CannotStrip("the offset of its directory does not fit");
  StoreUnlessSaturated(end + 12, directory_bytes);
  StoreUnlessSaturated(end + 16, directory_offset);
  edits_.Insert(std::move(new_central_));
  edits_.Insert(std::move(tail));
  return Status::Ok();
}

/// What was sound before must be so again: the same members but for those that went. A member that only fitted thanks
/// to padding, say, is noticed here.
Status ZipEdit::CheckResult() const {
  const EditedSource edited(source_, std::shared_ptr<const EditList>(std::shared_ptr<void>(), &edits_));
  FLYWEIGHT_ASSIGN(std::optional<ZipDirectory> before, ReadDirectory(source_));
  FLYWEIGHT_ASSIGN(std::optional<ZipDirectory> after, ReadDirectory(edited));
  const Error unsound = CannotStrip("what would be left of it is not a sound zip file");
  if (!before.has_value() || !after.has_value()) return unsound;
  auto left = after->members.begin();
  auto member = members_.begin();
  for (const ZipMember& old : before->members) {
    while (member->end_offset < old.data_offset) ++member;
    if (member->goes) continue;
    const uint64_t size_bytes = member->new_content.has_value() ? member->new_content->size() : old.size_bytes;
    if (left == after->members.end() || left->name != old.name || left->size_bytes != size_bytes) return unsound;
    ++left;
  }
  return left == after->members.end() ? Status::Ok() : unsound;
}

Result<EditList> ZipEdit::Finish() {
  FLYWEIGHT_TRY(FindAlignment());
  edits_.Keep(0, members_.empty() ? 0 : members_.front().entry.header_offset);
  for (const ZipEditMember& member : members_) {
    if (!member.goes) FLYWEIGHT_TRY(AppendMember(member));
  }
  if (kept_count_ == 0) return CannotStrip("nothing would be left of it");
  FLYWEIGHT_TRY(AppendEnd());
  FLYWEIGHT_TRY(CheckResult());
  return std::move(edits_);
}

}  // namespace flyweight
