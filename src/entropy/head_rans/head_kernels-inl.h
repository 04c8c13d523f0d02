// The head kernels over byte vectors, included once for each instruction set inside its namespace, after its vec_*.h.
// No include guard: it is meant to be included again. Source of the coder: docs/format.md section 3.5; state kept as
// two byte vectors, so that slot and renormalisation need no shifts.

constexpr size_t kVecsPerBlock = kHeadBlock / kVecBytes;

static inline Vec EvenBytes(Vec v) { return And(v, Set16(0x00FF)); }

// Heads of 16 bits. A "tail" byte is the head's mantissa bits << 1 | sign: bit 7 is the coded bit, the others are the
// rest.
struct Head16 {
  static constexpr size_t kRestBytes = RestBytesPerIteration(HeadKind::k16);
  static constexpr size_t kBytes = 2;

  static inline void LoadFields(const uint8_t* block, size_t half, Vec& exponents, Vec& tails) {
    Vec a = RotateLeft16(Load(block + 2 * (kVecBytes / 2 * half)));
    Vec b = RotateLeft16(Load(block + 2 * (32 + kVecBytes / 2 * half)));
    exponents = Pack16(ShiftRight16<8>(a), ShiftRight16<8>(b));
    tails = Pack16(EvenBytes(a), EvenBytes(b));
  }
  static inline void StoreFields(uint8_t* block, size_t half, Vec exponents, Vec clear_bits, Vec rest) {
    Vec tails = NegatedTopBit(clear_bits, rest);
    Store(block + 2 * (kVecBytes / 2 * half), RotateRight16(UnpackLow8(tails, exponents)));
    Store(block + 2 * (32 + kVecBytes / 2 * half), RotateRight16(UnpackHigh8(tails, exponents)));
  }
  static inline Vec CodedBit(Vec tails) { return And(ShiftRight16<7>(tails), Set8(1)); }

  // Rows 0 to 6 hold the rests of blocks 0 to 6 and, in their top bits, that of block 7.
  struct RestReader {
    Vec gathered[kVecsPerBlock];
    RestReader() {
      for (Vec& v : gathered) v = Zero();
    }
    inline Vec Read(const uint8_t* rest, size_t block, size_t half) {
      if (block == 7) return ShiftRight16<1>(gathered[half]);
      Vec row = Load(rest + 64 * block + kVecBytes * half);
      gathered[half] = Or(ShiftRight16<1>(gathered[half]), And(row, Set8(0x80)));
      return row;
    }
  };
  // Blocks come from 7 down to 0.
  struct RestWriter {
    Vec pending[kVecsPerBlock];
    inline void Write(uint8_t* rest, size_t block, size_t half, Vec tails) {
      if (block == 7) {
        pending[half] = ShiftLeft16<1>(tails);
        return;
      }
      Store(rest + 64 * block + kVecBytes * half, TopBit(pending[half], tails));
      pending[half] = ShiftLeft16<1>(pending[half]);
    }
  };
};

// Heads of 8 bits: sign, 5 bits exponent, the coded bit, 1 bit mantissa. `tails` are the heads themselves.
struct Head8 {
  static constexpr size_t kRestBytes = RestBytesPerIteration(HeadKind::k8);
  static constexpr size_t kBytes = 1;

  static inline void LoadFields(const uint8_t* block, size_t half, Vec& exponents, Vec& tails) {
    tails = LoadElements(block, half);
    exponents = And(ShiftRight16<2>(tails), Set8(0x1F));
  }
  static inline void StoreFields(uint8_t* block, size_t half, Vec exponents, Vec clear_bits, Vec rest) {
    Vec sign = And(ShiftLeft16<6>(rest), Set8(0x80));
    Vec middle = And(ShiftLeft16<2>(exponents), Set8(0x7C));
    Vec low = Or(AndNot(ShiftRight16<6>(clear_bits), Set8(2)), And(rest, Set8(1)));
    StoreElements(block, half, Or(Or(sign, middle), low));
  }
  static inline Vec CodedBit(Vec tails) { return And(ShiftRight16<1>(tails), Set8(1)); }

