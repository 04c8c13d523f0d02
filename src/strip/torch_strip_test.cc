#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "container/pickle_test_files.h"
#include "container/zip_test_files.h"
#include "strip/pickle_edit.h"
#include "strip/strip_test_tools.h"

namespace flyweight {
namespace {

using pickle::Dict;
using pickle::Global;
using pickle::Int;
using pickle::List;
using pickle::Number;
using pickle::Text;
using pickle::Tuple;
using pickle::Vector;
using testing::ElementsAre;
using testing::Key;
using testing::Pair;

std::string IntKeyed(int32_t key, const std::string& value) { return "}(" + Int(key) + value + "u"; }

std::string Group() { return Dict({{"lr", Int(1)}, {"params", List({Int(0)})}}); }

/// The state of an optimizer with one parameter, whose storages are `key` and the next.
std::string Optimizer(const std::string& key, const std::string& next_key) {
  return Dict({{"state", IntKeyed(0, Dict({{"step", Int(4)},
                                           {"exp_avg", Vector("FloatStorage", key, 2)},
                                           {"exp_avg_sq", Vector("FloatStorage", next_key, 2)}}))},
               {"param_groups", List({Group()})}});
}

const std::string kModel = Dict({{"w", Vector("FloatStorage", "0", 2)}, {"ssm_state", Vector("FloatStorage", "1", 1)}});

/// What torch.save writes: padded members, sizes behind the data.
std::string TorchZip(const std::string& object, const std::vector<std::pair<std::string, std::string>>& storages) {
  ZipWriter writer;
  auto add = [&](const std::string& name, const std::string& content) {
    const size_t unpadded_end = writer.central_offset() + 30 + 2 + name.size() + 4;
    const size_t pad_bytes = (64 - unpadded_end % 64) % 64;
    ZipOptions options;
    options.sizes_follow = true;
    options.extra = "FB" + Number(pad_bytes, 2) + std::string(pad_bytes, 'Z');
    writer.Add("m/" + name, content, options);
  };
  add("data.pkl", pickle::File(object));
  add("byteorder", "little");
  for (const auto& [key, content] : storages) add("data/" + key, content);
  add("version", "3\n");
  return writer.File();
}

const std::vector<std::pair<std::string, std::string>> kStorages = {
    {"0", "weights!"}, {"1", "ssm."}, {"2", "averages"}, {"3", "squares!"}};

std::string Checkpoint() {
  return TorchZip(Dict({{"model", kModel}, {"optimizer", Optimizer("2", "3")}, {"epoch", Int(7)}}), kStorages);
}

std::string Legacy(const std::string& object, const std::vector<std::pair<std::string, std::string>>& storages) {
  std::string file = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  file += "\x80\x02M\xe9\x03.";
  file += pickle::File(Dict({{"little_endian", "\x88"}}));
  file += pickle::File(object);
  std::vector<std::string> keys;
  for (const auto& [key, content] : storages) keys.push_back(Text(key));
  file += pickle::File(List(keys));
  for (const auto& [key, content] : storages) file += Number(content.size() / 4, 8) + content;
  return file;
}

const std::set<std::string> kOptimizerTensors = {"optimizer.state.0.exp_avg", "optimizer.state.0.exp_avg_sq"};

TEST(StripTorch, TheStateOfTheOptimizerGoes) {
  const std::string object = Dict({{"model", kModel}, {"optimizer", Optimizer("2", "3")}, {"epoch", Int(7)}});
  const std::string left = Dict({{"model", kModel}, {"epoch", Int(7)}});
  const std::vector<std::pair<std::string, std::string>> left_storages(kStorages.begin(), kStorages.begin() + 2);
  for (bool legacy : {false, true}) {
    const std::string file = legacy ? Legacy(object, kStorages) : TorchZip(object, kStorages);
    ASSERT_EQ(TensorsOf(file).size(), 4U);
    const StripOutcome outcome = Strip(file, ForOptimizer());
    ASSERT_EQ(outcome.failure, "");
    EXPECT_EQ(TensorsOf(outcome.file), Without(TensorsOf(file), kOptimizerTensors));
    EXPECT_THAT(outcome.removed,
                ElementsAre(Pair("optimizer.state.0.exp_avg", 8), Pair("optimizer.state.0.exp_avg_sq", 8)));
    if (legacy) {
      EXPECT_EQ(outcome.file, Legacy(left, left_storages));
    }
    EXPECT_EQ(Strip(outcome.file, ForOptimizer()).failure, "nothing");
  }
}

TEST(StripTorch, ContentStaysAligned) {
  const StripOutcome outcome = Strip(Checkpoint(), ForOptimizer());
  MemorySource source(AsBytes(outcome.file));
  Result<FileMap> map = Annotate(source);
  ASSERT_TRUE(map.ok());
  size_t tensor_count = 0;
  for (const Extent& extent : map.value().extents) {
    if (!extent.is_tensor) continue;
    EXPECT_EQ(extent.offset % 64, 0U) << extent.name;
    tensor_count++;
  }
  EXPECT_EQ(tensor_count, 2U);
}

TEST(StripTorch, EntriesGoByPath) {
  EXPECT_THAT(Strip(Checkpoint(), ForPrefix("model.s")).removed, ElementsAre(Pair("model.ssm_state", 4)));
  EXPECT_THAT(Strip(Checkpoint(), ForPrefix("optimizer.state.0.exp_avg_sq")).removed,
              ElementsAre(Key("optimizer.state.0.exp_avg_sq")));
  EXPECT_EQ(Strip(Checkpoint(), ForPrefix("epoch")).failure, "nothing");
  const std::string in_list = TorchZip(Dict({{"l", List({Vector("FloatStorage", "0", 2)})}}), kStorages);
  EXPECT_EQ(Strip(in_list, ForPrefix("l.0")).failure, "refused");
  EXPECT_THAT(Strip(in_list, ForPrefix("l")).removed, ElementsAre(Pair("l.0", 8)));
}

TEST(StripTorch, ListsOfStatesGo) {
  const std::string file =
      TorchZip(Dict({{"optimizer_states", List({Optimizer("2", "3"), Optimizer("2", "3")})}, {"state_dict", kModel}}),
               kStorages);
  EXPECT_EQ(TensorsOf(Strip(file, ForOptimizer()).file).size(), 2U);
}

TEST(StripTorch, WhatMerelySoundsLikeAnOptimizerStays) {
  const std::string tensors =
      Dict({{"exp_avg", Vector("FloatStorage", "2", 2)}, {"state", Vector("FloatStorage", "3", 2)}});
  for (const std::string& object :
       {Dict({{"optimizer", tensors}, {"model", kModel}}),
        Dict({{"o", Dict({{"state", tensors}, {"param_groups", Int(1)}})}}),
        Dict({{"o", Dict({{"state", tensors}, {"param_groups", List({})}})}}),
        Dict({{"o", Dict({{"state", tensors}, {"param_groups", List({Dict({{"lr", Int(1)}})})}})}}),
        Dict({{"o", Dict({{"state", Int(1)}, {"param_groups", List({Group()})}})}}),
        Dict({{"l", List({Optimizer("2", "3"), Int(1)})}}), Dict({{"l", List({})}}), Optimizer("2", "3")}) {
    EXPECT_EQ(Strip(TorchZip(object, kStorages), ForOptimizer()).failure, "nothing");
  }
}

TEST(StripTorch, StoragesThatAreStillUsedStay) {
  const std::string file =
      TorchZip(Dict({{"optimizer", Optimizer("2", "3")}, {"ema", Vector("FloatStorage", "2", 2)}, {"model", kModel}}),
               kStorages);
  const StripOutcome outcome = Strip(file, ForOptimizer());
  EXPECT_THAT(TensorsOf(outcome.file), ElementsAre(Key("ema"), Key("model.ssm_state"), Key("model.w")));
  EXPECT_THAT(outcome.removed, ElementsAre(Key("optimizer.state.0.exp_avg_sq")));
}

TEST(StripTorch, AnUnknownReferenceIsRefused) {
  const std::string other = Tuple({Text("elsewhere"), Text("2")}) + "Q";
  const std::string file = TorchZip(Dict({{"o", Optimizer("2", "3")}, {"x", other}}), kStorages);
  EXPECT_EQ(Strip(file, ForOptimizer()).failure, "refused");
}

TEST(StripTorch, AStorageOfTwoTypesIsRefused) {
  const std::string file =
      TorchZip(Dict({{"o", Optimizer("2", "3")}, {"x", Vector("IntStorage", "2", 2)}, {"model", kModel}}), kStorages);
  EXPECT_EQ(Strip(file, ForOptimizer()).failure, "refused");
}

/// The pickle without the entry "gone" of its dict, or "refused".
std::string WithoutGone(const std::string& opcodes) {
  const std::string file = "\x80\x04" + opcodes + ".";
  Result<PickleTree> tree = ScanPickle(AsBytes(file));
  if (!tree.ok()) return tree.error().message;
  std::vector<uint32_t> items;
  for (uint32_t item = tree.value().node(tree.value().root).first_item; item != kNoPickleItem;
       item = tree.value().items[item].next) {
    if (tree.value().Text(tree.value().items[item].key) == "gone") items.push_back(item);
  }
  Result<std::vector<std::byte>> edited = RemovePickleItems(tree.value(), items);
  if (!edited.ok()) return "refused";
  std::string text(AsText(edited.value()));
  return text.substr(2, text.size() - 3);
}

std::string Put(uint8_t number) { return "q" + Number(number, 1); }
std::string Get(uint8_t number) { return "h" + Number(number, 1); }
const std::string kGone = Text("gone");
const std::string kKept = Text("kept");

TEST(PickleEdit, ASetItemGoesWithItsEntry) {
  EXPECT_EQ(WithoutGone("}" + kGone + "Ns" + kKept + "Ns"), "}" + kKept + "Ns");
  EXPECT_EQ(WithoutGone("}(" + kGone + "Nu"), "}(u");
  EXPECT_EQ(WithoutGone("(" + kGone + "N" + kKept + "Nd"), "(" + kKept + "Nd");
}

TEST(PickleEdit, ValuesOfTheMemoMoveToTheirFirstUse) {
  const std::string text = Text("shared") + Put(1);
  EXPECT_EQ(WithoutGone("}(" + kGone + text + kKept + Tuple({Get(1), Get(1)}) + "u"),
            "}(" + kKept + Tuple({text, Get(1)}) + "u");
  // A value of values: what is inside moves with it.
  const std::string global = Global("torch", "FloatStorage") + Put(2);
  const std::string tuple = Tuple({text, global}) + Put(3);
  EXPECT_EQ(WithoutGone("}(" + kGone + tuple + kKept + List({Get(3), Get(2)}) + "u"),
            "}(" + kKept + List({tuple, Get(2)}) + "u");
  EXPECT_EQ(WithoutGone("}(" + kGone + List({text, Tuple({Get(1)}) + Put(5)}) + kKept + Get(5) + "u"),
            "}(" + kKept + Tuple({text}) + Put(5) + "u");
}

TEST(PickleEdit, FramesGoAndMemoizeBecomesPut) {
  const std::string frame = "\x95" + Number(99, 8);
  EXPECT_EQ(WithoutGone(frame + "}\x94(" + kGone + "\x94" + Text("x") + "\x94" + frame + kKept + "\x94" + Get(2) + "u"),
            "}" + Put(0) + "(" + kKept + Put(3) + Text("x") + Put(2) + "u");
}

TEST(PickleEdit, WhatMayHaveChangedIsRefused) {
  for (const std::string& shared : {std::string("]") + Put(1) + "(K\x01" + "e", "}" + Put(1) + "K\x01Ns",
                                    pickle::Call(Global("a", "B"), {}) + Put(1) + "}b"}) {
    EXPECT_EQ(WithoutGone("}(" + kGone + shared + kKept + Get(1) + "u"), "refused");
  }
  const std::string unchanged = pickle::Call(Global("a", "B"), {}) + Put(1);
  EXPECT_EQ(WithoutGone("}(" + kGone + unchanged + kKept + Get(1) + "u"), "}(" + kKept + unchanged + "u");
}

TEST(PickleEdit, WhatOneCannotBeSureOfIsRefused) {
  EXPECT_EQ(WithoutGone("}(" + kGone + "N" + kKept + "N20u"), "refused");  // DUP, POP
  EXPECT_EQ(WithoutGone("}(" + kGone + Text("a") + Put(1) + kKept + Text("b") + Put(1) + "u"), "refused");
  // A kept list is filled inside the part that goes.
  EXPECT_EQ(WithoutGone("}(" + kKept + "]" + Put(1) + kGone + Get(1) + "(K\x01" + "eu"), "refused");
}

TEST(PickleEdit, ComparisonSeesDifferences) {
  auto scan = [](const std::string& file) { return ScanPickle(AsBytes(file)); };
  const std::string original = "](K\x01]K\x02" + Text("t") + "e.";
  Result<PickleTree> tree = scan(original);
  for (const std::string& other : std::vector<std::string>{
           "](K\x01]K\x03" + Text("t") + "e.", "](K\x01]K\x02" + Text("u") + "e.", "](K\x01]K\x02" + Text("t") + "Ne.",
           "](K\x01]K\x02"
           "e.",
           "](K\x01)K\x02" + Text("t") + "e."}) {
    Result<PickleTree> changed = scan(other);
    ASSERT_TRUE(tree.ok() && changed.ok());
    EXPECT_FALSE(IsPickleWithout(tree.value(), changed.value(), {}));
  }
  EXPECT_TRUE(IsPickleWithout(tree.value(), tree.value(), {}));
  const std::string shared = "](]" + Put(0) + Get(0) + "e.";
  const std::string equal = "](]" + Put(0) + "]e.";
  Result<PickleTree> a = scan(shared), b = scan(equal);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_FALSE(IsPickleWithout(a.value(), b.value(), {}));
  EXPECT_FALSE(IsPickleWithout(b.value(), a.value(), {}));
}

TEST(StripMutated, TorchFilesKeepWhatStays) {
  const std::string object = Dict({{"optimizer", Optimizer("2", "3")}, {"model", kModel}, {"epoch", Int(7)}});
  std::mt19937 random(11);
  size_t stripped_count = 0;
  for (const std::string& file : {TorchZip(object, kStorages), Legacy(object, kStorages), Checkpoint()}) {
    for (int round = 0; round < 3000; round++) {
      std::string mutated = file;
      for (int i = 0; i < 1 + round % 3; i++) mutated[random() % mutated.size()] = static_cast<char>(random());
      if (round % 7 == 0) mutated.resize(random() % mutated.size());
      stripped_count +=
          ExpectKeptTensorsStay(mutated, round % 2 == 0 ? ForOptimizer() : ForPrefix("optimizer.state.0.exp"));
    }
  }
  EXPECT_GT(stripped_count, 1000U);
}

}  // namespace
}  // namespace flyweight
