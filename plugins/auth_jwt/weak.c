/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Known secrets are compared without capitals and separators: Change-Me is changeme. */
#include <string.h>

#include "weak.h"

#define PLAIN_MAX 128 /* the known ones are shorter */

/* Secrets as they stand in examples. Sources: the documentation of jwt.io, jsonwebtoken, PyJWT, and
 * common lists of passwords. */
static const char *const known[] = {
	"secret",
	"secretkey",
	"secretsecret",
	"mysecret",
	"mysecretkey",
	"topsecret",
	"supersecret",
	"supersecretkey",
	"supersecretjwtkey",
	"jwtsecret",
	"jwtsecretkey",
	"jwtaccesssecret",
	"accesssecret",
	"accesstokensecret",
	"refreshsecret",
	"tokensecret",
	"shhhhh",
	"shhhhhhh",
	"password",
	"password1",
	"password123",
	"passw0rd",
	"qwertyui",
	"qwertyuiop",
	"letmein",
	"default",
	"example",
	"examplekey",
	"test",
	"testing",
	"testsecret",
	"testtest",
	"dev",
	"devsecret",
	"development",
	"developmentsecret",
	"keyboardcat",
	"foobarbaz",
	"12345678",
	"123456789",
	"1234567890",
	"12345678901234567890123456789012",
	"0123456789abcdef0123456789abcdef",
	"asecretkey",
	"asecretstringthatisatleast256bitslong",
	"asecretstringthatisatleast256bitslongforhs256",
};

/* What stands anywhere in one: it asks to be replaced. */
static const char *const telling[] = {
	"changeme",
	"changethis",
	"changeit",
	"changeinproduction",
	"replaceme",
	"replacethis",
	"yourjwt",
	"yoursecret",
	"yoursupersecret",
	"your256bit",
	"your384bit",
	"your512bit",
	"yourverysecret",
	"yourprivatekey",
	"yoursigningkey",
};

static size_t plain(struct parlance_str secret, char out[PLAIN_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < secret.len && n < PLAIN_MAX; i++) {
		char c = secret.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (!strchr("-_ .!<>\"'", c))
			out[n++] = c;
	}
	out[n] = '\0';
	return n;
}

static bool one_character(struct parlance_str secret)
{
	for (size_t i = 1; i < secret.len; i++) {
		if (secret.p[i] != secret.p[0])
			return false;
	}
	return true;
}

bool weak_secret(struct parlance_str secret)
{
	char text[PLAIN_MAX + 1];
	bool weak = one_character(secret) || plain(secret, text) == 0;

	for (size_t i = 0; !weak && i < sizeof(known) / sizeof(known[0]); i++)
		weak = strcmp(text, known[i]) == 0;
	for (size_t i = 0; !weak && i < sizeof(telling) / sizeof(telling[0]); i++)
		weak = strstr(text, telling[i]) != NULL;
	explicit_bzero(text, sizeof(text));
	return weak;
}
