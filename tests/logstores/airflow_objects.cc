// Prints the objects of logs/testing/airflow_cases.h, a JSON object on a line for each case, for
// those who show them to Airflow's own reader.
#include <boost/json.hpp>
#include <iostream>

#include "logs/testing/airflow_cases.h"

int main() {
  namespace json = boost::json;
  for (const auto& one : boxkeeper::logs::MakeAirflowCases()) {
    json::array objects;
    for (const auto& object : one.objects) {
      objects.push_back({{"name", object.name}, {"content", object.content}});
    }
    const json::object line = {{"name", one.name}, {"path", one.path}, {"objects", objects}};
    std::cout << json::serialize(line) << "\n";
  }
}
