// 128-bit ids and their text form: 26 characters of [a-z2-7] (RFC 4648 base32, lower case, no
// padding), safe in names, labels and paths everywhere.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::base {

struct Id128 {
  std::array<uint8_t, 16> bytes{};

  bool IsZero() const { return *this == Id128{}; }
  std::string ToString() const;  // 26 characters
  // nullopt unless `text` is exactly what ToString gives for some id.
  static std::optional<Id128> Parse(std::string_view text);
  // RFC 4122 text in either case, with hyphens. nullopt otherwise.
  static std::optional<Id128> ParseUuid(std::string_view text);
  std::string ToUuid() const;

  auto operator<=>(const Id128&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const Id128& id) {
    uint64_t parts[2];
    std::memcpy(parts, id.bytes.data(), sizeof(parts));
    return H::combine(std::move(h), parts[0], parts[1]);
  }
};

// Lower-case base32 without padding of any bytes; 8 characters per 5 bytes, rounded up.
std::string Base32(std::string_view bytes);
// nullopt for a character outside [a-z2-7], an impossible length or non-zero trailing bits.
std::optional<std::string> Base32Decode(std::string_view text);

// Ids are types, so that arguments cannot be swapped.
template <typename Tag>
struct TypedId {
  Id128 id;
  std::string ToString() const { return id.ToString(); }
  auto operator<=>(const TypedId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const TypedId& typed) {
    return H::combine(std::move(h), typed.id);
  }
};
using TaskId = TypedId<struct TaskIdTag>;
using SubmissionId = TypedId<struct SubmissionIdTag>;
using SandboxId = TypedId<struct SandboxIdTag>;

}  // namespace boxkeeper::base
