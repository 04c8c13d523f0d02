#include "transform/delta_fields/delta_kernels.h"

namespace flyweight::scalar {
#include "transform/delta_fields/delta_group-inl.h"
//
#include "transform/delta_fields/add_activity-inl.h"

namespace {

template <typename Words>
void Split(SplitDeltaArgs& args) {
  DeltaBitWriter none;
  BitOut planes(*args.planes), low(Words::kWidths ? *args.low : none);
  args.escape_count = 0;
  EachGroup(args.count, [&](size_t begin, size_t count) { SplitGroup<Words>(args, begin, count, planes, low); });
  planes.StoreIn(*args.planes);
  if (Words::kWidths) low.StoreIn(*args.low);
}

template <typename Words>
void Join(JoinDeltaArgs& args) {
  DeltaBitReader none;
  BitIn planes(*args.planes), low(Words::kWidths ? *args.low : none);
  args.escape_count = 0;
  EachGroup(args.count, [&](size_t begin, size_t count) { JoinGroup<Words>(args, begin, count, planes, low); });
  args.planes->position_bits = planes.at;
  if (Words::kWidths) args.low->position_bits = low.at;
}

}  // namespace

#define FLYWEIGHT_DELTA_KERNELS(layout)                                                                               \
  void DeltaContexts##layout(const DeltaContextsArgs& args) { ContextsOneByOne<Words##layout>(args, 0); }             \
  void SplitDelta##layout(SplitDeltaArgs& args) { Split<Words##layout>(args); }                                       \
  void ClassifyDelta##layout(const void* base, const void* words, const uint8_t* widths, size_t count,                \
                             uint8_t* symbols) {                                                                      \
    ClassifyOneByOne<Words##layout>(static_cast<const uint8_t*>(base), static_cast<const uint8_t*>(words), widths, 0, \
                                    count, symbols);                                                                  \
  }                                                                                                                   \
  void JoinDelta##layout(JoinDeltaArgs& args) { Join<Words##layout>(args); }
FLYWEIGHT_DELTA_KERNELS(BF16)
FLYWEIGHT_DELTA_KERNELS(F16)
FLYWEIGHT_DELTA_KERNELS(F32)

}  // namespace flyweight::scalar