  // Row r holds at bits 2t and 2t + 1 the rest of block 4r + t.
  struct RestReader {
    inline Vec Read(const uint8_t* rest, size_t block, size_t half) {
      Vec row = Load(rest + 64 * (block / 4) + kVecBytes * half);
      switch (block % 4) {
        case 0:
          return row;
        case 1:
          return ShiftRight16<2>(row);
        case 2:
          return ShiftRight16<4>(row);
        default:
          return ShiftRight16<6>(row);
      }
    }
  };
  struct RestWriter {
    Vec row[kVecsPerBlock];
    inline void Write(uint8_t* rest, size_t block, size_t half, Vec tails) {
      Vec sign = And(ShiftRight16<6>(tails), Set8(2));
      Vec two_bits = Or(sign, And(tails, Set8(1)));
      row[half] = block % 4 == 3 ? two_bits : Or(ShiftLeft16<2>(row[half]), two_bits);
      if (block % 4 == 0) Store(rest + 64 * (block / 4) + kVecBytes * half, row[half]);
    }
  };
};

struct StateVecs {
  Vec low[kHeadStreams][kVecsPerBlock], high[kHeadStreams][kVecsPerBlock];
  inline void LoadFrom(const HeadStates& states) {
    for (size_t s = 0; s < kHeadStreams; ++s) {
      for (size_t h = 0; h < kVecsPerBlock; ++h) {
        low[s][h] = Load(states.low[s] + kVecBytes * h);
        high[s][h] = Load(states.high[s] + kVecBytes * h);
      }
    }
  }
  inline void StoreTo(HeadStates& states) const {
    for (size_t s = 0; s < kHeadStreams; ++s) {
      for (size_t h = 0; h < kVecsPerBlock; ++h) {
        Store(states.low[s] + kVecBytes * h, low[s][h]);
        Store(states.high[s] + kVecBytes * h, high[s][h]);
      }
    }
  }
};

constexpr uintptr_t kLine = 64;

// Asks for what a block of a later iteration will read and write: three short streams and an output are more than
// hardware follows, across pages least of all. Any address may be named. (Inlined always, or g++ takes it for a
// function without effect.)
template <typename Head>
[[gnu::always_inline]] static inline void PrefetchBlock(const uint8_t* rest, const uint8_t* stream, size_t block) {
  const uintptr_t rest_line = reinterpret_cast<uintptr_t>(rest) + 84 * kLine + kLine * block;
  if (kLine * block < Head::kRestBytes) __builtin_prefetch(reinterpret_cast<const void*>(rest_line));
  // An iteration rarely reads more than 3 lines of a stream.
  const uintptr_t stream_line = reinterpret_cast<uintptr_t>(stream) + 32 * kLine + kLine * (block / kHeadStreams);
  if (block / kHeadStreams < 3) __builtin_prefetch(reinterpret_cast<const void*>(stream_line));
}

// The same for words as they will lie in memory, an iteration of them.
template <typename Head>
[[gnu::always_inline]] static inline void PrefetchWords(const HeadsAhead& ahead, const uint8_t* out, size_t iteration) {
  const bool merged = ahead.words != nullptr;
  const size_t word_bytes = merged ? ahead.word_bytes : Head::kBytes;
  const uintptr_t words = merged ? reinterpret_cast<uintptr_t>(ahead.words) + word_bytes * kHeadIteration * iteration
                                 : reinterpret_cast<uintptr_t>(out);
  for (size_t line = 0; line < kHeadIteration * word_bytes / kLine; line += 4) {
    const uintptr_t at = words + kLine * (128 + line);
    __builtin_prefetch(reinterpret_cast<const void*>(at), 1);
    __builtin_prefetch(reinterpret_cast<const void*>(at + kLine), 1);
    __builtin_prefetch(reinterpret_cast<const void*>(at + 2 * kLine), 1);
    __builtin_prefetch(reinterpret_cast<const void*>(at + 3 * kLine), 1);
  }
  for (size_t p = 0; p < ahead.low_count; ++p) {
    const uintptr_t low = reinterpret_cast<uintptr_t>(ahead.low[p]) + kHeadIteration * iteration + 48 * kLine;
    for (size_t line = 0; line < kHeadIteration / kLine; ++line) {
      __builtin_prefetch(reinterpret_cast<const void*>(low + kLine * line));
    }
  }
}

