#include "base/identity/deployment.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/identity/key_file.h"
#include "base/status_macros.h"

namespace boxkeeper::base {
namespace {

constexpr std::string_view kPrefix = "bk";
constexpr size_t kTagBytes = 4;
constexpr size_t kMacBytes = 16;  // half of the hash, the least that RFC 2104 recommends
constexpr size_t kNameBytes = kTagBytes + 16 + kMacBytes;
constexpr int kShards = 64;

// A label's value at every provider, Kubernetes too.
bool ValidId(std::string_view id) {
  auto letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !id.empty() && id.size() <= 63 && letter(id.front()) && letter(id.back()) &&
         std::all_of(id.begin(), id.end(),
                     [&](char c) { return letter(c) || c == '.' || c == '_' || c == '-'; });
}

std::string_view BytesOf(const SandboxId& sandbox) {
  return {reinterpret_cast<const char*>(sandbox.id.bytes.data()), sandbox.id.bytes.size()};
}

// Length-prefixed, so that no two lists of fields give the same bytes.
void AddField(std::string& message, std::string_view field) {
  uint32_t size = static_cast<uint32_t>(field.size());
  for (int shift = 24; shift >= 0; shift -= 8) message.push_back(static_cast<char>(size >> shift));
  message.append(field);
}

std::optional<int64_t> ParseNumber(std::string_view text) {
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (std::to_string(number) != text) return std::nullopt;  // one text per number
  return number;
}

// 16 hexadecimal digits, a dot, a decimal number; empty if it is not known.
std::string BirthText(const Birth& birth) {
  if (birth.incarnation == 0) return "";
  return absl::StrCat(absl::Hex(birth.incarnation, absl::kZeroPad16), ".", birth.position);
}

std::optional<Birth> ParseBirth(std::string_view text) {
  constexpr size_t kDigits = 16;
  if (text.size() < kDigits + 2 || text[kDigits] != '.') return std::nullopt;
  Birth birth;
  const std::string_view digits = text.substr(0, kDigits);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), birth.incarnation, 16);
  const std::optional<int64_t> position = ParseNumber(text.substr(kDigits + 1));
  if (error != std::errc() || end != digits.data() + digits.size() || !position)
    return std::nullopt;
  birth.position = *position;
  if (BirthText(birth) != text) return std::nullopt;  // one text per birth
  return birth;
}

std::string PathIn(const std::string& directory, const std::string& path) {
  return path.starts_with('/') ? path : absl::StrCat(directory, "/", path);
}

absl::StatusOr<std::string> ReadId(FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(std::string id, ReadFile(fs, path));
  while (!id.empty() && std::isspace(static_cast<unsigned char>(id.back()))) id.pop_back();
  if (!ValidId(id)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":1: not a deployment id: 1 to 63 of [A-Za-z0-9._-]"));
  }
  return id;
}

