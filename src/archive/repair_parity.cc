#include <algorithm>
#include <string>

#include "archive/parity_codeword.h"
#include "archive/parity_encode.h"
#include "archive/repair_parts.h"
#include "archive/wire.h"
#include "base/checked.h"
#include "base/hash.h"
#include "base/scratch_store.h"

namespace flyweight {
namespace {

constexpr uint64_t kWindowBytes = uint64_t{1} << 20;

enum class CellState : uint8_t { kLost = 0, kGood, kFromOther };

/// An archive with parity while it is being checked and rebuilt. Blocks and parity cells are entries of one table, in
/// this order.
class ParityRepair {
 public:
  ParityRepair(const InfoHead& head, bool own_head, const ByteSource& damaged, const ByteSource* other,
               ThreadPool& pool, const std::string& scratch_directory, RepairReport& report)
      : head_(head),
        own_head_(own_head),
        layout_(head_.layout),
        damaged_(damaged),
        other_(other),
        pool_(pool),
        scratch_directory_(scratch_directory),
        report_(report) {}

  /// Finds the table and checks everything against it.
  Status Check() {
    report_.has_parity = true;
    report_.archive_bytes = layout_.archive_bytes;
    report_.block_bytes = layout_.block_bytes;
    report_.block_count = layout_.cell_count();
    FLYWEIGHT_TRY(CheckSize());
    FLYWEIGHT_TRY(LoadTable());
    FLYWEIGHT_TRY(CheckEntries());
    for (CellState state : states_) {
      report_.damaged_blocks += state != CellState::kGood;
      report_.blocks_from_other += state == CellState::kFromOther;
    }
    uint64_t size_bytes = damaged_.size();
    report_.extra_bytes = size_bytes > layout_.archive_bytes ? size_bytes - layout_.archive_bytes : 0;
    if (!PaddingHolds()) report_.repairs.emplace_back("padding");
    return Status::Ok();
  }

  bool table_lost() const { return table_lost_; }

  Result<std::unique_ptr<ByteSource>> Rebuild() {
    auto good = std::count(states_.begin(), states_.end(), CellState::kGood);
    // Where nothing in the damaged file says which archive it was, most of its content has to.
    if (!own_head_ && 2 * static_cast<uint64_t>(good) < EntryCount()) {
      return Error{ErrorCode::kCorrupt, 0, "the two files have too little in common to be copies of one archive"};
    }
    FLYWEIGHT_TRY(CheckLimit());
    auto archive = std::make_unique<RepairedArchive>();
    FLYWEIGHT_ASSIGN(auto store, ScratchStore::Make(lost_.size() * layout_.block_bytes, scratch_directory_));
    FLYWEIGHT_TRY(SolveCodewords(*store));
    FLYWEIGHT_TRY(CheckRebuilt(*store));
    report_.blocks_from_parity = lost_.size();
    AddPieces(*archive, archive->Keep(std::move(store)), archive->Keep(WriteInfoCells(head_, table_)));
    return std::unique_ptr<ByteSource>(std::move(archive));
  }

 private:
  uint64_t EntryOffset(uint64_t entry) const {
    return entry < layout_.block_count ? layout_.BlockOffset(entry) : layout_.ParityOffset(entry - layout_.block_count);
  }
  uint64_t EntryBytes(uint64_t entry) const {
    return entry < layout_.block_count ? layout_.BlockBytes(entry) : layout_.block_bytes;
  }
  uint64_t EntryCount() const { return layout_.block_count + layout_.parity_cells; }
  bool EntryHolds(uint64_t entry, ByteSpan bytes) const {
    return LoadLe<uint64_t>(table_.data() + entry * kTableEntryBytes) == Xxh3(bytes);
  }

  /// Before memory is set aside for a table: there must be enough bytes to rebuild the archive from.
  Status CheckSize() const {
    uint64_t there = std::max(damaged_.size(), other_ != nullptr ? other_->size() : 0);
    if (layout_.block_count <= 2 * CeilDiv(there, layout_.block_bytes) + 2) return Status::Ok();
    return Error{ErrorCode::kTruncated, there,
                 "the archive had " + std::to_string(layout_.archive_bytes) + " bytes, of which " +
                     std::to_string(there) + " are left: more is missing than its parity can give back"};
  }

