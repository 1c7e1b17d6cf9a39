// Sandboxes on this host, made by boxlaunch.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "providers/local/handle.h"
#include "providers/local/images/image_catalog.h"
#include "providers/local/isolation_policy.h"
#include "providers/local/launcher_client.h"
#include "providers/local/launcher_process.h"
#include "providers/local/options.h"
#include "providers/provider.h"

namespace boxkeeper::providers::local {

// The provider contract over the launcher's protocol. Owns the connection to boxlaunch, never the
// sandboxes: they outlive it and the daemon. A sandbox's name is its id at the launcher, so that
// Find needs no search. Lives on the loop; to be destroyed before its io_context, which ends the
// calls in flight with kCancelled.
class LocalProvider : public Provider {
 public:
  struct Deps {
    boost::asio::any_io_executor executor;
    base::Clock& clock;
  };
  struct Settings {
    std::string name = "local";
    std::string state_dir;      // absolute; boxlaunch keeps its records under <state_dir>/launch
    std::string launcher_path;  // --launcher; "" = search, see FindLauncher
    LocalOptions options;
  };

  // kNotFound when there is no boxlaunch to start; nothing is started yet.
  static absl::StatusOr<std::shared_ptr<LocalProvider>> Create(Deps deps, Settings settings);
  ~LocalProvider() override;

  const std::string& name() const override { return settings_.name; }
  const std::string& type() const override;
  const pb::Capabilities& capabilities() const override { return capabilities_; }
  std::vector<std::string> warnings() const override;
  bool tasks_survive_service_stop() const override;
  std::string helper_version() const override;
  // Who answered the last Hello; nothing before the first.
  const std::optional<launcher::HelloReply>& launcher() const { return client_->hello(); }
  std::vector<FieldViolation> Validate(const v1::SandboxSpec& spec) const override;

  boost::asio::awaitable<absl::Status> Open(base::BootTime deadline) override;
  absl::Status Check() const override;
  boost::asio::awaitable<void> Create(std::vector<pb::CreateRequest> requests,
                                      base::BootTime deadline,
                                      std::function<void(size_t, pb::CreateOutcome)> done) override;
  boost::asio::awaitable<pb::StartOutcome> Start(std::string handle, pb::LaunchRequest launch,
                                                 base::BootTime deadline) override;
  boost::asio::awaitable<absl::StatusOr<pb::SandboxView>> Find(std::string name,
                                                               base::BootTime deadline) override;
  boost::asio::awaitable<absl::StatusOr<pb::ListPage>> List(std::string cursor,
                                                            base::BootTime deadline) override;
  boost::asio::awaitable<absl::StatusOr<pb::SandboxView>> Inspect(std::string handle,
                                                                  base::BootTime deadline) override;
  boost::asio::awaitable<absl::Status> Signal(std::string handle, SignalRequest request,
                                              base::BootTime deadline) override;
  boost::asio::awaitable<absl::Status> Destroy(std::string handle,
                                               base::BootTime deadline) override;
  boost::asio::awaitable<absl::Status> Fence(std::string handle, base::BootTime deadline) override;
  void OnHint(std::function<void(ProviderHint)> receiver) override;

 private:
  LocalProvider(Deps deps, Settings settings, std::string program);

  boost::asio::awaitable<pb::CreateOutcome> CreateOne(pb::CreateRequest request,
                                                      base::BootTime deadline);
  boost::asio::awaitable<void> CreateAndTell(size_t index, pb::CreateRequest request,
                                             base::BootTime deadline,
                                             std::function<void(size_t, pb::CreateOutcome)> done);
  // The image of a spec, ready to be a root; nothing where the spec names none. Errors as
  // MakeError.
  boost::asio::awaitable<absl::StatusOr<std::optional<PreparedImage>>> PrepareImage(
      std::string name, base::BootTime deadline);
  // Removes unpacked images that are neither configured nor under any sandbox that there is.
  boost::asio::awaitable<void> RemoveUnusedImages(base::BootTime deadline);
  // The handle's parts; an error (INVALID, nothing happened) where it is not one of ours.
  absl::StatusOr<LocalHandle> ParseHandle(const std::string& handle) const;
  bool OfEarlierBoot(const LocalHandle& handle) const { return handle.boot_id != boot_id_; }

  // Judged anew after each Hello.
  void Resolve();
  std::shared_ptr<const IsolationPolicy> policy() const;

  const Settings settings_;
  const boost::asio::any_io_executor executor_;
  const std::string boot_id_;
  pb::Capabilities capabilities_;
  LauncherProcess process_;
  std::function<void(ProviderHint)> hint_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const IsolationPolicy> policy_ ABSL_GUARDED_BY(mutex_);  // Validate's threads
  std::shared_ptr<LauncherClient> client_;
  std::unique_ptr<ImageCatalog> images_;  // null where none is configured
};

}  // namespace boxkeeper::providers::local
