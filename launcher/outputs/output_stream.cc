#include "launcher/outputs/output_stream.h"

#include "base/core/bytes.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kHeaderBytes = 1 + 4;

}  // namespace

std::string EncodeFrame(OutputWord word, std::string_view payload) {
  std::string frame(1, static_cast<char>(word));
  base::AppendLittle(frame, static_cast<uint32_t>(payload.size()));
  frame.append(payload);
  return frame;
}

std::string EncodeFileFrame(uint32_t mode, uint64_t modified_unix_ns, std::string_view path) {
  std::string payload;
  base::AppendLittle(payload, mode);
  base::AppendLittle(payload, modified_unix_ns);
  payload.append(path);
  return EncodeFrame(OutputWord::kFile, payload);
}

std::optional<OutputFrame> OutputFrameParser::Next() {
  const std::string_view left = std::string_view(buffer_).substr(taken_);
  if (damaged_ || left.size() < kHeaderBytes) return std::nullopt;
  const auto word = static_cast<uint8_t>(left[0]);
  const size_t length = base::LittleAt<uint32_t>(left, 1);
  if (word < static_cast<uint8_t>(OutputWord::kFile) ||
      word > static_cast<uint8_t>(OutputWord::kDone) || length > kOutputPayloadBytesMax) {
    damaged_ = true;
    return std::nullopt;
  }
  if (left.size() < kHeaderBytes + length) return std::nullopt;
  taken_ += kHeaderBytes + length;
  return OutputFrame{static_cast<OutputWord>(word), left.substr(kHeaderBytes, length)};
}

void OutputFrameParser::Compact() {
  buffer_.erase(0, taken_);
  taken_ = 0;
}

}  // namespace boxkeeper::launcher
