#pragma once

#include <gmock/gmock.h>

#include "flyweight/error.h"
#include "flyweight/result.h"

namespace flyweight::test {

/// EXPECT_THAT(status_or_result, IsOk()); prints the error where it is not.
MATCHER(IsOk, negation ? "is an error" : "is ok") {
  if (arg.ok()) return true;
  *result_listener << "which is error " << static_cast<int>(arg.error().code) << " at offset " << arg.error().offset
                   << ": " << arg.error().message;
  return false;
}

/// EXPECT_THAT(status_or_result, FailsWith(ErrorCode::kTruncated)); a message must be there too.
MATCHER_P(FailsWith, code, "fails with code " + std::to_string(static_cast<int>(code)) + " and a message") {
  if (arg.ok()) {
    *result_listener << "which is ok";
    return false;
  }
  *result_listener << "which is error " << static_cast<int>(arg.error().code) << " at offset " << arg.error().offset
                   << ": " << arg.error().message;
  return arg.error().code == code && !arg.error().message.empty();
}

}  // namespace flyweight::test
