/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The filter has three answers. What the daemon and its libraries need is allowed. What none of
 * them does, and who has taken the process over would do next, ends it with SIGSYS, which the
 * kernel logs: running programs, debugging others, changing users, namespaces, mounts, kernel
 * modules. Everything else fails with ENOSYS, as on a kernel that lacks it: libraries try new calls,
 * and name service modules odd ones, and have a way without; no bad day comes from there.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config.h"

#include "sys/sandbox.h"
#include "base/err.h"
#include "base/log.h"

int sandbox_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? PARLANCE_ESYS : 0;
}

int sandbox_set_dumpable(bool yes)
{
	return prctl(PR_SET_DUMPABLE, yes ? 1 : 0, 0, 0, 0) < 0 ? PARLANCE_ESYS : 0;
}

void sandbox_prepare(enum sandbox_mode mode)
{
	/* Later versions of libuv set up rings with the loop, and abort when they cannot use them any
	 * more. A ring makes calls that no filter sees. */
	if (mode != SANDBOX_OFF)
		(void)setenv("UV_USE_IO_URING", "0", 1);
}

#ifndef HAVE_LIBSECCOMP

bool sandbox_is_call(const char *name)
{
	return *name != '\0';
}

int sandbox_enter(enum sandbox_mode mode, const char *const *extra, size_t n, struct strbuf *err)
{
	(void)extra;
	(void)n;
	(void)err;
	if (mode != SANDBOX_OFF)
		log_notice("sandbox", NULL,
			   "system calls are not filtered (built without libseccomp)");
	return 0;
}

#else

#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "sys/sandbox_calls.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

struct filter {
	scmp_filter_ctx ctx;
	enum sandbox_mode mode;
	const char *const *extra;
	size_t n_extra;
	int error; /* the first one of libseccomp: a negative errno */
};

bool sandbox_is_call(const char *name)
{
	return seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
}

static bool is_extra(const struct filter *f, const char *name)
{
	for (size_t i = 0; i < f->n_extra; i++)
		if (strcmp(f->extra[i], name) == 0)
			return true;
	return false;
}

/* A call that this libseccomp does not know is one that the default is good enough for; one that
 * the architecture does not have is passed over by libseccomp. */
static void add(struct filter *f, uint32_t action, const char *name, unsigned int n,
		const struct scmp_arg_cmp *args)
{
	int call = seccomp_syscall_resolve_name(name);
	int rc;

	if (call == __NR_SCMP_ERROR || f->error)
		return;
	rc = seccomp_rule_add_array(f->ctx, action, call, n, args);
	if (rc < 0 && rc != -EEXIST)
		f->error = rc;
}

static void allow(struct filter *f, const char *name)
{
	if (!is_extra(f, name))
		add(f, SCMP_ACT_ALLOW, name, 0, NULL);
}

/* Only with these arguments. */
static void allow_if(struct filter *f, const char *name, unsigned int n,
		     const struct scmp_arg_cmp *args)
{
	if (!is_extra(f, name))
		add(f, SCMP_ACT_ALLOW, name, n, args);
}

/* Arguments that the kernel takes as an int: what is above them is the caller's noise. */
static void allow_values(struct filter *f, const char *name, unsigned int arg,
			 const uint32_t *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct scmp_arg_cmp is = SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, values[i]);

		allow_if(f, name, 1, &is);
	}
}

/* No pages that are written and run, and none that were written and are run later, as in the
 * systemd unit (MemoryDenyWriteExecute=). Libraries may still be loaded. */
static void add_memory(struct filter *f)
{
	const struct scmp_arg_cmp not_write = SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_WRITE, 0);
	const struct scmp_arg_cmp write_only =
	    SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_WRITE);
	const struct scmp_arg_cmp not_exec = SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	static const char *const maps[] = { "mmap", "mmap2" };

	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		allow_if(f, maps[i], 1, &not_write);
		allow_if(f, maps[i], 1, &write_only);
	}
	allow_if(f, "mprotect", 1, &not_exec);
}

/* Threads, and no processes: glibc makes them with clone where clone3, whose arguments no filter
 * can see, is missing. */
static void add_clone(struct filter *f)
{
#ifdef __s390__
	const unsigned int flags = 1;
#else
	const unsigned int flags = 0;
#endif
	const struct scmp_arg_cmp thread =
	    SCMP_CMP64(flags, SCMP_CMP_MASKED_EQ, SANDBOX_CLONE_MASK, SANDBOX_CLONE_THREAD);

	allow_if(f, "clone", 1, &thread);
#ifdef SANDBOX_SANITIZERS
	/* LeakSanitizer stops all threads from a process that shares their memory. */
	const struct scmp_arg_cmp tracer =
	    SCMP_CMP64(flags, SCMP_CMP_MASKED_EQ, SANDBOX_CLONE_MASK | SANDBOX_CLONE_TRACER,
		       SANDBOX_CLONE_TRACER);

	allow_if(f, "clone", 1, &tracer);
#endif
}

