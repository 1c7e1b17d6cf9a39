// What a collector tells the supervisor, over a pipe: the files of a task's outputs, one after the
// other. The collector has the rights of the task's user and sees what the task saw, so the reader
// believes nothing of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::launcher {

// Frame: word u8, length u32, payload.
enum class OutputWord : uint8_t {
  kFile = 1,  // a file begins: mode u32, modified_unix_ns u64, path
  kData = 2,  // its next bytes
  kEnd = 3,   // it is whole
  kDrop = 4,  // it could not be read to its end: forget it. The payload says why
  kSkip = 5,  // something that is not collected: what, and why
  kDone = 6,  // the last frame
};

struct OutputFrame {
  OutputWord word = OutputWord::kDone;
  std::string_view payload;
};

inline constexpr size_t kOutputPayloadBytesMax = 256 * 1024;

std::string EncodeFrame(OutputWord word, std::string_view payload);
std::string EncodeFileFrame(uint32_t mode, uint64_t modified_unix_ns, std::string_view path);

// Cuts a stream of bytes into frames.
class OutputFrameParser {
 public:
  void Append(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole frame, valid until Append; nothing if there is none yet, or the stream is
  // damaged.
  std::optional<OutputFrame> Next();
  bool damaged() const { return damaged_; }
  // To be called when Next gave nothing.
  void Compact();

 private:
  std::string buffer_;
  size_t taken_ = 0;
  bool damaged_ = false;
};

}  // namespace boxkeeper::launcher
