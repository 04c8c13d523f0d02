// The kernels' names over the templates Contexts, Split, Classify and Join. Included once for each instruction set
// inside its namespace; no include guard.

#define FLYWEIGHT_DELTA_KERNELS(layout)                                                                           \
  void DeltaContexts##layout(const DeltaContextsArgs& args) { Contexts<Words##layout>(args); }                    \
  void SplitDelta##layout(SplitDeltaArgs& args) { Split<Words##layout>(args); }                                   \
  void ClassifyDelta##layout(const void* base, const void* words, const uint8_t* widths, size_t count,            \
                             uint8_t* symbols) {                                                                  \
    Classify<Words##layout>(static_cast<const uint8_t*>(base), static_cast<const uint8_t*>(words), widths, count, \
                            symbols);                                                                             \
  }                                                                                                               \
  void JoinDelta##layout(JoinDeltaArgs& args) { Join<Words##layout>(args); }
FLYWEIGHT_DELTA_KERNELS(BF16)
FLYWEIGHT_DELTA_KERNELS(F16)
FLYWEIGHT_DELTA_KERNELS(F32)
#undef FLYWEIGHT_DELTA_KERNELS

void AddActivity(const uint8_t* __restrict columns, size_t count, uint8_t row, uint8_t* __restrict activities) {
  for (size_t i = 0; i < count; ++i) {
    auto sum = static_cast<uint8_t>(columns[i] + row);
    activities[i] = sum < row ? uint8_t{255} : sum;
  }
}
