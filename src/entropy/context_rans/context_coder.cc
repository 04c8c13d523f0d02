#include "entropy/context_rans/context_coder.h"

#include <algorithm>
#include <cstring>

#include "entropy/context_rans/context_kernels.h"

namespace flyweight {
namespace {

constexpr size_t kFewLanes = 4;
constexpr size_t kManyValues = 8192;
constexpr uint32_t kLowerBound = 1U << 16;

// Rare values take at least one slot each: where there are many of them finer slots pay for a larger table.
FrequencyTables ChooseTable(const ByteHistogram& counts) {
  FrequencyTables best;
  double best_bits = 0;
  for (int precision_bits : {11, 12, 13, 14}) {
    if (!FitsPrecision(counts, precision_bits)) break;
    FrequencyTable table = NormaliseFrequencies(counts, precision_bits);
    ByteWriter written;
    WriteFrequencyTables({&table, 1}, precision_bits, written);
    double bits = EstimateBits(table, counts, precision_bits) + 8 * static_cast<double>(written.size());
    if (!best.contexts.empty() && bits >= best_bits) continue;
    best_bits = bits;
    best.precision_bits = precision_bits;
    best.contexts = {table};
  }
  return best;
}

// Few lanes where the bytes that each costs would weigh.
size_t LanesFor(size_t value_count) { return value_count < kManyValues ? kFewLanes : kContextLanes; }

// How many bytes at a plane's end travel in the first states. What is left must have the lanes that carry so many.
size_t CarriedByPlane(size_t byte_count) {
  if (byte_count >= kManyValues + 2 * kContextLanes) return 2 * kContextLanes;
  return byte_count >= 4 * kFewLanes && byte_count < kManyValues + 2 * kFewLanes ? 2 * kFewLanes : 0;
}

}  // namespace

size_t CarriedContextBytes(size_t value_count) { return 2 * LanesFor(value_count); }

ContextDecoder::ContextDecoder(const FrequencyTables& tables)
    : context_count_(tables.contexts.size()), precision_bits_(tables.precision_bits) {
  slots_.resize(context_count_ << precision_bits_);
  uint32_t* slot = slots_.data();
  for (const FrequencyTable& table : tables.contexts) {
    for (uint32_t value = 0; value < 256; ++value) {
      uint32_t frequency = table.frequency[value];
      for (uint32_t i = 0; i < frequency; ++i) *slot++ = value | i << 8 | (frequency - 1) << 20;
    }
  }
}

Status ContextDecoder::Stream::Begin(const ContextDecoder& decoder, ByteSpan stream, size_t value_count) {
  decoder_ = &decoder;
  lanes_ = LanesFor(value_count);
  const size_t state_bytes = lanes_ * sizeof(uint32_t);
  if (stream.size() < state_bytes)
    return Error{ErrorCode::kTruncated, stream.size(), "coded bytes: the states are cut off"};
  std::memcpy(states_, stream.data(), state_bytes);
  position_ = reinterpret_cast<const uint8_t*>(stream.data()) + state_bytes;
  end_ = reinterpret_cast<const uint8_t*>(stream.data()) + stream.size();
  return {};
}

void ContextDecoder::Stream::Next(std::span<const uint8_t> contexts, std::span<uint8_t> values) {
  DecodeContextsArgs args{decoder_->slots_.data(),
                          contexts.empty() ? nullptr : contexts.data(),
                          states_,
                          position_,
                          end_,
                          values.data(),
                          values.size() / lanes_,
                          decoder_->precision_bits_};
  if (lanes_ == kContextLanes) {
    kDecodeContexts.Pick()(args);
  } else {
    for (size_t row = 0; row < args.row_count; ++row) DecodeContextRow(args, lanes_);
  }
  DecodeContextRow(args, values.size() % lanes_);
  position_ = args.stream;
}

Status ContextDecoder::Stream::End(MutableByteSpan carried) const {
  bool sound = position_ == end_;
  for (size_t lane = 0; lane < lanes_; ++lane) {
    sound &= carried.empty() ? states_[lane] == kLowerBound : states_[lane] >> 16 == 1;
    if (!carried.empty()) StoreLe(carried.data() + 2 * lane, static_cast<uint16_t>(states_[lane]));
  }
  if (!sound) return Error{ErrorCode::kCorrupt, 0, "coded bytes: the stream does not end as it must"};
  return {};
}

Status ContextDecoder::Decode(ByteSpan stream, std::span<const uint8_t> contexts, std::span<uint8_t> values,
                              MutableByteSpan carried) const {
  Stream running;
  FLYWEIGHT_TRY(running.Begin(*this, stream, values.size()));
  running.Next(contexts, values);
  return running.End(carried);
}

ContextEncoder::ContextEncoder(const FrequencyTables& tables) : precision_bits_(tables.precision_bits) {
  symbols_.resize(tables.contexts.size() * 256);
  Symbol* symbol = symbols_.data();
  for (const FrequencyTable& table : tables.contexts) {
    uint32_t first_slot = 0;
    for (size_t value = 0; value < 256; ++value, ++symbol) {
      uint32_t frequency = table.frequency[value];
      if (frequency == 0) continue;
      auto reciprocal = static_cast<uint32_t>(std::min<uint64_t>((uint64_t{1} << 32) / frequency, UINT32_MAX));
      *symbol = {reciprocal, first_slot, frequency};
      first_slot += frequency;
    }
  }
}

// Whether a word goes out is a coin toss, so it is always written and perhaps not counted.
std::byte* ContextEncoder::EncodeOne(const Symbol& symbol, uint32_t& state, std::byte* out) const {
  uint32_t x = state;
  StoreLe(out - sizeof(uint16_t), static_cast<uint16_t>(x));
  bool full = uint64_t{x} >= uint64_t{symbol.frequency} << (32 - precision_bits_);
  out -= size_t{full} << 1;
  x >>= unsigned{full} << 4;
  // The product is the quotient or one too small.
  auto quotient = static_cast<uint32_t>(uint64_t{x} * symbol.reciprocal >> 32);
  uint32_t remainder = x - quotient * symbol.frequency;
  uint32_t one_more = remainder >= symbol.frequency;
  remainder -= symbol.frequency & (0 - one_more);
  quotient += one_more;
  state = (quotient << precision_bits_) + remainder + symbol.first_slot;
  return out;
}

size_t ContextEncoder::Encode(std::span<const uint8_t> values, std::span<const uint8_t> contexts, ByteSpan carried,
                              MutableByteSpan target) const {
  const size_t lanes = LanesFor(values.size());
  const size_t state_bytes = lanes * sizeof(uint32_t);
  if (target.size() < state_bytes) return 0;
  uint32_t states[kContextLanes];
  for (size_t lane = 0; lane < lanes; ++lane)
    states[lane] = kLowerBound | (carried.empty() ? 0U : LoadLe<uint16_t>(carried.data() + 2 * lane));
  std::byte* out = target.data() + target.size();
  const std::byte* const floor = target.data() + state_bytes;
  for (size_t end = values.size(); end > 0;) {
    size_t begin = (end - 1) / lanes * lanes;
    // A row never writes more than its lanes; where less is left it goes where there is room, to be counted first.
    std::byte spare[2 * kContextLanes];
    bool cramped = static_cast<size_t>(out - floor) < 2 * lanes;
    std::byte* row_end = cramped ? std::end(spare) : out;
    std::byte* row = row_end;
    for (size_t i = end; i-- > begin;) {
      row = EncodeOne(symbols_[(contexts.empty() ? 0 : size_t{contexts[i]} << 8) + values[i]], states[i - begin], row);
    }
    if (cramped) {
      auto row_bytes = static_cast<size_t>(row_end - row);
      if (row_bytes > static_cast<size_t>(out - floor)) return 0;
      std::memcpy(out - row_bytes, row, row_bytes);
      row = out - row_bytes;
    }
    out = row;
    end = begin;
  }
  size_t word_bytes = static_cast<size_t>(target.data() + target.size() - out);
  std::memcpy(target.data(), states, state_bytes);
  std::memmove(target.data() + state_bytes, out, word_bytes);
  return state_bytes + word_bytes;
}

size_t EncodeBytes(ByteSpan bytes, const ByteHistogram& counts, MutableByteSpan target) {
  const size_t carried_count = CarriedByPlane(bytes.size());
  const size_t coded_count = bytes.size() - carried_count;
  ByteHistogram coded_counts = counts;
  for (std::byte value : bytes.subspan(coded_count)) --coded_counts[static_cast<size_t>(value)];
  FrequencyTables tables = ChooseTable(coded_counts);
  ByteWriter head;
  WriteFrequencyTables(tables.contexts, tables.precision_bits, head);
  if (head.size() >= target.size()) return 0;
  std::memcpy(target.data(), head.bytes().data(), head.size());
  size_t stream = ContextEncoder(tables).Encode({reinterpret_cast<const uint8_t*>(bytes.data()), coded_count}, {},
                                                bytes.subspan(coded_count), target.subspan(head.size()));
  return stream == 0 ? 0 : head.size() + stream;
}

Status DecodeBytes(ByteSpan coded, MutableByteSpan bytes) {
  ReadCursor cursor(coded);
  FLYWEIGHT_ASSIGN(FrequencyTables tables, ReadFrequencyTables(cursor));
  if (tables.contexts.size() != 1) return Error{ErrorCode::kCorrupt, 0, "coded bytes: more than one context"};
  const size_t coded_count = bytes.size() - CarriedByPlane(bytes.size());
  return ContextDecoder(tables).Decode(coded.subspan(cursor.position()), {},
                                       {reinterpret_cast<uint8_t*>(bytes.data()), coded_count},
                                       bytes.subspan(coded_count));
}

}  // namespace flyweight
