// Schedulers that read their event streams, over every crash, and miss nothing (I7).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/draws.h"
#include "tests/sim/durable.h"
#include "tests/sim/life.h"
#include "tests/sim/trace.h"

namespace boxkeeper::sim {

class Readers {
 public:
  // Who is told of each task as the reader saw it.
  using Told = std::function<void(const v1::Task& task)>;

  Readers(uint64_t seed, const Plan& plan, Life& life, Durable& durable, Trace& trace, Told told);

  // Every reader's stream begins anew: the daemon was started.
  void Connect();
  // The daemon's past is another one: a backup was restored.
  void Forget();
  void Acknowledge(Draws& draws);
  // What was left open in a stream must have had a reason.
  void CheckGaps();
  // True if every reader has all that the store has for it.
  bool CaughtUp() const;
  void CheckEnd();
  // An owner with a reader.
  const std::string& AnyOwner(Draws& draws) const;

 private:
  struct Reader {
    std::string owner;
    store::Position position = 0;      // of the newest event it has seen
    store::Position acknowledged = 0;  // it said so, whoever heard it
    std::chrono::milliseconds pause{0};
  };
  struct Gap {
    std::string owner;
    store::Position position = 0;
    int64_t generation = 0;
    int64_t life = 0;
  };

  asio::awaitable<void> Read(Reader& reader, v1::WatchEventsRequest request, int64_t life);
  // As a client does whose cursor is gone: lists, and goes on from the list's cursor. Empty: the
  // daemon does not answer any more.
  asio::awaitable<std::string> ListAnew(Reader& reader);
  void OnEvent(Reader& reader, const v1::Event& event, store::Position before);
  void NoteGap(const Reader& reader, store::Position from, store::Position to);
  void Fail(const std::string& what) { trace_.Fail("I7", what); }

  Life& life_;
  Durable& durable_;
  Trace& trace_;
  const Told told_;
  Draws draws_;
  std::deque<Reader> readers_;  // stay where they are
  std::vector<Gap> gaps_;
};

// The place in the stream that a cursor stands for; -1 for what is no cursor.
store::Position PositionOf(const std::string& cursor);

}  // namespace boxkeeper::sim
