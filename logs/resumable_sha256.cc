// OpenSSL's newer interface does not give the state away; the older one is as fast.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "logs/resumable_sha256.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace boxkeeper::logs {
namespace {

constexpr size_t kBlock = 64;
constexpr size_t kHead = 8 * 4 + 8;

void AppendBigEndian(std::string& out, uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift);
  }
}

uint64_t ReadBigEndian(std::string_view in) {
  uint64_t value = 0;
  for (const char c : in) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

ResumableSha256::ResumableSha256() {
  SHA256_CTX context;
  SHA256_Init(&context);
  std::copy(std::begin(context.h), std::end(context.h), words_.begin());
}

void ResumableSha256::Update(std::string_view bytes) {
  SHA256_CTX context{};
  std::copy(words_.begin(), words_.end(), context.h);
  // Whole blocks only pass through it, so its own counters and buffer stay empty.
  const size_t begun = bytes_ % kBlock;
  bytes_ += bytes.size();
  if (begun > 0) {
    const size_t taken = std::min(bytes.size(), kBlock - begun);
    std::memcpy(rest_.data() + begun, bytes.data(), taken);
    bytes.remove_prefix(taken);
    if (begun + taken < kBlock) return;
    SHA256_Transform(&context, reinterpret_cast<const unsigned char*>(rest_.data()));
  }
  context.md_len = SHA256_DIGEST_LENGTH;
  const size_t whole = bytes.size() - bytes.size() % kBlock;
  SHA256_Update(&context, bytes.data(), whole);
  bytes.remove_prefix(whole);
  if (!bytes.empty()) std::memcpy(rest_.data(), bytes.data(), bytes.size());
  std::copy(std::begin(context.h), std::end(context.h), words_.begin());
}

std::string ResumableSha256::Digest() const {
  ResumableSha256 copy = *this;
  std::string padding = "\x80";
  padding.resize(1 + (kBlock + 55 - bytes_ % kBlock) % kBlock, '\0');
  AppendBigEndian(padding, bytes_ * 8, 8);
  copy.Update(padding);
  std::string digest;
  for (const uint32_t word : copy.words_) AppendBigEndian(digest, word, 4);
  return digest;
}

std::string ResumableSha256::State() const {
  std::string state;
  for (const uint32_t word : words_) AppendBigEndian(state, word, 4);
  AppendBigEndian(state, bytes_, 8);
  state.append(rest_.data(), bytes_ % kBlock);
  return state;
}

std::optional<ResumableSha256> ResumableSha256::FromState(std::string_view state) {
  if (state.size() < kHead) return std::nullopt;
  ResumableSha256 hash;
  for (size_t i = 0; i < hash.words_.size(); ++i) {
    hash.words_[i] = static_cast<uint32_t>(ReadBigEndian(state.substr(i * 4, 4)));
  }
  hash.bytes_ = ReadBigEndian(state.substr(32, 8));
  const std::string_view rest = state.substr(kHead);
  if (rest.size() != hash.bytes_ % kBlock) return std::nullopt;
  std::copy(rest.begin(), rest.end(), hash.rest_.begin());
  return hash;
}

}  // namespace boxkeeper::logs
