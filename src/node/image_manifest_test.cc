#include "node/image_manifest.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

const std::string digest =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(ImageDocument, says_how_a_container_runs) {
  const auto document = parse_image_document(R"({
      "created": "2026-01-02T03:04:05Z", "os": "linux", "architecture": "amd64", "history": [],
      "config": {"Entrypoint": ["/hello"], "Cmd": ["-v"], "Env": ["A=b"], "WorkingDir": "/srv",
                 "User": "1000:1000", "ExposedPorts": {"8080/tcp": {}}, "StopSignal": "SIGINT",
                 "Labels": null, "Volumes": {"/data": {}}},
      "rootfs": {"type": "layers", "diff_ids": [")" +
                                             digest + "\"]}}");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(document->config.entrypoint, std::vector<std::string>{"/hello"});
  EXPECT_EQ(document->config.cmd, std::vector<std::string>{"-v"});
  EXPECT_EQ(document->config.env, std::vector<std::string>{"A=b"});
  EXPECT_EQ(document->config.working_dir, "/srv");
  EXPECT_EQ(document->config.user, "1000:1000");
  EXPECT_EQ(document->config.exposed_ports, std::vector<std::string>{"8080/tcp"});
  EXPECT_EQ(document->config.stop_signal, "SIGINT");
  EXPECT_EQ(document->created, "2026-01-02T03:04:05Z");
  EXPECT_EQ(document->diff_digests, std::vector<std::string>{digest});
  const auto again = parse_image_document(write_image_document(*document));
  ASSERT_TRUE(again);
  EXPECT_EQ(write_image_document(*again), write_image_document(*document));
}

TEST(ImageDocument, of_nothing_but_nulls_is_an_empty_image) {
  const auto document =
      parse_image_document(R"({"config": {"Entrypoint": null, "Env": null}, "rootfs": null})");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_TRUE(document->config.entrypoint.empty());
  EXPECT_TRUE(parse_image_document("{}"));
}

TEST(ImageDocument, that_is_damaged_names_the_field) {
  std::string layers;
  for (std::size_t i = 0; i <= image_layers_max; ++i)
    layers += (i > 0 ? ",\"" : "\"") + digest + "\"";
  const std::pair<std::string, std::string> rows[] = {
      {"", "line 1"},
      {"[]", "not an object"},
      {R"({"config": 1})", "config"},
      {R"({"config": {"Entrypoint": "/bin/sh"}})", "Entrypoint"},
      {R"({"config": {"Env": [1]}})", "Env"},
      {R"({"config": {"Cmd": ["a\u0000b"]}})", "Cmd"},
      {R"({"config": {"User": 1000}})", "User"},
      {R"({"rootfs": {"diff_ids": ["sha256:../../etc"]}})", "diff_ids"},
      {R"({"rootfs": {"diff_ids": [)" + layers + "]}}", "layers"},
      {std::string(100000, '['), ""},
  };
  for (const auto& [text, part] : rows) {
    const auto document = parse_image_document(text);
    ASSERT_FALSE(document) << text;
    EXPECT_NE(document.error().message.find(part), std::string::npos) << document.error().message;
  }
}

TEST(OciDocument, is_an_index_or_a_manifest) {
  const auto index = parse_oci_document(R"({"manifests": [
      {"digest": ")" + digest + R"(", "platform": {"os": "linux", "architecture": "arm64"},
       "annotations": {"org.opencontainers.image.ref.name": "a:1",
                       "io.containerd.image.name": "docker.io/library/a:1"}},
      {"digest": ")" + digest + R"(",
       "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}]})");
  ASSERT_TRUE(index) << index.error().message;
  ASSERT_EQ(index->manifests.size(), 2U);
  EXPECT_EQ(index->manifests[0].architecture, "arm64");
  EXPECT_EQ(index->manifests[0].ref_name, "a:1");
  EXPECT_EQ(index->manifests[0].full_name, "docker.io/library/a:1");
  EXPECT_FALSE(index->manifests[0].attestation);
  EXPECT_TRUE(index->manifests[1].attestation);

  const auto manifest =
      parse_oci_document(R"({"config": {"digest": ")" + digest + R"("}, "layers": [{"digest": ")" +
                         digest + R"(", "size": 7}, {"digest": ")" + digest + R"("}]})");
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->manifest.config_digest, digest);
  EXPECT_EQ(manifest->manifest.layer_digests, (std::vector<std::string>{digest, digest}));
  EXPECT_EQ(manifest->manifest.layer_sizes, (std::vector<std::uint64_t>{7, 0}));

  const std::string malformed[] = {
      "1",
      "{}",
      R"({"manifests": {}})",
      R"({"manifests": [{"digest": "sha256:x"}]})",
      R"({"config": {"digest": "../x"}, "layers": []})",
      R"({"config": {"digest": ")" + digest + R"("}, "layers": [{"digest": ")" + digest +
          R"(", "size": -1}]})",
  };
  for (const std::string& text : malformed) {
    const auto wrong = parse_oci_document(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().code, Code::malformed);
  }
}

TEST(OciDocument, of_an_old_schema_is_said_to_be_that) {
  const auto document = parse_oci_document(R"({"schemaVersion": 1, "fsLayers": []})");
  EXPECT_EQ(document.error().code, Code::unsupported);
}

TEST(OciDocument, has_an_entry_for_this_machine_or_says_for_which_it_has) {
  const auto entry = [](const std::string& name, const std::string& os,
                        std::string_view architecture) {
    OciDescriptor descriptor;
    descriptor.digest = name;
    descriptor.os = os;
    descriptor.architecture = architecture;
    return descriptor;
  };
  const OciDescriptor arm = entry("a", "linux", "other");
  OciDescriptor about = entry("b", "", "");
  about.attestation = true;
  const OciDescriptor windows = entry("c", "windows", host_architecture());
  const OciDescriptor ours = entry("d", "linux", host_architecture());
  const auto chosen = choose_platform({arm, about, windows, ours});
  ASSERT_TRUE(chosen) << chosen.error().message;
  EXPECT_EQ(chosen->digest, "d");
  const auto none = choose_platform({arm, about, windows});
  EXPECT_EQ(none.error().code, Code::unsupported);
  EXPECT_TRUE(none.error().message.starts_with("the image is for linux/other, windows/"));
  EXPECT_FALSE(choose_platform({}));
}

TEST(DockerManifest, may_lack_names_and_must_be_a_list) {
  const auto manifests = parse_docker_manifests(
      R"([{"Config": "c.json", "RepoTags": null, "Layers": ["a/layer.tar"]}])");
  ASSERT_TRUE(manifests) << manifests.error().message;
  EXPECT_EQ(manifests->at(0).config_file, "c.json");
  EXPECT_TRUE(manifests->at(0).references.empty());
  for (const std::string text : {"{}", "[1]", R"([{"Config": 1}])", R"([{"Layers": "x"}])"}) {
    EXPECT_FALSE(parse_docker_manifests(text)) << text;
  }
}

}  // namespace
}  // namespace tulle::node
