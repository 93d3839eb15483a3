#ifndef INFENG_CC_BASE_ALIGNED_BUFFER_H_
#define INFENG_CC_BASE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace infeng {

// A fixed number of elements, zeroed, on a 64-byte boundary (a cache line, an AVX-512 register).
// The storage is rounded up to whole lines, so that the last register may be loaded whole.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  static constexpr size_t kAlignment = 64;
  static_assert(alignof(T) <= kAlignment);

  AlignedBuffer() = default;

  // Throws std::bad_alloc if there is no memory for n elements.
  explicit AlignedBuffer(size_t n) : size_(n) {
    if (n == 0) return;
    if (n > (std::numeric_limits<size_t>::max() - kAlignment) / sizeof(T)) throw std::bad_alloc();
    const size_t bytes = (n * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    void* data = std::aligned_alloc(kAlignment, bytes);
    if (data == nullptr) throw std::bad_alloc();
    std::memset(data, 0, bytes);
    data_.reset(static_cast<T*>(data));
  }

  // A buffer that was moved from is empty.
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }

  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }

  std::span<T> span() { return {data(), size_}; }
  std::span<const T> span() const { return {data(), size_}; }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };

  std::unique_ptr<T[], Free> data_;
  size_t size_ = 0;
};

}  // namespace infeng

#endif  // INFENG_CC_BASE_ALIGNED_BUFFER_H_
