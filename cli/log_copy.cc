#include "cli/log_copy.h"

#include "absl/strings/str_cat.h"
#include "cli/rpc_error.h"

namespace boxkeeper::cli {
namespace {

class Copier {
 public:
  Copier(const LogSource& source, const std::function<bool(std::string_view)>& sink)
      : source_(source), sink_(sink), next_(source.offset), placed_(!source.tail_lines) {}

  v1::ReadLogRequest Request() const {
    v1::ReadLogRequest request;
    request.set_id(source_.id);
    request.set_stream(source_.stream);
    if (placed_) {
      request.set_offset(next_);
    } else {
      request.set_tail_lines(*source_.tail_lines);
    }
    request.set_follow(source_.follow);
    return request;
  }

  // False: the sink is closed.
  bool Take(const v1::ReadLogResponse& piece) {
    end_ = end_ || piece.end();
    if (!placed_) {
      next_ = piece.offset();
      placed_ = true;
    }
    if (piece.dropped_bytes() > 0) return TakeGap(piece.offset() + piece.dropped_bytes());
    std::string_view data = piece.data();
    if (piece.offset() < next_) {  // sent before the connection broke
      const auto known = static_cast<size_t>(next_ - piece.offset());
      if (known >= data.size()) return true;
      data.remove_prefix(known);
    } else if (piece.offset() > next_ && !TakeGap(piece.offset())) {
      return false;
    }
    if (data.empty()) return true;
    next_ += static_cast<int64_t>(data.size());
    return Put(data);
  }

  bool end() const { return end_; }
  bool closed() const { return closed_; }

 private:
  // Bytes from next_ to `until` do not exist any more.
  bool TakeGap(int64_t until) {
    if (until <= next_) return true;
    const std::string mark = absl::StrCat(at_line_start_ ? "" : "\n", "[boxkeeper: dropped ",
                                          until - next_, " bytes]\n");
    next_ = until;
    return Put(mark);
  }

  bool Put(std::string_view data) {
    at_line_start_ = data.back() == '\n';
    closed_ = !sink_(data);
    return !closed_;
  }

  const LogSource& source_;
  const std::function<bool(std::string_view)>& sink_;
  int64_t next_;  // stream offset of the first byte that the sink does not have
  bool placed_;   // next_ is known: always, but before the first piece of a tail
  bool at_line_start_ = true;
  bool end_ = false;
  bool closed_ = false;
};

}  // namespace

absl::Status CopyLog(Client& client, const LogSource& source, Patience& patience,
                     const std::function<bool(std::string_view)>& sink) {
  Copier copier(source, sink);
  for (;;) {
    absl::Status status = client.ReadLog(copier.Request(), [&](const v1::ReadLogResponse& piece) {
      patience.Answered();
      return copier.Take(piece);
    });
    if (copier.closed()) {
      return OwnError(absl::StatusCode::kAborted, "OUTPUT_CLOSED",
                      "nobody reads the output any more");
    }
    if (copier.end()) return absl::OkStatus();
    if (status.ok()) {
      // The server must mark the end; a stream that merely closes proves nothing.
      status = absl::UnavailableError("the log stream closed before its end");
    }
    if (!patience.TryAgain(status)) return status;
  }
}

}  // namespace boxkeeper::cli
