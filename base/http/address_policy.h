// Which addresses are never dialled, whatever a name resolves to.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string>

#include "absl/status/status.h"

namespace boxkeeper::base::http {

struct AddressPolicy {
  // Instance metadata services live there; some private networks as well.
  bool allow_link_local = false;
};

// kPermissionDenied, naming the address, for: link-local ones (169.254.0.0/16, fe80::/10) and the
// metadata addresses outside them (fd00:ec2::254 of AWS, 100.100.100.200 of Alibaba Cloud,
// 192.0.0.192 of Oracle Cloud) unless `allow_link_local`; always for unspecified, multicast and
// broadcast ones. IPv4 addresses written as IPv6 ones (mapped, NAT64 64:ff9b::/96) count as what
// they mean. Loopback and private networks are allowed: servers live there.
absl::Status CheckAddress(const boost::asio::ip::address& address, const AddressPolicy& policy);

}  // namespace boxkeeper::base::http
