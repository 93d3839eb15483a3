#include "cc/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace infeng {
namespace {

using Ranges = std::set<std::pair<size_t, size_t>>;

Ranges RangesOf(ThreadPool& pool, size_t count, size_t grain) {
  std::mutex mutex;
  Ranges ranges;
  pool.ParallelFor(count, grain, [&](size_t begin, size_t end) {
    const std::lock_guard<std::mutex> lock(mutex);
    EXPECT_TRUE(ranges.emplace(begin, end).second) << begin << " came twice";
  });
  return ranges;
}

class ThreadPoolTest : public testing::TestWithParam<int> {
 protected:
  ThreadPool pool_{GetParam()};
};

TEST_P(ThreadPoolTest, HasItsThreads) { EXPECT_EQ(pool_.threads(), GetParam()); }

TEST_P(ThreadPoolTest, TheRangesAreThoseOfTheGrain) {
  EXPECT_EQ(RangesOf(pool_, 7, 3), (Ranges{{0, 3}, {3, 6}, {6, 7}}));
  EXPECT_EQ(RangesOf(pool_, 6, 3), (Ranges{{0, 3}, {3, 6}}));
  EXPECT_EQ(RangesOf(pool_, 2, 100), (Ranges{{0, 2}}));
  EXPECT_EQ(RangesOf(pool_, 2, 0), (Ranges{{0, 1}, {1, 2}}));
  EXPECT_EQ(RangesOf(pool_, 0, 1), Ranges{});
  EXPECT_EQ(RangesOf(pool_, 1000, 1).size(), 1000U);
  EXPECT_EQ(RangesOf(pool_, 10, SIZE_MAX), (Ranges{{0, 10}}));
  EXPECT_EQ(RangesOf(pool_, SIZE_MAX, SIZE_MAX / 2 + 1),
            (Ranges{{0, SIZE_MAX / 2 + 1}, {SIZE_MAX / 2 + 1, SIZE_MAX}}));
}

// Plain memory: under tsan, this also shows that what one loop wrote the next one sees.
TEST_P(ThreadPoolTest, ManyShortLoopsSeeEachOthersResults) {
  std::vector<int64_t> values(64, 0);
  constexpr int kLoops = 5000;
  for (int i = 0; i < kLoops; ++i) {
    pool_.ParallelFor(values.size(), 4, [&](size_t begin, size_t end) {
      for (size_t k = begin; k < end; ++k) values[k] += static_cast<int64_t>(k);
    });
  }
  for (size_t k = 0; k < values.size(); ++k) {
    EXPECT_EQ(values[k], kLoops * static_cast<int64_t>(k));
  }
}

TEST_P(ThreadPoolTest, WakesUpAfterAPause) {
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(RangesOf(pool_, 100, 1).size(), 100U);
  }
}

TEST_P(ThreadPoolTest, CallersTakeTurns) {
  std::atomic<size_t> sum = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        pool_.ParallelFor(10, 1, [&](size_t begin, size_t end) { sum += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 3U * 300 * 10);
}

TEST_P(ThreadPoolTest, ACallFromWithinRunsInTheSameThread) {
  std::atomic<size_t> sum = 0;
  pool_.ParallelFor(8, 1, [&](size_t, size_t) {
    const auto outer = std::this_thread::get_id();
    pool_.ParallelFor(5, 2, [&](size_t begin, size_t end) {
      EXPECT_EQ(std::this_thread::get_id(), outer);
      sum += end - begin;
    });
  });
  EXPECT_EQ(sum, 8U * 5);
}

TEST_P(ThreadPoolTest, MayBeDestroyedAtOnce) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(GetParam());
    if (i % 2 == 0) RangesOf(pool, 4, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 8));

TEST(ThreadPoolSizeTest, BelowOneCountsAsOne) {
  EXPECT_EQ(ThreadPool(0).threads(), 1);
  EXPECT_EQ(ThreadPool(-5).threads(), 1);
}

TEST(ThreadPoolSizeTest, WorkIsShared) {
  ThreadPool pool(2);
  std::atomic<int> here = 0;
  // Each range waits for the other, so one thread alone would never finish.
  pool.ParallelFor(2, 1, [&](size_t, size_t) {
    ++here;
    while (here.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(here, 2);
}

}  // namespace
}  // namespace infeng
