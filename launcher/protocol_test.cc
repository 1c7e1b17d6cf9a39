#include "launcher/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <random>

#include "base/core/bytes.h"

namespace boxkeeper::launcher {
namespace {

SandboxInfo MakeInfo() {
  SandboxInfo info;
  info.id = "0123abcd";
  info.name = "bkname";
  info.labels = std::string("opaque\0bytes", 12);
  info.state = SandboxState::kEnded;
  info.boot_id = "boot";
  info.exec_id = "exec";
  info.supervisor_pid = 4711;
  info.command_pid = 4712;
  info.created_unix_ns = 1;
  info.started_unix_ns = 2;
  info.started_boot_ns = 3;
  info.isolation = "bubblewrap";
  info.limits = "memory=cgroup1";
  info.exit.emplace();
  info.exit->kind = EndKind::kExited;
  info.exit->wait_status = W_EXITCODE(0, SIGKILL);
  info.exit->tree_fenced = true;
  info.exit->attester = "supervisor";
  info.exit->peak_rss_bytes = 1 << 20;
  info.exit->oom_killed = true;
  info.exit->sandbox_id = info.id;
  return info;
}

Abilities MakeAbilities() {
  return {.bubblewrap = {.how = "/usr/bin/bwrap", .why_not = ""},
          .cpu = {.how = "", .why_not = "no cgroup"},
          .memory = {.how = "rlimit", .why_not = ""},
          .pids = {.how = "cgroup1", .why_not = ""},
          .disk = {.how = "tmpfs", .why_not = ""}};
}

// Decodes what `frame` holds and encodes it again: equal bytes mean that no field was lost.
template <typename M>
void ExpectRoundTrip(const M& message) {
  const std::string payload = Encode(message);
  M decoded;
  ASSERT_TRUE(Decode(payload, &decoded));
  EXPECT_EQ(Encode(decoded), payload);
}

Frame ParseOne(FrameParser& parser, std::string_view bytes) {
  parser.Append(bytes);
  Frame frame;
  EXPECT_EQ(parser.Next(&frame), FrameParser::Result::kFrame);
  return frame;
}

TEST(ProtocolTest, AnOldLauncherCanDoNothingNew) {
  HelloReply reply;
  reply.abilities = MakeAbilities();
  ASSERT_TRUE(Decode("", &reply));
  EXPECT_FALSE(reply.abilities.bubblewrap.can());
  EXPECT_THAT(reply.abilities.memory.why_not, ::testing::HasSubstr("does not know"));
}

TEST(ProtocolTest, EveryMessageSurvivesTheWire) {
  ExpectRoundTrip(MakeInfo());
  ExpectRoundTrip(HelloRequest{1, "/state", "boot"});
  ExpectRoundTrip(HelloReply{1, "0.1", 7, "boot", "0::/x", true, MakeAbilities()});
  ExpectRoundTrip(CreateRequest{"id", "name", "labels"});
  ExpectRoundTrip(CreateReply{true, MakeInfo()});
  ExpectRoundTrip(StartRequest{"id", "exec", true});
  ExpectRoundTrip(StartReply{true, MakeInfo()});
  ExpectRoundTrip(SignalRequest{"id", SignalMode::kSend, 10, 5000});
  ExpectRoundTrip(SignalReply{MakeInfo()});
  ExpectRoundTrip(DestroyRequest{"id"});
  ExpectRoundTrip(DestroyReply{true, true});
  ExpectRoundTrip(InspectRequest{"id"});
  ExpectRoundTrip(InspectReply{MakeInfo()});
  ExpectRoundTrip(ListRequest{"cursor", 3});
  ExpectRoundTrip(ListReply{{MakeInfo(), MakeInfo()}, "next"});
  ExpectRoundTrip(FenceRequest{"id"});
  ExpectRoundTrip(FenceReply{false, MakeInfo()});
  ExpectRoundTrip(StatusRequest{});
  ExpectRoundTrip(StatusReply{HelloReply{1, "0.1", 7, "boot", "0::/x", true, MakeAbilities()}, 1, 2,
                              3, 4, 5, 6});
  ExpectRoundTrip(StartedEvent{MakeInfo()});
  ExpectRoundTrip(ExitedEvent{MakeInfo()});
}

TEST(ProtocolTest, AHelloWithoutAVersionHasNone) {
  HelloRequest request;
  ASSERT_TRUE(Decode("", &request));
  EXPECT_EQ(request.protocol_version, 0);  // which the launcher refuses
}

TEST(ProtocolTest, ExitCodeAndSignalAreNeverConfused) {
  ExitRecord record;
  record.kind = EndKind::kExited;
  record.wait_status = W_EXITCODE(0, SIGKILL);
  EXPECT_EQ(record.Signal(), SIGKILL);
  EXPECT_EQ(record.ExitCode(), std::nullopt);
  record.wait_status = W_EXITCODE(137, 0);
  EXPECT_EQ(record.Signal(), std::nullopt);
  EXPECT_EQ(record.ExitCode(), 137);
  record.kind = EndKind::kSupervisorLost;
  EXPECT_EQ(record.ExitCode(), std::nullopt);
}

TEST(ProtocolTest, FramesComeOutOfAStreamCutAnywhere) {
  const std::string stream = RequestFrame(1, CreateRequest{"a", "n", "l"}) +
                             ReplyFrame(2, InspectReply{MakeInfo()}) +
                             EventFrame(ExitedEvent{MakeInfo()});
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    FrameParser parser;
    std::vector<uint16_t> types;
    for (std::string_view part :
         {std::string_view(stream).substr(0, cut), std::string_view(stream).substr(cut)}) {
      parser.Append(part);
      Frame frame;
      while (parser.Next(&frame) == FrameParser::Result::kFrame) types.push_back(frame.type);
    }
    ASSERT_EQ(types, (std::vector<uint16_t>{2, 6 | kReplyBit, 65})) << "cut at " << cut;
  }
}

TEST(ProtocolTest, RefusesAnOversizedFrameAtItsHeader) {
  std::string header = RequestFrame(1, StatusRequest{});
  header[2] = 1;  // length 65536
  FrameParser parser;
  parser.Append(header);
  Frame frame;
  EXPECT_EQ(parser.Next(&frame), FrameParser::Result::kMalformed);
}

TEST(ProtocolTest, UnknownFieldsAreSkipped) {
  TlvWriter newer;
  newer.Bytes(999, "of a later version");
  const std::string payload = newer.Take() + Encode(CreateRequest{"id", "name", ""});
  CreateRequest request;
  ASSERT_TRUE(Decode(payload, &request));
  EXPECT_EQ(request.id, "id");
  EXPECT_EQ(request.name, "name");
}

TEST(ProtocolTest, ErrorsTravelInReplies) {
  FrameParser parser;
  const std::string bytes = ErrorFrame(3, 9, ErrorCode::kConflict, "another exec_id");
  const Frame frame = ParseOne(parser, bytes);
  EXPECT_TRUE(frame.is_reply());
  EXPECT_TRUE(frame.Is(MessageType::kStart));
  EXPECT_EQ(frame.request_id, 9u);
  EXPECT_EQ(DecodeError(frame.payload).code, ErrorCode::kConflict);
  EXPECT_EQ(DecodeError(frame.payload).message, "another exec_id");
  EXPECT_EQ(DecodeError(Encode(InspectReply{MakeInfo()})).code, ErrorCode::kOk);
}

template <typename M>
void DecodeAnything(std::string_view bytes) {
  M message;
  (void)Decode(bytes, &message);
}

// Truncations, bit flips and noise: any answer is right except a crash or a large allocation.
TEST(ProtocolTest, GarbageNeverCrashes) {
  std::mt19937 random(20260726);
  const std::string valid = Encode(ListReply{{MakeInfo(), MakeInfo()}, "next"});
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = valid.substr(0, random() % (valid.size() + 1));
    for (unsigned flips = random() % 4; flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << (random() % 8));
    }
    FrameParser parser;
    parser.Append(bytes);
    Frame frame;
    while (parser.Next(&frame) == FrameParser::Result::kFrame) DecodeError(frame.payload);
#define BOXKEEPER_DECODE(M) DecodeAnything<M>(bytes);
    BOXKEEPER_LAUNCHER_MESSAGES(BOXKEEPER_DECODE)
#undef BOXKEEPER_DECODE
  }
}