template <typename Head, bool kShifted, int kThresholds>
static void DecodeLoop(DecodeHeadsArgs& args) {
  const SlotLookup lookup(*args.coder);
  StateVecs states;
  states.LoadFrom(*args.states);
  const uint8_t* streams[kHeadStreams] = {args.streams[0], args.streams[1]};
  const uint8_t* const overrun[kHeadStreams] = {args.stream_ends[0] + 1, args.stream_ends[1] + 1};
  const uint8_t* rest = args.rest;
  const uint8_t* shifts = args.shifts;
  auto* out = static_cast<uint8_t*>(args.heads);
  for (size_t i = 0; i < args.iterations; ++i) {
    PrefetchWords<Head>(args.ahead, out, i);
    typename Head::RestReader reader;
#pragma GCC unroll 8
    for (size_t block = 0; block < 8; ++block) {
      const size_t stream = block % kHeadStreams;
      PrefetchBlock<Head>(rest, streams[stream], block);
#pragma GCC unroll 2
      for (size_t half = 0; half < kVecsPerBlock; ++half) {
        Vec exponents, frequencies, offsets, clear_bits;
        Vec low = states.low[stream][half], high = states.high[stream][half];
        lookup.template Find<kThresholds>(low, exponents, frequencies, offsets, clear_bits);
        Vec even = Add16(Mul16(EvenBytes(frequencies), EvenBytes(high)), EvenBytes(offsets));
        Vec odd = Add16(Mul16(ShiftRight16<8>(frequencies), ShiftRight16<8>(high)), ShiftRight16<8>(offsets));
        low = Interleave(even, ShiftLeft16<8>(odd));
        high = Interleave(ShiftRight16<8>(even), odd);
        RenormaliseDecoder(low, high, streams[stream]);
        states.low[stream][half] = low;
        states.high[stream][half] = high;
        if constexpr (kShifted) exponents = Add8(exponents, LoadElements(shifts + 64 * block, half));
        Head::StoreFields(out + Head::kBytes * 64 * block, half, exponents, clear_bits, reader.Read(rest, block, half));
      }
    }
    for (size_t s = 0; s < kHeadStreams; ++s) {
      streams[s] = streams[s] < overrun[s] ? streams[s] : overrun[s];
    }
    rest += Head::kRestBytes;
    if constexpr (kShifted) shifts += kHeadIteration;
    out += Head::kBytes * kHeadIteration;
  }
  states.StoreTo(*args.states);
  for (size_t s = 0; s < kHeadStreams; ++s) args.streams[s] = streams[s];
}

template <typename Head, int kThresholds>
static void DecodeShiftedOrNot(DecodeHeadsArgs& args) {
  args.shifts != nullptr ? DecodeLoop<Head, true, kThresholds>(args) : DecodeLoop<Head, false, kThresholds>(args);
}

template <typename Head>
static void Decode(DecodeHeadsArgs& args) {
  // Real tables never need more than two thresholds; the kernels of AVX-512 ignore the number.
  if (kVecsPerBlock > 1 && args.coder->threshold_count <= 2) return DecodeShiftedOrNot<Head, 2>(args);
  DecodeShiftedOrNot<Head, 0>(args);
}

