#include "cli/escape.h"

#include <cstdint>
#include <cstdio>

#include "base/utf8.h"

namespace boxkeeper::cli {
namespace {

uint32_t CodePoint(std::string_view sequence) {
  auto lead = static_cast<uint8_t>(sequence[0]);
  if (sequence.size() == 1) return lead;
  uint32_t code = lead & (0x7F >> sequence.size());
  for (size_t i = 1; i < sequence.size(); ++i) {
    code = code << 6 | (static_cast<uint8_t>(sequence[i]) & 0x3F);
  }
  return code;
}

bool IsUnsafe(uint32_t code) {
  if (code < 0x20) return code != '\n' && code != '\t';
  return (code >= 0x7F && code < 0xA0) ||                       // DEL and C1
         code == 0x200B || code == 0x200E || code == 0x200F ||  // zero width space, direction marks
         (code >= 0x2028 && code <= 0x202E) ||  // line separators, embeddings, overrides
         (code >= 0x2060 && code <= 0x2069) || code == 0xFEFF || code == 0xAD;
}

void AppendHex(const char* format, uint32_t value, std::string& out) {
  char buffer[16];
  std::snprintf(buffer, sizeof(buffer), format, value);
  out += buffer;
}

// True if `text` (not empty, no valid sequence at its front) could become valid by more bytes.
bool MayBecomeValid(std::string_view text) {
  if (text.size() >= 4) return false;
  std::string extended(text);
  for (size_t missing = 1; missing <= 3; ++missing) {
    // Any continuation byte will do but for the second, whose range depends on the lead: every
    // range has one of its ends.
    extended += '\x80';
    if (base::Utf8Length(extended) == extended.size()) return true;
    std::string high = extended;
    if (text.size() == 1) high[1] = '\xBF';
    if (base::Utf8Length(high) == high.size()) return true;
  }
  return false;
}

// Moves one character from the front of `text` to `out`, shown safely.
void EscapeOne(std::string_view& text, std::string& out) {
  size_t length = base::Utf8Length(text);
  if (length == 0) {
    AppendHex("\\x%02x", static_cast<uint8_t>(text[0]), out);
    text.remove_prefix(1);
    return;
  }
  uint32_t code = CodePoint(text.substr(0, length));
  if (!IsUnsafe(code)) {
    out.append(text.substr(0, length));
  } else if (code < 0x80) {
    AppendHex("\\x%02x", code, out);
  } else {
    AppendHex("\\u%04x", code, out);
  }
  text.remove_prefix(length);
}

bool IsWide(uint32_t code) {
  return (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
         (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
         (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
         (code >= 0x1F300 && code <= 0x1F64F) || (code >= 0x1F900 && code <= 0x1F9FF) ||
         (code >= 0x20000 && code <= 0x3FFFD);
}

}  // namespace

std::string TerminalEscaper::Escape(std::string_view chunk) {
  std::string joined;
  if (!held_.empty()) {
    joined = held_ + std::string(chunk);
    held_.clear();
    chunk = joined;
  }
  std::string out;
  out.reserve(chunk.size());
  while (!chunk.empty()) {
    if (base::Utf8Length(chunk) == 0 && MayBecomeValid(chunk)) {
      held_ = std::string(chunk);
      break;
    }
    EscapeOne(chunk, out);
  }
  return out;
}

std::string TerminalEscaper::Finish() {
  std::string out;
  std::string_view rest = held_;
  while (!rest.empty()) EscapeOne(rest, out);
  held_.clear();
  return out;
}

std::string EscapeLine(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text[0] == '\n' || text[0] == '\t') {
      out += text[0] == '\n' ? "\\n" : "\\t";
      text.remove_prefix(1);
    } else {
      EscapeOne(text, out);
    }
  }
  return out;
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    size_t length = base::Utf8Length(text);
    if (length == 0) length = 1;
    width += IsWide(CodePoint(text.substr(0, length))) ? 2 : 1;
    text.remove_prefix(length);
  }
  return width;
}

}  // namespace boxkeeper::cli
