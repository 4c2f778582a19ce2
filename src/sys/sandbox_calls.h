/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The system calls that sandbox.c allows, and those that it kills for. By name, for headers and
 * kernels know different ones; those of old and of 32-bit architectures are among them. Included by
 * sandbox.c alone.
 */
#ifndef PARLANCE_SYS_SANDBOX_CALLS_H
#define PARLANCE_SYS_SANDBOX_CALLS_H

#include <sched.h>
#include <stdint.h>
#include <sys/ptrace.h>

#define SANDBOX_CLONE_THREAD ((uint64_t)CLONE_THREAD)
/* New namespaces make no thread. */
#define SANDBOX_CLONE_MASK                                                                      \
	((uint64_t)(uint32_t)(CLONE_THREAD | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |    \
			      CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))
#define SANDBOX_CLONE_TRACER ((uint64_t)(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED))

static const char *const allowed_calls[] = {
	/* memory, threads; see also add_memory and add_clone */
	"brk", "munmap", "mremap", "madvise", "mlock", "mlock2", "munlock", "futex", "futex_time64",
	"set_robust_list", "get_robust_list", "rseq", "set_tid_address", "sched_yield",
	"sched_getaffinity", "getcpu", "gettid", "exit", "exit_group", "restart_syscall",
	"membarrier",
	/* signals */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait",
	"rt_sigtimedwait_time64", "sigaltstack", "sigreturn",
	/* time, and what the system and the process are */
	"clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64",
	"clock_nanosleep", "clock_nanosleep_time64", "nanosleep", "gettimeofday", "time", "times",
	"getrusage", "getrandom", "sysinfo", "uname", "getpid", "getppid", "getuid", "getuid32",
	"geteuid", "geteuid32", "getgid", "getgid32", "getegid", "getegid32", "getrlimit",
	"ugetrlimit",
	/* descriptors */
	"read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "pwritev", "close",
	"close_range", "dup", "dup2", "dup3", "fcntl", "fcntl64", "lseek", "_llseek", "poll",
	"ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64",
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"eventfd", "eventfd2", "pipe", "pipe2",
	/* connections; no bind and no listen: that is done */
	"accept", "accept4", "connect", "shutdown", "getsockname", "getpeername", "getsockopt",
	"setsockopt", "recv", "recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64", "send",
	"sendto", "sendmsg", "sendmmsg",
	/* files: certificates, name service, a storage of files; Unix sockets go at the end */
	"open", "openat", "stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "fstatat64",
	"newfstatat", "statx", "statfs", "statfs64", "fstatfs", "fstatfs64", "access", "faccessat",
	"faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "unlink",
	"unlinkat", "fsync", "fdatasync", "ftruncate", "ftruncate64", "fadvise64", "fadvise64_64",
	"flock",
#ifdef SANDBOX_SANITIZERS
	"wait4", "mincore", "process_vm_readv",
#endif
};

/* Nothing of ours, and nothing that it calls, does any of this. */
static const char *const fatal_calls[] = {
	/* other programs, other processes */
	"execve", "execveat", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
#ifndef SANDBOX_SANITIZERS
	"ptrace", "process_vm_readv",
#endif
	/* other users, other rights */
	"setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32", "setregid",
	"setregid32", "setresuid", "setresuid32", "setresgid", "setresgid32", "setgroups",
	"setgroups32", "setfsuid", "setfsuid32", "setfsgid", "setfsgid32", "capset",
	"personality",
	/* other places */
	"unshare", "setns", "chroot", "pivot_root", "mount", "umount", "umount2", "move_mount",
	"open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
	"open_by_handle_at",
	/* the kernel's own doors */
	"bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "init_module",
	"finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load",
	"iopl", "ioperm", "modify_ldt", "uselib", "vm86", "vm86old", "acct", "swapon", "swapoff",
	"reboot", "quotactl", "quotactl_fd", "settimeofday", "clock_settime", "clock_settime64",
	"clock_adjtime", "clock_adjtime64", "adjtimex", "stime", "sethostname", "setdomainname",
	"syslog", "lookup_dcookie", "nfsservctl", "fanotify_init", "vhangup", "mknod", "mknodat",
};

#ifdef SANDBOX_SANITIZERS
/* Of LeakSanitizer, at the end. */
static const uint32_t sanitizer_ptraces[] = {
	PTRACE_ATTACH,  PTRACE_DETACH,   PTRACE_CONT,    PTRACE_KILL,
	PTRACE_GETREGS, PTRACE_PEEKUSER, PTRACE_GETREGSET, PTRACE_GETSIGINFO,
};
#endif

#endif
