// A secret value in memory: wiped when it goes, never printed.
#pragma once

#include <string.h>

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

namespace boxkeeper::base {

// Move-only. Has no conversion to text and no operator<<, so that it cannot slip into a log line or
// an error: view() is the one way in, and easy to search for.
class SecretString {
 public:
  SecretString() = default;
  // `size` zero bytes, to be filled by data().
  explicit SecretString(size_t size) : bytes_(new char[size]()), size_(size) {}
  explicit SecretString(std::string_view copy) : SecretString(copy.size()) {
    if (!copy.empty()) memcpy(bytes_.get(), copy.data(), copy.size());
  }
  ~SecretString() { Wipe(); }
  SecretString(SecretString&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}
  SecretString& operator=(SecretString&& other) noexcept {
    if (this != &other) {
      Wipe();
      bytes_ = std::move(other.bytes_);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }

  std::string_view view() const { return {bytes_.get(), size_}; }
  char* data() { return bytes_.get(); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Overwrites the bytes and becomes empty.
  void Wipe() {
    if (bytes_) explicit_bzero(bytes_.get(), size_);
    bytes_.reset();
    size_ = 0;
  }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_ = 0;
};

// For secrets that had to be in a std::string (protobuf): overwrites its bytes, capacity too, and
// clears it.
template <typename String>
void WipeString(String& text) {
  text.resize(text.capacity());
  explicit_bzero(text.data(), text.size());
  text.clear();
}

}  // namespace boxkeeper::base
