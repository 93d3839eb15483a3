#include "cc/base/status.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace infeng {
namespace {

StatusOr<std::unique_ptr<int>> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd: " + std::to_string(value));
  return std::make_unique<int>(value / 2);
}

Status Quarter(int value, int* out) {
  INFENG_ASSIGN_OR_RETURN(const std::unique_ptr<int> half, Half(value));
  INFENG_ASSIGN_OR_RETURN(const auto quarter, Half(*half));
  *out = *quarter;
  return {};
}

Status QuarterTwice(int value, int* out) {
  INFENG_RETURN_IF_ERROR(Quarter(value, out));
  return Quarter(*out, out);
}

TEST(StatusTest, PassesValuesOn) {
  int out = 0;
  EXPECT_TRUE(QuarterTwice(48, &out).ok());
  EXPECT_EQ(out, 3);
}

TEST(StatusTest, PassesErrorsOn) {
  int out = 0;
  const Status first = QuarterTwice(6, &out);
  EXPECT_EQ(first.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(first.message(), "odd: 3");
  EXPECT_EQ(out, 0);
  EXPECT_EQ(QuarterTwice(8, &out).message(), "odd: 1");
  EXPECT_EQ(out, 2);
}

TEST(StatusTest, EachFactoryHasItsCode) {
  EXPECT_EQ(Status().code(), StatusCode::kOk);
  EXPECT_EQ(InvalidArgument("m").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(NotFound("m").code(), StatusCode::kNotFound);
  EXPECT_EQ(DataLoss("m").code(), StatusCode::kDataLoss);
  EXPECT_EQ(Unavailable("m").code(), StatusCode::kUnavailable);
  EXPECT_EQ(ResourceExhausted("m").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Internal("m").code(), StatusCode::kInternal);
  EXPECT_FALSE(Internal("m").ok());
}

TEST(StatusOrTest, HoldsValueOrStatus) {
  StatusOr<std::string> value = std::string("abc");
  ASSERT_TRUE(value.ok());
  EXPECT_TRUE(value.status().ok());
  EXPECT_EQ(value->size(), 3U);
  value->push_back('d');
  EXPECT_EQ(*value, "abcd");
  EXPECT_EQ(std::move(value).value(), "abcd");

  const StatusOr<std::string> error = NotFound("nothing there");
  EXPECT_FALSE(error.ok());
  EXPECT_EQ(error.status().message(), "nothing there");
}

StatusOr<std::string> Long() { return std::string(100, 'x'); }

TEST(StatusOrTest, WhatIsTakenFromATemporaryOutlivesIt) {
  size_t count = 0;
  for (const char c : *Long()) count += c == 'x' ? 1 : 0;  // asan watches
  EXPECT_EQ(count, 100U);
  const std::string& message = Half(3).status().message();
  EXPECT_EQ(message, "odd: 3");
}

TEST(StatusOrDeathTest, TheValueOfAFailureAbortsWithItsMessage) {
  const StatusOr<int> error = NotFound("no such thing");
  EXPECT_DEATH((void)error.value(), "the value of a failure was taken: no such thing");
  EXPECT_DEATH((void)StatusOr<int>(Status()), "made of success");
}

}  // namespace
}  // namespace infeng
