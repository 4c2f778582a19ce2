/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * parlancectl token: a JSON Web Token (RFC 7519) with an HMAC (RFC 7518 section 3.2), as the plugin
 * auth_jwt accepts it. For development and tests: in production an identity provider signs.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "ctl/ctl.h"

#define EXPIRES_DEFAULT_S 86400
#define EXPIRES_MAX_S (10LL * 366 * 86400)
#define USER_MAX_BYTES 255
#define TOKEN_MAX_BYTES 65536
#define SECRET_ENV "JWT_ACCESS_SECRET"

static const struct algorithm {
	const char *name;
	const EVP_MD *(*md)(void);
	size_t bytes; /* of the hash: the shortest key that RFC 7518 section 3.2 allows */
} algorithms[] = {
	{ "HS256", EVP_sha256, 32 },
	{ "HS384", EVP_sha384, 48 },
	{ "HS512", EVP_sha512, 64 },
};

struct token {
	const char *user;
	const char *config;
	const char *secret_file;
	int64_t expires_s;
	const struct algorithm *algorithm;
	struct json_object *claims;
};

/* ---- claims ---- */

static bool put(struct json_object *claims, const char *name, struct json_object *value)
{
	if (value && json_object_object_add(claims, name, value) == 0)
		return true;
	json_object_put(value);
	ctl_error("out of memory");
	return false;
}

/* *out is NULL for JSON's null. */
static bool parse_json(const char *text, struct json_object **out)
{
	struct json_tokener *tokener = json_tokener_new();
	size_t len = strlen(text);
	bool ok = false;

	*out = NULL;
	if (!tokener || len > TOKEN_MAX_BYTES)
		goto out;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	/* With its terminator, which ends a number. */
	*out = json_tokener_parse_ex(tokener, text, (int)len + 1);
	ok = json_tokener_get_error(tokener) == json_tokener_success &&
	     json_tokener_get_parse_end(tokener) == len;
	if (!ok) {
		json_object_put(*out);
		*out = NULL;
	}
out:
	if (tokener)
		json_tokener_free(tokener);
	return ok;
}

/* NAME=TEXT, or NAME:=JSON for what is no text. */
static bool put_claim(struct json_object *claims, const char *text)
{
	static const char *const ours[] = { "sub", "userId", "iat", "exp" };
	size_t len = strcspn(text, "=");
	bool is_json = text[len] && len && text[len - 1] == ':';
	struct json_object *value = NULL;
	char name[256];
	bool ok;

	if (!text[len] || len - is_json < 1 || len - is_json >= sizeof(name) ||
	    !utf8_valid(text, strlen(text))) {
		ctl_error("--claim %s: write NAME=TEXT, or NAME:=JSON for a number, a list, …",
			  text);
		return false;
	}
	memcpy(name, text, len - is_json);
	name[len - is_json] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strcmp(name, ours[i]) == 0) {
			ctl_error("--claim %s: this claim comes from --user and --expires", name);
			return false;
		}
	if (json_object_object_get_ex(claims, name, NULL)) {
		ctl_error("--claim %s: is there twice", name);
		return false;
	}
	if (!is_json)
		return put(claims, name, json_object_new_string(text + len + 1));
	if (!parse_json(text + len + 1, &value)) {
		ctl_error("--claim %s: what follows \":=\" is not JSON", name);
		return false;
	}
	ok = json_object_object_add(claims, name, value) == 0;
	if (!ok)
		ctl_error("out of memory");
	return ok;
}

/* ---- the secret ---- */

/* As auth_jwt finds it: its option, its file, the environment. */
static bool configured_secret(const struct token *t, struct strbuf *secret)
{
	struct ctl_config *config;
	const char *env = getenv(SECRET_ENV);
	const char *text;
	const char *file;
	bool ok = false;

	strbuf_init(secret, TOKEN_MAX_BYTES);
	if (!ctl_config_open(&config, t->config, "auth_jwt"))
		return false;
	text = ctl_config_string(config, "secret");
	file = ctl_config_string(config, "key_file");
	if (*text) {
		strbuf_append_str(secret, text);
		ok = true;
	} else if (*file) {
		ok = ctl_read_secret(file, secret);
	} else if (env && *env) {
		strbuf_append_str(secret, env);
		ok = true;
	} else {
		ctl_error("no secret to sign with; set " SECRET_ENV
			  ", write -c FILE with [auth_jwt] secret, or --secret-file FILE");
	}
	ctl_config_free(&config);
	return ok;
}

