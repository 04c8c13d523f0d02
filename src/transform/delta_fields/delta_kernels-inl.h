// The kernels over groups of 64 bytes, included once for each instruction set inside its namespace, after
// delta_group-inl.h and the operations of that instruction set. No include guard.

template <typename Words>
static void Contexts(const DeltaContextsArgs& args) {
  const TableOf64 tables(args.tables);
  const Bytes64 origin = Fill(args.exponent_origin);
  const auto* words = static_cast<const uint8_t*>(args.words);
  size_t i = 0;
  for (; i + 64 <= args.count; i += 64) {
    Bytes64 octaves =
        Least(SubtractOrZero(ExponentsOf<Words>(words + sizeof(typename Words::Word) * i), origin), Fill(47));
    Bytes64 scale = SubtractOrZero(LoadBytes(args.activities + i), Add(TimesFour(octaves), Fill(kDeltaActivityBias)));
    if constexpr (Words::kWidths) {
      StoreBytes(args.widths + i, Least(SubtractOrZero(Quarter(scale), Fill(11)), Fill(kDeltaMaxWidth)));
      scale = Choose(AtLeast(scale, Fill(48)), Or(And(scale, Fill(3)), Fill(48)), scale);
    } else {
      scale = Least(scale, Fill(63));
    }
    StoreBytes(args.contexts + i, tables.At(scale));
  }
  ContextsOneByOne<Words>(args, i);
}

// Sizes of differences above their widths (anything where they are over 255), which are, and which are negative.
struct Sizes {
  Bytes64 low_bytes;
  uint64_t beyond, negative;
};

template <typename Words>
static inline Sizes SizesOf(const uint8_t* base, const uint8_t* words, const uint8_t* widths, uint32_t* low) {
  if constexpr (!Words::kWidths) {
    Sizes sizes;
    SizesOf16(base, words, sizes.low_bytes, sizes.beyond, sizes.negative);
    return sizes;
  } else {
    alignas(64) uint8_t bytes[64], beyond[64], negative[64];
    for (size_t i = 0; i < 64; ++i) {
      OneDelta<Words> delta = Difference<Words>(base, words, widths, i);
      bytes[i] = static_cast<uint8_t>(delta.magnitude);
      beyond[i] = delta.magnitude > 255 ? 255 : 0;
      negative[i] = delta.negative ? 255 : 0;
      low[i] = delta.low;
    }
    return {LoadBytes(bytes), TopBits(LoadBytes(beyond)), TopBits(LoadBytes(negative))};
  }
}

template <typename Words>
static void Classify(const uint8_t* base, const uint8_t* words, const uint8_t* widths, size_t count, uint8_t* symbols) {
  constexpr size_t kBytes = sizeof(typename Words::Word);
  uint32_t low[64];
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    Sizes sizes = SizesOf<Words>(base + kBytes * i, words + kBytes * i, Words::kWidths ? widths + i : nullptr, low);
    StoreBytes(symbols + i, Choose(sizes.beyond, Fill(kDeltaEscape), ClassesOf(sizes.low_bytes)));
  }
  ClassifyOneByOne<Words>(base, words, widths, i, count, symbols);
}

static inline void ListEscapes(uint64_t mask, size_t begin, uint32_t* escapes, size_t& count) {
  for (; mask != 0; mask &= mask - 1)
    escapes[count++] = static_cast<uint32_t>(begin + static_cast<unsigned>(__builtin_ctzll(mask)));
}

static inline unsigned CountBits(uint64_t mask) { return static_cast<unsigned>(__builtin_popcountll(mask)); }

template <typename Words>
static void Split(SplitDeltaArgs& args) {
  constexpr size_t kBytes = sizeof(typename Words::Word);
  const auto* base = static_cast<const uint8_t*>(args.base);
  const auto* words = static_cast<const uint8_t*>(args.words);
  DeltaBitWriter none;
  BitOut planes(*args.planes), low(Words::kWidths ? *args.low : none);
  uint32_t low_bits[64];
  args.escape_count = 0;
  size_t i = 0;
  for (; i + 64 <= args.count; i += 64) {
    const uint8_t* widths = Words::kWidths ? args.widths + i : nullptr;
    Sizes sizes = SizesOf<Words>(base + kBytes * i, words + kBytes * i, widths, low_bits);
    Bytes64 symbols = Choose(sizes.beyond, Fill(kDeltaEscape), ClassesOf(sizes.low_bytes));
    StoreBytes(args.symbols + i, symbols);
    ListEscapes(sizes.beyond, i, args.escapes, args.escape_count);
    for (int plane = 0; plane < kBitPlanes; ++plane) {
      uint64_t mask = AtLeast(symbols, Fill(kPlaneClass[plane])) & ~sizes.beyond;
      if (mask == 0) break;
      planes.Put(Extract(BitOf(sizes.low_bytes, plane), mask), CountBits(mask));
    }
    uint64_t has_sign = AtLeast(symbols, Fill(1));
    if constexpr (Words::kWidths) {
      uint64_t has_low = AtLeast(LoadBytes(widths), Fill(1));
      has_sign |= has_low;
      if (has_low != 0) {
        for (size_t j = 0; j < 64; ++j) {
          const bool escaped = (sizes.beyond >> j & 1) != 0;
          low.Put(escaped ? 0 : low_bits[j], escaped ? 0 : widths[j]);
        }
      }
    }
    has_sign &= ~sizes.beyond;
    planes.Put(Extract(sizes.negative, has_sign), CountBits(has_sign));
  }
  if (i < args.count) SplitGroup<Words>(args, i, args.count - i, planes, low);
  planes.StoreIn(*args.planes);
  if (Words::kWidths) low.StoreIn(*args.low);
}

