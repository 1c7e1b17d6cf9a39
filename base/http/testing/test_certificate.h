// Throw-away certificates, made in memory.
#pragma once

#include <string>

namespace boxkeeper::base::http {

struct TestCertificate {
  std::string certificate;  // PEM, signed by itself
  std::string key;          // PEM
};

// For `names` in the notation of subjectAltName: "DNS:localhost,IP:127.0.0.1". Valid from yesterday
// until tomorrow, or until an hour ago.
TestCertificate MakeTestCertificate(const std::string& names, bool expired = false);

}  // namespace boxkeeper::base::http
