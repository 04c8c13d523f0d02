#include <vector>

#include "codec/record.h"
#include "fuzz_support.h"
#include "simd/isa.h"
#include "transform/block_fields/block_layout.h"

// Any tensor comes back from a record byte for byte, frames keep their bound, and every instruction set writes the same
// bytes.

namespace flyweight::fuzz {
namespace {

/// Elements of `seed` in a pseudo-random order: a long tensor with the statistics of a short input.
std::vector<std::byte> Stretch(ByteSpan seed, size_t element_bytes, size_t count) {
  std::vector<std::byte> stretched;
  size_t choices = seed.size() / element_bytes;
  if (choices == 0) return stretched;
  uint64_t state = seed.size();
  for (size_t i = 0; i < count; i++) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    ByteSpan element = seed.subspan(static_cast<size_t>((state >> 33) % choices) * element_bytes, element_bytes);
    stretched.insert(stretched.end(), element.begin(), element.end());
  }
  return stretched;
}

struct Tensor {
  DType dtype = DType::kOpaque;
  Shape shape;
  std::vector<std::byte> bytes;
  Level level = Level::kBalanced;
};

/// Elements that a growth byte asks for. One value that mutations seldom hit gives two chunks of 16-bit elements.
size_t GrownElements(size_t growth) { return growth == 200 ? 300'000 : 32 * growth; }

/// Above this only the active ISA is tried, so that inputs stay fast.
constexpr size_t kSmallTensorBytes = 64 << 10;

/// `u8 dtype, u8 columns, u8 growth, content`: with a growth over 0 the content is stretched; the low two bits of
/// columns are the level.
Tensor ReadTensor(FuzzInput input) {
  Tensor tensor;
  uint8_t number = input.Read<uint8_t>();
  const BlockLayout* blocks = FindBlockLayout(static_cast<DType>(number));
  tensor.dtype = static_cast<DType>(blocks != nullptr ? number : number % 23);
  size_t element_bytes = static_cast<size_t>(std::max(Describe(tensor.dtype).bits / 8, 1));
  if (blocks != nullptr) element_bytes = blocks->block_bytes;
  size_t columns = input.Read<uint8_t>();
  tensor.level = static_cast<Level>(columns % 4);
  size_t growth = input.Read<uint8_t>();
  ByteSpan content = input.Rest();
  if (growth > 0) {
    tensor.bytes = Stretch(content, element_bytes, GrownElements(growth));
  } else {
    content = content.first(content.size() / element_bytes * element_bytes);
    tensor.bytes.assign(content.begin(), content.end());
  }
  size_t element_count = tensor.bytes.size() / element_bytes;
  if (columns > 0 && element_count % columns == 0) tensor.shape = {element_count / columns, columns};
  return tensor;
}

struct EncodedRecord {
  std::vector<std::byte> head;
  std::vector<std::vector<std::byte>> frames;
  std::vector<ChunkEntry> table;
  bool operator==(const EncodedRecord& other) const { return head == other.head && frames == other.frames; }
};

EncodedRecord Encode(const Tensor& tensor) {
  static CodecScratch scratch;  // reused from input to input, as a thread reuses it from chunk to chunk
  ExactBuffer content(tensor.bytes);
  MemorySource source(content.span());
  Result<RecordPlan> plan = PlanRecord(source, 0, source.size(), tensor.dtype, tensor.shape, tensor.level, scratch);
  FLYWEIGHT_FUZZ_CHECK(plan.ok());
  EncodedRecord record;
  record.head = plan.value().head_bytes;
  for (uint64_t i = 0; i < plan.value().head.chunk_count; i++) {
    size_t chunk_bytes = static_cast<size_t>(plan.value().head.ChunkDecodedBytes(i));
    ExactBuffer chunk(content.span().subspan(static_cast<size_t>(i * plan.value().head.chunk_bytes), chunk_bytes));
    ExactBuffer frame(static_cast<size_t>(FrameBound(chunk_bytes)));
    ChunkEntry entry = EncodeFrame(plan.value(), i, chunk.span(), frame.span(), scratch);
    FLYWEIGHT_FUZZ_CHECK(entry.frame_bytes <= frame.span().size());
    record.frames.emplace_back(frame.span().begin(), frame.span().begin() + entry.frame_bytes);
    record.table.push_back(entry);
  }
  return record;
}

std::vector<std::byte> Decode(const EncodedRecord& record) {
  Result<RecordHead> head = ParseRecordHead(record.head);
  FLYWEIGHT_FUZZ_CHECK(head.ok());
  Result<std::vector<ChunkEntry>> table = ParseChunkTable(head.value(), WriteChunkTable(record.table));
  FLYWEIGHT_FUZZ_CHECK(table.ok() && table.value().size() == record.frames.size());
  static CodecScratch scratch;  // reused from input to input, as a thread reuses it from chunk to chunk
  std::vector<std::byte> decoded;
  for (size_t i = 0; i < record.frames.size(); i++) {
    ExactBuffer frame(record.frames[i]);
    ExactBuffer target(static_cast<size_t>(head.value().ChunkDecodedBytes(i)));
    FLYWEIGHT_FUZZ_CHECK(ScrubFrame(frame.span(), table.value()[i]).ok());
    FLYWEIGHT_FUZZ_CHECK(
        DecodeFrame(head.value(), i, frame.span(), frame.span().size(), table.value()[i], target.span(), scratch).ok());
    decoded.insert(decoded.end(), target.span().begin(), target.span().end());
  }
  return decoded;
}

void CheckRoundTrip(const Tensor& tensor) {
  Isa active = ActiveIsa();
  EncodedRecord record = Encode(tensor);
  FLYWEIGHT_FUZZ_CHECK(Decode(record) == tensor.bytes);
  if (tensor.bytes.size() > kSmallTensorBytes) return;
  for (Isa isa : SupportedIsas()) {
    if (isa == active || !ForceIsa(isa)) continue;
    FLYWEIGHT_FUZZ_CHECK(Encode(tensor) == record);
    FLYWEIGHT_FUZZ_CHECK(Decode(record) == tensor.bytes);
  }
  ForceIsa(active);
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  CheckRoundTrip(ReadTensor(FuzzInput(data, size_bytes)));
  return 0;
}
