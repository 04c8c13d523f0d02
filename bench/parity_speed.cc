// How fast parity is made and used, on one core for each instruction set:
//   flyweight_parity_speed FOLDER [MIB] [RECOVERY_PERMILLE]
// Writes files of MIB (default 512) into FOLDER, removes them at the end, and prints gigabytes of archive a second of
// CPU time, system calls included: encode is from archive bytes to appended parity, repair from a damaged file to the
// bytes of the whole one.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "archive/parity_encode.h"
#include "archive/parity_layout.h"
#include "archive/pieced_source.h"
#include "archive/repair.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "simd/isa.h"

namespace flyweight {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr uint64_t kSecondBytes = 100'000;

/// Of the CPU, which other programs do not lengthen; everything runs on one thread.
double Seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::vector<std::byte> NoisePiece(uint64_t seed) {
  std::vector<std::byte> piece(kPieceBytes);
  uint64_t state = seed * 0x9E3779B97F4A7C15 + 1;
  for (size_t i = 0; i < piece.size(); i += sizeof state) {
    state = state * 6364136223846793005 + 1442695040888963407;
    StoreLe(piece.data() + i, state);
  }
  return piece;
}

Status AppendNoise(ByteSink& sink, uint64_t size_bytes, uint64_t seed) {
  for (uint64_t done = 0; done < size_bytes; done += kPieceBytes) {
    std::vector<std::byte> piece = NoisePiece(seed + done);
    piece.resize(static_cast<size_t>(std::min<uint64_t>(kPieceBytes, size_bytes - done)));
    FLYWEIGHT_TRY(sink.Append(piece));
  }
  return Status::Ok();
}

/// The archive's bytes with parity of their own. Returns the seconds that the parity took.
Result<double> WriteArchive(const ParityLayout& layout, ThreadPool& pool, const std::string& folder,
                            AtomicFile& output) {
  FLYWEIGHT_TRY(AppendNoise(output, layout.first_bytes, 1));
  MemorySink second;
  FLYWEIGHT_TRY(AppendNoise(second, layout.second_bytes, 2));
  FLYWEIGHT_ASSIGN(std::unique_ptr<ByteSource> written, output.ReadBack());
  ZeroSource no_area(layout.area_bytes());
  MemorySource second_source(second.bytes());
  PiecedSource archive;
  archive.Add(*written, 0, layout.first_bytes);
  archive.Add(no_area, 0, no_area.size());
  archive.Add(second_source, 0, second_source.size());
  double begin = Seconds();
  FLYWEIGHT_TRY(AppendParityArea(layout, archive, pool, folder, output));
  double seconds = Seconds() - begin;
  FLYWEIGHT_TRY(output.Append(second.bytes()));
  return seconds;
}

/// Reads all of a repaired archive whose every 21st block is damaged (under 5 %), or that has a hole of 1 MiB.
Result<double> RepairDamaged(const ParityLayout& layout, const ByteSource& archive, bool scattered, ThreadPool& pool,
                             const std::string& folder) {
  ZeroSource zeros(layout.archive_bytes);
  PiecedSource damaged;
  for (uint64_t block = 0; block < layout.first_blocks; ++block) {
    bool lost = scattered ? block % 21 == 5 : block * layout.block_bytes < (uint64_t{1} << 20);
    damaged.Add(lost ? static_cast<const ByteSource&>(zeros) : archive, layout.BlockOffset(block),
                layout.BlockBytes(block));
  }
  damaged.Add(archive, layout.first_bytes, layout.archive_bytes - layout.first_bytes);
  double begin = Seconds();
  RepairReport report;
  FLYWEIGHT_ASSIGN(std::unique_ptr<ByteSource> whole,
                   RepairArchive(damaged, {.other = nullptr, .pool = &pool, .scratch_directory = folder}, report));
  std::vector<std::byte> piece(kPieceBytes);
  for (uint64_t offset = 0; offset < whole->size(); offset += kPieceBytes) {
    piece.resize(static_cast<size_t>(std::min<uint64_t>(kPieceBytes, whole->size() - offset)));
    FLYWEIGHT_TRY(whole->ReadAt(offset, piece));
  }
  return Seconds() - begin;
}

Status Measure(const std::string& folder, uint64_t first_bytes, uint32_t permille) {
  FLYWEIGHT_ASSIGN(ParityLayout layout, PlanParity(first_bytes, kSecondBytes, permille));
  std::printf("%.0f MB, %.1f %% recovery: %zu blocks of %zu bytes in %zu codewords, %zu + %zu rows, area %.2f %%\n",
              static_cast<double>(first_bytes) * 1e-6, permille / 10.0, static_cast<size_t>(layout.block_count),
              static_cast<size_t>(layout.block_bytes), static_cast<size_t>(layout.codeword_count),
              static_cast<size_t>(layout.data_rows), static_cast<size_t>(layout.parity_rows),
              100.0 * static_cast<double>(layout.area_bytes()) / static_cast<double>(first_bytes + kSecondBytes));
  ThreadPool pool(1);
  for (Isa isa : SupportedIsas()) {
    ForceIsa(isa);
    FLYWEIGHT_ASSIGN(auto output, AtomicFile::Create(folder + "/parity_speed.fly", true));
    FLYWEIGHT_ASSIGN(double encode, WriteArchive(layout, pool, folder, *output));
    FLYWEIGHT_ASSIGN(auto archive, output->ReadBack());
    FLYWEIGHT_ASSIGN(double scattered, RepairDamaged(layout, *archive, true, pool, folder));
    FLYWEIGHT_ASSIGN(double burst, RepairDamaged(layout, *archive, false, pool, folder));
    double gigabytes = static_cast<double>(layout.archive_bytes) * 1e-9;
    std::printf("  %-7s encode %5.2f GB/s   repair of 4.8 %% scattered %5.2f GB/s   of 1 MiB %5.2f GB/s\n",
                std::string(IsaName(isa)).c_str(), gigabytes / encode, gigabytes / scattered, gigabytes / burst);
  }
  return Status::Ok();
}

}  // namespace
}  // namespace flyweight

int main(int argument_count, char** arguments) {
  if (argument_count < 2) {
    std::fprintf(stderr, "usage: flyweight_parity_speed FOLDER [MIB] [RECOVERY_PERMILLE]\n");
    return 2;
  }
  uint64_t mebibytes = argument_count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 512;
  auto permille = static_cast<uint32_t>(argument_count > 3 ? std::strtoul(arguments[3], nullptr, 10) : 50);
  flyweight::Status status = flyweight::Measure(arguments[1], mebibytes << 20, permille);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return 1;
}