/* Signals to the process itself alone, and nobody else's limits. */
static void add_self(struct filter *f)
{
	const struct scmp_arg_cmp self = SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, UINT32_MAX,
						    (uint32_t)getpid());
	const struct scmp_arg_cmp read_own[] = { SCMP_CMP64(0, SCMP_CMP_EQ, 0, 0),
						 SCMP_CMP64(2, SCMP_CMP_EQ, 0, 0) };

	allow_if(f, "kill", 1, &self);
	allow_if(f, "tgkill", 1, &self);
	allow_if(f, "prlimit64", ARRAY_LEN(read_own), read_own);
}

static void add_arguments(struct filter *f)
{
	/* Of a terminal (stdio asks whether there is one), of descriptors, of IPv6's scopes. */
	static const uint32_t ioctls[] = { FIONBIO, FIONREAD, FIOCLEX, FIONCLEX, TCGETS,
					   0x8933 /* SIOCGIFINDEX */, 0x8910 /* SIOCGIFNAME */ };
	static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6 };
	static const uint32_t prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_SET_VMA,
#ifdef SANDBOX_SANITIZERS
					   PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_PTRACER,
					   PR_SET_PDEATHSIG,
#endif
	};

	allow_values(f, "ioctl", 1, ioctls, ARRAY_LEN(ioctls));
	allow_values(f, "socket", 0, families, ARRAY_LEN(families));
	allow_values(f, "socketpair", 0, families, 1);
	allow_values(f, "prctl", 0, prctls, ARRAY_LEN(prctls));
#ifdef SANDBOX_SANITIZERS
	allow_values(f, "ptrace", 0, sanitizer_ptraces, ARRAY_LEN(sanitizer_ptraces));
#endif
	add_memory(f);
	add_clone(f);
	add_self(f);
}

static void add_fatal(struct filter *f)
{
	for (size_t i = 0; i < ARRAY_LEN(fatal_calls); i++)
		if (!is_extra(f, fatal_calls[i]))
			add(f, SCMP_ACT_KILL_PROCESS, fatal_calls[i], 0, NULL);
#ifdef SANDBOX_SANITIZERS
	const struct scmp_arg_cmp traceme = SCMP_CMP64(0, SCMP_CMP_EQ, PTRACE_TRACEME, 0);

	if (!is_extra(f, "ptrace"))
		add(f, SCMP_ACT_KILL_PROCESS, "ptrace", 1, &traceme);
#endif
}

static void set(struct filter *f, enum scmp_filter_attr attr, uint32_t value)
{
	int rc = seccomp_attr_set(f->ctx, attr, value);

	if (rc < 0 && !f->error)
		f->error = rc;
}

static void build(struct filter *f)
{
	set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	set(f, SCMP_FLTATR_ACT_BADARCH, f->mode == SANDBOX_LOG ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS);
	/* Where they are known: a tree in place of a list; and no slower branches, which are for code
	 * that is hostile from its beginning. */
	(void)seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_SSB, 1);
	for (size_t i = 0; i < f->n_extra; i++)
		add(f, SCMP_ACT_ALLOW, f->extra[i], 0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(allowed_calls); i++)
		allow(f, allowed_calls[i]);
	add_arguments(f);
	if (f->mode == SANDBOX_ON)
		add_fatal(f);
}

int sandbox_enter(enum sandbox_mode mode, const char *const *extra, size_t n, struct strbuf *err)
{
	struct filter f = { .mode = mode, .extra = extra, .n_extra = n };

	if (mode == SANDBOX_OFF) {
		log_notice("sandbox", NULL, "system calls are not filtered (switched off)");
		return 0;
	}
	f.ctx = seccomp_init(mode == SANDBOX_LOG ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(ENOSYS));
	if (!f.ctx)
		return PARLANCE_ENOMEM;
	build(&f);
	if (!f.error)
		f.error = seccomp_load(f.ctx);
	seccomp_release(f.ctx);
	if (f.error) {
		strbuf_printf(err, "the kernel takes no filter of system calls (%s)",
			      strerror(-f.error));
		return PARLANCE_ESYS;
	}
	log_info("sandbox", LOG_FIELDS(LOG_INT("more", (int64_t)n)), "system calls are filtered%s",
		 mode == SANDBOX_LOG ? " for the log alone" : "");
	return 0;
}

#endif
