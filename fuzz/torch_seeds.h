#pragma once

#include <string>
#include <utility>
#include <vector>

#include "container/pickle_test_files.h"
#include "container/zip_test_files.h"

// Seeds of torch_fuzz (pickles) and zip_fuzz.

namespace flyweight::fuzz {

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

inline NamedTexts PickleSeeds() {
  using namespace pickle;
  const std::string w = Tensor(Storage("FloatStorage", "0", 6), 0, {2, 3}, {3, 1});
  const std::string part = Tensor(Storage("FloatStorage", "0", 6), 4, {2}, {1});
  const std::string object = Global("m", "Class") + ")\x81";
  return {
      {"state_dict",
       File(Dict({{"w", w}, {"b", Vector("LongStorage", "1", 1)}, {"e", Vector("CharStorage", "2", 0)}}))},
      {"parts", File(Dict({{"a", Tensor(Storage("FloatStorage", "0", 6), 0, {4}, {1})}, {"b", part}}))},
      {"float8", File(Dict({{"w", TensorOfDType("float8_e5m2", "1", 8, {4, 2}, {2, 1})}}))},
      {"float4", File(Dict({{"w", TensorOfDType("float4_e2m1fn_x2", "1", 8, {8}, {1})}}))},
      {"parameter", File(Call(Global("torch._utils", "_rebuild_parameter"), {w, "\x88", kNoHooks}))},
      {"subclass", File(Call(Global("torch._tensor", "_rebuild_from_type_v2"),
                             {Global("torch._utils", "_rebuild_tensor_v2"), Global("m", "Sub"),
                              Tuple({Storage("HalfStorage", "1", 4), Int(0), Ints({4}), Ints({1})}), "}"}))},
      {"module",
       File(object + Dict({{"_modules", Dict({{"l", object + Dict({{"_parameters", Dict({{"w", w}})}}) + "b"}})}}) +
            "b")},
      {"python2", File(Call(Global("collections", "OrderedDict"), {List({List({Text("w"), w})})}))},
      {"canary", File(Call(Global("os", "system"), {Text("exit 1")}))},
      {"circle", File("]q\x05h\x05"
                      "a" +
                      w + "a")},
      {"protocol0", "(dp0\nVkey\np1\nI5\nsS'x'\n(lp2\nL12L\naF1.5\nasVq\nPid\nsg1\n0."},
      {"protocol5", std::string("\x80\x05\x95\x20\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x05torch\x94\x8c\x0c"
                                "FloatStorage\x94\x93\x94\x97\x98\x96\x01\x00\x00\x00\x00\x00\x00\x00x\x8f(K\x01\x90"
                                "(K\x02\x91"
                                "e.",
                                65)},
      {"old_opcodes", "((cm\nn\nK\x01o(K\x01im\nn\n\x82\x01U\x01xT\x01" + std::string("\x00\x00\x00y", 4) +
                          "\x8a\x02\xff\xff"
                          "2"
                          "t."},
  };
}

inline NamedTexts ZipSeeds() {
  ZipOptions wide;
  wide.zip64 = true;
  ZipOptions follow;
  follow.sizes_follow = true;
  follow.extra = std::string("FB\x04\x00ZZZZ", 8);
  ZipOptions deflated;
  deflated.method = 8;
  ZipOptions overlapping;
  overlapping.offset_difference = -20;
  const std::string large(5000, 'l');
  std::string npy =
      std::string("\x93NUMPY\x01\x00v\x00", 10) + "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  npy.resize(127, ' ');
  npy += "\n" + std::string(24, 'n');
  const std::string pickle = PickleSeeds()[0].second;
  return {
      {"stored", ZipWriter().Add("a", large).File("comment")},
      {"zip64", ZipWriter().Add("a", large, wide).File("", true)},
      {"descriptors", ZipWriter().Add("a", large, follow).Add("b", "b", follow).File()},
      {"deflated", ZipWriter().Add("a", large, deflated).Add("b", large).File()},
      {"overlap", ZipWriter().Add("a", large).Add("b", large, overlapping).File()},
      {"npz", ZipWriter().Add("w.npy", npy).Add("b.npy", "none").File()},
      {"torch", ZipWriter()
                    .Add("m/data.pkl", pickle, follow)
                    .Add("m/data/0", std::string(24, 'w'), follow)
                    .Add("m/data/1", "12345678", follow)
                    .File("", true)},
      {"torch_big_endian",
       ZipWriter().Add("m/data.pkl", pickle).Add("m/byteorder", "big").Add("m/data/0", std::string(24, 'w')).File()},
      {"torchscript", ZipWriter()
                          .Add("m/data.pkl", pickle)
                          .Add("m/constants/0", std::string(24, 'w'))
                          .Add("m/constants.pkl", pickle)
                          .File()},
      {"empty", ZipWriter().File()},
  };
}

}  // namespace flyweight::fuzz
