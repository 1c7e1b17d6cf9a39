#include "launcher/isolation/init_link.h"

#include <unistd.h>

#include <algorithm>

#include "base/core/bytes.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kHeaderBytes = 1 + 4 + 2;  // word, value, length of the text

}  // namespace

bool WriteReport(int fd, const InitReport& report) {
  const size_t length = std::min(report.text.size(), kInitTextBytesMax);
  std::string bytes(1, static_cast<char>(report.word));
  base::AppendLittle(bytes, static_cast<uint32_t>(report.value));
  base::AppendLittle(bytes, static_cast<uint16_t>(length));
  bytes.append(report.text, 0, length);
  return write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

std::optional<InitReport> TakeReport(std::string* buffer) {
  if (buffer->size() < kHeaderBytes) return std::nullopt;
  const size_t length = base::LittleAt<uint16_t>(*buffer, 5);
  if (buffer->size() < kHeaderBytes + length) return std::nullopt;
  InitReport report;
  report.word = static_cast<InitWord>((*buffer)[0]);
  report.value = static_cast<int32_t>(base::LittleAt<uint32_t>(*buffer, 1));
  report.text = buffer->substr(kHeaderBytes, length);
  buffer->erase(0, kHeaderBytes + length);
  return report;
}

}  // namespace boxkeeper::launcher
