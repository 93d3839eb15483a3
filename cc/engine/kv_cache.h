#ifndef INFENG_CC_ENGINE_KV_CACHE_H_
#define INFENG_CC_ENGINE_KV_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cc/base/aligned_buffer.h"

namespace infeng {

// Keys and values of kPagePositions positions. Several sequences may hold a page that is full.
struct Page {
  AlignedBuffer<uint8_t> data;
  uint32_t users = 0;
};

// Memory for keys and values in pages of one size, reused by later sequences and given back to
// the system at the end only.
class PagePool {
 public:
  // limit: pages that may be in use at a time.
  PagePool(size_t page_bytes, size_t limit) : page_bytes_(page_bytes), limit_(limit) {}

  // A page with any contents and one user. Throws std::bad_alloc, at the limit too.
  Page* Take();
  // One more user of a page.
  void Share(Page* page) { ++page->users; }
  // One user less; the page is free when it was the last. Never throws.
  void Give(Page* page);

  size_t page_bytes() const { return page_bytes_; }
  size_t limit() const { return limit_; }
  // Pages that have a user.
  size_t taken() const { return pages_.size() - free_.size(); }

 private:
  const size_t page_bytes_;
  const size_t limit_;
  std::vector<std::unique_ptr<Page>> pages_;
  std::vector<Page*> free_;  // has room for all pages
};

// The pages of one sequence. Grows before a step and shrinks back should the step fail.
class PageTable {
 public:
  // max_positions: what it can ever hold; it allocates nothing after this.
  PageTable(PagePool* pool, size_t max_positions);
  ~PageTable() { Resize(0); }
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  // Pages that must be taken before it holds `positions` positions.
  size_t Missing(size_t positions) const;

  // Holds pages for exactly `positions` positions. Throws std::bad_alloc, then it is as before.
  void Resize(size_t positions);

  // Makes an empty table hold the first `positions` positions of another: its full pages are
  // shared, what is left over is copied, for a page is written until it is full. Throws
  // std::bad_alloc, then it is empty.
  void ShareFrom(const PageTable& other, size_t positions);

  // Holds the first `positions` of its positions from now on, and may write those after them: a
  // page that is not full any more and has other users is copied. Throws std::bad_alloc, then it
  // is as before.
  void Cut(size_t positions);

  void* const* pages() const { return data_.data(); }

 private:
  void Push(Page* page);

  PagePool* pool_;
  std::vector<Page*> pages_;
  std::vector<void*> data_;  // of each page, as kernels want it
};

}  // namespace infeng

#endif  // INFENG_CC_ENGINE_KV_CACHE_H_
