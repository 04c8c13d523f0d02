// Included once for each instruction set inside its namespace, behind kVectorBytes; no include guard. Vectors of the
// compiler, not intrinsics: each of their operations is the IEEE 754 one of every lane. All steps of a block are done
// in registers, which loops over arrays do not achieve: compilers interchange them.

namespace {

typedef float Floats __attribute__((vector_size(kVectorBytes)));
typedef double Doubles __attribute__((vector_size(kVectorBytes)));
typedef uint32_t Words __attribute__((vector_size(kVectorBytes)));
typedef float HalfFloats __attribute__((vector_size(kVectorBytes / 2)));
typedef uint32_t HalfWords __attribute__((vector_size(kVectorBytes / 2)));

constexpr size_t kNarrowBlock = 8 * kVectorBytes / sizeof(float);
constexpr size_t kWideBlock = 4 * kVectorBytes / sizeof(double);
constexpr uint32_t kExponentMask = 0x7F800000;

template <typename Vector>
inline Vector Load(const std::byte* at) {
  Vector vector;
  __builtin_memcpy(&vector, at, sizeof vector);
  return vector;
}

template <typename Vector, typename Scalar>
inline Vector Splat(Scalar value) {
  Vector vector = {};
  for (size_t i = 0; i < sizeof(Vector) / sizeof(Scalar); ++i) vector[i] = value;
  return vector;
}

// Stores the result, but for elements that are infinite or not a number, which stay.
template <typename Bits, typename Vector>
inline void Store(Vector result, const std::byte* source, std::byte* target) {
  Bits before = Load<Bits>(source);
  Bits after;
  __builtin_memcpy(&after, &result, sizeof after);
  const auto exponent_mask = Splat<Bits>(kExponentMask);
  const auto is_special = (before & exponent_mask) == exponent_mask;
  Bits mask;
  __builtin_memcpy(&mask, &is_special, sizeof mask);
  after = (before & mask) | (after & ~mask);
  __builtin_memcpy(target, &after, sizeof after);
}

inline void NarrowBlock(const float* factors, size_t steps, const std::byte* source, std::byte* target) {
  constexpr size_t kStep = kVectorBytes;
  auto a = Load<Floats>(source), b = Load<Floats>(source + kStep), c = Load<Floats>(source + 2 * kStep),
       d = Load<Floats>(source + 3 * kStep), e = Load<Floats>(source + 4 * kStep), f = Load<Floats>(source + 5 * kStep),
       g = Load<Floats>(source + 6 * kStep), h = Load<Floats>(source + 7 * kStep);
  for (size_t s = 0; s < steps; ++s) {
    const auto factor = Splat<Floats>(factors[s]);
    a *= factor, b *= factor, c *= factor, d *= factor;
    e *= factor, f *= factor, g *= factor, h *= factor;
  }
  Store<Words>(a, source, target);
  Store<Words>(b, source + kStep, target + kStep);
  Store<Words>(c, source + 2 * kStep, target + 2 * kStep);
  Store<Words>(d, source + 3 * kStep, target + 3 * kStep);
  Store<Words>(e, source + 4 * kStep, target + 4 * kStep);
  Store<Words>(f, source + 5 * kStep, target + 5 * kStep);
  Store<Words>(g, source + 6 * kStep, target + 6 * kStep);
  Store<Words>(h, source + 7 * kStep, target + 7 * kStep);
}

inline HalfFloats WideStep(HalfFloats value, Doubles factor) {
  return __builtin_convertvector(__builtin_convertvector(value, Doubles) * factor, HalfFloats);
}

inline void WideBlock(const double* factors, size_t steps, const std::byte* source, std::byte* target) {
  constexpr size_t kStep = kVectorBytes / 2;
  auto a = Load<HalfFloats>(source), b = Load<HalfFloats>(source + kStep), c = Load<HalfFloats>(source + 2 * kStep),
       d = Load<HalfFloats>(source + 3 * kStep);
  for (size_t s = 0; s < steps; ++s) {
    const auto factor = Splat<Doubles>(factors[s]);
    a = WideStep(a, factor), b = WideStep(b, factor), c = WideStep(c, factor), d = WideStep(d, factor);
  }
  Store<HalfWords>(a, source, target);
  Store<HalfWords>(b, source + kStep, target + kStep);
  Store<HalfWords>(c, source + 2 * kStep, target + 2 * kStep);
  Store<HalfWords>(d, source + 3 * kStep, target + 3 * kStep);
}

// The last elements go through a whole block of their own.
template <size_t kBlock, typename Factor, void (*kReplay)(const Factor*, size_t, const std::byte*, std::byte*)>
inline void ReplayAll(const Factor* factors, size_t steps, const std::byte* source, size_t count, std::byte* target) {
  constexpr size_t kBlockBytes = kBlock * sizeof(float);
  size_t done = 0;
  for (; done + kBlock <= count; done += kBlock)
    kReplay(factors, steps, source + done * sizeof(float), target + done * sizeof(float));
  if (done == count) return;
  std::byte last[kBlockBytes] = {};
  __builtin_memcpy(last, source + done * sizeof(float), (count - done) * sizeof(float));
  kReplay(factors, steps, last, last);
  __builtin_memcpy(target + done * sizeof(float), last, (count - done) * sizeof(float));
}

}  // namespace

void ReplayNarrow(const float* factors, size_t steps, const std::byte* source, size_t count, std::byte* target) {
  ReplayAll<kNarrowBlock, float, NarrowBlock>(factors, steps, source, count, target);
}

void ReplayWide(const double* factors, size_t steps, const std::byte* source, size_t count, std::byte* target) {
  ReplayAll<kWideBlock, double, WideBlock>(factors, steps, source, count, target);
}
