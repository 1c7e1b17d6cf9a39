#include "config/load_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string_view>

#include "config/text_values.h"
#include "config/yaml_value.h"

namespace boxkeeper::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::vector<Problem> NoProblems(const std::string&, const std::string&,
                                const google::protobuf::Struct&) {
  return {};
}

LoadOptions Options() {
  LoadOptions options;
  options.providers["local"] = NoProblems;
  options.providers["fake"] = NoProblems;
  options.getenv = [](const char* name) -> const char* {
    return std::string_view(name) == "HOME" ? "/users/ada" : nullptr;
  };
  options.check_files = false;
  return options;
}

LoadResult Load(const std::string& text) { return LoadConfigText(text, "b.yaml", Options()); }

// The file is refused with exactly this one message.
void ExpectMistake(const std::string& text, const std::string& message) {
  EXPECT_THAT(Load(text).Messages(), ElementsAre(HasSubstr(message))) << text;
}

TEST(LoadConfigTest, EmptyFileIsAllDefaults) {
  for (const char* text : {"", "# nothing\n", "---\n", "{}", "~", "server:\nlogs:\n"}) {
    const LoadResult result = Load(text);
    ASSERT_THAT(result.Messages(), IsEmpty()) << text;
    const v1::Config& config = result.config;
    EXPECT_EQ(config.state_dir(), "/users/ada/.local/state/boxkeeper");
    EXPECT_THAT(config.server().listen(), ElementsAre("127.0.0.1:7433"));
    EXPECT_FALSE(config.server().has_tls());
    EXPECT_EQ(config.http().listen(), "127.0.0.1:7434");
    EXPECT_EQ(config.store().sqlite().path(), "/users/ada/.local/state/boxkeeper/state.db");
    EXPECT_EQ(config.deployment().key_file(), "/users/ada/.local/state/boxkeeper/identity/key");
    EXPECT_EQ(config.logs().url(), "file:///users/ada/.local/state/boxkeeper/logs");
    EXPECT_EQ(config.logs().max_bytes_per_task(), 10LL << 30);
    EXPECT_TRUE(config.logs().redact());
    EXPECT_EQ(config.scheduling().max_attempts(), 3);
    EXPECT_EQ(FromProto(config.scheduling().creation_batch_wait()), std::chrono::milliseconds(5));
    EXPECT_EQ(FromProto(config.scheduling().dedupe_retention()), std::chrono::hours(168));
    EXPECT_EQ(config.scheduling().retry_backoff().max().seconds(), 60);
    ASSERT_EQ(config.providers_size(), 1);
    EXPECT_EQ(config.providers(0).name(), "local");
    EXPECT_EQ(config.providers(0).concurrency().status(), 128);
    EXPECT_EQ(config.default_provider(), "local");
  }
}

TEST(LoadConfigTest, EmbeddedDefaultsAllowDegradedIsolation) {
  LoadOptions options = Options();
  google::protobuf::Struct seen;
  options.providers["local"] = [&seen](const auto&, const auto&, const auto& section) {
    seen = section;
    return std::vector<Problem>{};
  };
  ASSERT_THAT(EmbeddedDefaults(options).Messages(), IsEmpty());
  EXPECT_EQ(seen.fields().at("isolation").string_value(), "auto");
  EXPECT_TRUE(seen.fields().at("allow_degraded").bool_value());
}

TEST(LoadConfigTest, StateDirectoryComesFromTheEnvironmentInOrder) {
  std::map<std::string, const char*> env = {{"HOME", "/h"}};
  LoadOptions options = Options();
  options.getenv = [&env](const char* name) { return env.contains(name) ? env[name] : nullptr; };
  EXPECT_EQ(EmbeddedDefaults(options).config.state_dir(), "/h/.local/state/boxkeeper");
  env["XDG_STATE_HOME"] = "/x";
  EXPECT_EQ(EmbeddedDefaults(options).config.state_dir(), "/x/boxkeeper");
  env["STATE_DIRECTORY"] = "/var/lib/boxkeeper:/var/lib/other";
  EXPECT_EQ(EmbeddedDefaults(options).config.state_dir(), "/var/lib/boxkeeper");
  env.clear();
  EXPECT_THAT(EmbeddedDefaults(options).Messages(), ElementsAre(HasSubstr("state_dir")));
}

