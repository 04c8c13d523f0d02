#include "delta/sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "base/hash.h"
#include "tensor/cast.h"

namespace flyweight {
namespace {

constexpr uint64_t kChunkElements = uint64_t{1} << 18;
constexpr uint64_t kLargeElements = 4096;  // tensors with fewer are samples only where there are not enough others

/// A generator of positions that is the same everywhere (splitmix64).
class Positions {
 public:
  explicit Positions(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    state_ += 0x9E3779B97F4A7C15;
    uint64_t mixed = (state_ ^ (state_ >> 30)) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
    return mixed ^ (mixed >> 31);
  }

 private:
  uint64_t state_;
};

bool IsFloat(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF32 || dtype == DType::kF64;
}

uint64_t ElementCountOf(const SketchTensor& tensor) {
  int bits = Describe(tensor.dtype).bits;
  return bits < 8 ? tensor.size_bytes : tensor.size_bytes / static_cast<uint64_t>(bits / 8);
}

/// The first dimension counts by its order of magnitude only, as a vocabulary grows.
uint64_t KeyOf(const SketchTensor& tensor) {
  Xxh3Stream hash;
  hash.Update(AsBytes(tensor.name));
  std::vector<uint64_t> tail = {std::bit_floor(ElementCountOf(tensor))};
  if (!tensor.shape->empty()) tail.insert(tail.end(), tensor.shape->begin() + 1, tensor.shape->end());
  hash.Update(std::as_bytes(std::span(tail)));
  return hash.Finish();
}

/// Begins of runs, in elements, ascending and apart.
std::vector<uint64_t> ChooseRuns(uint64_t key, uint64_t element_count, const SketchSize& size) {
  uint64_t range = std::min(kChunkElements, std::bit_floor(element_count));
  uint64_t chunk_count = std::max<uint64_t>(std::bit_floor(element_count / kChunkElements), 1);
  Positions positions(key);
  uint64_t first = (positions.Next() % chunk_count) * kChunkElements;
  uint64_t slot_count = range / size.run_elements;
  std::vector<uint64_t> begins;
  for (size_t run = 0; run < size.run_count; ++run) {
    begins.push_back(first + (positions.Next() % slot_count) * size.run_elements);
  }
  std::ranges::sort(begins);
  begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
  return begins;
}

float HalfToFloat(uint16_t word) {
  constexpr int kExponentMax = 31;
  int exponent = (word >> 10) & kExponentMax;
  auto mantissa = static_cast<float>(word & 1023);
  float magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024, exponent - 25);
  if (exponent == kExponentMax) magnitude = HUGE_VALF;
  return (word >> 15) != 0 ? -magnitude : magnitude;
}

float ToFloat(DType dtype, const std::byte* bytes) {
  switch (dtype) {
    case DType::kF16:
      return HalfToFloat(LoadLe<uint16_t>(bytes));
    case DType::kBF16: {
      uint32_t word = static_cast<uint32_t>(LoadLe<uint16_t>(bytes)) << 16;
      return LoadLe<float>(&word);
    }
    case DType::kF32:
      return LoadLe<float>(bytes);
    default:
      return static_cast<float>(LoadLe<double>(bytes));
  }
}

/// A float type as the estimate sees it. Of F64 the leading bits, the others cost alike with and without a base.
struct Format {
  DType cast = DType::kF32;  ///< what samples are rounded to
  int mantissa_bits = 23;
  int exponent_bits = 8;
  int extra_bits = 0;
};

Format FormatOf(DType dtype) {
  if (dtype == DType::kF16) return {DType::kF16, 10, 5, 0};
  if (dtype == DType::kBF16) return {DType::kBF16, 7, 8, 0};
  if (dtype == DType::kF64) return {DType::kF32, 23, 8, 29};
  return {};
}

/// The value in the type, as an integer in the order of values: a step is an ulp.
int64_t Ordered(const Format& format, float value) {
  uint32_t word = LoadLe<uint32_t>(&value);
  uint32_t bits = word;
  int width = 32;
  if (format.cast != DType::kF32) {
    uint16_t narrow = 0;
    CastFromF32(format.cast == DType::kF16 ? CastMethod::kF16 : CastMethod::kBF16, std::as_bytes(std::span(&word, 1)),
                std::as_writable_bytes(std::span(&narrow, 1)));
    bits = narrow;
    width = 16;
  }
  auto magnitude = static_cast<int64_t>(bits & ((uint32_t{1} << (width - 1)) - 1));
  return (bits >> (width - 1)) != 0 ? -magnitude : magnitude;
}

/// Bits that a geometric distribution of mean `mean` takes.
double GeometricBits(double mean) {
  if (mean <= 0) return 0;
  return (1 + mean) * std::log2(1 + mean) - mean * std::log2(mean);
}

double BinaryEntropy(double part) {
  if (part <= 0 || part >= 1) return 0;
  return -part * std::log2(part) - (1 - part) * std::log2(1 - part);
}

/// What samples of one tensor tell.
struct SiteEstimate {
  double patch_bits = 0;       ///< a weight
  double standalone_bits = 0;  ///< a weight
  double changed_part = 0;
};

/// Low bits that are zero in all samples: weights that were widened.
int CommonZeroBits(const Format& format, const std::vector<float>& samples) {
  int64_t all = 0;
  for (float sample : samples) all |= std::abs(Ordered(format, sample));
  return all == 0 ? 0 : std::min(std::countr_zero(static_cast<uint64_t>(all)), format.mantissa_bits);
}

double StandaloneBits(const Format& format, const std::vector<float>& samples) {
  constexpr double kExponentEntropy = 2.65;  // of weights with a scale of their own by tensor
  auto zeros = static_cast<double>(std::ranges::count(samples, 0.0F));
  double zero_part = zeros / static_cast<double>(samples.size());
  double bits = 1 + format.mantissa_bits - CommonZeroBits(format, samples) +
                std::min(kExponentEntropy, static_cast<double>(format.exponent_bits)) + format.extra_bits;
  return (1 - zero_part) * bits + BinaryEntropy(zero_part);
}

/// The size of changes is taken for about the same in all of the tensor; how many ulps it is follows from the weight.
/// That is what the codecs of patches do, if more finely.
SiteEstimate EstimateSite(DType dtype, const std::vector<float>& variant, const std::vector<float>& base) {
  Format format = FormatOf(dtype);
  SiteEstimate estimate;
  estimate.standalone_bits = StandaloneBits(format, variant);
  const int64_t escape = int64_t{2} << format.mantissa_bits;
  size_t count = variant.size();
  double sum = 0;
  size_t changed_count = 0;
  size_t escape_count = 0;
  std::vector<double> ulps(count);
  for (size_t i = 0; i < count; ++i) {
    int64_t steps = std::abs(Ordered(format, variant[i]) - Ordered(format, base[i]));
    int exponent = 0;
    std::frexp(base[i], &exponent);
    ulps[i] = std::ldexp(1.0, exponent - 1 - format.mantissa_bits);
    changed_count += steps != 0;
    if (steps > escape) {
      ++escape_count;
    } else {
      sum += static_cast<double>(steps) * ulps[i];
    }
  }
  auto total = static_cast<double>(count);
  double scale = sum / total;
  double bits = 0;
  for (double ulp : ulps) {
    double mean = std::min(scale / ulp, static_cast<double>(escape));
    bits += GeometricBits(mean) + mean / (1 + mean);
  }
  double escape_part = static_cast<double>(escape_count) / total;
  estimate.patch_bits = bits / total + BinaryEntropy(escape_part) + escape_part * estimate.standalone_bits;
  if (dtype == DType::kF64 && changed_count > 0) estimate.patch_bits += format.extra_bits;
  estimate.changed_part = static_cast<double>(changed_count) / total;
  return estimate;
}

/// Bytes of the tensors that both have.
uint64_t SharedBytes(const Sketch& variant, const Sketch& base) {
  uint64_t shared = 0;
  auto other = base.tensors.begin();
  for (const Sketch::Tensor& tensor : variant.tensors) {
    while (other != base.tensors.end() && other->key < tensor.key) ++other;
    if (other != base.tensors.end() && other->key == tensor.key) shared += tensor.size_bytes;
  }
  return shared;
}

/// The largest tensor stands for itself, the others for all that were not looked at.
double WeightOf(const Sketch::Site& site, uint64_t largest, double others_factor) {
  auto count = static_cast<double>(site.element_count);
  return site.element_count == largest ? count : count * others_factor;
}

/// What a number of sampled tensors stands for, in elements.
double OthersFactor(const Sketch& sketch, uint64_t largest) {
  double sampled = 0;
  double all = 0;
  for (const Sketch::Site& site : sketch.sites) {
    if (site.element_count != largest) sampled += static_cast<double>(site.element_count);
    if (all == 0) all = static_cast<double>(sketch.tensor_bytes) * 8 / Describe(site.dtype).bits;
  }
  double rest = all - static_cast<double>(largest);
  return sampled > 0 ? std::max(rest / sampled, 1.0) : 1.0;
}

std::vector<size_t> ChooseTensors(std::span<const SketchTensor> tensors, const std::vector<uint64_t>& keys,
                                  size_t count, size_t run_elements) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (IsFloat(tensors[i].dtype) && ElementCountOf(tensors[i]) >= run_elements) chosen.push_back(i);
  }
  // By key, so that two models with nearly the same tensors choose nearly the same ones.
  auto order = [&](size_t i) { return std::pair(ElementCountOf(tensors[i]) < kLargeElements, keys[i]); };
  std::ranges::sort(chosen, {}, order);
  auto largest = std::ranges::max_element(chosen, {}, [&](size_t i) { return ElementCountOf(tensors[i]); });
  if (largest != chosen.end()) std::rotate(chosen.begin(), largest, largest + 1);
  chosen.resize(std::min(chosen.size(), count));
  return chosen;
}

}  // namespace

