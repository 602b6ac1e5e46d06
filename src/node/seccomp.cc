#include "node/seccomp.h"

#include "base/format.h"
#include "codec/json.h"
#include "kube/object.h"
#include "node/image_files.h"
#include "node/volume_files.h"

#include <boost/json.hpp>

#include <linux/sched.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <algorithm>
#include <array>
#include <cerrno>

namespace tulle::node {

namespace {

namespace json = boost::json;

constexpr std::uint64_t kProfileBytesMax = 1024 * 1024;

// Names of other architectures, and such as the machine's libseccomp does not know, mean nothing.
constexpr std::string_view kFiles = R"(
  access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
  epoll_wait_old eventfd eventfd2 faccessat faccessat2 fadvise64 fadvise64_64 fallocate
  fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync
  fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
  ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch
  inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
  io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set lchown lchown32 lgetxattr link
  linkat listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat
  lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat _newselect open openat openat2
  pipe pipe2 poll ppoll ppoll_time64 pread64 preadv preadv2 pselect6 pselect6_time64 pwrite64
  pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename
  renameat renameat2 rmdir select sendfile sendfile64 setxattr setxattrat signalfd signalfd4 splice
  stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee
  truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write
  writev)";

constexpr std::string_view kSockets = R"(
  accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
  recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair)";

constexpr std::string_view kMemory = R"(
  brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore
  mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc
  pkey_free pkey_mprotect remap_file_pages uretprobe)";

constexpr std::string_view kProcesses = R"(
  alarm capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64
  futex_wait futex_waitv futex_wake get_robust_list get_thread_area getcpu getegid getegid32 geteuid
  geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpgid getpgrp getpid getppid
  getpriority getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid
  getuid32 kill landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open
  pidfd_send_signal prctl prlimit64 process_mrelease restart_syscall rseq rt_sigaction rt_sigpending
  rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
  rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
  sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
  sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
  set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid
  setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid
  setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 sigaltstack
  sigprocmask sigreturn tgkill tkill ugetrlimit vfork wait4 waitid waitpid)";

constexpr std::string_view kOthers = R"(
  adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
  clock_gettime64 clock_nanosleep clock_nanosleep_time64 getrandom gettimeofday ipc mq_getsetattr
  mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
  mq_unlink msgctl msgget msgrcv msgsnd nanosleep semctl semget semop semtimedop semtimedop_time64
  shmat shmctl shmdt shmget sysinfo time timer_create timer_delete timer_getoverrun
  timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
  timerfd_gettime64 timerfd_settime timerfd_settime64 times uname)";

constexpr std::string_view kOfAmd64 = "arch_prctl modify_ldt";
constexpr std::string_view kOfArm64 =
    "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2";

constexpr std::string_view kSystemAdmin = "CAP_SYS_ADMIN";

struct Privilege {
  std::string_view capability;
  std::string_view calls;
};
constexpr std::array kPrivileges{
    Privilege{kSystemAdmin,
              "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount "
              "mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd "
              "setdomainname sethostname setns syslog umount umount2 unshare"},
    Privilege{"CAP_BPF", "bpf"},
    Privilege{"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    Privilege{"CAP_PERFMON", "perf_event_open"},
    Privilege{"CAP_SYS_BOOT", "reboot"},
    Privilege{"CAP_SYS_CHROOT", "chroot"},
    Privilege{"CAP_SYS_MODULE", "delete_module finit_module init_module"},
    Privilege{"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    Privilege{"CAP_SYS_PACCT", "acct"},
    Privilege{"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    Privilege{"CAP_SYS_RAWIO", "ioperm iopl"},
    Privilege{"CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"},
    Privilege{"CAP_SYS_TTY_CONFIG", "vhangup"},
    Privilege{"CAP_SYSLOG", "syslog"}};

// Since Linux 4.8 what a tracer changes is filtered, too.
constexpr std::string_view kTracing = "process_vm_readv process_vm_writev ptrace";

constexpr std::uint64_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                         CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

json::array names(std::initializer_list<std::string_view> lists) {
  constexpr std::string_view kBetween = " \n";
  json::array out;
  for (const std::string_view list : lists) {
    std::size_t end = 0;
    for (std::size_t begin; (begin = list.find_first_not_of(kBetween, end)) != list.npos;) {
      end = std::min(list.find_first_of(kBetween, begin), list.size());
      out.emplace_back(list.substr(begin, end - begin));
    }
  }
  return out;
}

json::object allow(json::array calls) {
  return {{"names", std::move(calls)}, {"action", "SCMP_ACT_ALLOW"}};
}

// Where the first argument compares so with `value`; with a mask, `value` is the mask and all of
// its bits are to be 0.
json::object allow_if(std::string_view call, std::string_view comparison, std::uint64_t value) {
  json::object rule = allow({call});
  rule["args"] = json::array{json::object{{"index", 0}, {"value", value}, {"op", comparison}}};
  return rule;
}

// Linux of today or as old programs know it, of 64 or of 32 bits; or the question which it is.
void add_personalities(json::array& rules) {
  constexpr std::uint64_t kToday = PER_LINUX;
  constexpr std::uint64_t kOld = UNAME26;
  constexpr std::uint64_t kOf32Bits = PER_LINUX32;
  constexpr std::uint64_t kAsked = 0xffff'ffff;
  for (const std::uint64_t each : {kToday, kOld, kOf32Bits, kOld | kOf32Bits, kAsked}) {
    rules.push_back(allow_if("personality", "SCMP_CMP_EQ", each));
  }
}

}  // namespace

json::object default_seccomp_profile(const std::vector<std::string>& capabilities,
                                     Architecture architecture) {
  const bool amd64 = architecture == Architecture::amd64;
  const auto has = [&capabilities](std::string_view name) {
    return std::ranges::find(capabilities, name) != capabilities.end();
  };
  json::array rules{allow(names(
      {kFiles, kSockets, kMemory, kProcesses, kOthers, kTracing, amd64 ? kOfAmd64 : kOfArm64}))};
  add_personalities(rules);
  rules.push_back(allow_if("socket", "SCMP_CMP_NE", AF_VSOCK));
  for (const Privilege& each : kPrivileges) {
    if (has(each.capability)) rules.push_back(allow(names({each.calls})));
  }
  if (!has(kSystemAdmin)) {
    rules.push_back(allow_if("clone", "SCMP_CMP_MASKED_EQ", kNewNamespaces));
    rules.push_back(
        json::object{{"names", {"clone3"}}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", ENOSYS}});
  }
  return {
      {"defaultAction", "SCMP_ACT_ERRNO"},
      {"defaultErrnoRet", EPERM},
      {"architectures", amd64 ? json::array{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}
                              : json::array{"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}},
      {"syscalls", std::move(rules)}};
}

Result<json::object> load_seccomp_profile(const std::string& directory, std::string_view name) {
  const std::string path = fmt::format("{}/{}", directory, name);
  const auto wrong = [&path](std::string_view why) {
    return failf(Code::invalid_argument, "cannot load seccomp profile \"{}\": {}", path, why);
  };
  if (!stays_inside(name)) return wrong("it is no path within the folder of profiles");
  const auto text = read_small_file(path, kProfileBytesMax);
  if (!text) return wrong(text.error().message);
  auto profile = codec::parse_json(*text);
  if (!profile) return wrong(profile.error().message);
  if (kube::string_at(kube::object_or_empty(*profile), "defaultAction").empty()) {
    return wrong("it has no defaultAction");
  }
  return std::move(profile->as_object());
}

}  // namespace tulle::node
