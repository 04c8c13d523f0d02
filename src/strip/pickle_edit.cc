#include "strip/pickle_edit.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "container/pickle_opcodes.h"
#include "strip/formats.h"

namespace flyweight {
namespace {

constexpr size_t kMaxExpansionDepth = 16;
constexpr size_t kMaxValueDepth = 16;
constexpr size_t kMaxVisitedValues = size_t{1} << 16;
constexpr uint32_t kNotPut = UINT32_MAX;

struct Range {
  uint32_t begin;
  uint32_t end;
};

Error UsedAgain() {
  return CannotStrip("a part that stays uses a value that is made in a part to be removed and cannot be moved");
}

/// Sorted ranges of the opcodes that go, none inside another; a SETITEM or APPEND behind one goes with it.
std::vector<Range> RangesOf(const PickleTree& tree, const std::vector<uint32_t>& items) {
  std::vector<Range> ranges;
  for (uint32_t number : items) {
    const PickleItem& item = tree.items[number];
    Range range{item.key_begin, item.end};
    const auto next = static_cast<PickleCode>(tree.pickle[item.end]);
    if (next == PickleCode::kSetItem || next == PickleCode::kAppend) range.end++;
    ranges.push_back(range);
  }
  std::ranges::sort(ranges, {}, [](const Range& range) { return std::pair(range.begin, UINT32_MAX - range.end); });
  std::vector<Range> outermost;
  for (const Range& range : ranges) {
    if (outermost.empty() || range.begin >= outermost.back().end) outermost.push_back(range);
  }
  return outermost;
}

class PickleEditor {
 public:
  PickleEditor(const PickleTree& tree, const std::vector<uint32_t>& items)
      : tree_(tree), removed_(RangesOf(tree, items)) {}

  Result<std::vector<std::byte>> Edit() {
    FLYWEIGHT_TRY(CheckOpcodes());
    FLYWEIGHT_TRY(IndexPuts());
    const auto end = static_cast<uint32_t>(tree_.pickle.size());
    uint32_t at = 0;
    for (const Range& range : removed_) {
      FLYWEIGHT_TRY(Transcribe(at, range.begin, 0));
      at = range.end;
    }
    FLYWEIGHT_TRY(Transcribe(at, end, 0));
    return output_.Release();
  }

 private:
  /// Opcodes that look at values below their own, or at something outside: no pickler writes them into models.
  Status CheckOpcodes() const {
    ReadCursor cursor(tree_.pickle);
    while (cursor.remaining() > 0) {
      FLYWEIGHT_ASSIGN(PickleOp op, ReadPickleOp(cursor));
      switch (op.code) {
        case PickleCode::kDup:
        case PickleCode::kPop:
        case PickleCode::kPopMark:
        case PickleCode::kNextBuffer:
        case PickleCode::kReadOnlyBuffer:
          return CannotStrip("its pickle has an opcode that models do not need");
        default:
          break;
      }
    }
    return Status::Ok();
  }

  Status IndexPuts() {
    uint32_t number_count = 0;
    for (const PickleMemoUse& put : tree_.puts) number_count = std::max(number_count, put.number + 1);
    put_of_number_.assign(number_count, kNotPut);
    is_made_.assign(number_count, false);
    for (size_t i = 0; i < tree_.puts.size(); i++) {
      uint32_t& place = put_of_number_[tree_.puts[i].number];
      if (place != kNotPut) return CannotStrip("its pickle uses a number of the memo twice");
      place = static_cast<uint32_t>(i);
    }
    return Status::Ok();
  }

  /// Copies the opcodes of a range.
  Status Transcribe(uint32_t begin, uint32_t end, size_t depth) {
    ReadCursor cursor(tree_.pickle.subspan(begin, end - begin));
    while (cursor.remaining() > 0) {
      const auto offset = static_cast<uint32_t>(begin + cursor.position());
      FLYWEIGHT_ASSIGN(PickleOp op, ReadPickleOp(cursor));
      ByteSpan bytes = tree_.pickle.subspan(offset, begin + cursor.position() - offset);
      FLYWEIGHT_TRY(TranscribeOne(op, offset, bytes, depth));
      if (output_.size() > kPickleMaxBytes) return CannotStrip("its pickle would become too long");
    }
    return Status::Ok();
  }

