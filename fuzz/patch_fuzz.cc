#include <vector>

#include "codec/patch_record.h"
#include "record_input.h"
#include "simd/isa.h"

// A tensor comes back from its patch and its base, apart and in place, on every instruction set; and patches that were
// changed behind their checksums are refused or decoded by all of them alike, inside the buffers they were given.

namespace flyweight::fuzz {
namespace {

constexpr size_t kMaxElements = 20000;
constexpr size_t kHeadSideOffset = 32;

using Bytes = std::vector<std::byte>;

class Generator {
 public:
  explicit Generator(uint64_t seed) : state_(seed) {}
  uint64_t Below(uint64_t bound) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return (state_ >> 33) % bound;
  }

 private:
  uint64_t state_;
};

struct Pair {
  DType dtype = DType::kOpaque, base_dtype = DType::kOpaque;
  Shape shape;
  Bytes content, base;
};

size_t ElementBytesOf(DType dtype) { return static_cast<size_t>(std::max(Describe(dtype).bits / 8, 1)); }

// Weights of some scales, whose low bytes are noise.
Bytes Weights(DType dtype, size_t count, Generator& random) {
  const size_t width = ElementBytesOf(dtype);
  Bytes bytes(count * width);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Below(256));
  for (size_t i = width - 1; i < bytes.size(); i += width)
    bytes[i] = static_cast<std::byte>((random.Below(2) << 7) + 0x3B + random.Below(3));
  return bytes;
}

/// `u8 dtype, u8 dtype of the base, u8 columns, u16 elements, i16 surplus of the base, u8 density, u8 reach`: the
/// tensor is the base with one word in `density` moved by up to `reach`, and all of a row or nothing of it.
Pair ReadPair(FuzzInput& input) {
  Pair pair;
  pair.dtype = static_cast<DType>(input.Read<uint8_t>() % 23);
  const auto other = input.Read<uint8_t>();
  pair.base_dtype = other < 192 ? pair.dtype : static_cast<DType>(other % 23);
  const size_t columns = size_t{1} + input.Read<uint8_t>();
  const size_t count = input.Read<uint16_t>() % kMaxElements;
  const int surplus = input.Read<int16_t>();
  const uint64_t density = uint64_t{1} + input.Read<uint8_t>();
  const uint64_t reach = uint64_t{1} + input.Read<uint8_t>();
  Generator random(count + 31 * density);
  pair.content = Weights(pair.dtype, count, random);
  pair.shape = {count / columns, columns};
  if (pair.base_dtype != pair.dtype) {
    pair.base = Weights(pair.base_dtype, count, random);
    return pair;
  }
  pair.base = pair.content;
  const size_t width = ElementBytesOf(pair.dtype);
  for (size_t i = 0; i < count; ++i) {
    if (i % columns == 0 && random.Below(4) == 0) i += columns - 1;
    if (i >= count || random.Below(density) != 0) continue;
    const auto moved = static_cast<uint8_t>(static_cast<uint8_t>(pair.base[i * width]) + random.Below(reach));
    pair.base[i * width] = static_cast<std::byte>(moved);
  }
  const int size = static_cast<int>(count) + surplus;
  pair.base.resize(static_cast<size_t>(std::max(size, 0)) * width);
  return pair;
}

struct Patch {
  RecordPlan plan;
  std::vector<Bytes> frames;
  std::vector<ChunkEntry> table;
};

ByteSpan BaseChunk(const RecordHead& head, ByteSpan base, uint64_t chunk_index) {
  const BaseRange range = BaseRangeOf(head, chunk_index);
  return base.subspan(static_cast<size_t>(range.begin_bytes), static_cast<size_t>(range.size_bytes));
}

std::optional<Patch> Encode(const Pair& pair) {
  static CodecScratch scratch;  // reused from input to input, as a thread reuses it from chunk to chunk
  ExactBuffer content(pair.content), base(pair.base);
  MemorySource source(content.span()), base_source(base.span());
  Result<PatchPlan> planned = PlanPatchRecord(source, 0, source.size(), pair.dtype, pair.shape, base_source, 0,
                                              base_source.size(), pair.base_dtype, Level::kBalanced, scratch);
  FLYWEIGHT_FUZZ_CHECK(planned.ok());
  if (planned.value().estimated_bytes == kNoPatchBytes) return std::nullopt;
  Patch patch{std::move(planned.value().record), {}, {}};
  const RecordHead& head = patch.plan.head;
  for (uint64_t i = 0; i < head.chunk_count; ++i) {
    ExactBuffer chunk(content.span().subspan(static_cast<size_t>(i * head.chunk_bytes),
                                             static_cast<size_t>(head.ChunkDecodedBytes(i))));
    ExactBuffer base_chunk(BaseChunk(head, base.span(), i));
    ExactBuffer frame(static_cast<size_t>(FrameBound(chunk.span().size())));
    ChunkEntry entry = EncodePatchFrame(patch.plan, i, chunk.span(), base_chunk.span(), frame.span(), scratch);
    patch.frames.emplace_back(frame.span().begin(), frame.span().begin() + entry.frame_bytes);
    patch.table.push_back(entry);
  }
  return patch;
}