TEST(LoadConfigTest, FiveMistakesGiveFiveMessagesWithLines) {
  const LoadResult result = Load(
      "state_dir: /s\n"
      "scheduling:\n"
      "  pol_interval: 5s\n"         // 3: unknown
      "  max_running: many\n"        // 4: wrong type
      "  cancel_grace: 5 seconds\n"  // 5: no duration
      "logs:\n"
      "  max_bytes_per_task: 10G\n"  // 7: no size
      "  layout: fancy\n");          // 8: no such value
  EXPECT_THAT(
      result.Messages(),
      ElementsAre("b.yaml:3: scheduling.pol_interval: unknown key, did you mean 'poll_interval'? "
                  "allowed: cancel_grace, create_timeout, creation_batch_size, "
                  "creation_batch_wait, dedupe_retention, default_timeout, handover_grace, "
                  "inspect_interval, "
                  "max_attempts, max_keep, max_queued, max_running, orphan_grace, poll_interval, "
                  "retention, retry_backoff, start_timeout and unacked_retention",
                  "b.yaml:4: scheduling.max_running: expected a whole number; allowed: a whole "
                  "number, 1 to 1000000, found text",
                  "b.yaml:5: scheduling.cancel_grace: '5 seconds' is not a duration; allowed: a "
                  "duration such as 500ms, 5s, 2m or 1h, 0s to 1h",
                  "b.yaml:7: logs.max_bytes_per_task: '10G' is not a size; allowed: a size such as "
                  "64MiB or 10GiB, 0B to 16TiB",
                  "b.yaml:8: logs.layout: 'fancy' is none of its values; allowed: plain, "
                  "airflow or metaflow"));
}

