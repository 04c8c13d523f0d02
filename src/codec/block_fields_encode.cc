#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "codec/block_fields_codec.h"
#include "codec/block_fields_wire.h"
#include "codec/scratch.h"
#include "entropy/histogram.h"
#include "transform/block_fields/block_fields.h"

namespace flyweight {
namespace {

constexpr size_t kSampleBytes = size_t{1} << 16;
// What a plane of its own costs beside its symbols: its header, and its table by the symbols that occur.
constexpr double kPlaneBytes = 16;
constexpr double kTableBytesPerSymbol = 1;
// Fewer units than these never pay for tables of their own.
constexpr size_t kMinClassUnits = 512;
// How many units the choice of classes looks at.
constexpr size_t kSampleUnits = size_t{1} << 14;

using Thresholds = std::vector<int32_t>;

// Counts quants from zero where that gives them less entropy.
bool CentreIfSmaller(const BlockStreams& streams, AlignedBuffer& trial) {
  if (streams.layout.centre.bits == 0) return false;
  std::byte* quants = streams.at[streams.quants()];
  size_t quant_bytes = streams.bytes(streams.quants());
  trial.Resize(quant_bytes);
  std::memcpy(trial.data(), quants, quant_bytes);
  CentreQuants(streams.layout, streams.scales(), streams.block_count, trial.data());
  double before = EntropyBitsPerSymbol(SampleBytes({quants, quant_bytes}, kSampleBytes));
  double after = EntropyBitsPerSymbol(SampleBytes({trial.data(), quant_bytes}, kSampleBytes));
  if (after >= before) return false;
  std::memcpy(quants, trial.data(), quant_bytes);
  return true;
}

// What the symbols of a plane are coded in, of which the histogram has one in `step`.
double CodedBytes(const ByteHistogram& histogram, size_t step) {
  double count = 0;
  double used = 0;
  for (uint32_t n : histogram) {
    count += n;
    used += n != 0;
  }
  return EntropyBitsPerSymbol(histogram) * count * static_cast<double>(step) / 8 + kPlaneBytes +
         kTableBytesPerSymbol * used;
}

ByteHistogram Sum(const ByteHistogram& a, const ByteHistogram& b) {
  ByteHistogram sum;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = a[i] + b[i];
  return sum;
}

// Chooses between four, two and one class (no thresholds), all of the same size, by what they would be coded in.
Thresholds ChooseClasses(const BlockStreams& streams, std::span<const int32_t> ratings) {
  const UnitRule& unit = streams.layout.unit;
  const size_t step = std::max<size_t>(1, ratings.size() / kSampleUnits);
  std::vector<int32_t> ranked;
  for (size_t i = 0; i < ratings.size(); i += step) ranked.push_back(ratings[i]);
  Thresholds quartiles;
  for (size_t q = 1; q < kMaxUnitClasses; ++q) {
    auto nth = ranked.begin() + static_cast<ptrdiff_t>(ranked.size() * q / kMaxUnitClasses);
    std::nth_element(ranked.begin(), nth, ranked.end());
    quartiles.push_back(*nth);
  }
  std::array<ByteHistogram, kMaxUnitClasses> counts{};
  const std::byte* quants = streams.at[streams.quants()];
  for (size_t i = 0; i < ratings.size(); i += step) {
    ByteHistogram& histogram = counts[ClassOf(ratings[i], quartiles)];
    for (size_t b = 0; b < unit.unit_bytes; ++b) ++histogram[std::to_integer<uint8_t>(quants[i * unit.unit_bytes + b])];
  }
  ByteHistogram low = Sum(counts[0], counts[1]);
  ByteHistogram high = Sum(counts[2], counts[3]);
  double one = CodedBytes(Sum(low, high), step);
  double two = CodedBytes(low, step) + CodedBytes(high, step);
  double four = 0;
  for (const ByteHistogram& histogram : counts) four += CodedBytes(histogram, step);
  if (one <= two && one <= four) return {};
  if (two <= four) return {quartiles[1]};
  return quartiles;
}

// Writes the parts of a payload one behind the other.
class PayloadWriter {
 public:
  PayloadWriter(MutableByteSpan memory, PlaneScratch& planes) : memory_(memory), planes_(planes) {}

