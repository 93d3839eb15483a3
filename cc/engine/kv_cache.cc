#include "cc/engine/kv_cache.h"

#include <cstring>
#include <new>
#include <utility>

#include "cc/kernels/attention/attention.h"

namespace infeng {
namespace {

size_t PagesFor(size_t positions) { return (positions + kPagePositions - 1) / kPagePositions; }

}  // namespace

Page* PagePool::Take() {
  if (free_.empty()) {
    if (pages_.size() >= limit_) throw std::bad_alloc();
    free_.reserve(pages_.size() + 1);
    pages_.reserve(pages_.size() + 1);
    auto page = std::make_unique<Page>();
    page->data = AlignedBuffer<uint8_t>(page_bytes_);
    free_.push_back(page.get());
    pages_.push_back(std::move(page));
  }
  Page* page = free_.back();
  free_.pop_back();
  page->users = 1;
  return page;
}

void PagePool::Give(Page* page) {
  if (--page->users == 0) free_.push_back(page);
}

PageTable::PageTable(PagePool* pool, size_t max_positions) : pool_(pool) {
  pages_.reserve(PagesFor(max_positions));
  data_.reserve(PagesFor(max_positions));
}

void PageTable::Push(Page* page) {
  pages_.push_back(page);
  data_.push_back(page->data.data());
}

size_t PageTable::Missing(size_t positions) const {
  const size_t wanted = PagesFor(positions);
  return wanted > pages_.size() ? wanted - pages_.size() : 0;
}

void PageTable::Resize(size_t positions) {
  const size_t wanted = PagesFor(positions);
  const size_t before = pages_.size();
  try {
    while (pages_.size() < wanted) Push(pool_->Take());
  } catch (...) {
    Resize(before * kPagePositions);
    throw;
  }
  while (pages_.size() > wanted) {
    pool_->Give(pages_.back());
    pages_.pop_back();
    data_.pop_back();
  }
}

void PageTable::ShareFrom(const PageTable& other, size_t positions) {
  const size_t full = positions / kPagePositions;
  for (size_t i = 0; i < full; ++i) {
    pool_->Share(other.pages_[i]);
    Push(other.pages_[i]);
  }
  if (positions % kPagePositions == 0) return;
  try {
    Push(pool_->Take());
  } catch (...) {
    Resize(0);
    throw;
  }
  std::memcpy(data_[full], other.data_[full], pool_->page_bytes());
}

void PageTable::Cut(size_t positions) {
  const size_t full = positions / kPagePositions;
  if (positions % kPagePositions != 0 && pages_[full]->users > 1) {
    Page* copy = pool_->Take();
    std::memcpy(copy->data.data(), data_[full], pool_->page_bytes());
    pool_->Give(pages_[full]);
    pages_[full] = copy;
    data_[full] = copy->data.data();
  }
  Resize(positions);
}

}  // namespace infeng
