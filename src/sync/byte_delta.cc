#include "flyweight/byte_delta.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/hash.h"
#include "entropy/zstd_stream.h"

namespace flyweight {
namespace {

constexpr size_t kBlockBytes = size_t{64} << 10;

Status CheckSizes(ByteSpan current, ByteSpan base) {
  if (current.size() == base.size()) return {};
  return Error{ErrorCode::kInvalidArgument, 0,
               "the delta of " + std::to_string(current.size()) + " bytes needs a base of as many, not of " +
                   std::to_string(base.size())};
}

/// target = left ^ right; target may be one of them.
void XorInto(const std::byte* left, const std::byte* right, std::byte* target, size_t size_bytes) {
  size_t at = 0;
  for (; at + sizeof(uint64_t) <= size_bytes; at += sizeof(uint64_t)) {
    StoreLe(target + at, LoadLe<uint64_t>(left + at) ^ LoadLe<uint64_t>(right + at));
  }
  for (; at < size_bytes; ++at) target[at] = left[at] ^ right[at];
}

/// Goes through the frame's first `limit_bytes`; `done_bytes` says how much of the target was changed.
Status XorFrame(ByteSpan frame, MutableByteSpan target, size_t limit_bytes, size_t& done_bytes) {
  ZstdStreamDecoder decoder(frame);
  std::vector<std::byte> block(kBlockBytes);
  while (done_bytes < limit_bytes) {
    FLYWEIGHT_ASSIGN(size_t count, decoder.Read({block.data(), std::min(block.size(), limit_bytes - done_bytes)}));
    if (count == 0) {
      return Error{
          ErrorCode::kCorrupt, 0,
          "the delta holds " + std::to_string(done_bytes) + " bytes, the tensor has " + std::to_string(target.size())};
    }
    XorInto(target.data() + done_bytes, block.data(), target.data() + done_bytes, count);
    done_bytes += count;
  }
  if (limit_bytes < target.size()) return {};
  FLYWEIGHT_ASSIGN(size_t more, decoder.Read({block.data(), 1}));
  if (more == 0) return {};
  return Error{ErrorCode::kCorrupt, 0,
               "the delta holds more than the " + std::to_string(target.size()) + " bytes of the tensor"};
}

/// Reads exactly `size_bytes` of the frame's content.
Result<std::vector<std::byte>> ReadExactly(ZstdStreamDecoder& decoder, size_t size_bytes) {
  std::vector<std::byte> bytes(size_bytes);
  FLYWEIGHT_ASSIGN(size_t count, decoder.Read(bytes));
  if (count == size_bytes) return bytes;
  return Error{ErrorCode::kTruncated, 0, "the delta ends before the changes that it announces"};
}

uint32_t PositionAt(ByteSpan positions, size_t index) {
  return LoadLe<uint32_t>(positions.data() + index * sizeof(uint32_t));
}

Status CheckPositions(ByteSpan positions, size_t target_bytes) {
  int64_t last = -1;
  for (size_t i = 0; i < positions.size() / sizeof(uint32_t); ++i) {
    int64_t position = PositionAt(positions, i);
    if (position <= last || static_cast<uint64_t>(position) >= target_bytes) {
      return Error{ErrorCode::kCorrupt, 0,
                   "the delta's position " + std::to_string(position) +
                       " is outside of the tensor or not behind the one before"};
    }
    last = position;
  }
  return {};
}

}  // namespace

Result<std::vector<std::byte>> EncodeXorDelta(ByteSpan current, ByteSpan base, int zstd_level) {
  FLYWEIGHT_TRY(CheckSizes(current, base));
  ZstdStreamEncoder encoder(zstd_level, current.size());
  std::vector<std::byte> block(std::min(kBlockBytes, current.size()));
  for (size_t begin = 0; begin < current.size(); begin += kBlockBytes) {
    size_t size_bytes = std::min(kBlockBytes, current.size() - begin);
    XorInto(current.data() + begin, base.data() + begin, block.data(), size_bytes);
    FLYWEIGHT_TRY(encoder.Append({block.data(), size_bytes}));
  }
  return encoder.Finish();
}

Status ApplyXorDelta(ByteSpan frame, MutableByteSpan target) {
  size_t done_bytes = 0;
  Status status = XorFrame(frame, target, target.size(), done_bytes);
  if (status.ok() || done_bytes == 0) return status;
  size_t undone_bytes = 0;
  Status undone = XorFrame(frame, target, done_bytes, undone_bytes);
  if (undone_bytes != done_bytes) {
    return Error{ErrorCode::kInternal, 0, "a delta that failed could not be undone: " + undone.error().message};
  }
  return status;
}

Result<std::vector<std::byte>> EncodeOverwriteDelta(ByteSpan current, ByteSpan base, int zstd_level) {
  FLYWEIGHT_TRY(CheckSizes(current, base));
  if (current.size() > std::numeric_limits<uint32_t>::max()) {
    return Error{ErrorCode::kInvalidArgument, 0, "the overwrite encoding takes tensors up to 4 GiB; use xor"};
  }
  ByteWriter positions;
  std::vector<std::byte> bytes;
  auto note = [&](size_t position) {
    positions.Write(static_cast<uint32_t>(position));
    bytes.push_back(current[position]);
  };
  size_t at = 0;
  for (; at + sizeof(uint64_t) <= current.size(); at += sizeof(uint64_t)) {
    if (LoadLe<uint64_t>(current.data() + at) == LoadLe<uint64_t>(base.data() + at)) continue;
    for (size_t i = at; i < at + sizeof(uint64_t); ++i) {
      if (current[i] != base[i]) note(i);
    }
  }
  for (; at < current.size(); ++at) {
    if (current[at] != base[at]) note(at);
  }
  ByteWriter count;
  count.Write(static_cast<uint32_t>(bytes.size()));
  ZstdStreamEncoder encoder(zstd_level, count.size() + positions.size() + bytes.size());
  FLYWEIGHT_TRY(encoder.Append(count.bytes()));
  FLYWEIGHT_TRY(encoder.Append(positions.bytes()));
  FLYWEIGHT_TRY(encoder.Append(bytes));
  return encoder.Finish();
}

Result<OverwriteUndo> ApplyOverwriteDelta(ByteSpan frame, MutableByteSpan target) {
  ZstdStreamDecoder decoder(frame);
  FLYWEIGHT_ASSIGN(std::vector<std::byte> head, ReadExactly(decoder, sizeof(uint32_t)));
  size_t count = LoadLe<uint32_t>(head.data());
  if (count > target.size()) {
    return Error{
        ErrorCode::kCorrupt, 0,
        "the delta changes " + std::to_string(count) + " bytes of a tensor of " + std::to_string(target.size())};
  }
  OverwriteUndo undo;
  FLYWEIGHT_ASSIGN(undo.positions, ReadExactly(decoder, count * sizeof(uint32_t)));
  FLYWEIGHT_TRY(CheckPositions(undo.positions, target.size()));
  FLYWEIGHT_ASSIGN(undo.bytes, ReadExactly(decoder, count));
  std::byte behind{};
  FLYWEIGHT_ASSIGN(size_t more, decoder.Read({&behind, 1}));
  if (more != 0) return Error{ErrorCode::kCorrupt, 0, "the delta holds more than the changes that it announces"};
  for (size_t i = 0; i < count; ++i) std::swap(undo.bytes[i], target[PositionAt(undo.positions, i)]);
  return undo;
}

void UndoOverwriteDelta(const OverwriteUndo& undo, MutableByteSpan target) {
  for (size_t i = 0; i < undo.bytes.size(); ++i) target[PositionAt(undo.positions, i)] = undo.bytes[i];
}

bool SameBytes(ByteSpan left, ByteSpan right) {
  return left.size() == right.size() && (left.empty() || std::memcmp(left.data(), right.data(), left.size()) == 0);
}

std::array<std::byte, 16> WideChecksum(ByteSpan bytes) { return Xxh3Wide(bytes); }

}  // namespace flyweight