static bool read_secret(const struct token *t, struct strbuf *secret)
{
	static const char pem[] = "-----BEGIN";
	bool ok = t->secret_file ? ctl_read_secret_file(t->secret_file, secret)
				 : configured_secret(t, secret);

	if (!ok || !strbuf_ok(secret))
		return false;
	if (!secret->len) {
		ctl_error("the secret is empty");
		return false;
	}
	/* Whoever knows the public key could make such a token, and no verifier should take it. */
	if (secret->len >= strlen(pem) && memcmp(secret->data, pem, strlen(pem)) == 0) {
		ctl_error("the key is a PEM file; tokens are made here with a shared secret only, "
			  "and the owner of the private key makes the others");
		return false;
	}
	if (secret->len < t->algorithm->bytes)
		ctl_error("warning: the secret has %zu bytes; %s wants %zu or more (RFC 7518)",
			  secret->len, t->algorithm->name, t->algorithm->bytes);
	return true;
}

/* ---- the token ---- */

static void put_base64url(struct strbuf *out, const void *p, size_t len)
{
	char *room = strbuf_reserve(out, base64_encoded_len(len));

	if (room)
		strbuf_commit(out, base64url_encode(p, len, room));
}

static bool sign(const struct token *t, const struct strbuf *secret, struct strbuf *out)
{
	size_t len = 0;
	const char *claims = json_object_to_json_string_length(
	    t->claims, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int mac_len = 0;
	char header[64];

	(void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"JWT\"}",
		       t->algorithm->name);
	put_base64url(out, header, strlen(header));
	strbuf_append_char(out, '.');
	if (claims)
		put_base64url(out, claims, len);
	if (!claims || !strbuf_ok(out)) {
		ctl_error("the token is too long, or out of memory");
		return false;
	}
	if (!HMAC(t->algorithm->md(), secret->data, (int)secret->len,
		  (const unsigned char *)out->data, out->len, mac, &mac_len)) {
		ctl_error("OpenSSL makes no HMAC");
		return false;
	}
	strbuf_append_char(out, '.');
	put_base64url(out, mac, mac_len);
	return strbuf_ok(out);
}

static enum ctl_exit make(struct token *t)
{
	int64_t now_s = clock_wall_ms() / 1000;
	enum ctl_exit rc = CTL_FAILED;
	struct strbuf secret;
	struct strbuf token;
	char until[CLOCK_ISO8601_LEN + 1];

	strbuf_init(&token, TOKEN_MAX_BYTES);
	if (!read_secret(t, &secret))
		goto out;
	if (!put(t->claims, "sub", json_object_new_string(t->user)) ||
	    !put(t->claims, "userId", json_object_new_string(t->user)) ||
	    !put(t->claims, "iat", json_object_new_int64(now_s)) ||
	    !put(t->claims, "exp", json_object_new_int64(now_s + t->expires_s)))
		goto out;
	if (!sign(t, &secret, &token))
		goto out;
	clock_iso8601((now_s + t->expires_s) * 1000, until);
	ctl_error("a token for development, %s %s",
		  t->expires_s < 0 ? "expired since" : "valid until", until);
	(void)puts(strbuf_cstr(&token));
	rc = CTL_OK;
out:
	if (secret.data)
		explicit_bzero(secret.data, secret.len);
	strbuf_fini(&secret);
	strbuf_fini(&token);
	return rc;
}

/* ---- options ---- */

static void usage(void)
{
	(void)printf(
	    "usage: parlancectl token --user USER [--expires SECONDS] [--algorithm NAME]\n"
	    "                         [--claim NAME=TEXT]... [-c FILE | --secret-file FILE]\n"
	    "\n"
	    "  -u, --user USER         whom the token stands for (claims sub and userId)\n"
	    "      --expires SECONDS   how long it is valid (default %d); below 0, it has expired\n"
	    "      --algorithm NAME    HS256 (default), HS384 or HS512\n"
	    "      --claim NAME=TEXT   another claim; NAME:=JSON for one that is no text\n"
	    "      --secret-file FILE  signs with what is in this file, without its last newline\n"
	    "  -c, --config FILE       signs with [auth_jwt] secret or key_file of the daemon's\n"
	    "                          configuration; else with " SECRET_ENV "\n"
	    "\n"
	    "The token alone goes to standard output. For development and tests.\n",
	    EXPIRES_DEFAULT_S);
}

static bool read_expires(const char *text, int64_t *out)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text || *end || !n || n > EXPIRES_MAX_S || n < -EXPIRES_MAX_S) {
		ctl_error("--expires %s: write seconds, up to %lld and not 0", text, EXPIRES_MAX_S);
		return false;
	}
	*out = n;
	return true;
}

