// Where the things of pods lie below the data directory. Values; nothing is made here.
//
//   run/netns/UID                       the pod's network namespace, a bind mount
//   run/pods/UID/pod.json               what the next agent must know of the pod
//   run/pods/UID/etc/                   hosts, hostname and resolv.conf of its containers
//   run/pods/UID/volumes/NAME           a directory, or a link to a place of the machine's
//   run/pods/UID/containers/NAME/N/     the bundle of the container's run number N (node/shim.h)
//   pods/NAMESPACE_NAME_UID/NAME/N.log  what that run printed
//   volumes/NAME/                       a persistent volume of class local-path (kube/storage.h)
#pragma once

#include <string>

namespace tulle::node {

struct PodPlace {
  std::string data_dir;
  std::string namespace_;
  std::string name;
  std::string uid;

  static std::string all_pods(const std::string& data_dir) { return data_dir + "/run/pods"; }
  std::string run() const { return all_pods(data_dir) + "/" + uid; }
  std::string record() const { return run() + "/pod.json"; }
  std::string network() const { return data_dir + "/run/netns/" + uid; }
  std::string etc() const { return run() + "/etc"; }
  std::string volumes() const { return run() + "/volumes"; }
  std::string volume(const std::string& volume_name) const { return volumes() + "/" + volume_name; }
  std::string runs(const std::string& container) const {
    return run() + "/containers/" + container;
  }
  std::string logs() const { return data_dir + "/pods/" + namespace_ + "_" + name + "_" + uid; }
};

// One run of a container; restarts count up.
struct RunPlace {
  PodPlace pod;
  std::string container;
  int number = 0;

  std::string bundle() const { return pod.runs(container) + "/" + std::to_string(number); }
  std::string rootfs() const { return bundle() + "/rootfs"; }
  std::string rootfs_state() const { return bundle() + "/state"; }
  // What is mounted for this run alone (node/run_mounts.h).
  std::string mounts() const { return bundle() + "/mounts"; }
  // The file that the container has at its terminationMessagePath.
  std::string message() const { return bundle() + "/termination-log"; }
  std::string log_directory() const { return pod.logs() + "/" + container; }
  std::string log() const { return log_directory() + "/" + std::to_string(number) + ".log"; }
  // Its name in the runtime.
  std::string id() const { return pod.uid + "." + container + "." + std::to_string(number); }
  // Its control group.
  std::string cgroup() const { return "/tulle/" + pod.uid + "/" + container; }
  // Who pins the image.
  std::string owner() const { return pod.uid + "." + container; }
};

}  // namespace tulle::node
