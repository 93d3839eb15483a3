#ifndef INFENG_CC_ENGINE_KV_CACHE_H_
#define INFENG_CC_ENGINE_KV_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cc/base/aligned_buffer.h"

namespace infeng {

// Memory for keys and values in pages of one size, reused by later sequences.
class PagePool {
 public:
  explicit PagePool(size_t page_bytes) : page_bytes_(page_bytes) {}

  // A page with any contents. Throws std::bad_alloc.
  void* Take();
  // Gives back a page that Take returned. Never throws.
  void Give(void* page);

  // Bytes of the pages that are taken.
  size_t taken_bytes() const { return (pages_.size() - free_.size()) * page_bytes_; }

 private:
  const size_t page_bytes_;
  std::vector<AlignedBuffer<uint8_t>> pages_;
  std::vector<void*> free_;  // has room for all pages
};

// The pages of one sequence. Grows before a step and shrinks back should the step fail.
class PageTable {
 public:
  explicit PageTable(PagePool* pool) : pool_(pool) {}
  ~PageTable() { Resize(0); }
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  // Holds pages for exactly `positions` positions. Throws std::bad_alloc, then it is as before.
  void Resize(size_t positions);

  void* const* pages() const { return pages_.data(); }

 private:
  PagePool* pool_;
  std::vector<void*> pages_;
};

}  // namespace infeng

#endif  // INFENG_CC_ENGINE_KV_CACHE_H_
