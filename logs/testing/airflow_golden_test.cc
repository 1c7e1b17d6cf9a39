// What Airflow's own reader showed of fixed objects is recorded: neither our renderer, which makes
// the objects, nor our model of the reader may drift from that. How to record it again:
// tests/logstores/airflow_golden.py.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "logs/testing/airflow_cases.h"
#include "logs/testing/airflow_reader.h"

namespace boxkeeper::logs {

// For what GoogleTest says of a failure.
void PrintTo(const AirflowCase& made, std::ostream* out) { *out << made.name; }

namespace {

namespace json = boost::json;

const json::object& Golden() {
  static const json::object golden = [] {
    std::ifstream file("logs/testing/airflow_golden.json");
    std::ostringstream text;
    text << file.rdbuf();
    return json::parse(text.str()).as_object();
  }();
  return golden;
}

std::string Text(const json::value& value) {
  return std::string(value.is_string() ? std::string_view(value.as_string()) : "");
}

// As the recording shortens them.
std::string Short(const std::string& text) {
  constexpr size_t kWhole = 2000, kBegin = 40;
  if (text.size() <= kWhole) return text;
  return absl::StrCat(text.substr(0, kBegin), "... ", text.size(), " bytes, sha256 ",
                      base::HexEncode(base::Sha256(text)));
}

class AirflowGoldenTest : public testing::TestWithParam<AirflowCase> {
 protected:
  // Null, with a failure, if it is not recorded.
  static const json::object* Recorded() {
    for (const json::value& entry : Golden().at("cases").as_array()) {
      if (Text(entry.at("name")) == GetParam().name) return &entry.as_object();
    }
    ADD_FAILURE() << "record it: tests/logstores/airflow_golden.py";
    return nullptr;
  }

  static void ExpectShown(const std::vector<ShownRecord>& shown, const json::value& recorded) {
    const json::array& expected = recorded.as_array();
    for (size_t i = 0; i < std::min(shown.size(), expected.size()); ++i) {
      const json::array& line = expected[i].as_array();
      EXPECT_EQ(Short(shown[i].event), Text(line[0])) << i;
      EXPECT_EQ(shown[i].logger, Text(line[1])) << i << ": " << line[0];
      EXPECT_EQ(shown[i].has_timestamp, line[2].is_int64()) << i << ": " << line[0];
      if (line[2].is_int64()) EXPECT_EQ(shown[i].time_ms, line[2].as_int64()) << i;
    }
    EXPECT_EQ(shown.size(), expected.size());
  }
};

TEST_P(AirflowGoldenTest, TheRendererMakesTheSameObjects) {
  const json::object* recorded = Recorded();
  ASSERT_NE(recorded, nullptr);
  const json::array& objects = recorded->at("objects").as_array();
  ASSERT_EQ(objects.size(), GetParam().objects.size());
  for (size_t i = 0; i < objects.size(); ++i) {
    const AirflowObject& made = GetParam().objects[i];
    EXPECT_EQ(made.name, Text(objects[i].at("name")));
    EXPECT_EQ(Short(made.content), Text(objects[i].at("content")));
  }
}

TEST_P(AirflowGoldenTest, TheModelShowsWhatAirflowShowed) {
  const json::object* recorded = Recorded();
  ASSERT_NE(recorded, nullptr);
  std::vector<std::string> objects;
  std::string joined;
  for (const AirflowObject& object : GetParam().objects) {
    objects.push_back(object.content);
    joined += object.content;
  }
  ExpectShown(ShowInAirflow(objects), recorded->at("separate"));
  ExpectShown(ShowInAirflow({joined}), recorded->at("joined"));
}

std::string NameOf(const testing::TestParamInfo<AirflowCase>& info) {
  std::string name;
  for (const char c : info.param.name) {
    if (c != ' ') name += c;
  }
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, AirflowGoldenTest, testing::ValuesIn(MakeAirflowCases()), NameOf);

}  // namespace
}  // namespace boxkeeper::logs
