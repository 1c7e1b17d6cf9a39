#include "base/id128.h"

namespace boxkeeper::base {
namespace {

constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
constexpr char kHex[] = "0123456789abcdef";

int Base32Value(char c) {
  if (c >= 'a' && c <= 'z') return c - 'a';
  if (c >= '2' && c <= '7') return c - '2' + 26;
  return -1;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool HyphenAt(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

std::string Base32(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() * 8 + 4) / 5);
  uint32_t bits = 0;
  int count = 0;
  for (unsigned char byte : bytes) {
    bits = (bits << 8) | byte;
    count += 8;
    while (count >= 5) {
      count -= 5;
      out.push_back(kAlphabet[(bits >> count) & 31]);
    }
  }
  if (count > 0) out.push_back(kAlphabet[(bits << (5 - count)) & 31]);
  return out;
}

std::optional<std::string> Base32Decode(std::string_view text) {
  size_t rest = text.size() % 8;
  if (rest == 1 || rest == 3 || rest == 6) return std::nullopt;  // No number of bytes gives these.
  std::string out;
  out.reserve(text.size() * 5 / 8);
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    int value = Base32Value(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 5) | static_cast<uint32_t>(value);
    count += 5;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>((bits >> count) & 255));
    }
  }
  if ((bits & ((1u << count) - 1)) != 0) return std::nullopt;
  return out;
}

std::string Id128::ToString() const {
  return Base32(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

std::optional<Id128> Id128::Parse(std::string_view text) {
  if (text.size() != 26) return std::nullopt;
  std::optional<std::string> decoded = Base32Decode(text);
  if (!decoded || decoded->size() != 16) return std::nullopt;
  Id128 id;
  std::memcpy(id.bytes.data(), decoded->data(), 16);
  return id;
}

std::optional<Id128> Id128::ParseUuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Id128 id;
  size_t nibble = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (HyphenAt(i)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    int value = HexValue(text[i]);
    if (value < 0) return std::nullopt;
    uint8_t& byte = id.bytes[nibble / 2];
    byte = static_cast<uint8_t>((byte << 4) | value);
    ++nibble;
  }
  return id;
}

std::string Id128::ToUuid() const {
  std::string out;
  out.reserve(36);
  for (uint8_t byte : bytes) {
    if (HyphenAt(out.size())) out.push_back('-');
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  return out;
}

}  // namespace boxkeeper::base