// Decodes apart and, where the base chunk fits, in place; both must come to the same.
Status Decode(const RecordHead& head, uint64_t chunk_index, const Bytes& frame, const ChunkEntry& entry,
              ByteSpan base_chunk, MutableByteSpan target) {
  static CodecScratch scratch;
  ExactBuffer exact_frame(frame), apart(base_chunk);
  Status status =
      DecodePatchFrame(head, chunk_index, exact_frame.span(), frame.size(), entry, apart.span(), target, scratch);
  if (base_chunk.size() > target.size()) return status;
  ExactBuffer both(target.size());
  std::copy(base_chunk.begin(), base_chunk.end(), both.span().begin());
  Status in_place = DecodePatchFrame(head, chunk_index, exact_frame.span(), frame.size(), entry,
                                     both.span().first(base_chunk.size()), both.span(), scratch);
  FLYWEIGHT_FUZZ_CHECK(status.ok() == in_place.ok());
  FLYWEIGHT_FUZZ_CHECK(!status.ok() || SameBytes(target, both.span()));
  return status;
}

void CheckRoundTrip(const Pair& pair, const Patch& patch) {
  Result<RecordHead> head = ParseRecordHead(patch.plan.head_bytes);
  FLYWEIGHT_FUZZ_CHECK(head.ok());
  Bytes decoded;
  for (size_t i = 0; i < patch.frames.size(); ++i) {
    ExactBuffer target(static_cast<size_t>(head.value().ChunkDecodedBytes(i)));
    FLYWEIGHT_FUZZ_CHECK(
        Decode(head.value(), i, patch.frames[i], patch.table[i], BaseChunk(head.value(), pair.base, i), target.span())
            .ok());
    decoded.insert(decoded.end(), target.span().begin(), target.span().end());
  }
  FLYWEIGHT_FUZZ_CHECK(decoded == pair.content);
}

// Puts right the checksums of a changed frame, that of what it decodes to included where it decodes at all.
void CheckChanged(const RecordHead& head, Bytes frame, ByteSpan base_chunk) {
  StoreLe(frame.data(), static_cast<uint32_t>(frame.size() - kFrameHeaderBytes));
  if (frame.size() >= kFrameHeaderBytes + 8) StoreLe(frame.data() + kFrameHeaderBytes, Xxh3(base_chunk));
  SetFrameHash(frame);
  ChunkEntry entry{static_cast<uint32_t>(frame.size()), LoadLe<uint64_t>(frame.data() + 8)};
  ExactBuffer target(static_cast<size_t>(head.ChunkDecodedBytes(0)));
  Status first = Decode(head, 0, frame, entry, base_chunk, target.span());
  if (!first.ok() && first.error().code == ErrorCode::kChecksumMismatch) {
    entry.decoded_xxh3 = Xxh3(target.span());
    StoreLe(frame.data() + 8, entry.decoded_xxh3);
    SetFrameHash(frame);
    first = Decode(head, 0, frame, entry, base_chunk, target.span());
  }
  const Isa active = ActiveIsa();
  for (Isa isa : SupportedIsas()) {
    if (isa == active || !ForceIsa(isa)) continue;
    ExactBuffer other_target(target.span().size());
    Status other = Decode(head, 0, frame, entry, base_chunk, other_target.span());
    FLYWEIGHT_FUZZ_CHECK(first.ok() == other.ok());
    FLYWEIGHT_FUZZ_CHECK(!first.ok() || SameBytes(target.span(), other_target.span()));
  }
  ForceIsa(active);
}

/// The rest of the input: `u8 which, u16 place, u8 value` changes a byte of the head's side information or of the first
/// frame's payload, or cuts that off.
void CheckHostile(FuzzInput& input, const Pair& pair, const Patch& patch) {
  if (patch.frames.empty()) return;
  Bytes head = patch.plan.head_bytes, frame = patch.frames[0];
  while (!input.empty()) {
    const auto which = input.Read<uint8_t>();
    const size_t place = input.Read<uint16_t>();
    const auto value = std::byte{input.Read<uint8_t>()};
    Bytes& changed = which % 8 == 0 ? head : frame;
    const size_t front = which % 8 == 0 ? kHeadSideOffset : size_t{4};
    if (which % 8 == 7 && frame.size() > kFrameHeaderBytes) {
      frame.resize(kFrameHeaderBytes + place % (frame.size() - kFrameHeaderBytes));
    } else if (changed.size() > front + 8) {
      changed[front + place % (changed.size() - front - 8)] ^= value;
    }
  }
  Result<RecordHead> parsed = ParseRecordHead(SealHead(ByteSpan(head).first(head.size() - 8)));
  if (!parsed.ok() || !PatchBaseOf(parsed.value())) return;
  // Another size of the base than it has is the caller's to refuse.
  if (PatchBaseOf(parsed.value())->size_bytes != pair.base.size()) return;
  std::fill(frame.begin() + 5, frame.begin() + 8, std::byte{0});
  CheckChanged(parsed.value(), std::move(frame), BaseChunk(parsed.value(), pair.base, 0));
}

void Check(FuzzInput input) {
  const Pair pair = ReadPair(input);
  const std::optional<Patch> patch = Encode(pair);
  if (!patch) return;
  CheckRoundTrip(pair, *patch);
  const Isa active = ActiveIsa();
  for (Isa isa : SupportedIsas()) {
    if (isa == active || !ForceIsa(isa)) continue;
    const std::optional<Patch> other = Encode(pair);
    FLYWEIGHT_FUZZ_CHECK(other && other->plan.head_bytes == patch->plan.head_bytes && other->frames == patch->frames);
    CheckRoundTrip(pair, *patch);
  }
  ForceIsa(active);
  CheckHostile(input, pair, *patch);
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  Check(FuzzInput(data, size_bytes));
  return 0;
}
