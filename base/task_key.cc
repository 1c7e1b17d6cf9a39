#include "base/task_key.h"

#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/percent.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace boxkeeper::base {
namespace {

constexpr std::array<const char*, 7> kParts = {"namespace", "kind",  "group", "run",
                                               "name",      "index", "try"};
constexpr size_t kPathComponentMax =
    200;  // bytes; file systems allow 255, object stores 1 024 for all of the key

constexpr char kDefaultNamespace[] = "default";
constexpr size_t kUsualKeyBytes = 48;  // of a key's string form without its longer parts

absl::Status Wrong(size_t part, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("key: ", kParts[part], ": ", why));
}

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t start = 0;;) {
    size_t slash = text.find('/', start);
    parts.push_back(text.substr(start, slash - start));
    if (slash == std::string_view::npos) return parts;
    start = slash + 1;
  }
}

absl::StatusOr<std::string> Decode(size_t part, std::string_view text) {
  std::optional<std::string> decoded = PercentDecode(text);
  if (!decoded) return Wrong(part, "'%' must be followed by two hex digits");
  if (!IsUtf8(*decoded)) return Wrong(part, "not UTF-8");
  if (decoded->find('\0') != std::string::npos) return Wrong(part, "contains NUL");
  return *std::move(decoded);
}

absl::StatusOr<int32_t> Number(size_t part, const std::string& text, int32_t if_empty,
                               int32_t min) {
  if (text.empty()) return if_empty;
  int32_t value = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < min) {
    return Wrong(part, absl::StrCat("must be an integer of at least ", min));
  }
  return value;
}

std::string PathComponent(const std::string& text) {
  if (text.empty()) return "_";
  std::string encoded = PercentEncode(text);
  if (encoded.size() <= kPathComponentMax) return encoded;
  size_t cut = kPathComponentMax;
  // Never inside an escape.
  for (size_t back = 1; back <= 2; ++back) {
    if (encoded[kPathComponentMax - back] == '%') cut = kPathComponentMax - back;
  }
  return encoded.substr(0, cut);
}

}  // namespace

v1::TaskKey NormalKey(const v1::TaskKey& key) {
  v1::TaskKey normal = key;
  if (normal.namespace_().empty()) normal.set_namespace_(kDefaultNamespace);
  if (normal.kind() == v1::TaskKey::KIND_UNSPECIFIED) normal.set_kind(v1::TaskKey::COMMAND);
  if (!normal.has_index()) normal.set_index(-1);
  if (normal.try_() == 0) normal.set_try_(1);
  return normal;
}

// Of the normal form without making one: this is called several times for each submission.
std::string KeyString(const v1::TaskKey& key) {
  const v1::TaskKey::Kind kind =
      key.kind() == v1::TaskKey::KIND_UNSPECIFIED ? v1::TaskKey::COMMAND : key.kind();
  std::string text;
  text.reserve(kUsualKeyBytes + key.group().size() + key.run().size() + key.name().size());
  AppendPercentEncoded(key.namespace_().empty() ? std::string_view(kDefaultNamespace)
                                                : std::string_view(key.namespace_()),
                       text);
  text += '/';
  const std::string& kind_name = v1::TaskKey::Kind_Name(kind);
  // A newer client's kind has no name here.
  text += kind_name.empty() ? absl::StrCat(static_cast<int>(kind)) : kind_name;
  for (const std::string* part : {&key.group(), &key.run(), &key.name()}) {
    text += '/';
    AppendPercentEncoded(*part, text);
  }
  absl::StrAppend(&text, "/", key.has_index() ? key.index() : -1, "/",
                  key.try_() == 0 ? 1 : key.try_());
  return text;
}

absl::StatusOr<v1::TaskKey> ParseKey(std::string_view text) {
  std::vector<std::string_view> raw = Split(text);
  if (raw.size() != kParts.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "key: has ", raw.size(),
        " parts, must have 7: namespace/KIND/group/run/name/index/try, each percent-encoded"));
  }
  std::array<std::string, kParts.size()> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    ASSIGN_OR_RETURN(parts[i], Decode(i, raw[i]));
  }
  v1::TaskKey key;
  v1::TaskKey::Kind kind = v1::TaskKey::COMMAND;
  if (!parts[1].empty() &&
      (!v1::TaskKey::Kind_Parse(parts[1], &kind) || kind == v1::TaskKey::KIND_UNSPECIFIED)) {
    return Wrong(1, "must be TASK, CALLBACK, STEP or COMMAND");
  }
  key.set_kind(kind);
  ASSIGN_OR_RETURN(int32_t index, Number(5, parts[5], -1, -1));
  ASSIGN_OR_RETURN(int32_t attempt, Number(6, parts[6], 1, 0));
  key.set_namespace_(parts[0]);
  key.set_group(parts[2]);
  key.set_run(parts[3]);
  key.set_name(parts[4]);
  key.set_index(index);
  key.set_try_(attempt);
  return NormalKey(key);
}

std::string KeyPath(const v1::TaskKey& key) {
  v1::TaskKey normal = NormalKey(key);
  return absl::StrCat(PathComponent(normal.namespace_()), "/", PathComponent(normal.group()), "/",
                      PathComponent(normal.run()), "/", PathComponent(normal.name()), "/",
                      normal.index(), "/", normal.try_());
}

}  // namespace boxkeeper::base
