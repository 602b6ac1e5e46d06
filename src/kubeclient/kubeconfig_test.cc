#include "kubeclient/kubeconfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace tulle::kubeclient {
namespace {

using testing::HasSubstr;

class KubeconfigTest : public testing::Test {
 protected:
  KubeconfigTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kubeconfig-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~KubeconfigTest() override { std::filesystem::remove_all(folder); }

  std::string write(std::string_view name, std::string_view text) {
    const auto path = folder / name;
    std::ofstream(path) << text;
    return path.string();
  }

  std::filesystem::path folder;
};

// A config whose cluster and user hold these lines.
std::string config(std::string_view cluster, std::string_view user) {
  std::string text =
      "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n"
      "  context: {cluster: k, user: u}\nclusters:\n- name: k\n  cluster:\n    ";
  text.append(cluster).append("\nusers:\n- name: u\n  user:\n    ").append(user).append("\n");
  return text;
}

TEST_F(KubeconfigTest, what_is_written_reads_back) {
  const std::vector<Kubeconfig> configs = {
      {.host = "127.0.0.1",
       .port = 6443,
       .ca_pem = "ca\n",
       .client_certificate_pem = "cert\n",
       .client_key_pem = "key\n"},
      {.host = "::1", .port = 8001, .tls = false, .token = "abc"},
      {.host = "localhost", .port = 443, .ca_pem = "ca"},
  };
  for (const Kubeconfig& wanted : configs) {
    const auto read = load_kubeconfig(write("config", to_text(wanted, "tulle")));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->host, wanted.host);
    EXPECT_EQ(read->port, wanted.port);
    EXPECT_EQ(read->tls, wanted.tls);
    EXPECT_EQ(read->ca_pem, wanted.ca_pem);
    EXPECT_EQ(read->client_certificate_pem, wanted.client_certificate_pem);
    EXPECT_EQ(read->client_key_pem, wanted.client_key_pem);
    EXPECT_EQ(read->token, wanted.token);
    EXPECT_TRUE(read->verify_peer);
  }
}

TEST_F(KubeconfigTest, files_are_found_beside_the_config) {
  write("ca.pem", "the ca");
  write("token", "secret\n");
  const auto read = load_kubeconfig(
      write("config", config("server: https://10.0.0.1/\n    certificate-authority: ca.pem\n"
                             "    tls-server-name: api\n    insecure-skip-tls-verify: true",
                             "tokenFile: token")));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->host, "10.0.0.1");
  EXPECT_EQ(read->port, 443);
  EXPECT_EQ(read->ca_pem, "the ca");
  EXPECT_EQ(read->token, "secret");
  EXPECT_EQ(read->server_name, "api");
  EXPECT_FALSE(read->verify_peer);
}

TEST_F(KubeconfigTest, errors_name_the_file_and_the_field) {
  struct Row {
    std::string text;
    std::string error;
  };
  const std::string good = "server: https://10.0.0.1";
  const std::vector<Row> rows = {
      {"", "not a kubeconfig"},
      {"- a\n", "not a kubeconfig"},
      {"a: b\n---\nc: d\n", "not a kubeconfig"},
      {"a: [\n", "line"},
      {"current-context: x\n", "contexts has no entry called \"x\""},
      {"current-context: c\ncontexts:\n- name: c\n  context: {cluster: k, user: u}\n",
       "clusters has no entry called \"k\""},
      {config("server: 10.0.0.1", "{}"), "cluster.server must begin with https:// or http://"},
      {config("server: https://", "{}"), "cluster.server"},
      {config(good + "\n    certificate-authority-data: '!'", "{}"), "certificate-authority-data"},
      {config(good, "client-key: missing.pem"), "missing.pem"},
  };
  for (const Row& row : rows) {
    const std::string path = write("config", row.text);
    const auto read = load_kubeconfig(path);
    ASSERT_FALSE(read) << row.text;
    EXPECT_THAT(read.error().message, HasSubstr(row.error));
    EXPECT_THAT(read.error().message, HasSubstr(path));
  }
  EXPECT_FALSE(load_kubeconfig((folder / "none").string()));
}

}  // namespace
}  // namespace tulle::kubeclient