static bool read_algorithm(const char *text, const struct algorithm **out)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		if (strcmp(text, algorithms[i].name) == 0) {
			*out = &algorithms[i];
			return true;
		}
	ctl_error("--algorithm %s: write HS256, HS384 or HS512", text);
	return false;
}

static bool read_user(const char *text, const char **out)
{
	size_t len = strlen(text);

	*out = text;
	if (len && len <= USER_MAX_BYTES && utf8_valid(text, len))
		return true;
	ctl_error("--user: UTF-8 text of 1 to %d bytes", USER_MAX_BYTES);
	return false;
}

static bool read_options(struct token *t, int argc, char **argv, bool *help)
{
	enum { OPT_EXPIRES = 256, OPT_SECRET_FILE, OPT_ALGORITHM, OPT_CLAIM };
	static const struct option options[] = {
		{ "user", required_argument, NULL, 'u' },
		{ "config", required_argument, NULL, 'c' },
		{ "expires", required_argument, NULL, OPT_EXPIRES },
		{ "secret-file", required_argument, NULL, OPT_SECRET_FILE },
		{ "algorithm", required_argument, NULL, OPT_ALGORITHM },
		{ "claim", required_argument, NULL, OPT_CLAIM },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool ok = true;
	int c;

	while (ok && !*help && (c = getopt_long(argc, argv, "u:c:h", options, NULL)) != -1) {
		switch (c) {
		case 'u':
			ok = read_user(optarg, &t->user);
			break;
		case 'c':
			t->config = optarg;
			break;
		case OPT_EXPIRES:
			ok = read_expires(optarg, &t->expires_s);
			break;
		case OPT_SECRET_FILE:
			t->secret_file = optarg;
			break;
		case OPT_ALGORITHM:
			ok = read_algorithm(optarg, &t->algorithm);
			break;
		case OPT_CLAIM:
			ok = put_claim(t->claims, optarg);
			break;
		case 'h':
			*help = true;
			break;
		default:
			ok = false;
			break;
		}
	}
	if (ok && !*help && !t->user) {
		ctl_error("--user is missing");
		ok = false;
	}
	return ok && (*help || (optind == argc && !(t->config && t->secret_file)));
}

enum ctl_exit ctl_token(int argc, char **argv)
{
	struct token t = {
		.expires_s = EXPIRES_DEFAULT_S,
		.algorithm = &algorithms[0],
		.claims = json_object_new_object(),
	};
	enum ctl_exit rc = CTL_USAGE;
	bool help = false;

	if (!t.claims) {
		ctl_error("out of memory");
		return CTL_FAILED;
	}
	if (!read_options(&t, argc, argv, &help))
		ctl_error("\"parlancectl token --help\" tells more");
	else if (help) {
		usage();
		rc = CTL_OK;
	} else {
		rc = make(&t);
	}
	json_object_put(t.claims);
	return rc;
}
