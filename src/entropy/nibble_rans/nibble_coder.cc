#include "entropy/nibble_rans/nibble_coder.h"

#include <algorithm>
#include <cstring>

namespace flyweight {
namespace {

constexpr size_t kFewLanes = 4;
constexpr size_t kManySymbols = 8192;
// Rows encoded before the room that is left is looked at again.
constexpr size_t kBatchRows = 16;

// Whatever fits is encoded here first where the target has no room for a whole batch.
struct SpareRoom {
  uint8_t bytes[kNibbleWriteAhead + kBatchRows * kNibbleLanes];
};

// Lets `encode(stream)` write at most `most` bytes below `out`, which must not pass `floor`. False: they do not fit.
template <typename Encode>
bool WriteDown(const uint8_t* floor, size_t most, uint8_t*& out, const Encode& encode) {
  if (static_cast<size_t>(out - floor) >= most + kNibbleWriteAhead) {
    out = encode(out);
    return true;
  }
  SpareRoom spare;
  uint8_t* const end = std::end(spare.bytes);
  const uint8_t* begin = encode(end);
  auto count = static_cast<size_t>(end - begin);
  if (count > static_cast<size_t>(out - floor)) return false;
  out -= count;
  std::memcpy(out, begin, count);
  return true;
}

}  // namespace

size_t NibbleLanes(size_t symbol_count) { return symbol_count < kManySymbols ? kFewLanes : kNibbleLanes; }

size_t NibbleStreamBound(size_t symbol_count) { return 2 * NibbleLanes(symbol_count) + symbol_count; }

Status NibbleDecoder::Begin(const NibbleCoder& coder, ByteSpan stream, size_t symbol_count) {
  coder_ = &coder;
  lanes_ = NibbleLanes(symbol_count);
  if (stream.size() < 2 * lanes_)
    return Error{ErrorCode::kTruncated, stream.size(), "coded nibbles: the states are cut off"};
  const auto* bytes = reinterpret_cast<const uint8_t*>(stream.data());
  for (size_t lane = 0; lane < lanes_; ++lane) {
    states_.low[lane] = bytes[2 * lane];
    states_.high[lane] = bytes[2 * lane + 1];
  }
  position_ = bytes + 2 * lanes_;
  end_ = bytes + stream.size();
  return {};
}

void NibbleDecoder::Next(const uint8_t* tables, uint8_t* symbols, size_t count, const void* ahead,
                         size_t ahead_row_bytes) {
  const size_t rows = count / lanes_;
  DecodeNibblesArgs args{coder_, &states_, position_, end_, tables, symbols, rows, ahead, ahead_row_bytes};
  if (lanes_ == kNibbleLanes) {
    kDecodeNibbles.Pick()(args);
  } else {
    for (size_t row = 0; row < rows; ++row) DecodeNibbleRow(args, lanes_);
  }
  DecodeNibbleRow(args, count % lanes_);
  position_ = args.stream;
}

Status NibbleDecoder::End(MutableByteSpan carried) const {
  const auto* low = reinterpret_cast<const std::byte*>(states_.low);
  const auto* high = states_.high;
  bool sound = position_ == end_ && carried.size() <= lanes_;
  sound = sound && std::all_of(high, high + lanes_, [](uint8_t byte) { return byte == 1; });
  sound = sound && std::all_of(low + carried.size(), low + lanes_, [](std::byte byte) { return byte == std::byte{0}; });
  if (!sound) return Error{ErrorCode::kCorrupt, 0, "coded nibbles: the stream does not end as it must"};
  std::copy_n(low, carried.size(), carried.data());
  return {};
}

size_t EncodeNibbles(const NibbleCoder& coder, std::span<const uint8_t> pairs, ByteSpan carried,
                     MutableByteSpan target) {
  const size_t lanes = NibbleLanes(pairs.size());
  if (target.size() < 2 * lanes || carried.size() > lanes) return 0;
  NibbleStates states = {};
  std::memset(states.high, 1, lanes);
  std::copy(carried.begin(), carried.end(), reinterpret_cast<std::byte*>(states.low));

  auto* const begin = reinterpret_cast<uint8_t*>(target.data());
  const uint8_t* const floor = begin + 2 * lanes;
  uint8_t* const target_end = begin + target.size();
  uint8_t* out = target_end;
  EncodeNibblesArgs args{&coder, &states, nullptr, nullptr, 0};
  const size_t rows = pairs.size() / lanes;
  auto encode_rows = [&](size_t first_row, size_t row_count, uint8_t* stream) {
    args.pairs = pairs.data() + first_row * lanes;
    args.stream = stream;
    args.row_count = row_count;
    if (lanes == kNibbleLanes) {
      kEncodeNibbles.Pick()(args);
    } else {
      for (size_t row = first_row + row_count; row-- > first_row;) {
        args.pairs = pairs.data() + row * lanes;
        EncodeNibbleRow(args, lanes);
      }
    }
    return args.stream;
  };
  auto encode_tail = [&](uint8_t* stream) {
    args.pairs = pairs.data() + rows * lanes;
    args.stream = stream;
    EncodeNibbleRow(args, pairs.size() % lanes);
    return args.stream;
  };

  if (!WriteDown(floor, lanes, out, encode_tail)) return 0;
  for (size_t end = rows; end > 0;) {
    size_t first = end - std::min(end, kBatchRows);
    auto encode = [&](uint8_t* stream) { return encode_rows(first, end - first, stream); };
    if (!WriteDown(floor, (end - first) * lanes, out, encode)) return 0;
    end = first;
  }
  for (size_t lane = 0; lane < lanes; ++lane) {
    begin[2 * lane] = states.low[lane];
    begin[2 * lane + 1] = states.high[lane];
  }
  auto stream_bytes = static_cast<size_t>(target_end - out);
  std::memmove(begin + 2 * lanes, out, stream_bytes);
  return 2 * lanes + stream_bytes;
}

}  // namespace flyweight
