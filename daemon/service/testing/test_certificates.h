// Throw-away certificates, made in memory.
#pragma once

#include <memory>
#include <string>

namespace boxkeeper::daemon {

struct TestCertificate {
  std::string cert_pem;
  std::string key_pem;
};

// A certificate authority that lives for one test.
class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();

  const std::string& cert_pem() const;
  // For localhost and 127.0.0.1, named `name`; valid from now for `seconds` (may be negative:
  // expired).
  TestCertificate Issue(const std::string& name, long seconds = 3600) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace boxkeeper::daemon
