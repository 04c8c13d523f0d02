#pragma once

#include <string>
#include <vector>

#include "archive/parity_layout.h"
#include "base/file.h"
#include "base/thread_pool.h"

namespace flyweight {

/// The xxh3 of every block of `archive`, whose parity area does not matter, then room for those of the parity cells:
/// the table of section 7. Errors: those of reading.
Result<std::vector<std::byte>> HashBlocks(const ParityLayout& layout, const ByteSource& archive, ThreadPool& pool);

/// Computes the parity of an archive of which only the two parts are read (a source whose area is anything), and
/// appends padding and parity area to `sink`. The bytes depend on neither threads nor ISA. Memory: under 64 MiB and one
/// more a thread, and the table (8 bytes a block); parity beyond 16 MiB goes through a temporary file in
/// `scratch_directory` (empty = TMPDIR or /tmp). Errors: those of reading, of the sink, of temporary files.
Status AppendParityArea(const ParityLayout& layout, const ByteSource& archive, ThreadPool& pool,
                        const std::string& scratch_directory, ByteSink& sink);

}  // namespace flyweight
