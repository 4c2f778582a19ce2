/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * main() of a fuzz target when it is not built with libFuzzer: runs the target once over each file named on the
 * command line, so that every compiler and make check go over the corpus. One thread.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input lies in a block of exactly its size, so that a read past its end is seen by AddressSanitizer. */
static int replay(const char *path)
{
	struct stat st;
	uint8_t *data = NULL;
	FILE *file;
	int rc = -1;

	file = fopen(path, "rb");
	if (file == NULL || fstat(fileno(file), &st) != 0)
		goto out;
	data = malloc((size_t)st.st_size);
	if (data == NULL && st.st_size > 0)
		goto out;
	if (fread(data, 1, (size_t)st.st_size, file) != (size_t)st.st_size)
		goto out;
	rc = LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
out:
	if (rc != 0)
		fprintf(stderr, "%s: %s\n", path, errno != 0 ? strerror(errno) : "the target failed");
	if (file != NULL)
		fclose(file);
	free(data);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		if (replay(argv[i]) != 0)
			return 1;
	}
	printf("%d files\n", argc - 1);
	return 0;
}
