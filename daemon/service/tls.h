// TLS for the gRPC server with certificates that can be replaced while it runs.
#pragma once

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace boxkeeper::daemon {

struct TlsFiles {
  std::string cert_file;
  std::string key_file;
  std::string client_ca_file;  // empty = clients show no certificate; else they must
};

struct TlsMaterial {
  std::string cert_pem;
  std::string key_pem;
  std::string client_ca_pem;
};

// Reads the files and makes sure that they are usable together. kInvalidArgument names the file and
// the trouble.
absl::StatusOr<TlsMaterial> LoadTls(const TlsFiles& files);

// The certificates in force. Thread-safe. `Replace` is for handshakes that begin afterwards: open
// connections and their streams stay as they are.
class TlsSource {
 public:
  explicit TlsSource(TlsMaterial material) : material_(std::move(material)) {}

  // kFailedPrecondition: client certificates cannot be switched on or off while the server runs.
  absl::Status Replace(TlsMaterial material);
  bool asks_for_client_certificates() const;

  // A new configuration for gRPC if there is one newer than `seen`, which is then updated; else
  // nullptr.
  grpc_ssl_server_certificate_config* ConfigNewerThan(int64_t& seen) const;

 private:
  mutable std::mutex mutex_;
  TlsMaterial material_;    // guarded by mutex_
  int64_t generation_ = 1;  // guarded by mutex_
};

// Server credentials that ask `source` at each handshake. One per listening port; must outlive the
// server, as must the source. gRPC's public C API has this ("certificate config fetcher"), its C++
// wrapper only offers polling of files by a thread of its own, which would pick up half-written
// ones and could not say that they are bad.
class ReloadableTlsCredentials final : public grpc::ServerCredentials {
 public:
  explicit ReloadableTlsCredentials(const TlsSource& source);
  ~ReloadableTlsCredentials() override;

  // Not used: tokens are checked per call, the same way with and without TLS.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& processor) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override;
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config);

  const TlsSource& source_;
  std::mutex mutex_;
  int64_t seen_ = 0;  // guarded by mutex_
  grpc_server_credentials* credentials_ = nullptr;
};

}  // namespace boxkeeper::daemon
