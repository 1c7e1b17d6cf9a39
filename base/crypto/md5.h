// MD5, for checksums that a protocol wants as MD5 (Content-MD5, ETag); not for security.
#pragma once

#include <string>
#include <string_view>

namespace boxkeeper::base {

// 16 bytes. Empty where this machine's OpenSSL has no MD5 (FIPS): then none is sent or checked.
std::string Md5(std::string_view bytes);

}  // namespace boxkeeper::base
