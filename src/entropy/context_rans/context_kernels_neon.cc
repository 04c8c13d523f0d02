#include <arm_neon.h>

#include "entropy/context_rans/context_kernels.h"

namespace flyweight::neon {
namespace {

constexpr size_t kVecLanes = 4;
constexpr size_t kGroupVecs = 4;  // whose values are stored together

// For each mask of lanes that take a word: the bytes of the next four words that each lane takes, as 32 bits; 0xFF is
// no byte and gives 0.
struct ExpandTable {
  alignas(16) uint8_t bytes[16][16];
  uint8_t size_bytes[16];
};

constexpr ExpandTable MakeExpandTable() {
  ExpandTable table{};
  for (unsigned mask = 0; mask < 16; ++mask) {
    uint8_t next = 0;
    for (unsigned lane = 0; lane < kVecLanes; ++lane) {
      const bool takes = (mask >> lane & 1) != 0;
      for (unsigned b = 0; b < 4; ++b) {
        table.bytes[mask][4 * lane + b] = takes && b < 2 ? next++ : uint8_t{0xFF};
      }
    }
    table.size_bytes[mask] = next;
  }
  return table;
}

constexpr ExpandTable kExpand = MakeExpandTable();

inline uint32x4_t Gather(const uint32_t* slots, uint32x4_t index) {
  const uint32_t gathered[kVecLanes] = {slots[vgetq_lane_u32(index, 0)], slots[vgetq_lane_u32(index, 1)],
                                        slots[vgetq_lane_u32(index, 2)], slots[vgetq_lane_u32(index, 3)]};
  return vld1q_u32(gathered);
}

inline unsigned MaskOf(uint32x4_t lanes) {
  constexpr uint32_t kPlaces[kVecLanes] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(lanes, vld1q_u32(kPlaces)));
}

inline uint32x4_t Renormalise(uint32x4_t x, const uint8_t*& stream) {
  const uint32x4_t small = vcltq_u32(x, vdupq_n_u32(1 << 16));
  const unsigned lanes = MaskOf(small);
  const uint8x16_t ahead = vcombine_u8(vld1_u8(stream), vdup_n_u8(0));
  const uint32x4_t words = vreinterpretq_u32_u8(vqtbl1q_u8(ahead, vld1q_u8(kExpand.bytes[lanes])));
  stream += kExpand.size_bytes[lanes];
  return vbslq_u32(small, vorrq_u32(vshlq_n_u32(x, 16), words), x);
}

// The low bytes of 16 slots.
inline uint8x16_t Values(const uint32x4_t* slots) {
  uint16x8_t a = vuzp1q_u16(vreinterpretq_u16_u32(slots[0]), vreinterpretq_u16_u32(slots[1]));
  uint16x8_t b = vuzp1q_u16(vreinterpretq_u16_u32(slots[2]), vreinterpretq_u16_u32(slots[3]));
  return vuzp1q_u8(vreinterpretq_u8_u16(a), vreinterpretq_u8_u16(b));
}

struct Contexts {
  uint32x4_t of[kGroupVecs];
  explicit Contexts(const uint8_t* contexts) {
    const uint8x16_t bytes = vld1q_u8(contexts);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_high_u8(bytes);
    of[0] = vmovl_u16(vget_low_u16(low));
    of[1] = vmovl_high_u16(low);
    of[2] = vmovl_u16(vget_low_u16(high));
    of[3] = vmovl_high_u16(high);
  }
};

constexpr uint8_t kNoContexts[kVecLanes * kGroupVecs] = {};

template <bool kContexts>
inline void Decode(DecodeContextsArgs& args) {
  const uint32x4_t mask = vdupq_n_u32((1U << args.precision_bits) - 1);
  const int32x4_t left = vdupq_n_s32(args.precision_bits), right = vdupq_n_s32(-args.precision_bits);
  const uint32x4_t one = vdupq_n_u32(1), low12 = vdupq_n_u32(0xFFF);
  const uint32_t* const slots_table = args.slots;
  const uint8_t* stream = args.stream;
  const uint8_t* const overrun = args.stream_end + 1;
  const uint8_t* contexts = args.contexts;
  uint8_t* values = args.values;
  uint32_t* const states = args.states;
  for (size_t row = 0; row < args.row_count; ++row) {
    for (size_t lane = 0; lane < kContextLanes; lane += kVecLanes * kGroupVecs) {
      const Contexts of_lanes(kContexts ? contexts + lane : kNoContexts);
      uint32x4_t slots[kGroupVecs];
#pragma GCC unroll 4
      for (size_t v = 0; v < kGroupVecs; ++v) {
        uint32_t* const state = states + lane + kVecLanes * v;
        uint32x4_t x = vld1q_u32(state);
        uint32x4_t index = vandq_u32(x, mask);
        if constexpr (kContexts) index = vaddq_u32(index, vshlq_u32(of_lanes.of[v], left));
        slots[v] = Gather(slots_table, index);
        const uint32x4_t frequency = vaddq_u32(vshrq_n_u32(slots[v], 20), one);
        const uint32x4_t offset = vandq_u32(vshrq_n_u32(slots[v], 8), low12);
        x = vmlaq_u32(offset, frequency, vshlq_u32(x, right));
        vst1q_u32(state, Renormalise(x, stream));
      }
      vst1q_u8(values + lane, Values(slots));
    }
    stream = stream < overrun ? stream : overrun;
    values += kContextLanes;
    if constexpr (kContexts) contexts += kContextLanes;
  }
  args.stream = stream;
  args.values = values;
  args.contexts = contexts;
}

}  // namespace

void DecodeContexts(DecodeContextsArgs& args) { args.contexts != nullptr ? Decode<true>(args) : Decode<false>(args); }

}  // namespace flyweight::neon
