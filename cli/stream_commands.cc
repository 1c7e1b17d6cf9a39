#include "cli/stream_commands.h"

#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/escape.h"
#include "cli/exit_code.h"
#include "cli/log_copy.h"
#include "cli/patience.h"
#include "cli/proto_node.h"
#include "cli/rpc_error.h"
#include "cli/task_text.h"

namespace boxkeeper::cli {
namespace {

// Where one stream of a log goes on this console.
struct LogSink {
  const std::function<bool(std::string_view)>& write;
  bool escape;
};

absl::Status CopyTo(Session& session, const LogSource& source, LogSink sink, bool talk) {
  Patience patience(session.console(), session.client(), talk);
  TerminalEscaper escaper;
  absl::Status status = CopyLog(session.client(), source, patience, [&](std::string_view data) {
    return sink.write(sink.escape ? escaper.Escape(data) : data);
  });
  if (sink.escape) sink.write(escaper.Finish());
  return status;
}

absl::Status CopyBoth(Session& session, LogSource source, LogSink out, LogSink err) {
  LogSource errors = source;
  errors.stream = v1::ReadLogRequest::STDERR;
  absl::Status err_status;
  std::thread other;
  if (source.follow) {
    other = std::thread([&] { err_status = CopyTo(session, errors, err, false); });
  }
  absl::Status out_status = CopyTo(session, source, out, true);
  if (source.follow) {
    other.join();
  } else if (out_status.ok()) {
    err_status = CopyTo(session, errors, err, true);
  }
  return out_status.ok() ? err_status : out_status;
}

absl::Status CheckLogs(const LogsFlags& flags) {
  if (!flags.stream.empty() && flags.stream != "stdout" && flags.stream != "stderr") {
    return absl::InvalidArgumentError("--stream must be stdout or stderr");
  }
  if (flags.offset && flags.tail) {
    return absl::InvalidArgumentError("--offset and --tail exclude each other");
  }
  if (flags.offset.value_or(0) < 0 || flags.tail.value_or(0) < 0) {
    return absl::InvalidArgumentError("--offset and --tail must not be negative");
  }
  return absl::OkStatus();
}

// --- events ---

class EventPrinter {
 public:
  EventPrinter(Session& session, bool follow) : session_(session), follow_(follow) {}

  bool Take(const v1::WatchEventsResponse& message) {
    std::vector<v1::Event> events(message.events().begin(), message.events().end());
    if (events.empty()) return true;
    cursor_ = events.back().cursor();
    const Format format = session_.format();
    // One document can only be closed at the end.
    if (!follow_ && (format == Format::kJson || format == Format::kYaml)) {
      for (const v1::Event& event : events) collected_.push_back(ProtoNode(event));
      return true;
    }
    if (format == Format::kTable || format == Format::kWide) {
      std::string rows = EventTable(events, session_.console(), format == Format::kWide, head_);
      head_ = false;
      return session_.console().out(rows);
    }
    for (const v1::Event& event : events) {
      if (format == Format::kYaml && !session_.console().out("---\n")) return false;
      if (!Print(session_.console(), format, ProtoNode(event), event.cursor(), nullptr)) {
        return false;
      }
    }
    return true;
  }

  bool Finish() {
    const Format format = session_.format();
    if (!follow_ && (format == Format::kJson || format == Format::kYaml)) {
      Listing listing;
      listing.field = "events";
      listing.items = std::move(collected_);
      return Print(session_.console(), format, listing);
    }
    if (head_ && (format == Format::kTable || format == Format::kWide)) {
      return session_.console().out(
          EventTable({}, session_.console(), format == Format::kWide, true));
    }
    return true;
  }

  const std::string& cursor() const { return cursor_; }

 private:
  Session& session_;
  const bool follow_;
  bool head_ = true;
  std::string cursor_;  // of the last event shown
  List collected_;
};

}  // namespace

int Logs(Session& session, const LogsFlags& flags) {
  absl::Status checked = CheckLogs(flags);
  if (!checked.ok()) return session.Misused(checked);
  absl::Status connected = session.client().Connect();
  if (!connected.ok()) return session.Fail(connected);
  auto id = ResolveId(session.client(), flags.ref);
  if (!id.ok()) return session.Fail(id.status());
  const Console& console = session.console();
  const LogSink out{console.out, console.out_is_terminal && !flags.raw};
  const LogSink err{console.err, console.err_is_terminal && !flags.raw};
  LogSource source;
  source.id = *id;
  source.offset = flags.offset.value_or(0);
  source.tail_lines = flags.tail;
  source.follow = flags.follow;
  absl::Status status;
  if (flags.stream.empty() && !flags.offset) {
    status = CopyBoth(session, source, out, err);
  } else {
    if (flags.stream == "stderr") source.stream = v1::ReadLogRequest::STDERR;
    status = CopyTo(session, source, out, true);
  }
  if (status.ok() || ErrorReason(status) == "OUTPUT_CLOSED") return kExitOk;
  return session.Fail(status);
}

int Events(Session& session, const EventsFlags& flags) {
  Client& client = session.client();
  absl::Status connected = client.Connect();
  if (!connected.ok()) return session.Fail(connected);
  EventPrinter printer(session, flags.follow);
  Patience patience(session.console(), client, true);
  v1::WatchEventsRequest request;
  request.set_owner(flags.owner);
  request.set_follow(flags.follow);
  request.set_cursor(flags.after);
  bool open = true;
  for (;;) {
    if (!printer.cursor().empty()) request.set_cursor(printer.cursor());
    absl::Status status = client.WatchEvents(request, [&](const v1::WatchEventsResponse& message) {
      patience.Answered();
      open = printer.Take(message);
      return open;
    });
    if (!open) return kExitOk;
    if (status.ok() && !flags.follow) return printer.Finish() ? kExitOk : kExitOurs;
    if (status.ok()) status = absl::UnavailableError("the event stream closed");
    if (!patience.TryAgain(status)) return session.Fail(status);
  }
}

}  // namespace boxkeeper::cli
