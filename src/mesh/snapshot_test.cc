#include "mesh/ingress_table.h"
#include "mesh/mesh_test_util.h"

#include <gtest/gtest.h>

namespace tulle::mesh {
namespace {

using testing::at;
using testing::ip;

TEST(SnapshotTest, an_old_snapshot_stays_as_it_was) {
  SnapshotBuilder builder;
  builder.put(testing::service("world", "10.96.0.7", {}));
  builder.put(testing::workload("world-1", "10.244.0.1"));
  SnapshotPtr first = builder.build();
  builder.put(testing::service("world", "10.96.0.9", {{"10.244.0.1:80"}}));
  builder.remove_workload({"default", "world-1"});
  SnapshotPtr second = builder.build();
  builder.remove_service({"default", "world"});
  SnapshotPtr third = builder.build();

  EXPECT_NE(first->service_by_address(ip("10.96.0.7")), nullptr);
  EXPECT_EQ(first->service_by_address(ip("10.96.0.9")), nullptr);
  EXPECT_NE(first->workload_by_address(ip("10.244.0.1")), nullptr);
  EXPECT_EQ(second->service_by_address(ip("10.96.0.7")), nullptr);
  EXPECT_EQ(second->service_by_address(ip("10.96.0.9"))->ports[0].endpoints.size(), 1U);
  EXPECT_EQ(second->workload_by_address(ip("10.244.0.1")), nullptr);
  EXPECT_EQ(second->workload(ObjectNameView{"default", "world-1"}), nullptr);
  EXPECT_EQ(third->service(ObjectNameView{"default", "world"}), nullptr);
  EXPECT_EQ(third->service_count(), 0U);
  EXPECT_EQ(third->generation(), first->generation() + 2);
}

TEST(SnapshotTest, services_that_did_not_change_are_shared) {
  SnapshotBuilder builder;
  Cidr addresses = *Cidr::parse("10.96.0.0/12");
  for (std::uint64_t i = 0; i < 10000; ++i) {
    builder.put(testing::service("s" + std::to_string(i), addresses.at(i + 1).to_string(), {}));
  }
  SnapshotPtr before = builder.build();
  builder.put(testing::service("s5", addresses.at(6).to_string(), {{"10.244.0.1:80"}}));
  SnapshotPtr after = builder.build();
  EXPECT_EQ(after->service_count(), 10000U);
  std::size_t shared = 0;
  after->for_each_service([&](const Service& service) {
    shared += before->service(service.name) == &service ? 1U : 0U;
    EXPECT_EQ(after->service_by_address(service.cluster_addresses[0]), &service);
  });
  EXPECT_EQ(shared, 9999U);
}

TEST(SnapshotTest, ports_that_nobody_serves_are_listed) {
  const auto world = [](Health health) {
    return testing::service("world", "10.96.0.7", {{"10.244.0.1:80", health}});
  };
  const std::vector<UnservedPort> the_port{{Transport::tcp, at("10.96.0.7:80")}};
  SnapshotBuilder builder;
  builder.put(world(Health::not_ready));
  const SnapshotPtr first = builder.build();
  EXPECT_EQ(*first->unserved(), the_port);
  builder.put(world(Health::not_ready));
  EXPECT_EQ(builder.build()->unserved(), first->unserved()) << "the same pointer";
  for (const Health health : {Health::ready, Health::draining}) {
    builder.put(world(health));
    EXPECT_TRUE(builder.build()->unserved()->empty());
  }
  Service local = world(Health::ready);
  local.internal_local = true;
  builder.put(local);
  EXPECT_EQ(*builder.build()->unserved(), the_port) << "its endpoint is on another node";
  builder.remove_service({"default", "world"});
  EXPECT_TRUE(builder.build()->unserved()->empty());
}

TEST(SnapshotTest, an_address_that_moves_to_another_object_stays_with_it) {
  SnapshotBuilder builder;
  builder.put(testing::service("old", "10.96.0.7", {}));
  builder.put(testing::service("new", "10.96.0.7", {}));
  builder.remove_service({"default", "old"});
  builder.put(testing::workload("old-1", "10.244.0.1"));
  builder.put(testing::workload("new-1", "10.244.0.1"));
  builder.remove_workload({"default", "old-1"});
  SnapshotPtr snapshot = builder.build();
  EXPECT_EQ(snapshot->service_by_address(ip("10.96.0.7"))->name.name, "new");
  EXPECT_EQ(snapshot->workload_by_address(ip("10.244.0.1"))->name.name, "new-1");
}

TEST(SnapshotTest, doors_change_only_when_a_service_asks_for_others) {
  SnapshotBuilder builder;
  auto with_door = [](std::string name, std::uint16_t node_port) {
    Service made = testing::service(std::move(name), "10.96.0.7", {});
    made.ports[0].node_port = node_port;
    return made;
  };
  builder.put(with_door("b", 30001));
  builder.put(with_door("a", 30000));
  SnapshotPtr first = builder.build();
  builder.put(with_door("a", 30000));
  builder.put(testing::service("doorless", "10.96.0.8", {}));
  SnapshotPtr second = builder.build();
  EXPECT_EQ(first->doors(), second->doors()) << "the same pointer";
  ASSERT_EQ(second->doors()->size(), 2U);
  EXPECT_EQ(second->door(DoorKind::node_port, Transport::tcp, at("127.0.0.9:30001"))->service.name,
            "b");
  EXPECT_EQ(second->door(DoorKind::node_port, Transport::udp, at("127.0.0.9:30001")), nullptr);

  builder.put(with_door("0-first", 30000));
  SnapshotPtr third = builder.build();
  ASSERT_EQ(third->doors()->size(), 2U) << "one door, two takers";
  EXPECT_EQ(third->doors()->front().service.name, "0-first");
  builder.remove_service({"default", "0-first"});
  builder.remove_service({"default", "b"});
  EXPECT_EQ(builder.build()->doors()->front().service.name, "a");
}

TEST(SnapshotTest, a_namespace_is_there_as_long_as_something_is_in_it) {
  SnapshotBuilder builder;
  EXPECT_FALSE(builder.build()->has_namespace("default"));
  builder.put(testing::service("world", "10.96.0.7", {}));
  builder.put(testing::service("world", "10.96.0.8", {}));
  builder.put(testing::workload("world-1", "10.244.0.1"));
  builder.put(testing::workload("world-1", "10.244.0.2"));
  const SnapshotPtr both = builder.build();
  builder.remove_service({"default", "world"});
  EXPECT_TRUE(builder.build()->has_namespace("default"));
  builder.remove_workload({"default", "world-1"});
  builder.remove_workload({"default", "world-1"});
  EXPECT_FALSE(builder.build()->has_namespace("default"));
  EXPECT_TRUE(both->has_namespace("default"));
}

TEST(SnapshotTest, state_of_endpoints_that_left_is_not_kept) {
  SnapshotBuilder builder;
  builder.put(testing::service("world", "10.96.0.7", {{"10.244.0.1:80"}}));
  SnapshotPtr snapshot = builder.build();
  const Service* service = snapshot->service(ObjectNameView{"default", "world"});
  std::weak_ptr<EndpointState> state = service->ports[0].endpoints[0].state;
  builder.remove_service({"default", "world"});
  EXPECT_FALSE(state.expired()) << "the snapshot holds it";
  snapshot = builder.build();
  EXPECT_TRUE(state.expired());
}

}  // namespace
}  // namespace tulle::mesh