// The key before the id: where the id is, the key must be.
absl::StatusOr<std::vector<Key>> CreateIdentity(FileSystem& fs, Rng& rng, const std::string& id,
                                                const std::string& id_path,
                                                const std::string& key_path) {
  ASSIGN_OR_RETURN(bool key_exists, fs.Exists(key_path));
  auto keys = key_exists ? ReadKeys(fs, key_path) : GenerateKeyFile(fs, rng, key_path);
  RETURN_IF_ERROR(keys.status());
  RETURN_IF_ERROR(WriteFileAtomically(fs, id_path, id + "\n", 0600));
  return keys;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Deployment>> Deployment::LoadOrCreate(
    FileSystem& fs, Rng& rng, const DeploymentOptions& options) {
  if (!options.id.empty() && !ValidId(options.id)) {
    return absl::InvalidArgumentError(
        "deployment.id: 1 to 63 of [A-Za-z0-9._-], beginning and ending with a letter or digit");
  }
  const std::string directory = options.state_dir + "/identity";
  const std::string id_path = directory + "/id";
  const std::string key_path = PathIn(options.state_dir, options.key_file);
  ASSIGN_OR_RETURN(bool directory_exists, fs.Exists(directory));
  if (!directory_exists) {
    RETURN_IF_ERROR(fs.MakeDirectories(directory, 0700));
    RETURN_IF_ERROR(fs.SyncDir(options.state_dir));
  }
  ASSIGN_OR_RETURN(bool known, fs.Exists(id_path));
  std::string id = options.id;
  std::vector<Key> keys;
  if (known) {
    ASSIGN_OR_RETURN(id, ReadId(fs, id_path));
    if (!options.id.empty() && options.id != id) {
      return absl::FailedPreconditionError(absl::StrCat(
          "deployment.id: '", options.id, "', but ", options.state_dir, " belongs to '", id,
          "'; under another id its sandboxes could not be found again"));
    }
    auto read = ReadKeys(fs, key_path);
    if (absl::IsNotFound(read.status())) {
      return absl::FailedPreconditionError(absl::StrCat(
          key_path, ": the key of deployment '", id,
          "' is missing; restore it from a backup: a new one would disown every sandbox"));
    }
    RETURN_IF_ERROR(read.status());
    keys = *std::move(read);
  } else {
    if (id.empty()) id = rng.NewId().ToString();
    ASSIGN_OR_RETURN(keys, CreateIdentity(fs, rng, id, id_path, key_path));
  }
  std::vector<SigningKey> signing;
  for (Key& key : keys) signing.push_back({key.kid, HmacSha256(key.bytes.view())});
  return std::unique_ptr<Deployment>(new Deployment(std::move(id), std::move(signing)));
}

Deployment::Deployment(std::string id, std::vector<SigningKey> keys)
    : id_(std::move(id)),
      tag_(Sha256("boxkeeper.tag.v1:" + id_).substr(0, kTagBytes)),
      keys_(std::move(keys)) {}

std::string Deployment::NameMac(const HmacSha256& hmac, const SandboxId& sandbox) const {
  std::string message;
  AddField(message, "boxkeeper.name.v1");
  AddField(message, id_);
  AddField(message, BytesOf(sandbox));
  return hmac.Mac(message).substr(0, kMacBytes);
}

std::string Deployment::LabelMac(const HmacSha256& hmac, const SandboxId& sandbox,
                                 std::string_view provider, int32_t shard, int64_t epoch,
                                 const std::string& birth) const {
  std::string message;
  AddField(message, birth.empty() ? "boxkeeper.labels.v1" : "boxkeeper.labels.v2");
  AddField(message, id_);
  AddField(message, provider);
  AddField(message, BytesOf(sandbox));
  AddField(message, std::to_string(shard));
  AddField(message, std::to_string(epoch));
  if (!birth.empty()) AddField(message, birth);
  return Base32(hmac.Mac(message).substr(0, kMacBytes));
}

std::string Deployment::Name(const SandboxId& sandbox) const {
  std::string bytes = tag_;
  bytes.append(BytesOf(sandbox));
  bytes.append(NameMac(keys_.front().hmac, sandbox));
  return std::string(kPrefix) + Base32(bytes);
}

std::map<std::string, std::string> Deployment::Labels(const SandboxId& sandbox,
                                                      std::string_view provider, int32_t shard,
                                                      int64_t epoch, Birth birth) const {
  const SigningKey& key = keys_.front();
  const std::string born = BirthText(birth);
  std::map<std::string, std::string> labels{
      {kLabelDeployment, id_},
      {kLabelSandbox, sandbox.ToString()},
      {kLabelShard, std::to_string(shard)},
      {kLabelEpoch, std::to_string(epoch)},
      {kLabelMac, LabelMac(key.hmac, sandbox, provider, shard, epoch, born)},
      {kLabelKid, key.kid}};
  if (!born.empty()) labels.emplace(kLabelBirth, born);
  return labels;
}

Verified Deployment::VerifyName(std::string_view name) const {
  if (!name.starts_with(kPrefix)) return {};
  std::optional<std::string> bytes = Base32Decode(name.substr(kPrefix.size()));
  if (!bytes || bytes->substr(0, kTagBytes) != tag_) return {};
  Verified verified{.kind = Verified::kMalformed};
  if (bytes->size() != kNameBytes) return verified;
  SandboxId sandbox;
  std::memcpy(sandbox.id.bytes.data(), bytes->data() + kTagBytes, sandbox.id.bytes.size());
  const std::string_view mac = std::string_view(*bytes).substr(kNameBytes - kMacBytes);
  for (const SigningKey& key : keys_) {
    if (!EqualInConstantTime(mac, NameMac(key.hmac, sandbox))) continue;
    verified.kind = Verified::kOurs;
    verified.sandbox = sandbox;
  }
  return verified;
}

Verified Deployment::Verify(const std::map<std::string, std::string>& labels,
                            std::string_view provider) const {
  auto value = [&](const char* label) -> std::string {
    auto found = labels.find(label);
    return found == labels.end() ? std::string() : found->second;
  };
  if (value(kLabelDeployment) != id_) return {};
  Verified verified{.kind = Verified::kMalformed};
  std::optional<Id128> sandbox = Id128::Parse(value(kLabelSandbox));
  std::optional<int64_t> shard = ParseNumber(value(kLabelShard));
  std::optional<int64_t> epoch = ParseNumber(value(kLabelEpoch));
  if (!sandbox || !shard || *shard < 0 || *shard >= kShards || !epoch || *epoch < 0) {
    return verified;
  }
  const std::string born = value(kLabelBirth);
  const std::optional<Birth> birth = born.empty() ? Birth{} : ParseBirth(born);
  if (!birth) return verified;
  const std::string kid = value(kLabelKid);
  auto key =
      std::find_if(keys_.begin(), keys_.end(), [&](const SigningKey& k) { return k.kid == kid; });
  if (key == keys_.end()) return verified;
  const auto shard_number = static_cast<int32_t>(*shard);
  const std::string mac =
      LabelMac(key->hmac, SandboxId{*sandbox}, provider, shard_number, *epoch, born);
  const bool proved = EqualInConstantTime(mac, value(kLabelMac)) || Mutated("mac_not_checked");
  if (!proved) return verified;
  return {.kind = Verified::kOurs,
          .sandbox = {*sandbox},
          .shard = shard_number,
          .epoch = *epoch,
          .birth = *birth};
}

}  // namespace boxkeeper::base
