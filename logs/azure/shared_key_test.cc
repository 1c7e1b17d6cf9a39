#include "logs/azure/shared_key.h"

#include <gtest/gtest.h>

#include "base/crypto/base64.h"

namespace boxkeeper::logs::azure {
namespace {

// The emulator's published key.
constexpr char kKey[] =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
constexpr char kDate[] = "Fri, 26 Jun 2026 23:39:12 GMT";

std::string Signed(const std::string& account, const SignedParts& parts) {
  return SharedKeyAuthorization(account, *base::Base64Decode(kKey), parts);
}

// learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key, "Get Container Metadata".
TEST(SharedKeyTest, TheDocumentedStringToSign) {
  const base::http::Headers headers = {{"x-ms-version", "2015-02-21"},
                                       {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}};
  const SignedParts parts{
      .method = "GET",
      .path = "/mycontainer",
      .query = {{"comp", "metadata"}, {"restype", "container"}, {"timeout", "20"}},
      .headers = headers};
  EXPECT_EQ(StringToSign("myaccount", parts),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 "
            "GMT\nx-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:"
            "container\ntimeout:20");
}

// Same page, "List Blobs": a parameter that is given twice, sorted and joined.
TEST(SharedKeyTest, ValuesOfOneParameterAreSortedAndJoined) {
  const base::http::Headers headers = {{"x-ms-version", "2015-02-21"},
                                       {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}};
  const SignedParts parts{.method = "GET",
                          .path = "/mycontainer",
                          .query = {{"restype", "container"},
                                    {"comp", "list"},
                                    {"include", "snapshots"},
                                    {"include", "metadata"},
                                    {"include", "uncommittedblobs"}},
                          .headers = headers};
  const std::string text = StringToSign("myaccount", parts);
  EXPECT_NE(text.find("/myaccount/mycontainer\ncomp:list\ninclude:metadata,snapshots,"
                      "uncommittedblobs\nrestype:container"),
            std::string::npos)
      << text;
}

// The signatures below were made by Microsoft's own client, azure-storage-blob 12.31.1 for Python
// (SharedKeyCredentialPolicy), for the same requests.

TEST(SharedKeyTest, SignsAListAsMicrosoftsClient) {
  const base::http::Headers headers = {{"x-ms-version", "2022-11-02"}, {"x-ms-date", kDate}};
  const SignedParts parts{.method = "GET",
                          .path = "/logs",
                          .query = {{"restype", "container"},
                                    {"comp", "list"},
                                    {"prefix", "a/b"},
                                    {"maxresults", "5000"}},
                          .headers = headers};
  EXPECT_EQ(Signed("myaccount", parts),
            "SharedKey myaccount:mzgEhiASizcixeJ6b/B8x7XQzWBCW38qkcaKCmZlc5A=");
}

TEST(SharedKeyTest, SignsAnAppendToAnEmulatorAsMicrosoftsClient) {
  const base::http::Headers headers = {{"x-ms-version", "2022-11-02"},
                                       {"x-ms-date", kDate},
                                       {"x-ms-blob-condition-appendpos", "12"},
                                       {"Content-Type", "application/octet-stream"},
                                       {"Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="}};
  const SignedParts parts{.method = "PUT",
                          .path = "/devstoreaccount1/logs/a%20b/stdout",
                          .query = {{"comp", "appendblock"}},
                          .content_length = 5,
                          .headers = headers};
  EXPECT_EQ(Signed("devstoreaccount1", parts),
            "SharedKey devstoreaccount1:r0xLtYSsvqX5IMXvEufbGmO/UgFrWvpkR8WV6Co+sTo=");
}

TEST(SharedKeyTest, SignsAnEmptyPutAsMicrosoftsClient) {
  const base::http::Headers headers = {{"x-ms-version", "2022-11-02"},
                                       {"x-ms-blob-type", "AppendBlob"},
                                       {"If-None-Match", "*"},
                                       {"x-ms-date", kDate}};
  const SignedParts parts{.method = "PUT", .path = "/logs/x", .headers = headers};
  EXPECT_EQ(Signed("myaccount", parts),
            "SharedKey myaccount:XhFualCHjsLkYydcE46bxIJt47iJFrf3NBJ/c9YPJYE=");
}

TEST(SharedKeyTest, SignsARangeAsMicrosoftsClient) {
  const base::http::Headers headers = {{"x-ms-version", "2022-11-02"},
                                       {"x-ms-range", "bytes=0-4"},
                                       {"x-ms-range-get-content-md5", "true"},
                                       {"If-Match", "\"0x8D\""},
                                       {"x-ms-date", kDate}};
  const SignedParts parts{.method = "GET", .path = "/logs/x", .headers = headers};
  EXPECT_EQ(Signed("myaccount", parts),
            "SharedKey myaccount:5hgOaSecB2vSQ2poV6WBZc+n3DoVCnr3QCjnc7FKvLk=");
}

}  // namespace
}  // namespace boxkeeper::logs::azure
