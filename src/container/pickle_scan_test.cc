#include "container/pickle_scan.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "container/pickle_opcodes.h"
#include "container/pickle_test_files.h"

namespace flyweight {
namespace {

using namespace std::string_literals;

/// Values as Python would print them, calls as name(arguments){members}, persistent values as <id>.
std::string Render(const PickleTree& tree, PickleNodeId id, int depth = 0);

std::string RenderItems(const PickleTree& tree, const PickleNode& node, int depth) {
  std::string text;
  for (uint32_t item = node.first_item; item != kNoPickleItem; item = tree.items[item].next) {
    text += text.empty() ? "" : ", ";
    PickleNodeId key = tree.items[item].key;
    if (key == kPickleStateKey) text += "state: ";
    if (key != kPickleStateKey && key != kNoPickleNode) text += Render(tree, key, depth) + ": ";
    text += Render(tree, tree.items[item].value, depth);
  }
  return text;
}

std::string Render(const PickleTree& tree, PickleNodeId id, int depth) {
  if (depth > 20) return "...";
  const PickleNode& node = tree.node(id);
  switch (node.kind) {
    case PickleKind::kUnknown:
      return "?";
    case PickleKind::kNone:
      return "None";
    case PickleKind::kBool:
      return tree.Int(id) == 0 ? "False" : "True";
    case PickleKind::kInt:
      return std::to_string(tree.Int(id));
    case PickleKind::kText:
      return "'" + std::string(tree.Text(id)) + "'";
    case PickleKind::kBytes:
      return "b'" + std::string(tree.Text(id)) + "'";
    case PickleKind::kGlobal:
      return std::string(tree.Text(node.a)) + "." + std::string(tree.Text(node.b));
    case PickleKind::kTuple:
      return "(" + RenderItems(tree, node, depth + 1) + ")";
    case PickleKind::kList:
      return "[" + RenderItems(tree, node, depth + 1) + "]";
    case PickleKind::kDict:
      return "{" + RenderItems(tree, node, depth + 1) + "}";
    case PickleKind::kObject: {
      std::string members = RenderItems(tree, node, depth + 1);
      return Render(tree, node.a, depth + 1) + Render(tree, node.b, depth + 1) +
             (members.empty() ? "" : "{" + members + "}");
    }
    case PickleKind::kPersistent:
      return "<" + Render(tree, node.a, depth + 1) + ">";
  }
  return "no such kind";
}

std::string Scan(const std::string& pickle) {
  Result<PickleTree> tree = ScanPickle(AsBytes(pickle));
  if (tree.ok()) return Render(tree.value(), tree.value().root);
  switch (tree.error().code) {
    case ErrorCode::kTruncated:
      return "truncated";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kLimitExceeded:
      return "limit";
    default:
      return "another error";
  }
}

struct Row {
  std::string pickle;
  std::string expected;
};

TEST(PickleScan, KnowsEveryOpcode) {
  const Row rows[] = {
      {"N.", "None"},
      {"\x88.", "True"},
      {"\x89.", "False"},
      {"I01\n.", "True"},
      {"I00\n.", "False"},
      {"I-17\n.", "-17"},
      {"L123L\n.", "123"},
      {"L123456789012345678901234567890L\n.", "b'123456789012345678901234567890L'"},
      {"J\xfe\xff\xff\xff.", "-2"},
      {"K\xfe.", "254"},
      {"M\x01\x02.", "513"},
      {"\x8a\x02\x00\xff."s, "-256"},
      {"\x8a\x00."s, "0"},
      {"\x8b\x01\x00\x00\x00\x05."s, "5"},
      {"\x8a\x09"
       "123456789.",
       "b'123456789'"},
      {"F1.5\n.", "?"},
      {"G12345678.", "?"},
      {"S'abc'\n.", "'abc'"},
      {"S\"abc\"\n.", "'abc'"},
      {"S'a\\nc'\n.", "?"},
      {"Vabc\n.", "'abc'"},
      {"T\x02\x00\x00\x00xy."s, "'xy'"},
      {"U\x02xy.", "'xy'"},
      {"X\x02\x00\x00\x00xy."s, "'xy'"},
      {"\x8c\x02xy.", "'xy'"},
      {"\x8d\x02\x00\x00\x00\x00\x00\x00\x00xy."s, "'xy'"},
      {"B\x02\x00\x00\x00xy."s, "b'xy'"},
      {"C\x02xy.", "b'xy'"},
      {"\x8e\x02\x00\x00\x00\x00\x00\x00\x00xy."s, "b'xy'"},
      {"\x96\x02\x00\x00\x00\x00\x00\x00\x00xy."s, "b'xy'"},
      {"\x97.", "?"},
      {"\x97\x98.", "?"},
      {"\x82\x01.", "?"},
      {"\x83\x01\x01.", "?"},
      {"\x84\x01\x01\x01\x01.", "?"},
      {").", "()"},
      {"N\x85.", "(None)"},
      {"NK\x01\x86.", "(None, 1)"},
      {"NK\x01K\x02\x87.", "(None, 1, 2)"},
      {"(NNNNt.", "(None, None, None, None)"},
      {"(NNl.", "[None, None]"},
      {"].", "[]"},
      {"]Na.", "[None]"},
      {"](NNe.", "[None, None]"},
      {"\x8f.", "[]"},
      {"\x8f(K\x01\x90.", "[1]"},
      {"(K\x01\x91.", "[1]"},
      {"}.", "{}"},
      {"(K\x01Nd.", "{1: None}"},
      {"}K\x01Ns.", "{1: None}"},
      {"}(K\x01NK\x02Nu.", "{1: None, 2: None}"},
      {"cm\nn\n.", "m.n"},
      {"\x8c\x01m\x8c\x01n\x93.", "m.n"},
      {"cm\nn\n)R.", "m.n()"},
      {"cm\nn\n)\x81.", "m.n()"},
      {"cm\nn\n)}\x92.", "m.n(){state: {}}"},
      {"cm\nn\n)R}b.", "m.n(){state: {}}"},
      {"cm\nn\n)RK\x01Ns.", "m.n(){1: None}"},
      {"cm\nn\n)RNa.", "m.n(){None}"},
      {"(K\x01im\nn\n.", "m.n(1)"},
      {"(cm\nn\nK\x01o.", "m.n(1)"},
      {"Pabc\n.", "<'abc'>"},
      {"K\x01Q.", "<1>"},
      {"K\x01K\x02"
       "0.",
       "1"},
      {"K\x01(K\x02"
       "1.",
       "1"},
      {"K\x01(0.", "1"},
      {"K\x01"
       "2\x86.",
       "(1, 1)"},
      {"K\x01p5\ng5\n\x86.", "(1, 1)"},
      {"K\x01q\x05h\x05\x86.", "(1, 1)"},
      {"K\x01r\x05\x00\x00\x00j\x05\x00\x00\x00\x86."s, "(1, 1)"},
      {"K\x01\x94K\x02\x94h\x01h\x00(lt"s, "corrupt"},
      {"(K\x01\x94K\x02\x94h\x01h\x00t."s, "(1, 2, 2, 1)"},
      {"\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00N."s, "None"},
      {"]q\x00h\x00"s + "a.", "[[[[[[[[[[[[[[[[[[[[[...]]]]]]]]]]]]]]]]]]]]]"},
  };
  for (const Row& row : rows) EXPECT_EQ(Scan(row.pickle), row.expected) << testing::PrintToString(row.pickle);
}

TEST(PickleScan, RefusesWhatFitsNoStack) {
  const std::string pickles[] = {
      ".",
      "NN.",
      "N(.",
      "(.",
      "R.",
      "NR.",
      "a.",
      "Na.",
      "NNa.",
      "K\x01Ns.",
      "}Ns.",
      "u.",
      "(u.",
      "}(Nu.",
      "(Nd.",
      "t.",
      "l.",
      "b.",
      "Nb.",
      "0.",
      "1.",
      "2.",
      "Q.",
      "h\x00."s,
      "g0\n.",
      "gx\n.",
      "q\x00."s,
      "p0\n.",
      "Np-1\n.",
      "\x94.",
      "\x85.",
      "N\x86.",
      "NN\x87.",
      "\x93.",
      "N\x93.",
      "N(\x86.",
      "N(a.",
      "](Na.",
      "o.",
      "(o.",
      "Sabc\n.",
      "S'\n.",
      "\xff.",
      "\x01.",
      "zzz",
      "T\xff\xff\xff\xff.",
      "\x8b\xff\xff\xff\xff.",
      "Nj\x00\x00\x00\x00."s,
      ")Na.",
  };
  for (const std::string& pickle : pickles) EXPECT_EQ(Scan(pickle), "corrupt") << testing::PrintToString(pickle);
}

TEST(PickleScan, TellsWhereBytesAreMissing) {
  const std::string pickle = pickle::File(pickle::Dict({{"a", pickle::Vector("FloatStorage", "0", 4)}}));
  for (size_t size = 0; size < pickle.size(); size++) ASSERT_EQ(Scan(pickle.substr(0, size)), "truncated") << size;
  EXPECT_NE(Scan(pickle), "truncated");
  EXPECT_EQ(Scan("X\xff\xff\xff\xff"
                 "abc."),
            "truncated");
  EXPECT_EQ(Scan("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
                 "abc."),
            "truncated");
}

TEST(PickleScan, EndsAtStopWhateverFollows) {
  const std::string two = "\x80\x02N.\x80\x02K\x01.";
  Result<PickleTree> first = ScanPickle(AsBytes(two));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first.value().pickle.size(), 4U);
  EXPECT_EQ(Scan(two.substr(4)), "1");
}

TEST(PickleScan, MakesNoCalls) {
  const std::string call = pickle::Call(pickle::Global("os", "system"), {pickle::Text("exit 1")});
  EXPECT_EQ(Scan(pickle::File(call)), "os.system('exit 1')");
  EXPECT_EQ(Scan(pickle::File(pickle::Dict({{"a", call}}))), "{'a': os.system('exit 1')}");
}

TEST(PickleScan, KeepsTheSpansOfKeysAndValues) {
  const std::string key = pickle::Text("key") + "q\x01";
  const std::string value = "}q\x02(" + pickle::Text("inner") + pickle::Int(5) + "u";
  const std::string pickle = "\x80\x02}q\x00("s + key + value + pickle::Text("z") + "N" + "u.";
  Result<PickleTree> tree = ScanPickle(AsBytes(pickle));
  ASSERT_TRUE(tree.ok());
  const PickleTree& found = tree.value();
  const PickleItem& first = found.items[found.node(found.root).first_item];
  EXPECT_EQ(pickle.substr(first.key_begin, first.value_begin - first.key_begin), key);
  EXPECT_EQ(pickle.substr(first.value_begin, first.end - first.value_begin), value);
  const PickleItem& second = found.items[first.next];
  EXPECT_EQ(second.key_begin, first.end);
  EXPECT_EQ(pickle.substr(second.value_begin, second.end - second.value_begin), "N");
  EXPECT_EQ(pickle[second.end], 'u');
  // Without the entry it is the same pickle without the entry.
  std::string without = pickle;
  without.erase(first.key_begin, first.end - first.key_begin);
  EXPECT_EQ(Scan(without), "{'z': None}");
}

TEST(PickleScan, KeepsTheUsesOfTheMemo) {
  Result<PickleTree> tree =
      ScanPickle(AsBytes("\x80\x04]\x94K\x05q\x07"
                         "0h\x07"
                         "a."));
  ASSERT_TRUE(tree.ok());
  ASSERT_EQ(tree.value().puts.size(), 2U);
  EXPECT_EQ(tree.value().puts[0].number, 0U);
  EXPECT_EQ(tree.value().puts[0].offset, 3U);
  EXPECT_EQ(tree.value().puts[1].number, 7U);
  ASSERT_EQ(tree.value().gets.size(), 1U);
  EXPECT_EQ(tree.value().gets[0].number, 7U);
  EXPECT_EQ(tree.value().gets[0].offset, 9U);
}

TEST(PickleScan, LimitsMemory) {
  EXPECT_EQ(Scan(std::string(kPickleMaxStack + 1, 'N')), "limit");
  EXPECT_EQ(Scan(std::string(kPickleMaxStack + 1, '(')), "limit");
  EXPECT_EQ(Scan("Nr\xff\xff\xff\xff."), "limit");
  std::string values;
  for (size_t i = 0; i <= kPickleMaxNodes; i++) values += "]0";
  EXPECT_EQ(Scan(values), "limit");
  std::string items = "]";
  for (size_t i = 0; i <= kPickleMaxItems; i++) items += "Na";
  EXPECT_EQ(Scan(items), "limit");
  std::string gets = "Nq\x00"s;
  for (size_t i = 0; i <= kPickleMaxMemoUses; i++) gets += "h\x00"s + "0";
  EXPECT_EQ(Scan(gets), "limit");
  EXPECT_EQ(Scan("B" + pickle::Number(kPickleMaxBytes, 4) + std::string(kPickleMaxBytes + 10, 'x')), "limit");
}

TEST(PickleScan, SurvivesAnyBytes) {
  std::mt19937_64 random(7);
  const std::string codes = "(.012FIJKLMNPQRSTUVXabc}eghij]lopqrst)uGBC\x80\x81\x85\x86\x87\x88\x8a\x93\x94\n";
  int complete = 0;
  for (int run = 0; run < 50000; run++) {
    std::string pickle;
    for (uint64_t length = random() % 24; length > 0; length--)
      pickle += random() % 4 == 0 ? static_cast<char>(random() % 8) : codes[random() % codes.size()];
    Result<PickleTree> tree = ScanPickle(AsBytes(pickle + "."));
    complete += tree.ok() ? 1 : 0;
    if (tree.ok()) {
      ASSERT_LT(tree.value().root, tree.value().nodes.size());
    } else {
      ASSERT_NE(tree.error().code, ErrorCode::kInternal);
    }
  }
  EXPECT_GT(complete, 300);
}

}  // namespace
}  // namespace flyweight
