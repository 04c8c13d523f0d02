#include "transform/delta_fields/delta_fields.h"

#include <cstring>

namespace flyweight {
namespace {

struct LayoutKernels {
  IsaTable<DeltaContextsFunction> contexts;
  IsaTable<SplitDeltaFunction> split;
  IsaTable<ClassifyDeltaFunction> classify;
  IsaTable<JoinDeltaFunction> join;
};

#define FLYWEIGHT_LAYOUT_KERNELS(layout)                                                          \
  {FLYWEIGHT_ISA_TABLE_NEON(DeltaContexts##layout), FLYWEIGHT_ISA_TABLE_NEON(SplitDelta##layout), \
   FLYWEIGHT_ISA_TABLE_NEON(ClassifyDelta##layout), FLYWEIGHT_ISA_TABLE_NEON(JoinDelta##layout)}
const LayoutKernels kKernels[3] = {FLYWEIGHT_LAYOUT_KERNELS(BF16), FLYWEIGHT_LAYOUT_KERNELS(F16),
                                   FLYWEIGHT_LAYOUT_KERNELS(F32)};
constexpr IsaTable<void (*)(const uint8_t*, size_t, uint8_t, uint8_t*)> kAddActivity =
    FLYWEIGHT_ISA_TABLE_NEON(AddActivity);

const LayoutKernels& KernelsOf(FloatLayout layout) {
  return kKernels[static_cast<size_t>(layout) - static_cast<size_t>(FloatLayout::kBF16)];
}

}  // namespace

bool HasDeltaWidths(FloatLayout layout) { return layout != FloatLayout::kBF16; }

void AddActivity(const uint8_t* columns, size_t count, uint8_t row, uint8_t* activities) {
  kAddActivity.Pick()(columns, count, row, activities);
}

void DeltaContexts(FloatLayout layout, const DeltaContextsArgs& args) { KernelsOf(layout).contexts.Pick()(args); }

void SplitDelta(FloatLayout layout, SplitDeltaArgs& args) { KernelsOf(layout).split.Pick()(args); }

void ClassifyDelta(FloatLayout layout, const void* base, const void* words, const uint8_t* widths, size_t count,
                   uint8_t* symbols) {
  KernelsOf(layout).classify.Pick()(base, words, widths, count, symbols);
}

void JoinDelta(FloatLayout layout, JoinDeltaArgs& args) { KernelsOf(layout).join.Pick()(args); }

uint8_t* FinishDeltaBits(DeltaBitWriter& writer) {
  std::memcpy(writer.bytes, &writer.held, sizeof writer.held);
  writer.bytes += (writer.held_bits + 7) / 8;
  writer.held = 0;
  writer.held_bits = 0;
  return writer.bytes;
}

bool DeltaBitsUsedUp(const DeltaBitReader& reader) {
  if (reader.position_bits > reader.size_bits || reader.size_bits - reader.position_bits >= 8) return false;
  if (reader.position_bits % 8 == 0) return reader.position_bits == reader.size_bits;
  return reader.bytes[reader.position_bits / 8] >> (reader.position_bits % 8) == 0;
}

}  // namespace flyweight
