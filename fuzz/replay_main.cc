#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

// Runs a fuzz target over every file of the folders and files given, and over some mutations of each, always the same.

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes);

namespace {

using Input = std::vector<uint8_t>;

constexpr int kMutationCount = 40;

void Run(const Input& input) {
  Input exact(input);  // no spare capacity behind the end
  exact.shrink_to_fit();
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

Input ReadFile(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
}

Input Mutated(Input input, std::mt19937_64& random) {
  if (input.empty()) return {static_cast<uint8_t>(random())};
  size_t at = static_cast<size_t>(random() % input.size());
  switch (random() % 4) {
    case 0:
      input.resize(at);
      break;
    case 1:
      input[at] ^= static_cast<uint8_t>(1U << random() % 8);
      break;
    case 2:
      input[at] = static_cast<uint8_t>(random());
      input[static_cast<size_t>(random() % input.size())] = static_cast<uint8_t>(random() % 2 == 0 ? 0 : 255);
      break;
    default:
      input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), input.begin(),
                   input.begin() + static_cast<std::ptrdiff_t>(random() % std::min<size_t>(input.size(), 16)));
  }
  return input;
}

void Replay(const std::filesystem::path& path) {
  Input input = ReadFile(path);
  Run(input);
  std::mt19937_64 random(input.size());
  for (int i = 0; i < kMutationCount; i++) Run(Mutated(input, random));
}

}  // namespace

int main(int argument_count, char** arguments) {
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argument_count; i++) {
    if (!std::filesystem::is_directory(arguments[i])) {
      paths.emplace_back(arguments[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(arguments[i])) paths.push_back(entry.path());
  }
  if (paths.empty()) {
    std::fprintf(stderr, "nothing to replay: name a folder with a corpus\n");
    return 1;
  }
  std::sort(paths.begin(), paths.end());
  Run({});
  for (const std::filesystem::path& path : paths) Replay(path);
  std::printf("%zu inputs and %d mutations of each replayed\n", paths.size(), kMutationCount);
  return 0;
}
