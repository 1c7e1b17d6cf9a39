// A state directory with a real boxlaunch and a LocalProvider on it, for tests.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/clock.h"
#include "providers/local/local_provider.h"
#include "providers/testing/provider_under_test.h"

namespace boxkeeper::providers::local::testing {

// Owns all of it; its end kills the launcher and removes the directory, whatever the test left
// behind. The test needs `data = ["//launcher:boxlaunch"]`.
class LocalWorld : public providers::testing::ProviderUnderTest {
 public:
  using CommandKind = providers::testing::CommandKind;

  // With `isolation` kBubblewrap the commands leave their marks through a volume.
  explicit LocalWorld(LocalOptions::Isolation isolation = LocalOptions::Isolation::kNone);
  ~LocalWorld() override;

  boost::asio::io_context& context() override { return context_; }
  base::Clock& clock() override { return *clock_; }
  Provider& provider() override { return *provider_; }
  LocalProvider& local() { return *provider_; }
  void RestartAdapter() override;
  std::string WhyNotHere() override;
  v1::SandboxSpec Spec() override;
  bool RunUntil(const std::function<bool()>& done, std::chrono::nanoseconds limit) override;
  v1::Command Command(const std::string& exec_id, CommandKind kind) override;
  int Executions(const std::string& exec_id) override;
  pb::SpoolPaths Spool(const std::string& exec_id) override;
  std::string Spooled(const std::string& exec_id, const std::string& stream) override;

  const std::string& directory() const { return directory_; }
  // SIGKILL to the launcher that answered last.
  void KillLauncher();

 private:
  // Where commands leave a line each time they run, as the host names it.
  std::string marks() const { return directory_ + "/marks"; }

  const LocalOptions::Isolation isolation_;
  boost::asio::io_context context_;
  std::unique_ptr<base::Clock> clock_;
  std::string directory_;
  std::shared_ptr<LocalProvider> provider_;
};

// The content of a file; "" if it is not there.
std::string ReadWholeFile(const std::string& path);

}  // namespace boxkeeper::providers::local::testing