Result<Sketch> MakeSketch(std::span<const SketchTensor> tensors, const SketchSize& size, const SampleReader& read) {
  Sketch sketch;
  std::vector<uint64_t> keys;
  for (const SketchTensor& tensor : tensors) {
    keys.push_back(KeyOf(tensor));
    sketch.tensors.push_back({keys.back(), tensor.size_bytes});
    sketch.tensor_bytes += tensor.size_bytes;
  }
  std::ranges::sort(sketch.tensors, {}, &Sketch::Tensor::key);
  std::vector<std::byte> bytes;
  for (size_t number : ChooseTensors(tensors, keys, size.tensor_count, size.run_elements)) {
    const SketchTensor& tensor = tensors[number];
    auto element_bytes = static_cast<size_t>(Describe(tensor.dtype).bits / 8);
    std::vector<uint64_t> begins = ChooseRuns(keys[number], ElementCountOf(tensor), size);
    for (uint64_t& begin : begins) begin *= element_bytes;
    size_t run_bytes = size.run_elements * element_bytes;
    bytes.resize(begins.size() * run_bytes);
    FLYWEIGHT_TRY(read(number, begins, run_bytes, bytes));
    Sketch::Site& site = sketch.sites.emplace_back();
    site.key = keys[number];
    site.dtype = tensor.dtype;
    site.element_count = ElementCountOf(tensor);
    for (size_t at = 0; at < bytes.size(); at += element_bytes) {
      float value = ToFloat(tensor.dtype, bytes.data() + at);
      site.samples.push_back(std::isfinite(value) ? value : 0.0F);
    }
  }
  std::ranges::sort(sketch.sites, {}, &Sketch::Site::key);
  return sketch;
}

