//! Every system call number of the three tables of x86_64 under a profile like docker's: dhow's
//! filter beside libseccomp's, which crun and runc load.
//!
//! The calls are tried by a small program in C, since the probe's language has no safe way to make
//! them; it is built by the test.

use super::bundle;
use dhow_conformance::{Runtime, comparison::Seen, side_by_side, verdict::requires};
use dhow_testkit::{need, outcome};
use serde_json::{Value, json};
use std::{fs, process::Command};

/// The program's text.
const CALLS: &str = include_str!("../../src/calls.c");

/// What the profile lets pass: what Linux 6.1 knows, without what docker withholds.
const ALLOWED: &str = "\
    _llseek _newselect accept accept4 access adjtimex alarm arch_prctl bdflush bind break brk capget \
    capset chdir chmod chown chown32 chroot clock_adjtime clock_adjtime64 clock_getres \
    clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 \
    clock_settime64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create \
    epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat \
    exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_init \
    fanotify_mark fchdir fchmod fchmodat fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr \
    flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync \
    ftime ftruncate ftruncate64 futex futex_time64 futex_waitv futimesat get_mempolicy \
    get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid \
    geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid \
    getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage \
    getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr gtty idle \
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents \
    io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill \
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link \
    linkat listen listxattr llistxattr lock lremovexattr lseek lsetxattr lstat lstat64 madvise mbind \
    membarrier memfd_create memfd_secret migrate_pages mincore mkdir mkdirat mknod mknodat mlock \
    mlock2 mlockall mmap mmap2 modify_ldt mprotect mpx mq_getsetattr mq_notify mq_open \
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap msgctl \
    msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat nice oldfstat oldlstat \
    oldolduname oldstat olduname open openat openat2 pause pidfd_getfd pidfd_open pidfd_send_signal \
    pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv \
    preadv2 prlimit64 process_madvise process_mrelease process_vm_readv process_vm_writev prof \
    profil pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readdir readlink \
    readlinkat readv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename \
    renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask \
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 \
    rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr \
    sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 \
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select \
    semctl semget semop semtimedop semtimedop_time64 sendfile sendfile64 sendmmsg sendmsg sendto \
    set_mempolicy_home_node set_robust_list set_thread_area set_tid_address setdomainname setfsgid \
    setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 sethostname setitimer \
    setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid \
    setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr sgetmask shmat shmctl shmdt \
    shmget shutdown sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn \
    sigsuspend socketcall socketpair splice ssetmask stat stat64 statfs statfs64 statx stty symlink \
    symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete \
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create \
    timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate \
    truncate64 ugetrlimit ulimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes \
    vfork vmsplice wait4 waitid waitpid write writev";

fn profile() -> Value {
    let allowed: Vec<&str> = ALLOWED.split_whitespace().collect();
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {"names": allowed, "action": "SCMP_ACT_ALLOW"},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 2_114_060_288_u64, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            {"names": ["kcmp"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122},
            {"names": ["uselib"], "action": "SCMP_ACT_KILL_PROCESS"},
        ],
    })
}

/// Builds the program into the bundle's root.
fn build(root: &std::path::Path) {
    let source = root.join("calls.c");
    fs::write(&source, CALLS).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-static", "-O1", "-mno-red-zone", "-o"]).arg(root.join("bin/calls"));
    drop(outcome::run_ok(compiler.arg(&source), outcome::LIMIT).unwrap());
}

/// Runs the program: `table number` and what became of the call.
fn tried(runtime: &Runtime, filter: Option<Value>) -> Seen {
    requires(cfg!(target_arch = "x86_64"), "an x86_64 machine");
    requires(need::tool("cc").is_some(), "cc");
    let mut bundle = bundle(runtime);
    build(bundle.root());
    bundle.set("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]));
    if let Some(filter) = filter {
        bundle.set("/linux/seccomp", filter);
    }
    bundle.args(&["calls"]);
    let printed = bundle.run().ok().stdout;
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let name = format!("{} {}", words.next()?, words.next()?);
        Some((name, words.next()?.to_owned()))
    };
    printed.lines().filter_map(line).collect()
}

side_by_side! {
    /// config-linux.md, Seccomp: which calls pass, which fail and how, by the filter.
    fn calls_under_a_filter(runtime) {
        tried(runtime, Some(profile()))
    }

    /// Without a filter, a call's end shows what else the container's process may not do.
    fn calls_without_a_filter(runtime) {
        tried(runtime, None)
    }
}

/// The program must never run on a host.
#[test]
fn the_program_that_tries_all_calls_refuses_to_run_outside_of_a_container() {
    dhow_testkit::needs_tool!("cc");
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("bin")).unwrap();
    build(directory.path());

    let outcome =
        outcome::run(&mut Command::new(directory.path().join("bin/calls")), b"", outcome::LIMIT)
            .unwrap();

    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    drop(outcome.says("the first process of a container only"));
}