  bool LoadInfoCell(const ByteSource& source, uint64_t cell, MutableByteSpan buffer) const {
    if (!ReadIfThere(source, layout_.InfoOffset(cell), buffer)) return false;
    auto head = ParseInfoCell(buffer, layout_.InfoOffset(cell));
    return head.ok() && head.value().SameArchive(head_) && head.value().cell == cell;
  }

  bool PaddingHolds() const {
    std::vector<std::byte> padding(static_cast<size_t>(layout_.area_offset - layout_.first_bytes));
    auto is_zero = [](std::byte value) { return value == std::byte{0}; };
    return ReadIfThere(damaged_, layout_.first_bytes, padding) && std::all_of(padding.begin(), padding.end(), is_zero);
  }

  Status LoadTable() {
    auto payload_bytes = static_cast<size_t>(layout_.block_bytes - kInfoHeadBytes);
    std::vector<std::byte> cell(static_cast<size_t>(layout_.block_bytes));
    std::vector<std::byte> payloads(static_cast<size_t>(layout_.info_cells()) * payload_bytes);
    std::vector<uint64_t> lost;
    for (uint64_t i = 0; i < layout_.info_cells(); ++i) {
      bool holds = LoadInfoCell(damaged_, i, cell);
      report_.damaged_blocks += !holds;
      if (!holds && other_ != nullptr && LoadInfoCell(*other_, i, cell)) {
        holds = true;
        ++report_.blocks_from_other;
      }
      if (holds) {
        std::copy(cell.begin() + kInfoHeadBytes, cell.end(),
                  payloads.begin() + static_cast<ptrdiff_t>(i * payload_bytes));
      } else {
        lost.push_back(i);
      }
    }
    table_lost_ = lost.size() > layout_.info_parity_cells;
    if (table_lost_) {
      return Error{ErrorCode::kCorrupt, layout_.area_offset,
                   "too much of the parity's table of checksums is lost: nothing says which blocks are damaged"};
    }
    FLYWEIGHT_ASSIGN(table_, ReadTable(head_, std::move(payloads), lost));
    return Status::Ok();
  }

  /// Entries [begin, end), which follow each other in the file.
  void CheckRun(uint64_t begin, uint64_t end, AlignedBuffer& window) {
    uint64_t offset = EntryOffset(begin);
    auto size = static_cast<size_t>(EntryOffset(end - 1) + EntryBytes(end - 1) - offset);
    window.Resize(size);
    bool readable = ReadIfThere(damaged_, offset, {window.data(), size});
    for (uint64_t entry = begin; entry < end; ++entry) {
      MutableByteSpan bytes(window.data() + (entry - begin) * layout_.block_bytes,
                            static_cast<size_t>(EntryBytes(entry)));
      if ((readable || ReadIfThere(damaged_, EntryOffset(entry), bytes)) && EntryHolds(entry, bytes)) {
        states_[entry] = CellState::kGood;
      } else if (other_ != nullptr && ReadIfThere(*other_, EntryOffset(entry), bytes) && EntryHolds(entry, bytes)) {
        states_[entry] = CellState::kFromOther;
      }
    }
  }

  Status CheckEntries() {
    states_.assign(static_cast<size_t>(EntryCount()), CellState::kLost);
    uint64_t entries_a_window = std::max<uint64_t>(kWindowBytes / layout_.block_bytes, 1);
    std::vector<AlignedBuffer> windows(pool_.thread_count());
    auto job_count = static_cast<size_t>(CeilDiv(EntryCount(), entries_a_window));
    return pool_.ParallelFor(job_count, [&](size_t job, size_t worker) {
      uint64_t end = std::min((job + 1) * entries_a_window, EntryCount());
      for (uint64_t begin = job * entries_a_window; begin < end;) {
        uint64_t run_end = begin + 1;
        while (run_end < end && EntryOffset(run_end) == EntryOffset(run_end - 1) + layout_.block_bytes) ++run_end;
        CheckRun(begin, run_end, windows[worker]);
        begin = run_end;
      }
      return Status::Ok();
    });
  }

