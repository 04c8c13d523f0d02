#include "pipeline/member_filter.h"

#include <gtest/gtest.h>

namespace flyweight {
namespace {

TEST(MatchesPattern, KnowsStarsAndQuestionMarks) {
  EXPECT_TRUE(MatchesPattern("", ""));
  EXPECT_TRUE(MatchesPattern("*", ""));
  EXPECT_TRUE(MatchesPattern("*", "a/b"));
  EXPECT_TRUE(MatchesPattern("a?c", "abc"));
  EXPECT_TRUE(MatchesPattern("*.safetensors", "sub/x.safetensors"));
  EXPECT_TRUE(MatchesPattern("a*b*c", "a__b_b__c"));
  EXPECT_FALSE(MatchesPattern("a*b*c", "a__c__b"));
  EXPECT_FALSE(MatchesPattern("", "a"));
  EXPECT_FALSE(MatchesPattern("a?", "a"));
  EXPECT_FALSE(MatchesPattern("abc", "abcd"));
}

TEST(MatchesPattern, TakesNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "a*";
  EXPECT_FALSE(MatchesPattern(pattern + "b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace flyweight
