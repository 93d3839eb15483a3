#include "cc/base/aligned_buffer.h"

#include <cstdint>
#include <new>
#include <utility>

#include "gtest/gtest.h"

namespace infeng {
namespace {

TEST(AlignedBufferTest, IsAlignedAndZeroed) {
  for (const size_t n : {1, 15, 16, 17, 1000}) {
    AlignedBuffer<float> buffer(n);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0U);
    EXPECT_EQ(buffer.size(), n);
    EXPECT_EQ(buffer.span().size(), n);
    for (float& x : buffer) {
      EXPECT_EQ(x, 0.0F);
      x = 1;  // so that a buffer in the same memory is not zero by chance
    }
  }
}

TEST(AlignedBufferTest, TheLastLineMayBeReadWhole) {
  const AlignedBuffer<char> buffer(65);
  int sum = 0;
  for (size_t i = 0; i < 128; ++i) sum += buffer.data()[i];  // asan watches
  EXPECT_EQ(sum, 0);
}

TEST(AlignedBufferTest, MovesWithoutCopying) {
  AlignedBuffer<int> buffer(17);
  buffer[16] = 5;
  const int* data = buffer.data();
  AlignedBuffer<int> moved = std::move(buffer);
  EXPECT_EQ(moved.data(), data);
  EXPECT_EQ(moved[16], 5);
  EXPECT_EQ(buffer.size(), 0U);  // NOLINT(bugprone-use-after-move): what the class promises
  EXPECT_EQ(buffer.data(), nullptr);
  buffer = std::move(moved);
  EXPECT_EQ(buffer.data(), data);
  EXPECT_EQ(buffer.size(), 17U);
}

TEST(AlignedBufferTest, NothingAndTooMuch) {
  EXPECT_TRUE(AlignedBuffer<float>().empty());
  EXPECT_TRUE(AlignedBuffer<float>(0).empty());
  EXPECT_THROW(AlignedBuffer<double>(SIZE_MAX / 8), std::bad_alloc);
  EXPECT_THROW(AlignedBuffer<char>(SIZE_MAX), std::bad_alloc);
}

}  // namespace
}  // namespace infeng