  /// Lists what must be rebuilt, and fails where a codeword lost more than it has parity.
  Status CheckLimit() {
    std::vector<uint32_t> lost_in_codeword(static_cast<size_t>(layout_.codeword_count));
    for (uint64_t entry = 0; entry < EntryCount(); ++entry) {
      if (states_[entry] != CellState::kLost) continue;
      lost_.push_back(entry);
      ++lost_in_codeword[CodewordOf(entry)];
    }
    uint64_t worst = 0;
    for (uint64_t entry : lost_) {
      uint32_t count = lost_in_codeword[CodewordOf(entry)];
      worst = std::max<uint64_t>(worst, count);
      if (count > layout_.parity_rows && entry < layout_.block_count) {
        AddRange(report_.lost, EntryOffset(entry), EntryBytes(entry));
      }
    }
    if (worst <= layout_.parity_rows) return Status::Ok();
    bool interleaved = layout_.codeword_count > 1;
    return Error{ErrorCode::kChecksumMismatch, report_.lost.empty() ? 0 : report_.lost.front().offset,
                 std::string("too much is damaged: ") + (interleaved ? "of the blocks that are coded together " : "") +
                     std::to_string(worst) + " of " + std::to_string(layout_.data_rows + layout_.parity_rows) +
                     (interleaved ? "" : " blocks") + " are bad, and the parity can give back " +
                     std::to_string(layout_.parity_rows)};
  }

  size_t CodewordOf(uint64_t entry) const {
    uint64_t number = entry < layout_.block_count ? entry : entry - layout_.block_count;
    return static_cast<size_t>(layout_.CodewordOf(number));
  }

  uint64_t EntryOfPosition(const ReedSolomon& code, size_t position, uint64_t codeword) const {
    if (position < code.group_rows()) return layout_.block_count + layout_.NumberAt(position, codeword);
    return layout_.NumberAt(position - code.group_rows(), codeword);
  }
  bool IsLostBlock(uint64_t block) const { return block < layout_.block_count && states_[block] == CellState::kLost; }
  uint64_t SlotOf(uint64_t entry) const {
    return static_cast<uint64_t>(std::lower_bound(lost_.begin(), lost_.end(), entry) - lost_.begin());
  }

  std::vector<size_t> LostPositions(const ReedSolomon& code, uint64_t codeword) const {
    std::vector<size_t> positions;
    for (size_t row = 0; row < layout_.parity_rows; ++row) {
      if (states_[layout_.block_count + layout_.NumberAt(row, codeword)] == CellState::kLost) positions.push_back(row);
    }
    for (size_t row = 0; row < layout_.data_rows; ++row) {
      if (IsLostBlock(layout_.NumberAt(row, codeword))) positions.push_back(code.DataPosition(row));
    }
    return positions;
  }

  Status SolveCodewords(ScratchStore& store) {
    if (lost_.empty()) return Status::Ok();
    RepairedArchive good;  // with anything where entries are lost: they are not read
    AddPieces(good, good.Keep(std::make_unique<ZeroSource>(UINT64_MAX)),
              good.Keep(std::make_unique<ZeroSource>(UINT64_MAX)));
    CodewordWorker worker(layout_, good, pool_);
    for (uint64_t codeword = 0; codeword < layout_.codeword_count; ++codeword) {
      std::vector<size_t> lost = LostPositions(worker.code(), codeword);
      if (lost.empty()) continue;
      ErasureSolver solver(worker.code(), lost);
      for (size_t part = 0; part < worker.ranges_per_codeword(); ++part) {
        FLYWEIGHT_TRY(SolveRange({codeword, part * worker.width()}, solver, worker, store));
      }
    }
    return Status::Ok();
  }

