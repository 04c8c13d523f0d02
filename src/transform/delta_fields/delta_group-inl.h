// A group of up to 64 words, word by word: the truth that the kernels must match, and what they do with a last group
// that is not whole. Included inside the namespace of each instruction set; no include guard.

struct WordsBF16 {
  using Word = uint16_t;
  static constexpr int kExponentShift = 7;
  static constexpr int kExponentMask = 255;
  static constexpr bool kWidths = false;
};
struct WordsF16 {
  using Word = uint16_t;
  static constexpr int kExponentShift = 10;
  static constexpr int kExponentMask = 31;
  static constexpr bool kWidths = true;
};
struct WordsF32 {
  using Word = uint32_t;
  static constexpr int kExponentShift = 23;
  static constexpr int kExponentMask = 255;
  static constexpr bool kWidths = true;
};

// The least magnitude of each class, and from which class on a bit of the magnitude stands in the stream.
static constexpr uint8_t kClassBase[16] = {0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 0};
static constexpr int kBitPlanes = 7;
static constexpr uint8_t kPlaneClass[kBitPlanes] = {4, 6, 8, 10, 12, 14, 14};

template <typename T>
static inline T LoadFrom(const uint8_t* source) {
  T value;
  __builtin_memcpy(&value, source, sizeof value);
  return value;
}
template <typename T>
static inline void StoreTo(uint8_t* target, T value) {
  __builtin_memcpy(target, &value, sizeof value);
}

static inline uint64_t LowBits(uint64_t value, unsigned count) {
  return count < 64 ? value & ((uint64_t{1} << count) - 1) : value;
}

// The stream's place in registers.
struct BitIn {
  const uint8_t* bytes;
  uint64_t at, end;
  explicit BitIn(const DeltaBitReader& reader) : bytes(reader.bytes), at(reader.position_bits), end(reader.size_bits) {}
  // 64 bits from here, of which `count` are taken.
  inline uint64_t Take(unsigned count) {
    const uint8_t* p = bytes + (at >> 3);
    const unsigned shift = at & 7;
    at += count;
    return LoadFrom<uint64_t>(p) >> shift | uint64_t{p[8]} << 1 << (63 - shift);
  }
  inline void StayNearEnd() { at = at > end ? end + 1 : at; }
};

struct BitOut {
  uint8_t* bytes;
  uint64_t held;
  unsigned held_bits;
  explicit BitOut(const DeltaBitWriter& writer) : bytes(writer.bytes), held(writer.held), held_bits(writer.held_bits) {}
  // The bits of `value` above `count` (up to 64) are zero.
  inline void Put(uint64_t value, unsigned count) {
    held |= value << held_bits;
    const unsigned bits = held_bits + count;
    if (bits >= 64) {
      StoreTo(bytes, held);
      bytes += 8;
      held = held_bits != 0 ? value >> (64 - held_bits) : 0;
    }
    held_bits = bits & 63;
  }
  void StoreIn(DeltaBitWriter& writer) const { writer = {bytes, held, held_bits}; }
};

// Integers in the order of the floats; -0 and +0 stay two. An involution.
template <typename Word>
static inline Word Ordered(Word word) {
  constexpr int kTop = 8 * sizeof(Word) - 1;
  const auto magnitude_mask = static_cast<Word>(static_cast<Word>(~Word{0}) >> 1);
  return static_cast<Word>(word >> kTop != 0 ? word ^ magnitude_mask : word);
}

template <typename Words>
static inline void ContextsOneByOne(const DeltaContextsArgs& args, size_t begin) {
  using Word = typename Words::Word;
  const auto* words = static_cast<const uint8_t*>(args.words);
  for (size_t i = begin; i < args.count; ++i) {
    auto word = LoadFrom<Word>(words + sizeof(Word) * i);
    int exponent = static_cast<int>(word >> Words::kExponentShift & Words::kExponentMask) - args.exponent_origin;
    exponent = exponent < 0 ? 0 : exponent > 47 ? 47 : exponent;
    int scale = args.activities[i] - kDeltaActivityBias - 4 * exponent;
    scale = scale < 0 ? 0 : scale;
    int context = scale > 63 ? 63 : scale;
    if constexpr (Words::kWidths) {
      int width = scale < 48 ? 0 : scale / 4 - 11;
      args.widths[i] = static_cast<uint8_t>(width > kDeltaMaxWidth ? kDeltaMaxWidth : width);
      context = scale < 48 ? scale : 48 + scale % 4;
    }
    args.contexts[i] = args.tables[context];
  }
}

static inline uint8_t ClassOf(uint32_t magnitude) {
  if (magnitude < 4) return static_cast<uint8_t>(magnitude);
  if (magnitude > 255) return kDeltaEscape;
  if (magnitude > 127) return 14;
  const unsigned top = 31U - static_cast<unsigned>(__builtin_clz(magnitude));
  return static_cast<uint8_t>(2 * top + (magnitude >> (top - 1) & 1));
}

