// Fixed spools and what the `airflow` layout makes of them: always the same bytes. What Airflow's
// own reader shows of these objects is recorded in airflow_golden.json, beside this file, by
// tests/logstores/airflow_golden.py.
#pragma once

#include <string>
#include <vector>

namespace boxkeeper::logs {

struct AirflowObject {
  std::string name;
  std::string content;
};

struct AirflowCase {
  std::string name;
  std::string path;  // `log.path` of the task: what Airflow looks for
  std::vector<AirflowObject> objects = {};
};

// Objects in the order of their names. The last case is not of our layout: it has what our pieces
// avoid, so that the reader's rules themselves are recorded.
std::vector<AirflowCase> MakeAirflowCases();

}  // namespace boxkeeper::logs