  Status SolveRange(const ColumnRange& range, const ErasureSolver& solver, CodewordWorker& worker,
                    ScratchStore& store) {
    const ReedSolomon& code = worker.code();
    worker.Clear();
    FLYWEIGHT_TRY(worker.AbsorbParity(range, [&](uint64_t row) {
      return states_[layout_.block_count + layout_.NumberAt(row, range.codeword)] == CellState::kLost;
    }));
    for (size_t group = 1; group < code.group_count(); ++group) {
      auto is_lost = [&](uint64_t row) { return IsLostBlock(layout_.NumberAt(row, range.codeword)); };
      FLYWEIGHT_TRY(worker.AbsorbData(range, group, is_lost, nullptr));
    }
    FLYWEIGHT_TRY(worker.Solve(solver));
    std::vector<std::byte> row(worker.width());
    for (size_t group = 0; group < code.group_count(); ++group) {
      if (solver.LostIn(group).empty()) continue;
      FLYWEIGHT_TRY(worker.Recover(solver, group));
      for (size_t position : solver.LostIn(group)) {
        worker.CopyRow(position - group * code.group_rows(), row);
        uint64_t slot = SlotOf(EntryOfPosition(code, position, range.codeword));
        FLYWEIGHT_TRY(store.WriteAt(slot * layout_.block_bytes + range.begin, row));
      }
    }
    return Status::Ok();
  }

  Status CheckRebuilt(const ScratchStore& store) const {
    std::vector<std::byte> cell(static_cast<size_t>(layout_.block_bytes));
    for (size_t slot = 0; slot < lost_.size(); ++slot) {
      FLYWEIGHT_TRY(store.ReadAt(slot * layout_.block_bytes, cell));
      if (EntryHolds(lost_[slot], ByteSpan(cell).first(static_cast<size_t>(EntryBytes(lost_[slot]))))) continue;
      return Error{ErrorCode::kChecksumMismatch, EntryOffset(lost_[slot]),
                   "what the parity gives is not what the table of checksums says: the parity was made of other bytes"};
    }
    return Status::Ok();
  }

  void AddEntry(RepairedArchive& archive, uint64_t entry, const ByteSource& rebuilt) const {
    uint64_t size_bytes = EntryBytes(entry);
    if (states_[entry] == CellState::kLost) {
      archive.pieces().Add(rebuilt, SlotOf(entry) * layout_.block_bytes, size_bytes);
    } else {
      archive.pieces().Add(states_[entry] == CellState::kGood ? damaged_ : *other_, EntryOffset(entry), size_bytes);
    }
  }

  /// The whole archive in the order of the file.
  void AddPieces(RepairedArchive& archive, const ByteSource& rebuilt, const ByteSource& info_cells) const {
    uint64_t block = 0;
    while (block < layout_.first_blocks) AddEntry(archive, block++, rebuilt);
    const ByteSource& padding = archive.Keep(std::make_unique<ZeroSource>(layout_.block_bytes));
    archive.pieces().Add(padding, 0, layout_.area_offset - layout_.first_bytes);
    uint64_t parity = 0;
    for (uint64_t info = 0; info < layout_.info_cells(); ++info) {
      while (archive.size() < layout_.InfoOffset(info)) AddEntry(archive, layout_.block_count + parity++, rebuilt);
      archive.pieces().Add(info_cells, info * layout_.block_bytes, layout_.block_bytes);
    }
    while (block < layout_.block_count) AddEntry(archive, block++, rebuilt);
  }

  const InfoHead& head_;
  bool own_head_;
  const ParityLayout& layout_;
  const ByteSource& damaged_;
  const ByteSource* other_;
  ThreadPool& pool_;
  const std::string& scratch_directory_;
  RepairReport& report_;
  bool table_lost_ = false;
  std::vector<std::byte> table_;
  std::vector<CellState> states_;
  std::vector<uint64_t> lost_;  ///< entries to rebuild, in ascending order; their numbers are slots of the store
};

}  // namespace

Result<std::unique_ptr<ByteSource>> RepairByParity(const InfoHead& head, bool own_head, const ByteSource& damaged,
                                                   const ArchiveRepairOptions& options, RepairReport& report) {
  ParityRepair repair(head, own_head, damaged, options.other, *options.pool, options.scratch_directory, report);
  Status checked = repair.Check();
  if (repair.table_lost()) return std::unique_ptr<ByteSource>();
  if (!checked.ok()) return checked.take_error();
  return repair.Rebuild();
}

Status CheckParity(const ByteSource& archive, ThreadPool& pool, RepairReport& report) {
  report = {};
  std::optional<InfoHead> head = FindInfoCell(archive);
  if (!head.has_value()) return Status::Ok();
  std::string no_directory;
  return ParityRepair(*head, true, archive, nullptr, pool, no_directory, report).Check();
}

}  // namespace flyweight
