#include "base/core/outputs_format.h"

#include <algorithm>

#include "base/core/bytes.h"
#include "base/core/crc32c.h"
#include "base/core/sha256.h"
#include "base/utf8.h"

namespace boxkeeper::base {
namespace {

constexpr std::string_view kMagic = "BKOUTS1\n";
constexpr size_t kHeaderBytes = 24;

void AppendText(std::string& out, std::string_view text) {
  const size_t length = std::min<size_t>(text.size(), UINT16_MAX);
  AppendLittle(out, static_cast<uint16_t>(length));
  out.append(text.substr(0, length));
}

// Takes values off the front of bytes; not ok() once they did not suffice.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  template <typename T>
  T Number() {
    if (left_.size() < sizeof(T)) return Fail<T>();
    const T value = LittleAt<T>(left_, 0);
    left_.remove_prefix(sizeof(T));
    return value;
  }

  std::string Bytes(size_t length) {
    if (left_.size() < length) return Fail<std::string>();
    std::string bytes(left_.substr(0, length));
    left_.remove_prefix(length);
    return bytes;
  }

  std::string Text() { return Bytes(Number<uint16_t>()); }
  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && left_.empty(); }

 private:
  template <typename T>
  T Fail() {
    ok_ = false;
    left_ = {};
    return T();
  }

  std::string_view left_;
  bool ok_ = true;
};

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

std::string EncodeOutputsManifest(const OutputsManifest& manifest) {
  std::string payload;
  AppendLittle(payload, static_cast<uint32_t>(manifest.files.size()));
  for (const CollectedFile& file : manifest.files) {
    AppendLittle(payload, file.offset);
    AppendLittle(payload, file.size);
    AppendLittle(payload, file.modified_unix_ns);
    AppendLittle(payload, file.mode);
    payload += file.sha256;
    AppendText(payload, file.path);
  }
  AppendLittle(payload, manifest.skipped);
  AppendLittle(payload, static_cast<uint32_t>(manifest.notes.size()));
  for (const std::string& note : manifest.notes) AppendText(payload, note);
  std::string out(kMagic);
  AppendLittle<uint64_t>(out, payload.size());
  AppendLittle(out, Crc32c(payload));
  AppendLittle<uint32_t>(out, 0);
  return out + payload;
}

std::optional<OutputsManifest> ParseOutputsManifest(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || !bytes.starts_with(kMagic)) return std::nullopt;
  const std::string_view payload = bytes.substr(kHeaderBytes);
  if (LittleAt<uint64_t>(bytes, 8) != payload.size() ||
      LittleAt<uint32_t>(bytes, 16) != Crc32c(payload)) {
    return std::nullopt;
  }
  OutputsManifest manifest;
  Reader reader(payload);
  for (auto count = reader.Number<uint32_t>(); count > 0 && reader.ok(); --count) {
    CollectedFile& file = manifest.files.emplace_back();
    file.offset = reader.Number<uint64_t>();
    file.size = reader.Number<uint64_t>();
    file.modified_unix_ns = reader.Number<uint64_t>();
    file.mode = reader.Number<uint32_t>();
    file.sha256 = reader.Bytes(CoreSha256::kBytes);
    file.path = reader.Text();
    if (!IsOutputPath(file.path)) return std::nullopt;
  }
  manifest.skipped = reader.Number<uint64_t>();
  for (auto count = reader.Number<uint32_t>(); count > 0 && reader.ok(); --count) {
    manifest.notes.push_back(reader.Text());
  }
  if (!reader.AtEnd()) return std::nullopt;
  return manifest;
}

std::vector<std::string> SplitOutputPattern(std::string_view pattern) {
  std::vector<std::string> parts;
  while (!pattern.empty()) {
    const size_t slash = pattern.find('/');
    const std::string_view part = pattern.substr(0, slash);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    pattern.remove_prefix(slash == std::string_view::npos ? pattern.size() : slash + 1);
  }
  return parts;
}

std::string CheckOutputPattern(std::string_view pattern) {
  if (pattern.empty()) return "is empty";
  if (pattern.size() > kOutputPatternBytesMax) {
    return "is above " + std::to_string(kOutputPatternBytesMax) + " bytes";
  }
  if (!IsUtf8(pattern) || std::any_of(pattern.begin(), pattern.end(), IsControl)) {
    return "is not UTF-8 without control characters";
  }
  const std::vector<std::string> parts = SplitOutputPattern(pattern);
  if (parts.size() > kOutputDepthMax) {
    return "has more than " + std::to_string(kOutputDepthMax) + " components";
  }
  if (std::find(parts.begin(), parts.end(), "..") != parts.end()) return "has '..' in it";
  if (pattern[0] == '/' && parts.empty()) return "names the whole file system";
  return "";
}

bool IsOutputPath(std::string_view path) {
  if (path.empty() || path.size() > kOutputPathBytesMax || !IsUtf8(path)) return false;
  if (std::any_of(path.begin(), path.end(), IsControl)) return false;
  if (path.front() == '/') path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string OutputNote(std::string_view text) {
  std::string note;
  while (!text.empty() && note.size() < kOutputNoteBytesMax) {
    const size_t length = Utf8Length(text);
    const bool shown = length > 1 || (length == 1 && !IsControl(text[0]));
    note += shown ? text.substr(0, length) : "?";
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return note;
}

}  // namespace boxkeeper::base
