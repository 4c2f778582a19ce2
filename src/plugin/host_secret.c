/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Secrets: read from a file into pages of their own, which are not swapped out where the system
 * allows that and are left out of core dumps; wiped at the end.
 */
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/secret_file.h"
#include "plugin/host.h"

struct secret {
	struct list node;
	char *p;     /* pages of their own */
	size_t size; /* of the pages */
	size_t len;  /* of the secret */
};

static int fail(char *err, size_t err_size, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int fail(char *err, size_t err_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err, err_size, fmt, ap);
	va_end(ap);
	return -1;
}

/* The path that a source stands for. */
static int path_of(const char *source, char path[PATH_MAX], char *err, size_t err_size)
{
	static const char credential[] = "credential:";
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	const char *name;
	int n;

	if (strncmp(source, credential, sizeof(credential) - 1) == 0) {
		name = source + sizeof(credential) - 1;
		if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 ||
		    strcmp(name, "..") == 0)
			return fail(err, err_size,
				    "\"credential:\" is followed by the name of a credential, "
				    "without a slash");
		if (!folder || folder[0] != '/')
			return fail(err, err_size,
				    "credential:%s needs systemd: add LoadCredential=%s:/PATH to "
				    "the service (CREDENTIALS_DIRECTORY is not set)",
				    name, name);
		n = snprintf(path, PATH_MAX, "%s/%s", folder, name);
	} else {
		if (strncmp(source, "file:", 5) == 0)
			source += 5;
		if (source[0] != '/')
			/* Not shown: it may be the secret itself. */
			return fail(err, err_size,
				    "a secret is named by its source: write file:/PATH, /PATH or "
				    "credential:NAME");
		n = snprintf(path, PATH_MAX, "%s", source);
	}
	if (n < 0 || n >= PATH_MAX)
		return fail(err, err_size, "the path of a secret is too long");
	return 0;
}

/* Reads up to SECRET_FILE_MAX bytes; -1: errno says why, or EFBIG. */
static ssize_t read_all(int fd, char *p)
{
	size_t len = 0;
	ssize_t n;

	/* One byte more than allowed: the file may have grown. */
	while (len <= SECRET_FILE_MAX) {
		n = read(fd, p + len, SECRET_FILE_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			return (ssize_t)len;
		len += (size_t)n;
	}
	errno = EFBIG;
	return -1;
}

static void wipe(struct secret *s)
{
	explicit_bzero(s->p, s->size);
	(void)munmap(s->p, s->size);
	free(s);
}

static struct secret *secret_new(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct secret *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	/* The terminator, and the byte too many of read_all. */
	s->size = (SECRET_FILE_MAX + 2 + page - 1) / page * page;
	s->p = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->p == MAP_FAILED) {
		free(s);
		return NULL;
	}
	/* As far as RLIMIT_MEMLOCK and the kernel go. */
	(void)madvise(s->p, s->size, MADV_DONTDUMP);
	(void)mlock(s->p, s->size);
	return s;
}

/* Gives back the pages that the secret does not need. */
static void shrink(struct secret *s, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (len + 1 + page - 1) / page * page;

	if (size < s->size && munmap(s->p + size, s->size - size) == 0)
		s->size = size;
}

/* What a reload reads once more is kept once. */
static struct secret *find_same(const struct instance *inst, const struct secret *s)
{
	for (struct list *node = inst->secrets.next; node != &inst->secrets; node = node->next) {
		struct secret *known = CONTAINER_OF(node, struct secret, node);

		if (known->len == s->len && memcmp(known->p, s->p, s->len) == 0)
			return known;
	}
	return NULL;
}

int host_secret(void *ctx, const char *source, struct parlance_str *out, char *err,
		size_t err_size)
{
	struct instance *inst = ctx;
	char path[PATH_MAX];
	struct secret *s = NULL;
	struct secret *known;
	ssize_t len;
	int fd;
	int rc = path_of(source, path, err, err_size);

	if (rc)
		return rc;
	fd = secret_file_open(path, err, err_size);
	if (fd < 0)
		return -1;
	rc = -1;
	s = secret_new();
	if (!s) {
		(void)fail(err, err_size, "out of memory");
		goto out;
	}
	len = read_all(fd, s->p);
	if (len < 0) {
		(void)fail(err, err_size, "%s cannot be read: %s", path, strerror(errno));
		goto out;
	}
	if (len && s->p[len - 1] == '\n')
		len--;
	if (!len) {
		(void)fail(err, err_size, "%s is empty; put the secret into it", path);
		goto out;
	}
	s->p[len] = '\0';
	s->len = (size_t)len;
	known = find_same(inst, s);
	if (known) {
		wipe(s);
		s = known;
	} else {
		shrink(s, s->len);
		list_push_back(&inst->secrets, &s->node);
	}
	out->p = s->p;
	out->len = s->len;
	rc = 0;
out:
	(void)close(fd);
	if (rc && s)
		wipe(s);
	return rc;
}

void host_secret_fini(struct instance *inst)
{
	struct list *node;

	while ((node = list_pop_front(&inst->secrets)))
		wipe(CONTAINER_OF(node, struct secret, node));
}
