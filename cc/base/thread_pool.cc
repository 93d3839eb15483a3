#include "cc/base/thread_pool.h"

#include <immintrin.h>

#include <algorithm>
#include <system_error>

namespace infeng {
namespace {

// A decode step runs hundreds of loops of some ten microseconds: sleeping between two of them
// would cost more than the loop. After about this many looks a thread does sleep.
constexpr int kSpins = 2000;

thread_local bool in_a_loop = false;

// Returns when the value is no longer `old`.
void AwaitChange(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(static_cast<size_t>(std::max(threads, 1)) - 1);
  for (int i = 1; i < threads; ++i) {
    try {
      workers_.emplace_back([this] { Work(); });
    } catch (const std::system_error&) {
      break;
    }
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  epoch_.fetch_add(2);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

// Workers enter an open loop and leave it; the caller, which works too, closes it when no range
// is left and waits only for those inside. So a worker that the system lets sleep delays nobody.
// Entering (inside_, then epoch_) and closing (epoch_, then inside_) are sequentially consistent:
// either the worker sees that the loop is closed, or the caller sees that the worker is inside.
void ThreadPool::Work() {
  in_a_loop = true;
  uint32_t seen = 0;
  while (true) {
    AwaitChange(epoch_, seen);
    if (stop_.load()) return;
    seen = epoch_.load();
    if (seen % 2 == 0) continue;
    inside_.fetch_add(1);
    if (epoch_.load() % 2 != 0) TakeRanges();
    if (inside_.fetch_sub(1) == 1) inside_.notify_all();
  }
}

void ThreadPool::TakeRanges() noexcept {
  const size_t ranges = (loop_.count - 1) / loop_.grain + 1;
  while (true) {
    const size_t range = next_range_.fetch_add(1, std::memory_order_relaxed);
    if (range >= ranges) return;
    const size_t begin = range * loop_.grain;
    (*loop_.body)(begin, begin + std::min(loop_.grain, loop_.count - begin));
  }
}

void ThreadPool::ParallelFor(size_t count, size_t grain, FunctionRef<void(size_t, size_t)> body) {
  if (count == 0) return;
  grain = std::max<size_t>(grain, 1);
  if (workers_.empty() || count <= grain || in_a_loop) {
    for (size_t begin = 0; begin < count;) {
      const size_t end = begin + std::min(grain, count - begin);
      body(begin, end);
      begin = end;
    }
    return;
  }
  const std::lock_guard<std::mutex> turn(turn_);
  in_a_loop = true;
  loop_ = {count, grain, &body};
  next_range_.store(0, std::memory_order_relaxed);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  TakeRanges();
  epoch_.fetch_add(1);
  for (uint32_t inside = inside_.load(); inside != 0; inside = inside_.load()) {
    AwaitChange(inside_, inside);
  }
  in_a_loop = false;
}

}  // namespace infeng
