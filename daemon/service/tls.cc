#include "daemon/service/tls.h"

#include <grpc/grpc.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/status_macros.h"

namespace boxkeeper::daemon {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> Reader(const std::string& pem) {
  return Owned<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Owned<X509> FirstCertificate(const std::string& pem) {
  return Owned<X509>(PEM_read_bio_X509(Reader(pem).get(), nullptr, nullptr, nullptr));
}

absl::Status Bad(const std::string& file, const std::string& what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", what));
}

absl::StatusOr<std::string> Read(const std::string& file) {
  auto text = base::ReadFile(*base::MakeRealFileSystem(), file);
  if (!text.ok()) return Bad(file, std::string(text.status().message()));
  return text;
}

// Never asks at the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

}  // namespace

absl::StatusOr<TlsMaterial> LoadTls(const TlsFiles& files) {
  TlsMaterial material;
  ASSIGN_OR_RETURN(material.cert_pem, Read(files.cert_file));
  ASSIGN_OR_RETURN(material.key_pem, Read(files.key_file));
  const Owned<X509> certificate = FirstCertificate(material.cert_pem);
  if (certificate == nullptr) return Bad(files.cert_file, "no PEM certificate in it");
  const Owned<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(Reader(material.key_pem).get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) return Bad(files.key_file, "no PEM private key without passphrase in it");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Bad(files.key_file, absl::StrCat("not the key of the certificate in ", files.cert_file));
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return Bad(files.cert_file, "the certificate has expired");
  }
  if (!files.client_ca_file.empty()) {
    ASSIGN_OR_RETURN(material.client_ca_pem, Read(files.client_ca_file));
    if (FirstCertificate(material.client_ca_pem) == nullptr) {
      return Bad(files.client_ca_file, "no PEM certificate in it");
    }
  }
  return material;
}

absl::Status TlsSource::Replace(TlsMaterial material) {
  const std::lock_guard lock(mutex_);
  if (material.client_ca_pem.empty() != material_.client_ca_pem.empty()) {
    return absl::FailedPreconditionError(
        "server.tls.client_ca_file: switching client certificates on or off needs a restart");
  }
  material_ = std::move(material);
  ++generation_;
  return absl::OkStatus();
}

bool TlsSource::asks_for_client_certificates() const {
  const std::lock_guard lock(mutex_);
  return !material_.client_ca_pem.empty();
}

grpc_ssl_server_certificate_config* TlsSource::ConfigNewerThan(int64_t& seen) const {
  const std::lock_guard lock(mutex_);
  if (seen == generation_) return nullptr;
  seen = generation_;
  const grpc_ssl_pem_key_cert_pair pair{material_.key_pem.c_str(), material_.cert_pem.c_str()};
  // gRPC insists on roots also where no client certificate is asked for; they are not used then.
  const std::string& roots =
      material_.client_ca_pem.empty() ? material_.cert_pem : material_.client_ca_pem;
  return grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
}

ReloadableTlsCredentials::ReloadableTlsCredentials(const TlsSource& source) : source_(source) {
  const auto request = source.asks_for_client_certificates()
                           ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                           : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
  credentials_ = grpc_ssl_server_credentials_create_with_options(
      grpc_ssl_server_credentials_create_options_using_config_fetcher(request, &Fetch, this));
}

ReloadableTlsCredentials::~ReloadableTlsCredentials() {
  grpc_server_credentials_release(credentials_);
}

int ReloadableTlsCredentials::AddPortToServer(const std::string& address, grpc_server* server) {
  return grpc_server_add_http2_port(server, address.c_str(), credentials_);
}

grpc_ssl_certificate_config_reload_status ReloadableTlsCredentials::Fetch(
    void* self, grpc_ssl_server_certificate_config** config) {
  auto* credentials = static_cast<ReloadableTlsCredentials*>(self);
  const std::lock_guard lock(credentials->mutex_);
  *config = credentials->source_.ConfigNewerThan(credentials->seen_);
  return *config == nullptr ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED
                            : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

}  // namespace boxkeeper::daemon
