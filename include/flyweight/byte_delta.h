#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "flyweight/result.h"

// The difference of two buffers of equal size as weight synchronisation in reinforcement learning exchanges it: one
// zstd frame, either of the bytes' exclusive or, or of the bytes that changed and where ("overwrite": u32 count, u32
// positions in ascending order, bytes). flyweight's own patches (patch_buffer.h) are smaller and check themselves.

namespace flyweight {

/// The zstd frame of current ^ base. Errors: kInvalidArgument where the sizes differ.
Result<std::vector<std::byte>> EncodeXorDelta(std::span<const std::byte> current, std::span<const std::byte> base,
                                              int zstd_level);

/// Replaces `target` by target ^ what the frame holds, which must be as long. What this does, doing it again undoes.
/// Errors: kCorrupt, kTruncated, kOutOfMemory; `target` is then as it was.
Status ApplyXorDelta(std::span<const std::byte> frame, std::span<std::byte> target);

/// The zstd frame of the bytes that changed. Errors: kInvalidArgument where the sizes differ or are over 2^32 - 1.
Result<std::vector<std::byte>> EncodeOverwriteDelta(std::span<const std::byte> current, std::span<const std::byte> base,
                                                    int zstd_level);

/// Writes the bytes that changed into `target` and returns what undoes it, for UndoOverwriteDelta. Memory: 9 bytes a
/// changed byte. Errors: kCorrupt where a position is outside of `target` or not behind the one before, kTruncated,
/// kOutOfMemory; `target` is then as it was.
struct OverwriteUndo {
  std::vector<std::byte> positions;  ///< u32, as in the frame
  std::vector<std::byte> bytes;      ///< what was there
};
Result<OverwriteUndo> ApplyOverwriteDelta(std::span<const std::byte> frame, std::span<std::byte> target);
/// Precondition: `target` is what the undo was made from.
void UndoOverwriteDelta(const OverwriteUndo& undo, std::span<std::byte> target);

/// Whether two buffers hold the same bytes.
bool SameBytes(std::span<const std::byte> left, std::span<const std::byte> right);

/// XXH3 with 128 bits, high half first: as its text is written.
std::array<std::byte, 16> WideChecksum(std::span<const std::byte> bytes);

}  // namespace flyweight
