// SHA-256 and HMAC-SHA-256 by OpenSSL, with what its one-shot calls look up each time kept.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace boxkeeper::base {

// 32 bytes. Thread-safe.
std::string Sha256(std::string_view bytes);

// The same of a stream. On one thread at a time.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;

  void Add(std::string_view bytes);
  // 32 bytes; the stream starts anew.
  std::string Finish();

 private:
  friend class HmacSha256;
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// One key, many messages; the key's part is computed once. Thread-safe after construction. The key
// is not kept, but what is kept is as good as the key.
class HmacSha256 {
 public:
  explicit HmacSha256(std::string_view key);

  std::string Mac(std::string_view message) const;  // 32 bytes

 private:
  Sha256Stream inner_, outer_;
};

// Compares in time that depends on the lengths only.
bool EqualInConstantTime(std::string_view a, std::string_view b);

}  // namespace boxkeeper::base
