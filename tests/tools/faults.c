/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A bad day for any program, by LD_PRELOAD: allocations that fail, sockets that take one byte at a
 * time or none now, clocks that jump. FAULTS names a file of FAULTS_FIELDS numbers (64 bits, in the
 * machine's order) that the test writes and reads while the program runs:
 *
 *   0  the nth allocation from now on fails (1: the next); 0: none
 *   1  so many in a row do (0 is 1)
 *   2  whose count: 0 everybody's, 1 those of the program and its plugins, 2 those of libraries alone
 *   3  counted here: how many have failed
 *   4  counted here: how many were asked for by those who count
 *   5  sockets: 1 write one byte, 2 write nothing now (EAGAIN), 4 read one byte, 8 read nothing now;
 *      the sum. What comes of a call is thrown, with as many ways as are named and the honest one.
 *      16: standard error is on a disk that is full
 *   6  CLOCK_REALTIME goes so many milliseconds ahead (or behind)
 *   7  CLOCK_MONOTONIC goes so many milliseconds ahead
 *
 * Behind the numbers it writes the name of the object whose allocation failed last. With
 * AddressSanitizer, set ASAN_OPTIONS=verify_asan_link_order=0. Any thread.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_FIELDS 8
#define FAULTS_BYTES 512

enum { COUNTDOWN, RUN, WHOSE, FAILED, ASKED, SOCKETS, REALTIME_MS, MONOTONIC_MS };
enum { WHOSE_ALL = 0, WHOSE_OURS, WHOSE_LIBRARIES };
enum { WRITE_ONE = 1, WRITE_NONE = 2, READ_ONE = 4, READ_NONE = 8, LOG_FULL = 16 };

static _Atomic int64_t *fields; /* NULL: no faults */
static char program[PATH_MAX];

#define REAL(name) ((__typeof__(&(name)))next(#name))

/* dlsym finds it each time: the few that are called often keep it. */
static void *next(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULTS");
	void *map;
	int fd;
	ssize_t n;

	if (!path)
		return;
	n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	program[n < 0 ? 0 : n] = '\0';
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		abort();
	map = mmap(NULL, FAULTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		abort();
	fields = map;
	/* Shells and what they start are not the program. */
	unsetenv("LD_PRELOAD");
}

static int64_t field(int i)
{
	return fields ? atomic_load_explicit(&fields[i], memory_order_relaxed) : 0;
}

/* ---- memory ---- */

/* A plugin is a shared object that is no library: its name does not begin with "lib". */
static bool is_ours(const char *object)
{
	const char *base = strrchr(object, '/');

	base = base ? base + 1 : object;
	return strcmp(object, program) == 0 || !strchr(object, '/') ||
	       strcmp(base, strrchr(program, '/') ? strrchr(program, '/') + 1 : program) == 0 ||
	       (strncmp(base, "lib", 3) != 0 && strncmp(base, "ld-", 3) != 0 && strstr(base, ".so"));
}

static bool fails(void *caller)
{
	static __thread __attribute__((tls_model("initial-exec"))) bool busy;
	const char *object = "?";
	int64_t whose;
	Dl_info info;
	bool count = true;

	if (busy || !fields || !field(COUNTDOWN))
		return false;
	busy = true; /* dladdr might allocate */
	whose = field(WHOSE);
	if (dladdr(caller, &info) && info.dli_fname)
		object = info.dli_fname;
	if (whose)
		count = is_ours(object) == (whose == WHOSE_OURS);
	busy = false;
	if (!count)
		return false;
	atomic_fetch_add(&fields[ASKED], 1);
	if (field(COUNTDOWN) > 1) {
		atomic_fetch_sub(&fields[COUNTDOWN], 1);
		return false;
	}
	if (field(RUN) > 1)
		atomic_fetch_sub(&fields[RUN], 1);
	else
		atomic_store(&fields[COUNTDOWN], 0);
	atomic_fetch_add(&fields[FAILED], 1);
	(void)strncpy((char *)&fields[FAULTS_FIELDS], object,
		      FAULTS_BYTES - FAULTS_FIELDS * sizeof(*fields) - 1);
	errno = ENOMEM;
	return true;
}

/* dlsym may allocate before the real ones are known. */
static char early[16384];
static size_t early_used;

static void *allocate_early(size_t size)
{
	size_t at = (early_used + 15) & ~(size_t)15;

	if (size > sizeof(early) - at)
		abort();
	early_used = at + size;
	return early + at;
}

static bool is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);

static bool resolve(void)
{
	static bool resolving;

	if (real_free)
		return true;
	if (resolving)
		return false;
	resolving = true;
	real_malloc = next("malloc");
	real_calloc = next("calloc");
	real_realloc = next("realloc");
	real_free = next("free");
	return true;
}

void *malloc(size_t size)
{
	if (!resolve())
		return allocate_early(size);
	return fails(__builtin_return_address(0)) ? NULL : real_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	if (!resolve())
		return allocate_early(n * size); /* it is zero */
	return fails(__builtin_return_address(0)) ? NULL : real_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	if (!resolve() || is_early(p))
		abort();
	return fails(__builtin_return_address(0)) ? NULL : real_realloc(p, size);
}

void free(void *p)
{
	if (p && !is_early(p) && resolve())
		real_free(p);
}

char *strndup(const char *s, size_t max)
{
	size_t len = strnlen(s, max);
	char *copy;

	if (!resolve() || fails(__builtin_return_address(0)))
		return NULL;
	copy = real_malloc(len + 1);
	if (copy) {
		memcpy(copy, s, len);
		copy[len] = '\0';
	}
	return copy;
}

char *strdup(const char *s)
{
	size_t len = strlen(s);
	char *copy;

	if (!resolve() || fails(__builtin_return_address(0)))
		return NULL;
	copy = real_malloc(len + 1);
	if (copy)
		memcpy(copy, s, len + 1);
	return copy;
}

/* ---- sockets ---- */

static uint32_t throw_dice(uint32_t n)
{
	static _Atomic uint32_t state = 1;
	uint32_t now = atomic_load(&state);
	uint32_t then;

	do
		then = now * 1664525U + 1013904223U;
	while (!atomic_compare_exchange_weak(&state, &now, then));
	return (then >> 8) % n;
}

enum outcome { HONEST = 1, ONE, NONE };

static enum outcome outcome(int fd, int64_t one, int64_t none)
{
	int64_t wanted = field(SOCKETS) & (one | none);
	int type;
	socklen_t len = sizeof(type);
	uint32_t n;

	if (!wanted || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
		return HONEST;
	n = throw_dice(1 + !!(wanted & one) + !!(wanted & none));
	if (n == 0)
		return HONEST;
	return n == 1 && (wanted & one) ? ONE : NONE;
}

static ssize_t not_now(void)
{
	errno = EAGAIN;
	return -1;
}

#define SHORTENED(name, one, none, n, ...)                       \
	do {                                                     \
		static __typeof__(&(name)) real;                 \
		int err = errno;                                 \
		enum outcome how;                                \
		if (!real)                                       \
			real = REAL(name);                       \
		how = outcome(fd, (one), (none));                \
		errno = err;                                     \
		if (how == NONE)                                 \
			return not_now();                        \
		if (how == ONE && (n) > 1)                       \
			(n) = 1;                                 \
		return real(__VA_ARGS__);                        \
	} while (0)

ssize_t write(int fd, const void *p, size_t n)
{
	if (fd == STDERR_FILENO && field(SOCKETS) & LOG_FULL) {
		errno = ENOSPC;
		return -1;
	}
	SHORTENED(write, WRITE_ONE, WRITE_NONE, n, fd, p, n);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	SHORTENED(send, WRITE_ONE, WRITE_NONE, n, fd, p, n, flags);
}

ssize_t read(int fd, void *p, size_t n)
{
	SHORTENED(read, READ_ONE, READ_NONE, n, fd, p, n);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	/* What only looks waits for more than it has seen. */
	if (flags & MSG_PEEK)
		return REAL(recv)(fd, p, n, flags);
	SHORTENED(recv, READ_ONE, READ_NONE, n, fd, p, n, flags);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct iovec first = { NULL, 0 };

	for (int i = 0; i < n && !first.iov_len; i++)
		first = iov[i];
	switch (first.iov_len ? outcome(fd, WRITE_ONE, WRITE_NONE) : HONEST) {
	case ONE:
		return REAL(write)(fd, first.iov_base, 1);
	case NONE:
		return not_now();
	default:
		return REAL(writev)(fd, iov, n);
	}
}

/* ---- clocks ---- */

static void move(struct timespec *ts, int64_t ms)
{
	int64_t ns = ts->tv_nsec + ms % 1000 * 1000000;

	ts->tv_sec += ms / 1000 + (ns >= 1000000000) - (ns < 0);
	ts->tv_nsec = ns + (ns < 0 ? 1000000000 : 0) - (ns >= 1000000000 ? 1000000000 : 0);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	int rc;

	if (!real)
		real = next("clock_gettime");
	rc = real(id, ts);
	if (rc)
		return rc;
	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		move(ts, field(REALTIME_MS));
	else if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_MONOTONIC_RAW)
		move(ts, field(MONOTONIC_MS));
	return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
