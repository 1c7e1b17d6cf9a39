// How late the loop is.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <memory>

#include "base/clock.h"
#include "daemon/metrics/metrics.h"

namespace boxkeeper::daemon {

// Four times a second, how much later than asked a timer of the loop fired. Lives on the loop;
// stops when destroyed.
class LoopLag {
 public:
  static constexpr std::chrono::milliseconds kInterval{250};

  LoopLag(boost::asio::any_io_executor loop, base::Clock& clock, Metrics& metrics)
      : clock_(clock), metrics_(metrics), alarm_(clock.NewAlarm(std::move(loop))) {
    Arm();
  }

 private:
  void Arm() {
    const base::BootTime due = clock_.Boot() + kInterval;
    alarm_->Set(due, [this, due] {
      metrics_.loop_lag.Observe(clock_.Boot() - due);
      Arm();
    });
  }

  base::Clock& clock_;
  Metrics& metrics_;
  std::unique_ptr<base::Alarm> alarm_;
};

}  // namespace boxkeeper::daemon