PatchEstimate EstimatePatch(const Sketch& variant, const Sketch& base) {
  PatchEstimate estimate;
  uint64_t largest = 0;
  for (const Sketch::Site& site : variant.sites) largest = std::max(largest, site.element_count);
  double others_factor = OthersFactor(variant, largest);
  double weight = 0;
  double patch = 0;
  double standalone = 0;
  double full = 0;
  auto other = base.sites.begin();
  for (const Sketch::Site& site : variant.sites) {
    while (other != base.sites.end() && other->key < site.key) ++other;
    if (other == base.sites.end()) break;
    if (other->key != site.key || other->samples.size() != site.samples.size()) continue;
    SiteEstimate found = EstimateSite(site.dtype, site.samples, other->samples);
    double site_weight = WeightOf(site, largest, others_factor);
    weight += site_weight;
    full += site_weight * Describe(site.dtype).bits;
    patch += site_weight * std::min(found.patch_bits, found.standalone_bits);
    standalone += site_weight * found.standalone_bits;
    estimate.changed_part += site_weight * found.changed_part;
    estimate.sample_count += site.samples.size();
  }
  if (weight == 0) return estimate;
  auto shared = static_cast<double>(SharedBytes(variant, base));
  auto all = static_cast<double>(variant.tensor_bytes);
  estimate.shared_part = all > 0 ? shared / all : 0;
  estimate.changed_part /= weight;
  estimate.standalone_bytes = all * standalone / full;
  estimate.patch_bytes = shared * patch / full + (all - shared) * standalone / full;
  return estimate;
}

}  // namespace flyweight
