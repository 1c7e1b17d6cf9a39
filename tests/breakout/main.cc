// Runs inside a sandbox and tries to get out of it, one way after the other; prints one JSON object
// per attempt. What each must meet stands in tests/breakout/expected.py.
// usage: probe [--control] [--victim PID] [--tcp_port N] [--abstract NAME] [--secret_file PATH]
//              [--state_dir PATH]
#include <stdlib.h>
#include <string.h>

#include "tests/breakout/probe.h"

int main(int argc, char** argv) {
  boxkeeper::breakout::Host host;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--control") {
      host.control = true;
      continue;
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (flag == "--victim")
      host.victim = atoi(value.c_str());
    else if (flag == "--tcp_port")
      host.tcp_port = atoi(value.c_str());
    else if (flag == "--abstract")
      host.abstract_name = value;
    else if (flag == "--secret_file")
      host.secret_file = value;
    else if (flag == "--state_dir")
      host.state_dir = value;
    else
      return 2;
  }
  boxkeeper::breakout::TellIdentity();
  boxkeeper::breakout::TryFiles(host);
  boxkeeper::breakout::TryKernel(host);
  boxkeeper::breakout::TryMounts(host);
  boxkeeper::breakout::TryNetwork(host);
  boxkeeper::breakout::TryProcesses(host);
  return 0;
}
