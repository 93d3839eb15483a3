#include "cc/engine/kv_cache.h"

#include <utility>

#include "cc/kernels/attention/attention.h"

namespace infeng {

void* PagePool::Take() {
  if (!free_.empty()) {
    void* page = free_.back();
    free_.pop_back();
    return page;
  }
  free_.reserve(pages_.size() + 1);
  pages_.reserve(pages_.size() + 1);
  pages_.emplace_back(page_bytes_);
  return pages_.back().data();
}

void PagePool::Give(void* page) { free_.push_back(page); }

void PageTable::Resize(size_t positions) {
  const size_t wanted = (positions + kPagePositions - 1) / kPagePositions;
  const size_t before = pages_.size();
  try {
    pages_.reserve(wanted);
    while (pages_.size() < wanted) pages_.push_back(pool_->Take());
  } catch (...) {
    while (pages_.size() > before) {
      pool_->Give(pages_.back());
      pages_.pop_back();
    }
    throw;
  }
  while (pages_.size() > wanted) {
    pool_->Give(pages_.back());
    pages_.pop_back();
  }
}

}  // namespace infeng
