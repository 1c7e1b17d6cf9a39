#include "base/identity/key_file.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/status_macros.h"

namespace boxkeeper::base {
namespace {

constexpr size_t kKeyBytes = 32;

bool ValidKid(std::string_view kid) {
  auto letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !kid.empty() && kid.size() <= 32 && letter(kid.front()) && letter(kid.back()) &&
         std::all_of(kid.begin(), kid.end(),
                     [&](char c) { return letter(c) || c == '.' || c == '_' || c == '-'; });
}

std::string_view TakeWord(std::string_view& line) {
  size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) begin = line.size();
  size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
  std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

}  // namespace

absl::StatusOr<std::vector<Key>> ParseKeys(std::string_view text, const std::string& path) {
  std::vector<Key> keys;
  for (int number = 1; !text.empty(); ++number) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    auto wrong = [&](const char* what) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", number, ": ", what));
    };
    std::string_view kid = TakeWord(line);
    if (kid.empty() || kid.front() == '#') continue;
    std::string_view hex = TakeWord(line);
    if (!ValidKid(kid)) return wrong("the key's name must be 1 to 32 of [A-Za-z0-9._-]");
    if (!TakeWord(line).empty()) return wrong("more than a name and a key");
    std::optional<std::string> bytes = HexDecode(hex);
    if (!bytes || bytes->size() != kKeyBytes) return wrong("a key has 64 hexadecimal digits");
    for (const Key& key : keys) {
      if (key.kid == kid) return wrong("the name of a key above");
    }
    keys.push_back({std::string(kid), SecretString(*bytes)});
    WipeString(*bytes);
  }
  if (keys.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": no key"));
  return keys;
}

absl::StatusOr<std::vector<Key>> ReadKeys(FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(fs, path));
  auto keys = ParseKeys(text, path);
  WipeString(text);
  return keys;
}

absl::StatusOr<std::vector<Key>> GenerateKeyFile(FileSystem& fs, Rng& rng,
                                                 const std::string& path) {
  std::string bytes;
  for (int i = 0; i < 2; ++i) {
    Id128 half = rng.NewId();
    bytes.append(reinterpret_cast<const char*>(half.bytes.data()), half.bytes.size());
  }
  std::string text =
      absl::StrCat("# Keep it secret and back it up. First key: in use; others: still accepted.\n",
                   rng.NewId().ToString().substr(0, 8), " ", HexEncode(bytes), "\n");
  WipeString(bytes);
  absl::Status written = WriteFileAtomically(fs, path, text, 0600);
  auto keys = ParseKeys(text, path);
  WipeString(text);
  RETURN_IF_ERROR(written);
  return keys;
}

}  // namespace boxkeeper::base
