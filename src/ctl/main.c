/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* parlancectl: finds the sub-command. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "config.h"

#include "base/err.h"
#include "ctl/ctl.h"

static const struct command {
	const char *name;
	enum ctl_exit (*run)(int argc, char **argv);
	const char *doc;
} commands[] = {
	{ "migrate", ctl_migrate, "brings the database to the schema of this version" },
	{ "revoke", ctl_revoke, "makes tokens void and ends the connections that they opened" },
	{ "token", ctl_token, "makes a token for development and tests" },
};

void ctl_error(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("parlancectl: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

bool ctl_read_file(const char *path, size_t max, struct strbuf *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char piece[8192];
	ssize_t n = -1;

	strbuf_init(text, max);
	if (fd >= 0) {
		while ((n = read(fd, piece, sizeof(piece))) > 0 && strbuf_ok(text))
			strbuf_append(text, piece, (size_t)n);
	}
	if (n < 0)
		ctl_error("%s: %s", path, strerror(errno));
	else if (!strbuf_ok(text))
		ctl_error("%s: %s", path, parlance_err_text(text->err));
	if (fd >= 0)
		(void)close(fd);
	return n == 0 && strbuf_ok(text);
}

static void usage(FILE *to)
{
	(void)fputs("usage: parlancectl COMMAND [OPTION]...\n"
		    "       parlancectl --version | --help\n"
		    "\n",
		    to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		(void)fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].doc);
	(void)fputs("\n\"parlancectl COMMAND --help\" tells more; so does parlancectl(1).\n", to);
}

static enum ctl_exit dispatch(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (!word) {
		usage(stderr);
		return CTL_USAGE;
	}
	if (strcmp(word, "--version") == 0) {
		(void)puts("parlancectl " PACKAGE_VERSION);
		return CTL_OK;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		usage(stdout);
		return CTL_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(word, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	ctl_error("there is no command \"%s\"", word);
	usage(stderr);
	return CTL_USAGE;
}

int main(int argc, char **argv)
{
	enum ctl_exit status = dispatch(argc, argv);

	/* What nobody got was not done: a token in a full disk, a list into a closed pipe. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		ctl_error("cannot write to standard output (%s)", strerror(errno));
		return status == CTL_OK ? CTL_FAILED : (int)status;
	}
	return (int)status;
}
