// Whole kernels out of delta_group-inl.h; no include guard.

template <typename Words>
static void Contexts(const DeltaContextsArgs& args) {
  ContextsOneByOne<Words>(args, 0);
}

template <typename Words>
static void Classify(const uint8_t* base, const uint8_t* words, const uint8_t* widths, size_t count, uint8_t* symbols) {
  ClassifyOneByOne<Words>(base, words, widths, 0, count, symbols);
}

template <typename Words>
static void Split(SplitDeltaArgs& args) {
  DeltaBitWriter none;
  BitOut planes(*args.planes), low(Words::kWidths ? *args.low : none);
  args.escape_count = 0;
  for (size_t begin = 0; begin < args.count; begin += kDeltaGroup) {
    size_t left = args.count - begin;
    SplitGroup<Words>(args, begin, left < kDeltaGroup ? left : kDeltaGroup, planes, low);
  }
  planes.StoreIn(*args.planes);
  if (Words::kWidths) low.StoreIn(*args.low);
}

template <typename Words>
static void Join(JoinDeltaArgs& args) {
  DeltaBitReader none;
  BitIn planes(*args.planes), low(Words::kWidths ? *args.low : none);
  args.escape_count = 0;
  for (size_t begin = 0; begin < args.count; begin += kDeltaGroup) {
    size_t left = args.count - begin;
    JoinGroup<Words>(args, begin, left < kDeltaGroup ? left : kDeltaGroup, planes, low);
  }
  args.planes->position_bits = planes.at;
  if (Words::kWidths) args.low->position_bits = low.at;
}