template <typename Head>
static void Split(SplitHeadsArgs& args) {
  const RankLookup lookup(*args.coder);
  const Vec default_rank = Set8(args.coder->default_rank);
  const auto* heads = static_cast<const uint8_t*>(args.heads);
  uint8_t* rest = args.rest;
  size_t patched_count = 0;
  for (size_t i = 0; i < args.iterations; ++i) {
    typename Head::RestWriter writer;
#pragma GCC unroll 8
    for (size_t step = 0; step < 8; ++step) {
      const size_t block = 7 - step;
      for (size_t half = 0; half < kVecsPerBlock; ++half) {
        const size_t at = i * kHeadIteration + 64 * block + kVecBytes * half;
        Vec exponents, tails;
        Head::LoadFields(heads + Head::kBytes * (i * kHeadIteration + 64 * block), half, exponents, tails);
        if (args.shifts != nullptr)
          exponents = Sub8(exponents, LoadElements(args.shifts + i * kHeadIteration + 64 * block, half));
        Vec ranks = lookup.Find(exponents);
        if (uint64_t outside = TopBits(ranks); outside != 0) {
          ranks = ReplaceMarked(ranks, default_rank, outside);
          for (; outside != 0; outside &= outside - 1) {
            size_t element = HeadElement(at + static_cast<size_t>(__builtin_ctzll(outside)));
            args.patched[patched_count++] = args.first_number + static_cast<uint32_t>(element);
          }
        }
        Store(args.symbols + at, Or(Add8(ranks, ranks), Head::CodedBit(tails)));
        writer.Write(rest, block, half, tails);
      }
    }
    rest += Head::kRestBytes;
  }
  args.patched_count = patched_count;
}

void DecodeHeads16(DecodeHeadsArgs& args) { Decode<Head16>(args); }
void DecodeHeads8(DecodeHeadsArgs& args) { Decode<Head8>(args); }
void SplitHeads16(SplitHeadsArgs& args) { Split<Head16>(args); }
void SplitHeads8(SplitHeadsArgs& args) { Split<Head8>(args); }

void EncodeSymbols(EncodeSymbolsArgs& args) {
  const SymbolTable frequency(args.coder->frequency), first_slot(args.coder->first_slot);
  const SymbolTable reciprocal_low(args.coder->reciprocal_low), reciprocal_high(args.coder->reciprocal_high);
  StateVecs states;
  states.LoadFrom(*args.states);
  uint8_t* streams[kHeadStreams] = {args.streams[0], args.streams[1]};
  for (size_t i = args.iterations; i-- > 0;) {
#pragma GCC unroll 8
    for (size_t block = 8; block-- > 0;) {
      const size_t stream = block % kHeadStreams;
#pragma GCC unroll 2
      for (size_t half = kVecsPerBlock; half-- > 0;) {
        Vec symbols = Load(args.symbols + i * kHeadIteration + 64 * block + kVecBytes * half);
        Vec frequencies = frequency.At(symbols);
        Vec low = states.low[stream][half], high = states.high[stream][half];
        RenormaliseEncoder(low, high, frequencies, streams[stream]);

        // Division by multiplication: the quotient is right or one too small, the remainder then one frequency too
        // large.
        Vec r_low = reciprocal_low.At(symbols), r_high = reciprocal_high.At(symbols);
        Vec even = Interleave(low, ShiftLeft16<8>(high)), odd = Interleave(ShiftRight16<8>(low), high);
        Vec f_even = EvenBytes(frequencies), f_odd = ShiftRight16<8>(frequencies);
        Vec q_even = MulHigh16(even, Interleave(r_low, ShiftLeft16<8>(r_high)));
        Vec q_odd = MulHigh16(odd, Interleave(ShiftRight16<8>(r_low), r_high));
        Vec m_even = Sub16(even, Mul16(q_even, f_even)), m_odd = Sub16(odd, Mul16(q_odd, f_odd));
        Vec quotient = Interleave(q_even, ShiftLeft16<8>(q_odd));
        Vec remainder = Interleave(m_even, ShiftLeft16<8>(m_odd));
        Vec corrected =
            Interleave(Min16(m_even, Sub16(m_even, f_even)), ShiftLeft16<8>(Min16(m_odd, Sub16(m_odd, f_odd))));
        states.low[stream][half] = Add8(corrected, first_slot.At(symbols));
        states.high[stream][half] = CorrectQuotient(quotient, remainder, corrected);
      }
    }
  }
  states.StoreTo(*args.states);
  for (size_t s = 0; s < kHeadStreams; ++s) args.streams[s] = streams[s];
}
