#include "archive/parity_encode.h"

#include <algorithm>

#include "archive/parity_codeword.h"
#include "archive/parity_info.h"
#include "archive/wire.h"
#include "base/checked.h"
#include "base/hash.h"
#include "base/scratch_store.h"

namespace flyweight {
namespace {

constexpr uint64_t kWindowBytes = uint64_t{1} << 20;

std::vector<std::byte> EmptyTable(const ParityLayout& layout) {
  return std::vector<std::byte>(static_cast<size_t>((layout.block_count + layout.parity_cells) * kTableEntryBytes));
}

void SetEntry(std::vector<std::byte>& table, uint64_t entry, ByteSpan bytes) {
  StoreLe(table.data() + entry * kTableEntryBytes, Xxh3(bytes));
}

/// All parity cells into `parity`, and the checksums of the blocks where they can be taken on the way.
Status EncodeCells(const ParityLayout& layout, const ByteSource& archive, ThreadPool& pool, ScratchStore& parity,
                   std::vector<std::byte>& table) {
  CodewordWorker worker(layout, archive, pool);
  CodewordWorker::BlockCallback hash;
  if (worker.reads_whole_blocks()) {
    hash = [&](uint64_t block, ByteSpan bytes) { SetEntry(table, block, bytes); };
  } else {
    FLYWEIGHT_ASSIGN(table, HashBlocks(layout, archive, pool));
  }
  std::vector<std::byte> row(worker.width());
  for (uint64_t codeword = 0; codeword < layout.codeword_count; ++codeword) {
    for (size_t part = 0; part < worker.ranges_per_codeword(); ++part) {
      ColumnRange range{codeword, part * worker.width()};
      worker.Clear();
      for (size_t group = 1; group < worker.code().group_count(); ++group) {
        FLYWEIGHT_TRY(worker.AbsorbData(range, group, nullptr, hash));
      }
      FLYWEIGHT_TRY(worker.FinishParity());
      for (size_t r = 0; r < worker.code().parity_count(); ++r) {
        worker.CopySumRow(r, row);
        uint64_t cell = layout.NumberAt(r, codeword);
        FLYWEIGHT_TRY(parity.WriteAt(cell * layout.block_bytes + range.begin, row));
      }
    }
  }
  return Status::Ok();
}

Status HashParity(const ParityLayout& layout, const ScratchStore& parity, std::vector<std::byte>& table) {
  std::vector<std::byte> cell(static_cast<size_t>(layout.block_bytes));
  for (uint64_t i = 0; i < layout.parity_cells; ++i) {
    FLYWEIGHT_TRY(parity.ReadAt(i * layout.block_bytes, cell));
    SetEntry(table, layout.block_count + i, cell);
  }
  return Status::Ok();
}

Status AppendCells(const ParityLayout& layout, const ScratchStore& parity, ByteSpan info_cells, ByteSink& sink) {
  auto cell_bytes = static_cast<size_t>(layout.block_bytes);
  std::vector<std::byte> padding(static_cast<size_t>(layout.area_offset - layout.first_bytes));
  FLYWEIGHT_TRY(sink.Append(padding));
  std::vector<std::byte> cell(cell_bytes);
  uint64_t info = 0;
  uint64_t offset = layout.area_offset;
  auto append_info = [&]() -> Status {
    for (; info < layout.info_cells() && layout.InfoOffset(info) == offset; ++info, offset += cell_bytes) {
      FLYWEIGHT_TRY(sink.Append(info_cells.subspan(static_cast<size_t>(info) * cell_bytes, cell_bytes)));
    }
    return Status::Ok();
  };
  for (uint64_t i = 0; i < layout.parity_cells; ++i, offset += cell_bytes) {
    FLYWEIGHT_TRY(append_info());
    FLYWEIGHT_TRY(parity.ReadAt(i * layout.block_bytes, cell));
    FLYWEIGHT_TRY(sink.Append(cell));
  }
  return append_info();
}

}  // namespace

Result<std::vector<std::byte>> HashBlocks(const ParityLayout& layout, const ByteSource& archive, ThreadPool& pool) {
  std::vector<std::byte> table = EmptyTable(layout);
  uint64_t blocks_a_window = std::max<uint64_t>(kWindowBytes / layout.block_bytes, 1);
  std::vector<AlignedBuffer> windows(pool.thread_count());
  Status hashed = pool.ParallelFor(
      static_cast<size_t>(CeilDiv(layout.block_count, blocks_a_window)), [&](size_t job, size_t worker) -> Status {
        AlignedBuffer& window = windows[worker];
        window.Resize(static_cast<size_t>(blocks_a_window * layout.block_bytes));
        uint64_t block = job * blocks_a_window;
        uint64_t end = std::min(block + blocks_a_window, layout.block_count);
        while (block < end) {
          // Blocks of one part follow each other in the file.
          uint64_t run_end = block < layout.first_blocks ? std::min(end, layout.first_blocks) : end;
          uint64_t begin_offset = layout.BlockOffset(block);
          uint64_t run_bytes = layout.BlockOffset(run_end - 1) + layout.BlockBytes(run_end - 1) - begin_offset;
          FLYWEIGHT_TRY(archive.ReadAt(begin_offset, {window.data(), static_cast<size_t>(run_bytes)}));
          for (const std::byte* at = window.data(); block < run_end; at += layout.block_bytes, ++block) {
            SetEntry(table, block, {at, static_cast<size_t>(layout.BlockBytes(block))});
          }
        }
        return Status::Ok();
      });
  FLYWEIGHT_TRY(std::move(hashed));
  return table;
}

Status AppendParityArea(const ParityLayout& layout, const ByteSource& archive, ThreadPool& pool,
                        const std::string& scratch_directory, ByteSink& sink) {
  FLYWEIGHT_ASSIGN(auto parity, ScratchStore::Make(layout.parity_cells * layout.block_bytes, scratch_directory));
  std::vector<std::byte> table = EmptyTable(layout);
  FLYWEIGHT_TRY(EncodeCells(layout, archive, pool, *parity, table));
  FLYWEIGHT_TRY(HashParity(layout, *parity, table));
  std::vector<std::byte> footer(wire::kFooterBytes);
  FLYWEIGHT_TRY(archive.ReadAt(layout.archive_bytes - wire::kFooterBytes, footer));
  InfoHead head;
  head.layout = layout;
  head.identity = Xxh3(footer);
  head.table_hash = Xxh3(table);
  std::vector<std::byte> info_cells = WriteInfoCells(head, table);
  return AppendCells(layout, *parity, info_cells, sink);
}

}  // namespace flyweight