TEST(LoadConfigTest, EachMistakeIsFoundAtItsPlace) {
  struct Case {
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"nonsense: 1", "b.yaml:1: nonsense: unknown key"},
      {"- a", "b.yaml:1: expected a map (key: value), found a list"},
      {"server: 5", "b.yaml:1: server: expected a map"},
      {"server: {listen: []}", "server.listen: has 0 listeners; allowed: 1 to 16"},
      {"server: {listen: nowhere}", "server.listen: 'nowhere' is no address"},
      {"server: {listen: \"127.0.0.1:70000\"}", "is no address"},
      {"server:\n  listen:\n  - 127.0.0.1:0\n  - 10.0.0.1:7433\n",
       "b.yaml:4: server.listen[1]: '10.0.0.1:7433' is not a loopback address"},
      {"server: {listen: \"[::]:7433\"}", "is not a loopback address"},
      {"server: {listen: \"*:7433\"}", "is no address"},
      {"server: {listen: \"0.0.0.0:1\", auth: {tokens_file: t}}", "needs TLS and authentication"},
      {"server: {listen: \"0.0.0.0:1\", tls: {cert_file: c, key_file: k}}",
       "needs TLS and authentication"},
      {"server: {tls: {cert_file: c}}", "server.tls.key_file: is missing"},
      {"http: {listen: \"0.0.0.0:7434\"}", "neither TLS nor authentication"},
      {"state_dir: relative", "state_dir: 'relative' is not absolute"},
      {"state_dir: ''", "state_dir: '' is not absolute"},
      {"deployment: {id: \"a b\"}", "deployment.id: 'a b' is not allowed"},
      {"logs: {url: \"ftp://host\"}", "logs.url: 'ftp://host' is no kind of store that is known"},
      {"logs: {url: \"s3://\"}", "logs.url: 's3://' names no bucket"},
      {"logs: {url: \"azure:///x\"}", "names no container"},
      {"logs: {url: \"s3://key:secret@bucket\"}", "logs.url: credentials, options and ports"},
      {"logs: {url: \"file://logs\"}", "has no absolute path"},
      {"{logs: {url: \"\"}, state_dir: ''}", "state_dir: '' is not absolute"},
      {"logs: {url: logs}", "is no URL; allowed: file:///DIRECTORY"},
      {"logs:\n  s3: {region: x}", "b.yaml:2: logs.s3: is there, but logs.url is 'file://"},
      {"logs: {url: \"s3://b\", gcs: {}}", "logs.gcs: is there, but logs.url is 's3://b'"},
      {"logs: {url: \"gs://b\", azure: {key_file: k}}", "logs.azure: is there, but"},
      {"logs: {url: \"s3://b\", s3: {endpoint: here}}",
       "logs.s3.endpoint: 'here' is no address of a server"},
      {"logs: {url: \"s3://b\", s3: {endpoint: \"http://u:p@h\"}}",
       "logs.s3.endpoint: credentials have no place in it"},
      {"logs: {url: \"s3://b\", s3: {access_key_file: a}}", "logs.s3.secret_key_file: is missing"},
      {"logs: {url: \"s3://b\", s3: {secret_key_file: a}}", "logs.s3.access_key_file: is missing"},
      {"logs: {url: \"s3://b\", s3: {access_key_file: a, secret_key_file: b, profile: c}}",
       "logs.s3.profile: is there beside access_key_file"},
      {"logs: {url: \"azure://c\", azure: {key_file: a, sas_file: b}}",
       "logs.azure.sas_file: is there beside key_file"},
      {"logs: {url: \"gs://b\", gcs: {key: x}}", "logs.gcs.key: unknown key"},
      {"logs: {flush_interval: 1m, flush_interval_max: 1s}", "flush_interval_max"},
      {"logs: {redact: yes}", "logs.redact: expected true or false, found text"},
      {"spool: {max_bytes: 5}", "a number needs its unit"},
      {"scheduling: {poll_interval: 5}", "a number needs its unit"},
      {"scheduling: {poll_interval: 1ms}", "out of range; allowed: 10ms to 1h"},
      {"scheduling: {default_timeout: -5s}", "'-5s' is negative; allowed: 0s to 8760h"},
      {"scheduling: {max_running: 0}", "0 is out of range"},
      {"scheduling: {max_running: 1.5}", "1.5 is not a whole number"},
      {"scheduling: {max_running: .nan}", "expected a whole number"},
      {"scheduling: {retry_backoff: {initial: 2m, max: 1m}}", "retry_backoff.initial: is longer"},
      {"scheduling: {retention: 200h}", "scheduling.retention: is longer than"},
      {"scheduling: {max_running: 1, max_running: 2}", "the key is already there on line 1"},
      {"default_provider: there", "'there' is not under providers; allowed: local, or auto"},
      {"providers: {}", "providers: is empty"},
      {"providers: {x: {}}", "providers.x.type: is missing; allowed: fake or local"},
      {"providers: {x: {type: docker}}", "'docker' is not supported by this version"},
      {"providers: {auto: {type: local}}", "'auto' is no name"},
      {"providers: {\"a b\": {type: local}}", "'a b' is no name"},
      {"providers: {x: {type: fake, max_running: -1}}", "providers.x.max_running: -1"},
      {"providers: {x: {type: fake, concurrency: {creat: 1}}}", "did you mean 'create'?"},
      {"providers: {x: {type: fake, timeout: 5}}", "providers.x.timeout: expected a duration"},
      {"providers: {x: {type: fake, profile: p}}", "providers.x.profile: not allowed here"},
      {"providers: {x: {type: fake, keep: 1h}}", "not supported by this version"},
      {"profiles: {p: {cpus: 1}}", "profiles.p.cpus: unknown key, did you mean 'cpu'?"},
      {"profiles: {p: {start_deadline: 5}}", "profiles.p.start_deadline: not allowed here"},
      {"profiles: {p: {provider: gone}}", "profiles.p.provider: 'gone' is not under providers"},
      {"profiles:\n  p:\n    env:\n      A: 1", "b.yaml:4: profiles.p.env.A: expected text"},
      {"secrets: {allow_env: [\"A=B\"]}", "secrets.allow_env[0]: 'A=B'"},
      {"secrets: {allow_files: [etc/x]}", "secrets.allow_files[0]: 'etc/x'"},
      {"secrets: {allow_files: [/etc/../x]}", "allowed: an absolute path without"},
      {"secrets: {allow_files: [/etc//x]}", "allowed: an absolute path without"},
      {"secrets: {allow_files: /etc/x}", "expected a list of texts"},
      {"log: {level: loud}", "allowed: debug, info, warning or error"},
      {"log: {level: info", "b.yaml:1: malformed YAML"},
      {"a: b: c", "malformed YAML"},
      {"log:\n\tlevel: info", "b.yaml:2: malformed YAML"},
      {"--- {}\n--- {}\n", "b.yaml:2: a second document"},
      {"log: &a {level: *a}", "log.level: "},
      {"log: {level: \"a\\0b\"}", "none of its values"},
      {"deployment: {id: \"a\\0b\"}", "contains a NUL character"},
  };
  for (const Case& test : cases) ExpectMistake(test.text, test.message);
}