  template <typename T>
  void Write(T value) {
    StoreLe(memory_.data() + size_, value);
    size_ += sizeof value;
  }
  void Append(ByteSpan bytes) {
    if (!bytes.empty()) std::memcpy(memory_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void Plane(ByteSpan plane) { size_ += EncodePlane(plane, memory_.subspan(size_), planes_); }
  ByteSpan bytes() const { return memory_.first(size_); }

 private:
  MutableByteSpan memory_;
  PlaneScratch& planes_;
  size_t size_ = 0;
};

// The quants' plane, or one for each class.
void WriteQuants(const BlockStreams& streams, std::span<const int32_t> ratings, const Thresholds& thresholds,
                 AlignedBuffer& sorted, PayloadWriter& writer) {
  size_t quant_bytes = streams.bytes(streams.quants());
  ByteSpan quants(streams.at[streams.quants()], quant_bytes);
  if (thresholds.empty()) return writer.Plane(quants);
  const size_t unit_bytes = streams.layout.unit.unit_bytes;
  std::array<size_t, kMaxUnitClasses> class_bytes{};
  for (int32_t rating : ratings) class_bytes[ClassOf(rating, thresholds)] += unit_bytes;
  sorted.Resize(quant_bytes);
  std::byte* targets[kMaxUnitClasses];
  std::byte* next = sorted.data();
  for (size_t c = 0; c <= thresholds.size(); ++c) {
    targets[c] = next;
    next += class_bytes[c];
  }
  SortUnits(quants.data(), unit_bytes, ratings, thresholds, targets);
  for (size_t c = 0; c <= thresholds.size(); ++c) writer.Plane({targets[c] - class_bytes[c], class_bytes[c]});
}

size_t PayloadBound(const BlockLayout& layout, const BlockGeometry& geometry) {
  constexpr size_t kFrontBytes = 2 + sizeof(int32_t) * (kMaxUnitClasses - 1);
  return kFrontBytes + geometry.head_bytes + geometry.tail_bytes + layout.total_stream_bytes * geometry.block_count +
         (layout.stream_bytes.size() + kMaxUnitClasses) * kPlaneHeaderBytes;
}

}  // namespace

size_t EncodeBlockFieldsChunk(const BlockLayout& layout, uint64_t chunk_offset, ByteSpan chunk, MutableByteSpan payload,
                              CodecScratch::Impl& scratch) {
  const BlockGeometry geometry = GeometryOf(layout, chunk_offset, chunk.size());
  if (geometry.block_count == 0) return 0;
  scratch.low.Resize(layout.total_stream_bytes * geometry.block_count);
  SplitBlocks(layout, chunk.data() + geometry.head_bytes, geometry.block_count, scratch.low.data());
  const BlockStreams streams(layout, geometry.block_count, scratch.low.data());

  uint8_t flags = CentreIfSmaller(streams, scratch.heads) ? kBlocksCentred : 0;
  Thresholds thresholds;
  std::span<int32_t> ratings;
  if (layout.unit.unit_bytes != 0 && streams.unit_count() >= kMinClassUnits) {
    scratch.symbols.Resize(streams.unit_count() * sizeof(int32_t));
    ratings = {scratch.symbols.as<int32_t>(), streams.unit_count()};
    streams.RateUnits(ratings.data());
    thresholds = ChooseClasses(streams, ratings);
    if (!thresholds.empty()) flags |= kBlocksClasses;
  }
  // Last, for the others look at the scales.
  if (layout.range.steps != 0 && ScalesToMaxima(layout, geometry.block_count, streams.scale_bytes()))
    flags |= kBlocksMaxima;

  // Planes are coded into memory with room for all of them stored, so that only the sum decides.
  scratch.streams.Resize(PayloadBound(layout, geometry));
  PayloadWriter writer({scratch.streams.data(), scratch.streams.size()}, scratch.planes);
  writer.Write(flags);
  if (!thresholds.empty()) writer.Write(static_cast<uint8_t>(thresholds.size() + 1));
  for (int32_t threshold : thresholds) writer.Write(threshold);
  writer.Append(chunk.first(geometry.head_bytes));
  writer.Append(chunk.last(geometry.tail_bytes));
  for (size_t s = 0; s < streams.quants(); ++s) writer.Plane({streams.at[s], streams.bytes(s)});
  WriteQuants(streams, ratings, thresholds, scratch.heads, writer);
  if (writer.bytes().size() > payload.size()) return 0;
  std::memcpy(payload.data(), writer.bytes().data(), writer.bytes().size());
  return writer.bytes().size();
}

bool BlocksRepeat(const BlockLayout& layout, ByteSpan chunk) {
  constexpr int kSlotBits = 12;
  std::array<uint64_t, size_t{1} << kSlotBits> last{};
  const size_t block_count = chunk.size() / layout.block_bytes;
  const size_t word_at = (layout.block_bytes - sizeof(uint64_t)) / 2;
  size_t repeats = 0;
  for (size_t b = 0; b < block_count; ++b) {
    auto word = LoadLe<uint64_t>(chunk.data() + b * layout.block_bytes + word_at);
    uint64_t& slot = last[(word * 0x9E3779B97F4A7C15) >> (64 - kSlotBits)];
    repeats += slot == word;
    slot = word;
  }
  return repeats * 16 > block_count;
}

}  // namespace flyweight
