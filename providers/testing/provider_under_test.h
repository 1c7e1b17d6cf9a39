// What a test needs to know of a provider and the world around it; the conformance suite and other
// tests run on it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "base/clock.h"
#include "providers/provider.h"

namespace boxkeeper::providers::testing {

// What the suite asks a command to do; each provider says it in words that its sandboxes
// understand.
struct CommandKind {
  enum Kind {
    kExit,           // with `value`
    kDieBySignal,    // by signal `value`
    kRunForever,     // ends by TERM
    kIgnoreTerm,     // runs for ever and ends only by KILL
    kPrint,          // `value` bytes on stdout, then exit code 0
    kNotExecutable,  // cannot be started
    kRunBriefly,     // long enough to be seen running, then exit code `value`
  };
  Kind kind = kExit;
  int value = 0;
};

// One provider with the world around it. The suite makes a new one for each case.
class ProviderUnderTest {
 public:
  virtual ~ProviderUnderTest() = default;
  virtual boost::asio::io_context& context() = 0;
  virtual base::Clock& clock() = 0;
  virtual Provider& provider() = 0;
  // The daemon dies and comes back: a new adapter in the same world.
  virtual void RestartAdapter() = 0;
  // Why this host cannot have such a world; "" if it can. Asked once the provider is open.
  virtual std::string WhyNotHere() { return ""; }
  // What every sandbox of the suite asks for, so that the world can see what happens in it.
  virtual v1::SandboxSpec Spec() { return {}; }
  // Lets things happen until `done` or for `limit` at most; returns done(). Moves the time where it
  // is virtual.
  virtual bool RunUntil(const std::function<bool()>& done, std::chrono::nanoseconds limit) = 0;
  // The command of `exec_id`; where the world keeps no records itself, it leaves them for
  // Executions().
  virtual v1::Command Command(const std::string& exec_id, CommandKind kind) = 0;
  // How often the user code of `exec_id` began, by the world's own records.
  virtual int Executions(const std::string& exec_id) = 0;
  // Spool paths for a launch, and what has been written there so far. Only where the spool is
  // native.
  virtual pb::SpoolPaths Spool(const std::string& exec_id) { return {}; }
  virtual std::string Spooled(const std::string& exec_id, const std::string& stream) { return ""; }
};

}  // namespace boxkeeper::providers::testing