// Both found by tests/fuzz.
TEST(LoadConfigTest, AMistakeIsOneLineWhateverTheKeyIs) {
  ExpectMistake("\"a\\nb\\e[2J\": 1", "b.yaml:1: 'a?b?[2J': unknown key");
  ExpectMistake("log: {level: \"\\\a\"}", "malformed YAML");
  for (const std::string& message : Load("\"\\\n\"").Messages()) {
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(LoadConfigTest, MistakesBelowALongKeyDoNotRepeatItForEver) {
  const std::string key(100'000, 'k');
  std::string many = "profiles: {" + key + ": {";
  for (int i = 0; i < 900; ++i) many += "a" + std::to_string(i) + ": 1, ";
  std::string twice = key + ": {";
  for (int i = 0; i < 900; ++i) twice += "a: 1, ";
  for (const std::string& text : {many + "}}", twice + "}"}) {
    size_t bytes = 0;
    for (const Problem& problem : Load(text).problems) {
      bytes += problem.key.size() + problem.message.size();
    }
    EXPECT_LT(bytes, 1u << 20);
  }
}

TEST(LoadConfigTest, ReadsEverythingOfAFullFile) {
  const LoadResult result = Load(R"(
state_dir: /var/lib/boxkeeper/
deployment: {id: prod, key_file: /etc/boxkeeper/key}
server:
  listen: ["0.0.0.0:7433", "unix:api.sock"]
  tls: {cert_file: tls/cert.pem, key_file: tls/key.pem, client_ca_file: tls/ca.pem}
http: {listen: ""}
providers:
  b: {type: fake, image: "python:3.12", max_running: 50, call_timeout: 5s, region: eu, nested: {x: [1, true]}}
  a: {type: local}
default_provider: auto
profiles:
  big: &big {provider: b, cpu: 4, memory_mb: 8192, env: {A: "1"}}
  bigger:
    <<: *big
    cpu: 8
secrets: {allow_env: [TOKEN], allow_files: [/run/secrets/, /etc/one]}
)");
  ASSERT_THAT(result.Messages(), IsEmpty());
  const v1::Config& config = result.config;
  EXPECT_EQ(config.state_dir(), "/var/lib/boxkeeper");
  EXPECT_EQ(config.deployment().key_file(), "/etc/boxkeeper/key");
  EXPECT_THAT(config.server().listen(),
              ElementsAre("0.0.0.0:7433", "unix:/var/lib/boxkeeper/api.sock"));
  EXPECT_EQ(config.server().tls().client_ca_file(), "/var/lib/boxkeeper/tls/ca.pem");
  EXPECT_EQ(config.http().listen(), "");
  ASSERT_EQ(config.providers_size(), 2);
  const v1::Provider& b = config.providers(0);
  EXPECT_EQ(b.name(), "b");
  EXPECT_EQ(b.spec().spec().image(), "python:3.12");
  EXPECT_THAT(b.spec().set(), ElementsAre("image"));
  EXPECT_EQ(b.call_timeout().seconds(), 5);
  EXPECT_EQ(b.options().fields_size(), 2);
  EXPECT_EQ(b.options().fields().at("region").string_value(), "eu");
  EXPECT_EQ(config.default_provider(), "auto");
  EXPECT_EQ(config.profiles().at("bigger").spec().cpu(), 8);
  EXPECT_EQ(config.profiles().at("bigger").spec().memory_mb(), 8192);
  EXPECT_THAT(config.profiles().at("bigger").set(),
              ElementsAre("cpu", "env", "memory_mb", "provider"));
  EXPECT_EQ(config.secrets().allow_files_size(), 2);
}

TEST(LoadConfigTest, AProvidersOwnMistakesGetTheirLines) {
  LoadOptions options = Options();
  options.providers["local"] = [](const auto&, const auto&, const auto&) {
    return std::vector<Problem>{{.key = "allow_host_paths[1]", .message = "no"},
                                {.key = "isolation", .message = "missing"}};
  };
  const LoadResult result = LoadConfigText(
      "providers:\n"
      "  here:\n"
      "    type: local\n"
      "    allow_host_paths:\n"
      "      - /a\n"
      "      - /b\n",
      "b.yaml", options);
  EXPECT_THAT(result.Messages(), ElementsAre("b.yaml:2: providers.here.isolation: missing",
                                             "b.yaml:6: providers.here.allow_host_paths[1]: no"));
}

TEST(LoadConfigTest, HugeAndHostileFilesAreRefusedQuickly) {
  ExpectMistake(std::string(kYamlBytesMax + 1, '#'), "bytes; at most");
  ExpectMistake("log: " + std::string(500, '[') + std::string(500, ']'), "nested deeper than 64");
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string ref = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + ref;
    for (int j = 0; j < 9; ++j) laughs += ", " + ref;
    laughs += "]\n";
  }
  EXPECT_THAT(Load(laughs).Messages(), ::testing::Contains(HasSubstr("more than 100000 values")));
}

TEST(LoadConfigTest, AFileThatCannotBeReadIsOneMistake) {
  EXPECT_THAT(LoadConfig("/nonexistent/b.yaml", Options()).Messages(),
              ElementsAre(StartsWith("/nonexistent/b.yaml:1: cannot read the file: No such file")));
  EXPECT_THAT(LoadConfig("/", Options()).Messages(), ElementsAre(HasSubstr("cannot read")));
}

TEST(LoadConfigTest, NamedFilesMustBeReadable) {
  LoadOptions options = Options();
  options.check_files = true;
  EXPECT_THAT(
      LoadConfigText("server:\n  auth:\n    tokens_file: /nonexistent/t\n", "b.yaml", options)
          .Messages(),
      ElementsAre(HasSubstr("b.yaml:3: server.auth.tokens_file: cannot read /nonexistent/t: No "
                            "such file")));
}

TEST(ReloadTest, TellsWhatIsInForceAndWhatNeedsARestart) {
  const std::string before =
      "state_dir: /s\n"
      "providers: {a: {type: fake, max_running: 1, region: eu}, gone: {type: fake}}\n"
      "profiles: {p: {cpu: 1}, q: {cpu: 1}}\n"
      "scheduling: {max_running: 10}\n";
  const std::string after =
      "state_dir: /t\n"
      "providers: {a: {type: fake, max_running: 2, region: us, cpu: 2}, fresh: {type: fake}}\n"
      "default_provider: fresh\n"
      "profiles: {p: {cpu: 2}, r: {cpu: 1}}\n"
      "scheduling: {max_running: 20, retry_backoff: {initial: 2s}}\n"
      "server: {tls: {cert_file: /c, key_file: /k}}\n";
  const v1::Config old_config = Load(before).config;
  const v1::Config new_config = Load(after).config;
  const ReloadDiff diff = DiffForReload(old_config, new_config);
  EXPECT_THAT(diff.changed,
              ElementsAre("profiles.p", "profiles.q", "profiles.r", "providers.a.max_running",
                          "providers.a.spec", "scheduling.max_running",
                          "scheduling.retry_backoff.initial"));
  EXPECT_THAT(diff.needs_restart,
              ElementsAre("blobs.path", "default_provider", "deployment.key_file", "logs.url",
                          "providers.a.options", "providers.fresh", "providers.gone", "server.tls",
                          "spool.path", "state_dir", "store.sqlite.path"));
  const v1::Config applied = ApplyReload(old_config, new_config);
  EXPECT_EQ(applied.state_dir(), "/s");
  EXPECT_FALSE(applied.server().has_tls());
  EXPECT_EQ(applied.default_provider(), "a");
  EXPECT_EQ(applied.scheduling().max_running(), 20);
  ASSERT_EQ(applied.providers_size(), 2);
  EXPECT_EQ(applied.providers(0).max_running(), 2);
  EXPECT_EQ(applied.providers(0).options().fields().at("region").string_value(), "eu");
  EXPECT_EQ(applied.profiles().at("p").spec().cpu(), 2);
}

TEST(ReloadTest, NothingChangedIsNothingToDo) {
  const v1::Config config = Load("").config;
  EXPECT_THAT(DiffForReload(config, config).changed, IsEmpty());
  EXPECT_THAT(DiffForReload(config, config).needs_restart, IsEmpty());
}

}  // namespace
}  // namespace boxkeeper::config