template <typename Words>
struct OneDelta {
  uint32_t magnitude;  // of the difference, above its width
  uint32_t low;
  bool negative;
};

template <typename Words>
static inline OneDelta<Words> Difference(const uint8_t* base, const uint8_t* words, const uint8_t* widths, size_t i) {
  using Word = typename Words::Word;
  constexpr size_t kBytes = sizeof(Word);
  auto difference =
      static_cast<Word>(Ordered(LoadFrom<Word>(words + kBytes * i)) - Ordered(LoadFrom<Word>(base + kBytes * i)));
  const bool negative = difference >> (8 * kBytes - 1) != 0;
  const uint32_t size = negative ? static_cast<Word>(Word{0} - difference) : difference;
  if constexpr (!Words::kWidths) return {size, 0, negative};
  return {size >> widths[i], size & ((1U << widths[i]) - 1), negative};
}

template <typename Words>
static inline void ClassifyOneByOne(const uint8_t* base, const uint8_t* words, const uint8_t* widths, size_t begin,
                                    size_t count, uint8_t* symbols) {
  for (size_t i = begin; i < count; ++i) symbols[i] = ClassOf(Difference<Words>(base, words, widths, i).magnitude);
}

template <typename Words>
static inline void SplitGroup(SplitDeltaArgs& args, size_t begin, size_t count, BitOut& planes, BitOut& low) {
  const auto* base = static_cast<const uint8_t*>(args.base);
  const auto* words = static_cast<const uint8_t*>(args.words);
  OneDelta<Words> deltas[kDeltaGroup];
  const uint8_t* symbols = args.symbols + begin;
  for (size_t i = 0; i < count; ++i) {
    deltas[i] = Difference<Words>(base, words, args.widths, begin + i);
    args.symbols[begin + i] = ClassOf(deltas[i].magnitude);
    if (symbols[i] == kDeltaEscape) args.escapes[args.escape_count++] = static_cast<uint32_t>(begin + i);
  }
  for (int plane = 0; plane < kBitPlanes; ++plane) {
    for (size_t i = 0; i < count; ++i) {
      if (symbols[i] >= kPlaneClass[plane] && symbols[i] != kDeltaEscape)
        planes.Put(deltas[i].magnitude >> plane & 1, 1);
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (symbols[i] == kDeltaEscape) continue;
    unsigned width = 0;
    if constexpr (Words::kWidths) width = args.widths[begin + i];
    if (symbols[i] != 0 || width != 0) planes.Put(deltas[i].negative ? 1 : 0, 1);
    if constexpr (Words::kWidths) low.Put(deltas[i].low, width);
  }
}

template <typename Words>
static inline void JoinGroup(JoinDeltaArgs& args, size_t begin, size_t count, BitIn& planes, BitIn& low) {
  using Word = typename Words::Word;
  const auto* base = static_cast<const uint8_t*>(args.base) + sizeof(Word) * begin;
  auto* words = static_cast<uint8_t*>(args.words) + sizeof(Word) * begin;
  const uint8_t* symbols = args.symbols + begin;
  uint32_t magnitudes[kDeltaGroup];
  for (size_t i = 0; i < count; ++i) {
    magnitudes[i] = kClassBase[symbols[i]];
    if (symbols[i] == kDeltaEscape) args.escapes[args.escape_count++] = static_cast<uint32_t>(begin + i);
  }
  for (int plane = 0; plane < kBitPlanes; ++plane) {
    for (size_t i = 0; i < count; ++i) {
      if (symbols[i] < kPlaneClass[plane] || symbols[i] == kDeltaEscape) continue;
      magnitudes[i] += static_cast<uint32_t>(planes.Take(1) & 1) << plane;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (symbols[i] == kDeltaEscape) {
      StoreTo(words + sizeof(Word) * i, LoadFrom<Word>(base + sizeof(Word) * i));
      continue;
    }
    unsigned width = 0;
    uint32_t size = magnitudes[i];
    if constexpr (Words::kWidths) {
      width = args.widths[begin + i];
      size = size << width | static_cast<uint32_t>(LowBits(low.Take(width), width));
    }
    bool negative = (symbols[i] != 0 || width != 0) && (planes.Take(1) & 1) != 0;
    auto difference = static_cast<Word>(negative ? 0 - size : size);
    auto word = static_cast<Word>(Ordered(LoadFrom<Word>(base + sizeof(Word) * i)) + difference);
    StoreTo(words + sizeof(Word) * i, Ordered(word));
  }
  planes.StayNearEnd();
  low.StayNearEnd();
}
