#include "base/http/address_policy.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace boxkeeper::base::http {
namespace {

namespace ip = boost::asio::ip;

constexpr uint32_t kLinkLocal = 0xA9FE0000;        // 169.254.0.0/16
constexpr uint32_t kAlibabaMetadata = 0x646464C8;  // 100.100.100.200
constexpr uint32_t kOracleMetadata = 0xC00000C0;   // 192.0.0.192
constexpr uint32_t kBroadcast = 0xFFFFFFFF;
constexpr ip::address_v6::bytes_type kAwsMetadata = {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0,    0,
                                                     0,    0,    0,    0,    0, 0, 0x02, 0x54};
constexpr std::array<unsigned char, 12> kNat64 = {0x00, 0x64, 0xff, 0x9b};

// The IPv4 address that an IPv6 one stands for, if it does.
bool MeantV4(const ip::address_v6& address, ip::address_v4* meant) {
  const ip::address_v6::bytes_type bytes = address.to_bytes();
  const bool nat64 = std::equal(kNat64.begin(), kNat64.end(), bytes.begin());
  if (!address.is_v4_mapped() && !nat64) return false;
  ip::address_v4::bytes_type last{};
  std::memcpy(last.data(), bytes.data() + 12, last.size());
  *meant = ip::address_v4(last);
  return true;
}

enum class Kind { kFine, kMetadata, kNever };

Kind KindOf(const ip::address_v4& address) {
  const uint32_t number = address.to_uint();
  if (address.is_unspecified() || address.is_multicast() || number == kBroadcast) {
    return Kind::kNever;
  }
  const bool metadata = (number & 0xFFFF0000) == kLinkLocal || number == kAlibabaMetadata ||
                        number == kOracleMetadata;
  return metadata ? Kind::kMetadata : Kind::kFine;
}

Kind KindOf(const ip::address_v6& address) {
  if (ip::address_v4 meant; MeantV4(address, &meant)) return KindOf(meant);
  if (address.is_unspecified() || address.is_multicast()) return Kind::kNever;
  const bool metadata = address.is_link_local() || address.to_bytes() == kAwsMetadata;
  return metadata ? Kind::kMetadata : Kind::kFine;
}

}  // namespace

absl::Status CheckAddress(const ip::address& address, const AddressPolicy& policy) {
  const Kind kind = address.is_v4() ? KindOf(address.to_v4()) : KindOf(address.to_v6());
  if (kind == Kind::kFine || (kind == Kind::kMetadata && policy.allow_link_local)) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat(address.to_string(), kind == Kind::kNever
                                            ? ": no address of a server"
                                            : ": link-local and metadata addresses are refused"));
}

}  // namespace boxkeeper::base::http