// The low bits of 64 words; none where `none` has a bit.
static inline void TakeLow(BitIn& low, const uint8_t* widths, uint64_t none, uint32_t* low_bits) {
  for (size_t j = 0; j < 64; ++j) {
    const unsigned width = none >> j & 1 ? 0 : widths[j];
    low_bits[j] = static_cast<uint32_t>(LowBits(LoadFrom<uint64_t>(low.bytes + (low.at >> 3)) >> (low.at & 7), width));
    low.at += width;
  }
}

template <typename Words>
static inline void ApplyWithLow(const uint8_t* base, Bytes64 sizes, uint64_t negative, const uint8_t* widths,
                                const uint32_t* low_bits, uint8_t* out) {
  using Word = typename Words::Word;
  alignas(64) uint8_t bytes[64], signs[64];
  StoreBytes(bytes, sizes);
  StoreBytes(signs, Choose(negative, Fill(255), Fill(0)));
  alignas(64) Word result[64];
  for (size_t j = 0; j < 64; ++j) {
    const uint32_t size = static_cast<uint32_t>(bytes[j]) << widths[j] | low_bits[j];
    const auto sign = static_cast<uint32_t>(static_cast<int8_t>(signs[j]));
    const auto word = static_cast<Word>(Ordered(LoadFrom<Word>(base + sizeof(Word) * j)) + ((size ^ sign) - sign));
    result[j] = Ordered(word);
  }
  __builtin_memcpy(out, result, sizeof result);
}

template <typename Words>
static void Join(JoinDeltaArgs& args) {
  constexpr size_t kBytes = sizeof(typename Words::Word);
  const auto* base = static_cast<const uint8_t*>(args.base);
  auto* words = static_cast<uint8_t*>(args.words);
  DeltaBitReader none;
  BitIn planes(*args.planes), low(Words::kWidths ? *args.low : none);
  uint32_t low_bits[64];
  args.escape_count = 0;
  size_t i = 0;
  for (; i + 64 <= args.count; i += 64) {
    Bytes64 symbols = LoadBytes(args.symbols + i);
    const uint64_t escaped = AtLeast(symbols, Fill(kDeltaEscape));
    Bytes64 sizes = ClassBases(symbols);
    // Few groups have bits above these planes, most have some in them.
    for (int plane = 0; plane < 4; ++plane) {
      uint64_t mask = AtLeast(symbols, Fill(kPlaneClass[plane])) & ~escaped;
      sizes = AddBit(sizes, Deposit(planes.Take(CountBits(mask)), mask), plane);
    }
    if (uint64_t large = AtLeast(symbols, Fill(kPlaneClass[4])); large != 0) {
      for (int plane = 4; plane < kBitPlanes; ++plane) {
        uint64_t mask = AtLeast(symbols, Fill(kPlaneClass[plane])) & ~escaped;
        sizes = AddBit(sizes, Deposit(planes.Take(CountBits(mask)), mask), plane);
      }
      ListEscapes(escaped, i, args.escapes, args.escape_count);
    }
    uint64_t has_sign = AtLeast(symbols, Fill(1)), has_low = 0;
    if constexpr (Words::kWidths) has_low = AtLeast(LoadBytes(args.widths + i), Fill(1));
    has_sign = (has_sign | has_low) & ~escaped;
    const uint64_t negative = Deposit(planes.Take(CountBits(has_sign)), has_sign);
    planes.StayNearEnd();
    if (!Words::kWidths || (kBytes == 2 && has_low == 0)) {
      Apply16(base + kBytes * i, sizes, negative, words + kBytes * i);
    } else {
      TakeLow(low, args.widths + i, escaped, low_bits);
      low.StayNearEnd();
      ApplyWithLow<Words>(base + kBytes * i, sizes, negative, args.widths + i, low_bits, words + kBytes * i);
    }
  }
  if (i < args.count) JoinGroup<Words>(args, i, args.count - i, planes, low);
  args.planes->position_bits = planes.at;
  if (Words::kWidths) args.low->position_bits = low.at;
}
