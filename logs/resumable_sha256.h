// SHA-256 of a stream that is hashed over many lives of the daemon: its state can be journalled.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::logs {

// A value: copies go on independently.
class ResumableSha256 {
 public:
  ResumableSha256();
  void Update(std::string_view bytes);
  // The 32 bytes of what was fed so far; more may follow.
  std::string Digest() const;

  // About 100 bytes, the last up to 63 of the stream among them.
  std::string State() const;
  // nullopt: not something that State() gave.
  static std::optional<ResumableSha256> FromState(std::string_view state);

 private:
  std::array<uint32_t, 8> words_;
  uint64_t bytes_ = 0;
  std::array<char, 64> rest_{};  // the begun block: bytes_ % 64 of it
};

}  // namespace boxkeeper::logs
