#include "archive/parity_info.h"
#include "archive/parity_layout.h"
#include "archive/parity_wire.h"
#include "archive/repair.h"
#include "archive_input.h"

// Hostile parity: repairing gives an archive that can be read whole, or an error, in bounded memory.

namespace flyweight::fuzz {
namespace {

/// Sets the checksums of info cells, so that what they say is believed.
void SealInfoCells(std::vector<std::byte>& file) {
  for (size_t at = 0; at + kInfoHeadBytes <= file.size(); at += kParityBlockMinBytes) {
    ByteSpan head = ByteSpan(file).subspan(at, kInfoHeadBytes);
    auto cell_bytes = static_cast<size_t>(PeekInfoCellBytes(head));
    if (cell_bytes == 0 || cell_bytes > file.size() - at) continue;
    Xxh3Stream hash;
    hash.Update(head.first(wire::kInfoHashOffset));
    hash.Update(ByteSpan(file).subspan(at + kInfoHeadBytes, cell_bytes - kInfoHeadBytes));
    StoreLe(file.data() + at + wire::kInfoHashOffset, hash.Finish());
  }
}

void CheckRepair(ByteSpan file, const ByteSource* other) {
  static ThreadPool pool(1);
  ExactBuffer exact(file);
  MemorySource source(exact.span());
  RepairReport report;
  auto whole = RepairArchive(source, {.other = other, .pool = &pool, .scratch_directory = ""}, report);
  if (!whole.ok()) {
    FLYWEIGHT_FUZZ_CHECK(!whole.error().message.empty());
    return;
  }
  FLYWEIGHT_FUZZ_CHECK(report.lost.empty());
  FLYWEIGHT_FUZZ_CHECK(whole.value()->size() == report.archive_bytes);
  ExactBuffer bytes(static_cast<size_t>(report.archive_bytes));
  FLYWEIGHT_FUZZ_CHECK(whole.value()->ReadAt(0, bytes.span()).ok());
  // What was repaired by parity needs no second repair.
  RepairReport again;
  MemorySource repaired(bytes.span());
  if (report.has_parity) {
    FLYWEIGHT_FUZZ_CHECK(
        RepairArchive(repaired, {.other = nullptr, .pool = &pool, .scratch_directory = ""}, again).ok());
    FLYWEIGHT_FUZZ_CHECK(!again.found_damage());
  }
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight;
  ByteSpan rest = std::as_bytes(std::span(data, size_bytes));
  MemorySource other(rest);
  std::vector<std::byte> file(rest.begin(), rest.end());
  fuzz::CheckRepair(file, nullptr);
  fuzz::SealImage(file);
  fuzz::SealInfoCells(file);
  fuzz::CheckRepair(file, nullptr);
  fuzz::CheckRepair(file, &other);
  return 0;
}
