#pragma once

#include <vector>

#include "base/hash.h"
#include "codec/record.h"
#include "fuzz_support.h"

namespace flyweight::fuzz {

/// A record as a fuzz input: `u32 n, head without its hash (n bytes)`, then for each frame `u32 payload_bytes, u8
/// codec, u8[3] reserved, u64 xxh3 of the decoded bytes, payload`. Checksums that no mutation would hit are left out,
/// and put in again by ReadRecordInput.
struct RecordInput {
  std::vector<std::byte> head;
  std::vector<std::vector<std::byte>> frames;
  std::vector<ChunkEntry> table;
};

inline constexpr size_t kFrameHeadBytes = 16;  ///< of the frame header, what stands before the hash of the payload

inline void SetFrameHash(MutableByteSpan frame) {
  std::byte hashed[kFrameHeadBytes + 8];
  std::copy_n(frame.begin(), kFrameHeadBytes, hashed);
  StoreLe(hashed + kFrameHeadBytes, Xxh3(frame.subspan(kFrameHeaderBytes)));
  StoreLe(frame.data() + kFrameHeadBytes, Xxh3(hashed));
}

/// Head bytes with length field and hash as they must be.
inline std::vector<std::byte> SealHead(ByteSpan without_hash) {
  std::vector<std::byte> head(without_hash.begin(), without_hash.end());
  if (head.size() >= 8) StoreLe<uint32_t>(head.data() + 4, static_cast<uint32_t>(head.size() + 8));
  head.resize(head.size() + 8);
  StoreLe(head.data() + head.size() - 8, Xxh3(ByteSpan(head).first(head.size() - 8)));
  return head;
}

inline RecordInput ReadRecordInput(FuzzInput input) {
  constexpr size_t kMaxFrames = 8;
  RecordInput record;
  record.head = SealHead(input.Take(input.Read<uint32_t>()));
  while (!input.empty() && record.frames.size() < kMaxFrames) {
    ByteSpan front = input.Take(kFrameHeadBytes);
    if (front.size() < kFrameHeadBytes) break;
    ByteSpan payload = input.Take(LoadLe<uint32_t>(front.data()));
    std::vector<std::byte> frame(front.begin(), front.end());
    StoreLe(frame.data(), static_cast<uint32_t>(payload.size()));
    frame.resize(kFrameHeaderBytes);
    frame.insert(frame.end(), payload.begin(), payload.end());
    SetFrameHash(frame);
    record.table.push_back({static_cast<uint32_t>(frame.size()), LoadLe<uint64_t>(frame.data() + 8)});
    record.frames.push_back(std::move(frame));
  }
  return record;
}

/// The inverse, to make seeds of real records.
inline std::vector<std::byte> WriteRecordInput(ByteSpan head, const std::vector<std::vector<std::byte>>& frames) {
  ByteWriter writer;
  writer.Write(static_cast<uint32_t>(head.size() - 8));
  writer.Append(head.first(head.size() - 8));
  for (const std::vector<std::byte>& frame : frames) {
    writer.Append(ByteSpan(frame).first(kFrameHeadBytes));
    writer.Append(ByteSpan(frame).subspan(kFrameHeaderBytes));
  }
  return writer.Release();
}

}  // namespace flyweight::fuzz
