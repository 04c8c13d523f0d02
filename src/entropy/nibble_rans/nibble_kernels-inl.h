// The kernels over byte vectors, included once for each instruction set inside its namespace, after a vec_*.h of head
// rANS and the searches and lookups of that instruction set. No include guard.

constexpr size_t kGroupLanes = 64;
constexpr size_t kGroups = kNibbleLanes / kGroupLanes;
constexpr size_t kVecsPerGroup = kGroupLanes / kVecBytes;

struct StateVecs {
  Vec low[kGroups][kVecsPerGroup], high[kGroups][kVecsPerGroup];
  explicit StateVecs(const NibbleStates& states) {
    for (size_t g = 0; g < kGroups; ++g) {
      for (size_t v = 0; v < kVecsPerGroup; ++v) {
        low[g][v] = Load(states.low + kGroupLanes * g + kVecBytes * v);
        high[g][v] = Load(states.high + kGroupLanes * g + kVecBytes * v);
      }
    }
  }
  void StoreTo(NibbleStates& states) const {
    for (size_t g = 0; g < kGroups; ++g) {
      for (size_t v = 0; v < kVecsPerGroup; ++v) {
        Store(states.low + kGroupLanes * g + kVecBytes * v, low[g][v]);
        Store(states.high + kGroupLanes * g + kVecBytes * v, high[g][v]);
      }
    }
  }
};

static inline Vec EvenBytes(Vec v) { return And(v, Set16(0x00FF)); }

// Inlined always, or g++ takes it for a function without effect. Any address may be named.
[[gnu::always_inline]] static inline void PrefetchRow(uintptr_t& ahead, size_t row_bytes) {
  for (size_t at = 0; at < row_bytes; at += 64) __builtin_prefetch(reinterpret_cast<const void*>(ahead + at));
  ahead += row_bytes;
}

void DecodeNibbles(DecodeNibblesArgs& args) {
  const ThresholdSearch search(*args.coder);
  StateVecs states(*args.states);
  const uint8_t* stream = args.stream;
  const uint8_t* const overrun = args.stream_end + 1;
  const uint8_t* tables = args.tables;
  uint8_t* out = args.symbols;
  auto ahead = reinterpret_cast<uintptr_t>(args.ahead);
  const size_t ahead_row_bytes = args.ahead != nullptr ? args.ahead_row_bytes : 0;
  for (size_t row = 0; row < args.row_count; ++row) {
    PrefetchRow(ahead, ahead_row_bytes);
#pragma GCC unroll 2
    for (size_t g = 0; g < kGroups; ++g) {
#pragma GCC unroll 4
      for (size_t v = 0; v < kVecsPerGroup; ++v) {
        const size_t at = kGroupLanes * g + kVecBytes * v;
        Vec low = states.low[g][v], high = states.high[g][v];
        Vec symbols, frequencies, offsets;
        search.Find(low, Load(tables + at), symbols, frequencies, offsets);
        Vec even = Add16(Mul16(EvenBytes(frequencies), EvenBytes(high)), EvenBytes(offsets));
        Vec odd = Add16(Mul16(ShiftRight16<8>(frequencies), ShiftRight16<8>(high)), ShiftRight16<8>(offsets));
        low = Interleave(even, ShiftLeft16<8>(odd));
        high = Interleave(ShiftRight16<8>(even), odd);
        RenormaliseDecoder(low, high, stream);
        states.low[g][v] = low;
        states.high[g][v] = high;
        Store(out + at, symbols);
      }
    }
    stream = stream < overrun ? stream : overrun;
    tables += kNibbleLanes;
    out += kNibbleLanes;
  }
  states.StoreTo(*args.states);
  args.stream = stream;
  args.tables = tables;
  args.symbols = out;
}

void EncodeNibbles(EncodeNibblesArgs& args) {
  PairFields fields(*args.coder);
  StateVecs states(*args.states);
  uint8_t* stream = args.stream;
  for (size_t row = args.row_count; row-- > 0;) {
    fields.Stage(args.pairs, row);
#pragma GCC unroll 2
    for (size_t g = kGroups; g-- > 0;) {
#pragma GCC unroll 4
      for (size_t v = kVecsPerGroup; v-- > 0;) {
        Vec frequencies, first_slots, r_low, r_high;
        fields.Get(row, kGroupLanes * g + kVecBytes * v, frequencies, first_slots, r_low, r_high);
        Vec low = states.low[g][v], high = states.high[g][v];
        RenormaliseEncoder(low, high, frequencies, stream);
        // Division by multiplication: the quotient is right or one too small, the remainder then one frequency too
        // large.
        Vec even = Interleave(low, ShiftLeft16<8>(high)), odd = Interleave(ShiftRight16<8>(low), high);
        Vec f_even = EvenBytes(frequencies), f_odd = ShiftRight16<8>(frequencies);
        Vec q_even = MulHigh16(even, Interleave(r_low, ShiftLeft16<8>(r_high)));
        Vec q_odd = MulHigh16(odd, Interleave(ShiftRight16<8>(r_low), r_high));
        Vec m_even = Sub16(even, Mul16(q_even, f_even)), m_odd = Sub16(odd, Mul16(q_odd, f_odd));
        Vec quotient = Interleave(q_even, ShiftLeft16<8>(q_odd));
        Vec remainder = Interleave(m_even, ShiftLeft16<8>(m_odd));
        Vec corrected =
            Interleave(Min16(m_even, Sub16(m_even, f_even)), ShiftLeft16<8>(Min16(m_odd, Sub16(m_odd, f_odd))));
        states.low[g][v] = Add8(corrected, first_slots);
        states.high[g][v] = CorrectQuotient(quotient, remainder, corrected);
      }
    }
  }
  states.StoreTo(*args.states);
  args.stream = stream;
}
