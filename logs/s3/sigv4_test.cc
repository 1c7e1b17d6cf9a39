#include "logs/s3/sigv4.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "base/sha256.h"

namespace boxkeeper::logs::s3 {
namespace {

using base::http::Headers;
using remote::EncodePath;

std::string HexSha256(const std::string& text) { return base::HexEncode(base::Sha256(text)); }

Credentials Keys(const std::string& id, const std::string& secret, const std::string& token = "") {
  Credentials keys;
  keys.access_key_id = id;
  keys.secret_key = ShareSecret(secret);
  if (!token.empty()) keys.session_token = ShareSecret(token);
  return keys;
}

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << error;
  return time;
}

struct Case {
  const char* name;
  std::string method;
  std::string path;
  remote::Query query;
  Headers headers;
  std::string body;
  std::string authorization;  // from SignedHeaders on
};

std::string Sign(const Case& vector, const SigningScope& scope, const Credentials& keys,
                 absl::Time now) {
  SignedParts parts{vector.method, vector.path, vector.query, vector.headers,
                    HexSha256(vector.body)};
  const Headers added = SignV4(parts, scope, keys, now);
  const std::string& text = *added.Find("Authorization");
  return text.substr(text.find("SignedHeaders="));
}

// The cases of AWS's aws-sig-v4-test-suite that are about what we send (it normalizes paths, S3
// does not).
TEST(SigV4Test, SuiteOfAws) {
  const std::string host = "example.amazonaws.com";
  const Case cases[] = {
      {"get-vanilla",
       "GET",
       "/",
       {},
       {{"Host", host}},
       "",
       "SignedHeaders=host;x-amz-date, "
       "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-vanilla-query-order-key-case",
       "GET",
       "/",
       {{"Param2", "value2"}, {"Param1", "value1"}},
       {{"Host", host}},
       "",
       "SignedHeaders=host;x-amz-date, "
       "Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-unreserved",
       "GET",
       EncodePath("/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
       {},
       {{"Host", host}},
       "",
       "SignedHeaders=host;x-amz-date, "
       "Signature=07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
      {"get-utf8",
       "GET",
       EncodePath("/\xe1\x88\xb4"),
       {},
       {{"Host", host}},
       "",
       "SignedHeaders=host;x-amz-date, "
       "Signature=8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-space",
       "GET",
       EncodePath("/example space/"),
       {},
       {{"Host", host}},
       "",
       "SignedHeaders=host;x-amz-date, "
       "Signature=652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
      {"get-header-key-duplicate",
       "GET",
       "/",
       {},
       {{"Host", host},
        {"My-Header1", "value2"},
        {"My-Header1", "value2"},
        {"My-Header1", "value1"}},
       "",
       "SignedHeaders=host;my-header1;x-amz-date, "
       "Signature=c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
      {"get-header-value-trim",
       "GET",
       "/",
       {},
       {{"Host", host}, {"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
       "",
       "SignedHeaders=host;my-header1;my-header2;x-amz-date, "
       "Signature=acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"post-vanilla",
       "POST",
       "/",
       {},
       {{"Host", host}},
       "",
       "SignedHeaders=host;x-amz-date, "
       "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
      {"post-vanilla-query",
       "POST",
       "/",
       {{"Param1", "value1"}},
       {{"Host", host}},
       "",
       "SignedHeaders=host;x-amz-date, "
       "Signature=28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
      {"post-header-value-case",
       "POST",
       "/",
       {},
       {{"Host", host}, {"My-Header1", "VALUE1"}},
       "",
       "SignedHeaders=host;my-header1;x-amz-date, "
       "Signature=cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
      {"post-x-www-form-urlencoded",
       "POST",
       "/",
       {},
       {{"Host", host}, {"Content-Type", "application/x-www-form-urlencoded"}},
       "Param1=value1",
       "SignedHeaders=content-type;host;x-amz-date, "
       "Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"}};
  const Credentials keys = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
  for (const Case& vector : cases) {
    EXPECT_EQ(Sign(vector, {"us-east-1", "service"}, keys, At("2015-08-30T12:36:00Z")),
              vector.authorization)
        << vector.name;
  }
}

TEST(SigV4Test, SuiteOfAwsWithASessionToken) {
  const Credentials keys = Keys(
      "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
      "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmx"
      "fpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0K"
      "PkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZb"
      "qBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==");
  const Case vector{
      "post-sts-header-before", "POST", "/", {}, {{"Host", "example.amazonaws.com"}}, "", ""};
  EXPECT_EQ(Sign(vector, {"us-east-1", "service"}, keys, At("2015-08-30T12:36:00Z")),
            "SignedHeaders=host;x-amz-date;x-amz-security-token, "
            "Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");
}

// Amazon S3 API Reference, "Signature Calculations for the Authorization Header".
TEST(SigV4Test, ExamplesOfTheS3Documentation) {
  const std::string host = "examplebucket.s3.amazonaws.com";
  const std::string empty = HexSha256("");
  const std::string text = "Welcome to Amazon S3.";
  const Case cases[] = {
      {"GET object",
       "GET",
       "/test.txt",
       {},
       {{"Host", host}, {"Range", "bytes=0-9"}, {"x-amz-content-sha256", empty}},
       "",
       "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
       "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
      {"PUT object",
       "PUT",
       EncodePath("/test$file.text"),
       {},
       {{"Host", host},
        {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
        {"x-amz-content-sha256", HexSha256(text)},
        {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
       text,
       "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
       "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
      {"GET bucket lifecycle",
       "GET",
       "/",
       {{"lifecycle", ""}},
       {{"Host", host}, {"x-amz-content-sha256", empty}},
       "",
       "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
       "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
      {"list objects",
       "GET",
       "/",
       {{"max-keys", "2"}, {"prefix", "J"}},
       {{"Host", host}, {"x-amz-content-sha256", empty}},
       "",
       "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
       "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"}};
  const Credentials keys = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
  for (const Case& vector : cases) {
    EXPECT_EQ(Sign(vector, {"us-east-1", "s3"}, keys, At("2013-05-24T00:00:00Z")),
              vector.authorization)
        << vector.name;
  }
}

// Requests as ours, signed by botocore 1.29.27 (Debian 12's python3-botocore): S3SigV4Auth over an
// AWSRequest of these, with its utcnow() fixed; recorded 2026-11-21.
TEST(SigV4Test, SignsAsBotocoreDoes) {
  const std::string empty = HexSha256("");
  const Case cases[] = {
      {"put",
       "PUT",
       "/" + EncodePath("a b/\xc3\xa4+=&?#%~.log"),
       {},
       {{"Host", "logs.s3.eu-central-1.amazonaws.com"},
        {"Content-MD5", "XrY7u+Ae7tCTyyK7j1rNww=="},
        {"x-amz-meta-boxkeeper-id", "0123"},
        {"x-amz-content-sha256", HexSha256("hello world")}},
       "hello world",
       "SignedHeaders=content-md5;host;x-amz-content-sha256;x-amz-date;x-amz-meta-boxkeeper-id, "
       "Signature=efc44e05f67691bfca4eeda444fb1980831493f5fb7a7b840234cb24ed1d8e7e"},
      {"list",
       "GET",
       "/bucket",
       {{"list-type", "2"},
        {"max-keys", "1000"},
        {"prefix", "run/1 \xc3\xa4."},
        {"continuation-token", "1+a=="}},
       {{"Host", "minio.example.com:9000"}, {"x-amz-content-sha256", empty}},
       "",
       "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
       "Signature=5d68cd31ca21bfd13342b0918749f62add55af221c645ce029fefc1def396802"},
      {"copy a part",
       "PUT",
       "/x",
       {{"partNumber", "2"}, {"uploadId", "a.b_c~d-e/"}},
       {{"Host", "logs.s3.eu-central-1.amazonaws.com"},
        {"x-amz-copy-source", "/logs/x%20y"},
        {"x-amz-copy-source-range", "bytes=0-5242879"},
        {"x-amz-content-sha256", empty}},
       "",
       "SignedHeaders=host;x-amz-content-sha256;x-amz-copy-source;x-amz-copy-source-range;"
       "x-amz-date, "
       "Signature=7bb2199430b44fb53e40df5d4382887313e48781d5e62aad9a0df8e248233722"}};
  const Credentials keys = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
  for (const Case& vector : cases) {
    EXPECT_EQ(Sign(vector, {"eu-central-1", "s3"}, keys, At("2026-11-21T11:34:56Z")),
              vector.authorization)
        << vector.name;
  }
  const Case begin{"begin an upload",
                   "POST",
                   "/bucket/run/1",
                   {{"uploads", ""}},
                   {{"Host", "127.0.0.1:9000"},
                    {"x-amz-meta-boxkeeper-id", "0123"},
                    {"x-amz-content-sha256", empty}},
                   "",
                   ""};
  EXPECT_EQ(Sign(begin, {"eu-central-1", "s3"},
                 Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "TOKEN/+=="),
                 At("2026-11-21T11:34:56Z")),
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-boxkeeper-id;"
            "x-amz-security-token, "
            "Signature=c2a1c62031e0af6ca02793d8d600b936d3a83406c3fa8f250f31bd19998a83e2");
}

}  // namespace
}  // namespace boxkeeper::logs::s3
