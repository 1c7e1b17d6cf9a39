// The socket between daemon and launcher, both directions. First byte: how many bytes arrive at a
// time (0 = all at once); the rest is the stream. Frames do not depend on how the bytes arrived,
// and each message that decodes is stable: what it encodes to decodes to the same.
#include <algorithm>
#include <string>
#include <vector>

#include "launcher/protocol.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

using namespace launcher;

struct Cut {
  uint16_t version, type;
  uint64_t request_id;
  std::string payload;
  bool operator==(const Cut&) const = default;
};

struct Frames {
  std::vector<Cut> frames;
  bool malformed = false;
  bool operator==(const Frames&) const = default;
};

Frames Parse(std::string_view stream, size_t step) {
  Frames result;
  FrameParser parser;
  for (size_t at = 0; at < stream.size() && !result.malformed; at += step) {
    parser.Append(stream.substr(at, step));
    Frame frame;
    FrameParser::Result next;
    while ((next = parser.Next(&frame)) == FrameParser::Result::kFrame) {
      Require(frame.payload.size() <= kPayloadBytesMax, "a frame is bounded");
      result.frames.push_back(
          {frame.version, frame.type, frame.request_id, std::string(frame.payload)});
    }
    result.malformed = next == FrameParser::Result::kMalformed;
  }
  return result;
}

template <typename M>
void CheckMessage(std::string_view payload) {
  M message;
  if (!Decode(payload, &message)) return;
  const std::string encoded = Encode(message);
  M again;
  Require(Decode(encoded, &again), "what was encoded decodes");
  Require(Encode(again) == encoded, "a message is stable");
}

// As every message, whatever the frame says it is: each side may be sent anything.
void CheckPayload(std::string_view payload) {
#define BOXKEEPER_CHECK(M) CheckMessage<M>(payload);
  BOXKEEPER_LAUNCHER_MESSAGES(BOXKEEPER_CHECK)
#undef BOXKEEPER_CHECK
  CheckMessage<SandboxInfo>(payload);
  const ReplyError error = DecodeError(payload);
  if (error.code != ErrorCode::kOk) {
    const std::string frame = ErrorFrame(1, 2, error.code, error.message);
    const Frames parsed = Parse(frame, frame.size());
    Require(parsed.frames.size() == 1 && !parsed.malformed, "an error is a frame");
    Require(DecodeError(parsed.frames[0].payload).code == error.code, "an error is stable");
  }
  ExitRecord exit;
  if (DecodeExitRecord(payload, &exit)) {
    const std::string encoded = EncodeExitRecord(exit);
    ExitRecord again;
    Require(DecodeExitRecord(encoded, &again) && EncodeExitRecord(again) == encoded,
            "an exit record is stable");
    Require(!(exit.ExitCode() && exit.Signal()), "an exit code or a signal, never both");
    Require(exit.kind == EndKind::kExited || !exit.ExitCode(),
            "only who saw the exit knows its code");
  }
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper;
  if (size == 0) return 0;
  const std::string_view stream = fuzz::View(data + 1, size - 1);
  const size_t step = data[0] == 0 ? std::max<size_t>(stream.size(), 1) : data[0];
  const fuzz::Frames frames = fuzz::Parse(stream, std::max<size_t>(stream.size(), 1));
  fuzz::Require(fuzz::Parse(stream, step) == frames, "frames do not depend on how bytes arrive");
  std::string again;
  for (const fuzz::Cut& frame : frames.frames) {
    fuzz::CheckPayload(frame.payload);
    again += launcher::EncodeFrame(frame.type, frame.request_id, frame.payload);
  }
  fuzz::CheckPayload(stream);
  fuzz::Require(fuzz::Parse(again, again.size() + 1).frames.size() == frames.frames.size(),
                "frames that are sent on are frames");
  (void)launcher::IsValidId(stream);
  return 0;
}
