#include "strip/flat_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strip/strip_test_tools.h"

namespace flyweight {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string_view> Chosen(const std::vector<std::string_view>& names, const StripRequest& request) {
  const std::vector<bool> flags = ChooseFlatNames(names, request);
  std::vector<std::string_view> chosen;
  for (size_t i = 0; i < names.size(); i++) {
    if (flags[i]) chosen.push_back(names[i]);
  }
  return chosen;
}

TEST(FlatNames, StateOfParametersThatAreThereGoes) {
  EXPECT_THAT(Chosen({"w", "w.exp_avg", "w.exp_avg_sq", "w.step", "b", "b/momentum_buffer"}, ForOptimizer()),
              ElementsAre("w.exp_avg", "w.exp_avg_sq", "w.step", "b/momentum_buffer"));
  EXPECT_THAT(Chosen({"h.w", "h.w_exp_avg"}, ForOptimizer()), ElementsAre("h.w_exp_avg"));
}

TEST(FlatNames, StateBelowAPrefixGoes) {
  EXPECT_THAT(
      Chosen({"optimizer.state.0.exp_avg", "optimizer.state.0.step", "state.h.w.square_avg", "h.w"}, ForOptimizer()),
      ElementsAre("optimizer.state.0.exp_avg", "optimizer.state.0.step", "state.h.w.square_avg"));
}

TEST(FlatNames, WhatMerelySoundsLikeStateStays) {
  EXPECT_THAT(Chosen({"ssm_state", "model.state", "layers.0.state", "bn.running_mean", "bn.running_var",
                      "bn.num_batches_tracked", "optimizer", "optimizer.weight", "adam.weight", "exp_avg",
                      "noise_scheduler.step", "momentum_buffer.weight", "encoder.exp_avg", "state.weight", "w.step",
                      "w", "exp_avg.state", "optimizer.step"},
                     ForOptimizer()),
              IsEmpty());
}

TEST(FlatNames, PatternsChooseByName) {
  EXPECT_THAT(Chosen({"a.w", "b.w", "b.exp_avg"}, ForPrefix("b.")), ElementsAre("b.w", "b.exp_avg"));
}

}  // namespace
}  // namespace flyweight
