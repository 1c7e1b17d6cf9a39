// The submissions that the load programs send: small, valid, each new.
#ifndef BOXKEEPER_BENCH_REQUESTS_H_
#define BOXKEEPER_BENCH_REQUESTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "boxkeeper/v1/executor.pb.h"

namespace boxkeeper::bench {

// What all submissions of one run have in common.
struct TaskTemplate {
  std::string owner = "bench:load";
  std::string provider;  // empty: the daemon's default
  std::vector<std::string> argv = {"/bin/true"};
  int padding = 0;   // bytes of a label, to make the spec longer
  std::string file;  // a program that is put into the sandbox's work directory as `./<its name>`;
                     // empty = none
};

// Makes submissions that differ only in id and key. `run` (random) and `index` make up both, so
// that an event tells which submission it is about. The spec of a `true` has about 150 bytes.
class TaskMaker {
 public:
  explicit TaskMaker(const TaskTemplate& common);

  // A spec without id and key, to be kept and numbered again and again.
  const v1::TaskSpec& Blank() const { return blank_; }
  void Number(v1::TaskSpec& spec, uint64_t index) const;

  // The index of a submission id of this run; nothing for another's.
  std::optional<uint64_t> IndexOf(const std::string& submission_id) const;

 private:
  v1::TaskSpec blank_;
  std::string run_;  // first 24 characters of each UUID
};

}  // namespace boxkeeper::bench

#endif  // BOXKEEPER_BENCH_REQUESTS_H_
