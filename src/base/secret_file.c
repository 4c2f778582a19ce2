/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Who may read a file with a secret in it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret_file.h"

/* Only now are others kept out: what is known of the path may change, the open file does not. */
static bool check(int fd, const char *path, char *err, size_t err_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		(void)snprintf(err, err_size, "%s cannot be read: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		(void)snprintf(err, err_size,
			       "%s is not a file; a secret is read from a plain file", path);
	else if (st.st_mode & (S_IROTH | S_IWOTH))
		(void)snprintf(err, err_size,
			       "%s may be read or written by everybody; run chmod o-rwx %s", path,
			       path);
	else if (st.st_size > SECRET_FILE_MAX)
		(void)snprintf(err, err_size, "%s is larger than a secret may be (%d bytes)", path,
			       SECRET_FILE_MAX);
	else
		return true;
	return false;
}

int secret_file_open(const char *path, char *err, size_t err_size)
{
	/* O_NONBLOCK: a FIFO must not hold us before it is refused. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		(void)snprintf(err, err_size, "%s cannot be read: %s", path, strerror(errno));
		return -1;
	}
	if (check(fd, path, err, err_size))
		return fd;
	(void)close(fd);
	return -1;
}
