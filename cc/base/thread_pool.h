#ifndef INFENG_CC_BASE_THREAD_POOL_H_
#define INFENG_CC_BASE_THREAD_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "cc/base/function_ref.h"

namespace infeng {

// A fixed set of threads for loops whose iterations do not depend on one another. The calling
// thread works too, so ThreadPool(n) starts n - 1.
class ThreadPool {
 public:
  // threads below 1 count as 1. When the system refuses a thread, the pool has fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // How many threads work, the caller's among them.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) for the ranges [0, grain), [grain, 2 grain), ... of [0, count), each
  // once, and returns when all are done. The ranges are the same for any number of threads; who
  // takes which is not determined. A grain of 0 counts as 1. body must not throw. Calls from
  // several threads take turns; a call from within a body runs in the thread that makes it.
  void ParallelFor(size_t count, size_t grain, FunctionRef<void(size_t, size_t)> body);

 private:
  struct Loop {
    size_t count = 0;
    size_t grain = 1;
    const FunctionRef<void(size_t, size_t)>* body = nullptr;
  };

  void Work();
  void TakeRanges() noexcept;

  std::mutex turn_;  // held by the one ParallelFor that uses loop_
  Loop loop_;
  std::vector<std::thread> workers_;

  // On lines of their own: several threads write each.
  alignas(64) std::atomic<size_t> next_range_{0};
  alignas(64) std::atomic<uint32_t> epoch_{0};   // odd: loop_ is open to workers
  alignas(64) std::atomic<uint32_t> inside_{0};  // workers that may be reading loop_
  std::atomic<bool> stop_{false};
};

}  // namespace infeng

#endif  // INFENG_CC_BASE_THREAD_POOL_H_
