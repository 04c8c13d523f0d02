#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "codec/record.h"
#include "support/matchers.h"

// Records made and taken apart without an archive, on buffers that are exactly as large as the contract says.

namespace flyweight::test {

using Bytes = std::vector<std::byte>;

struct EncodedRecord {
  RecordPlan plan;
  std::vector<Bytes> frames;
  std::vector<ChunkEntry> table;
};

inline ByteSpan ChunkOf(const RecordHead& head, ByteSpan content, uint64_t chunk_index) {
  return content.subspan(chunk_index * head.chunk_bytes, head.ChunkDecodedBytes(chunk_index));
}

inline Result<EncodedRecord> EncodeRecord(ByteSpan content, DType dtype, const Shape& shape, CodecScratch& scratch,
                                          Level level = Level::kBalanced) {
  EncodedRecord record;
  FLYWEIGHT_ASSIGN(record.plan, PlanRecord(MemorySource(content), 0, content.size(), dtype, shape, level, scratch));
  for (uint64_t i = 0; i < record.plan.head.chunk_count; ++i) {
    ByteSpan chunk = ChunkOf(record.plan.head, content, i);
    Bytes frame(FrameBound(chunk.size()));
    record.table.push_back(EncodeFrame(record.plan, i, chunk, frame, scratch));
    frame.resize(record.table.back().frame_bytes);
    frame.shrink_to_fit();
    record.frames.push_back(std::move(frame));
  }
  return record;
}

/// Decodes a frame behind which nothing may be read.
inline Result<Bytes> DecodeChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan frame, const ChunkEntry& entry,
                                 CodecScratch& scratch, StoredCheck stored_check = StoredCheck::kOnFailure) {
  Bytes chunk(head.ChunkDecodedBytes(chunk_index), std::byte{0xA5});
  FLYWEIGHT_TRY(DecodeFrame(head, chunk_index, frame, frame.size(), entry, chunk, scratch, stored_check));
  return chunk;
}

/// Decodes a record's head as well as its frames, as a reader does.
inline Result<Bytes> DecodeRecord(const EncodedRecord& record, CodecScratch& scratch) {
  FLYWEIGHT_ASSIGN(RecordHead head, ParseRecordHead(record.plan.head_bytes));
  FLYWEIGHT_ASSIGN(std::vector<ChunkEntry> table, ParseChunkTable(head, WriteChunkTable(record.table)));
  Bytes content;
  for (size_t i = 0; i < table.size(); ++i) {
    FLYWEIGHT_ASSIGN(Bytes chunk, DecodeChunk(head, i, record.frames[i], table[i], scratch));
    content.insert(content.end(), chunk.begin(), chunk.end());
  }
  return content;
}

inline uint8_t CodecOf(const Bytes& frame) { return static_cast<uint8_t>(frame[4]); }

/// Puts right the payload's size and the checksum of the encoded bytes of a frame that was changed, so that only what
/// was changed is wrong.
inline void FixFrame(Bytes& frame) {
  StoreLe(frame.data(), static_cast<uint32_t>(frame.size() - kFrameHeaderBytes));
  std::byte hashed[kFrameHeaderBytes];
  std::copy_n(frame.begin(), 16, hashed);
  StoreLe(hashed + 16, Xxh3(ByteSpan(frame).subspan(kFrameHeaderBytes)));
  StoreLe(frame.data() + 16, Xxh3(hashed));
}

inline Bytes MakeFrame(uint8_t codec, ByteSpan payload, ByteSpan decoded) {
  Bytes frame(kFrameHeaderBytes);
  frame[4] = static_cast<std::byte>(codec);
  StoreLe(frame.data() + 8, Xxh3(decoded));
  frame.insert(frame.end(), payload.begin(), payload.end());
  FixFrame(frame);
  return frame;
}

inline ChunkEntry EntryOf(const Bytes& frame) {
  return {static_cast<uint32_t>(frame.size()), LoadLe<uint64_t>(frame.data() + 8)};
}

/// The same for a head.
inline void FixHead(Bytes& head) {
  StoreLe(head.data() + 4, static_cast<uint32_t>(head.size()));
  StoreLe(head.data() + head.size() - 8, Xxh3(ByteSpan(head).first(head.size() - 8)));
}

}  // namespace flyweight::test