TEST(ProtocolTest, TruncatedMessagesAreRefused) {
  const std::string payload = Encode(InspectReply{MakeInfo()});
  for (size_t length = 1; length < payload.size(); ++length) {
    InspectReply reply;
    EXPECT_FALSE(Decode(payload.substr(0, length), &reply)) << length;
  }
}

TEST(ProtocolTest, IdsCannotLeaveTheirDirectory) {
  EXPECT_TRUE(IsValidId("0123456789abcdef0123456789abcdef"));
  EXPECT_FALSE(IsValidId(""));
  EXPECT_FALSE(IsValidId(".."));
  EXPECT_FALSE(IsValidId("a/b"));
  EXPECT_FALSE(IsValidId(std::string("a\0b", 3)));
  EXPECT_FALSE(IsValidId(std::string(kIdBytesMax + 1, 'a')));
}

TEST(ProtocolTest, ALargestSandboxFitsOneFrame) {
  SandboxInfo info = MakeInfo();
  info.id = info.exec_id = std::string(kIdBytesMax, 'i');
  info.name = std::string(kNameBytesMax, 'n');
  info.labels = std::string(kLabelsBytesMax, 'l');
  EXPECT_LE(ReplyFrame(1, ListReply{{info}, info.id}).size(), kFrameBytesMax);
}

}  // namespace
}  // namespace boxkeeper::launcher
