#include "daemon/service/grpc_log.h"

#include <grpc/support/log.h>

#include "base/log.h"

namespace boxkeeper::daemon {
namespace {

void Forward(gpr_log_func_args* args) {
  const base::LogLevel level =
      args->severity == GPR_LOG_SEVERITY_ERROR ? base::LogLevel::kWarning : base::LogLevel::kDebug;
  if (!base::LogEnabled(level)) return;
  base::Log(level, "grpc", {{"text", args->message}, {"file", args->file}, {"line", args->line}});
}

}  // namespace

void RouteGrpcLog() {
  gpr_set_log_function(&Forward);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_INFO);
}

}  // namespace boxkeeper::daemon