  Status TranscribeOne(const PickleOp& op, uint32_t offset, ByteSpan bytes, size_t depth) {
    switch (op.code) {
      case PickleCode::kFrame:
        return Status::Ok();
      case PickleCode::kMemoize:
      case PickleCode::kPut:
      case PickleCode::kBinPut:
      case PickleCode::kLongBinPut: {
        const uint32_t number = NumberAt(tree_.puts, offset);
        is_made_[number] = true;
        op.code == PickleCode::kMemoize ? AppendPut(number) : output_.Append(bytes);
        return Status::Ok();
      }
      case PickleCode::kGet:
      case PickleCode::kBinGet:
      case PickleCode::kLongBinGet: {
        const uint32_t number = NumberAt(tree_.gets, offset);
        if (!is_made_[number]) return Remake(number, depth);
        output_.Append(bytes);
        return Status::Ok();
      }
      default:
        output_.Append(bytes);
        return Status::Ok();
    }
  }

  /// Makes a value of the memo where it is used first, as its maker goes.
  Status Remake(uint32_t number, size_t depth) {
    const PickleMemoUse& put = tree_.puts[put_of_number_[number]];
    if (depth >= kMaxExpansionDepth || !IsUnchangeable(put.node, 0)) return UsedAgain();
    FLYWEIGHT_TRY(Transcribe(put.value_begin, put.offset, depth + 1));
    AppendPut(number);
    is_made_[number] = true;
    return Status::Ok();
  }

  /// Whether the opcodes that make the value make all of it: nothing is added to it after its PUT.
  bool IsUnchangeable(PickleNodeId id, size_t depth) {
    if (depth > kMaxValueDepth || ++visited_count_ > kMaxVisitedValues) return false;
    const PickleNode& node = tree_.node(id);
    switch (node.kind) {
      case PickleKind::kList:
      case PickleKind::kDict:
        return node.first_item == kNoPickleItem;
      case PickleKind::kObject:
        return node.first_item == kNoPickleItem && IsUnchangeable(node.a, depth + 1) &&
               IsUnchangeable(node.b, depth + 1);
      case PickleKind::kPersistent:
        return IsUnchangeable(node.a, depth + 1);
      case PickleKind::kTuple:
        for (uint32_t item = node.first_item; item != kNoPickleItem; item = tree_.items[item].next) {
          if (!IsUnchangeable(tree_.items[item].value, depth + 1)) return false;
        }
        return true;
      default:
        return true;
    }
  }

  /// Precondition: the scan met a use at `offset`.
  static uint32_t NumberAt(const std::vector<PickleMemoUse>& uses, uint32_t offset) {
    return std::ranges::lower_bound(uses, offset, {}, &PickleMemoUse::offset)->number;
  }

  void AppendPut(uint32_t number) {
    if (number <= UINT8_MAX) {
      output_.Write(static_cast<uint8_t>(PickleCode::kBinPut));
      output_.Write(static_cast<uint8_t>(number));
    } else {
      output_.Write(static_cast<uint8_t>(PickleCode::kLongBinPut));
      output_.Write(number);
    }
  }

  const PickleTree& tree_;
  std::vector<Range> removed_;
  std::vector<uint32_t> put_of_number_;  ///< index in tree_.puts
  std::vector<bool> is_made_;            ///< by number: a PUT of it was written
  size_t visited_count_ = 0;
  ByteWriter output_;
};

}  // namespace

Result<std::vector<std::byte>> RemovePickleItems(const PickleTree& tree, const std::vector<uint32_t>& items) {
  FLYWEIGHT_ASSIGN(std::vector<std::byte> edited, PickleEditor(tree, items).Edit());
  Result<PickleTree> edited_tree = ScanPickle(edited);
  if (!edited_tree.ok() || edited_tree.value().pickle.size() != edited.size() ||
      !IsPickleWithout(tree, edited_tree.value(), items))
    return UsedAgain();
  return edited;
}

}  // namespace flyweight
