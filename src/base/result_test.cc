#include "flyweight/result.h"

#include <gtest/gtest.h>

#include <memory>

#include "support/matchers.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;

Result<int> Half(int number) {
  if (number % 2 != 0) return Error{ErrorCode::kInvalidArgument, 5, "odd"};
  return number / 2;
}

Result<int> Quarter(int number) {
  FLYWEIGHT_ASSIGN(int half, Half(number));
  FLYWEIGHT_ASSIGN(half, Half(half));
  return half;
}

Status RequireEven(int number) {
  FLYWEIGHT_TRY(Half(number));
  return Status::Ok();
}

TEST(Result, CarriesAValueOrAnError) {
  EXPECT_TRUE(Half(4));
  EXPECT_EQ(Half(4).value(), 2);
  Result<int> failed = Half(3);
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(failed.error().offset, 5U);
  EXPECT_EQ(failed.take_error().message, "odd");
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(Status, IsOkByDefault) {
  EXPECT_THAT(Status(), IsOk());
  EXPECT_THAT(Status::Ok(), IsOk());
  EXPECT_THAT(Status(Error{ErrorCode::kIo, 0, "no"}), FailsWith(ErrorCode::kIo));
}

TEST(Macros, PassErrorsOnAndValuesThrough) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_THAT(Quarter(6), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(RequireEven(2), IsOk());
  EXPECT_THAT(RequireEven(1), FailsWith(ErrorCode::kInvalidArgument));
}

TEST(WithContext, PutsThePlaceInFrontAndKeepsTheRest) {
  Error error = WithContext({ErrorCode::kCorrupt, 9, "bad"}, "chunk 7");
  EXPECT_EQ(error.message, "chunk 7: bad");
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.offset, 9U);
}

}  // namespace
}  // namespace flyweight
