/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* auth_jwt: what it accepts, and above all what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/err.h>

#include "../../plugins/auth_jwt/claims.h"
#include "../../plugins/auth_jwt/jwk.h"
#include "../../plugins/auth_jwt/token.h"
#include "plugin/auth_rig.h"
#include "plugin/jwt_mint.h"

#define SECRET "kT7mQ2xZ9vB4nW8rY3pL6sD1fG5hJ0aC-k2x9vB4nW8rY3pL6sD1fG5hJ0aCt77x"
#define NOW_S 1700000000
#define NOW_MS (INT64_C(1000) * NOW_S)
#define NOW "1700000000"

static struct mock_host *m;
static char folder[] = "/tmp/test_auth_jwt.XXXXXX";
static char rsa_file[64];
static char p256_file[64];
static char p384_file[64];
static char p521_file[64];
static char ed25519_file[64];
static char secret_file[64];

#define WITH(...) (const struct mock_option[]){ __VA_ARGS__ }, \
	sizeof((const struct mock_option[]){ __VA_ARGS__ }) / sizeof(struct mock_option)

static void begin(const struct mock_option *options, size_t n)
{
	if (mock_create(m, options, n))
		fail_msg("create: %s", m->err);
	m->wall_ms = NOW_MS;
}

static void begin_plain(void)
{
	begin(WITH({ "secret", SECRET }));
}

/* Asks and frees the token. */
static int ask(char *token, struct rig_op *op)
{
	int verdict = rig_ask(m, op, token, strlen(token));

	/* Whatever is left there would be taken for an error of the next TLS connection. */
	assert_int_equal(ERR_peek_error(), 0);
	rig_fini(op);
	free(token);
	return verdict;
}

static char *hs256(const char *header, const char *claims)
{
	return mint_hmac("HS256", header, claims, SECRET, strlen(SECRET));
}

static void expect(int verdict, char *token)
{
	struct rig_op op;
	char shown[128];

	(void)snprintf(shown, sizeof(shown), "%.127s", token);
	if (ask(token, &op) != verdict)
		fail_msg("%s: answered with %d (%s), not %d", shown, op.verdict, op.detail,
			 verdict);
}

static int setup(void **state)
{
	static const struct mock_config config = { .plugin = parlance_plugin_v1,
						   .sink = &rig_sink };

	(void)state;
	(void)unsetenv("JWT_ACCESS_SECRET");
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	m = mock_new(&config);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (m->self)
		mock_destroy(m);
	if (mock_log_has(m, SECRET))
		return -1;
	mock_free(&m);
	return 0;
}

/* Claims */

#define UNTIL "\"exp\":1700000100"

static const struct {
	const char *claims;
	int verdict;
	const char *subject; /* or a part of the detail */
} claims_table[] = {
	/* Users */
	{ "{\"userId\":\"u1\"," UNTIL "}", RIG_ACCEPTED, "u1" },
	{ "{\"id\":\"u2\",\"sub\":\"u3\"," UNTIL "}", RIG_ACCEPTED, "u2" },
	{ "{\"sub\":\"u3\",\"id\":\"u2\",\"userId\":\"u1\"}", RIG_ACCEPTED, "u1" },
	{ "{\"sub\":\"u3\"}", RIG_ACCEPTED, "u3" },
	{ "{\"userId\":null,\"sub\":\"u3\"}", RIG_ACCEPTED, "u3" },
	{ "{\"sub\":42}", RIG_ACCEPTED, "42" },
	{ "{\"sub\":-7}", RIG_ACCEPTED, "-7" },
	{ "{\"sub\":0}", RIG_ACCEPTED, "0" },
	{ "{\"sub\":9223372036854775807}", RIG_ACCEPTED, "9223372036854775807" },
	{ "{\"sub\":9223372036854775808}", PARLANCE_AUTH_DENIED, "" },
	{ "{\"sub\":99999999999999999999999}", PARLANCE_AUTH_DENIED, "" },
	{ "{\"sub\":-0}", PARLANCE_AUTH_DENIED, "neither a string nor an integer" },
	{ "{\"sub\":1.5}", PARLANCE_AUTH_DENIED, "neither a string nor an integer" },
	{ "{\"sub\":42.0}", PARLANCE_AUTH_DENIED, "neither a string nor an integer" },
	{ "{\"sub\":1e3}", PARLANCE_AUTH_DENIED, "neither a string nor an integer" },
	{ "{\"sub\":true}", PARLANCE_AUTH_DENIED, "neither a string nor an integer" },
	{ "{\"sub\":[\"u\"]}", PARLANCE_AUTH_DENIED, "neither a string nor an integer" },
	{ "{\"sub\":{\"id\":1}}", PARLANCE_AUTH_DENIED, "neither a string nor an integer" },
	{ "{\"userId\":\"\",\"sub\":\"u\"}", PARLANCE_AUTH_DENIED, "empty" },
	{ "{\"sub\":null}", PARLANCE_AUTH_DENIED, "names no user" },
	{ "{}", PARLANCE_AUTH_DENIED, "names no user" },
	{ "{\"Sub\":\"u\"}", PARLANCE_AUTH_DENIED, "names no user" },
	{ "{\"sub\":\"a\\u0001b\"}", PARLANCE_AUTH_DENIED, "control" },
	{ "{\"sub\":\"a\\nb\"}", PARLANCE_AUTH_DENIED, "control" },
	{ "{\"sub\":\"a\\u007f\"}", PARLANCE_AUTH_DENIED, "control" },
	{ "{\"sub\":\"a\\u0085\"}", PARLANCE_AUTH_DENIED, "control" },
	{ "{\"sub\":\"a\\u0000b\"}", PARLANCE_AUTH_DENIED, "" },
	{ "{\"sub\":\"\\ud83d\\ude00 \\u00e9\\/\"}", RIG_ACCEPTED, "\xf0\x9f\x98\x80 \xc3\xa9/" },
	{ "{\"sub\":\"\\ud83d\"}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"\\ude00\"}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"\xff\"}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"\xc0\xaf\"}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"\\u0073ub\":\"u3\"}", RIG_ACCEPTED, "u3" },

	/* exp */
	{ "{\"sub\":\"u\",\"exp\":1700000000.5}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"exp\":17000000010e-1}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"exp\":1.7e9}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"exp\":1.6E+9}", PARLANCE_AUTH_EXPIRED, "expired" },
	{ "{\"sub\":\"u\",\"exp\":0}", PARLANCE_AUTH_EXPIRED, "expired" },
	{ "{\"sub\":\"u\",\"exp\":1600000000}", PARLANCE_AUTH_EXPIRED, "expired" },
	{ "{\"sub\":\"u\",\"exp\":253402300799}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"exp\":253402300800}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":1700000100000}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":-1}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":-0.001}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":1e300}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":1e400}", PARLANCE_AUTH_DENIED, "" },
	{ "{\"sub\":\"u\",\"exp\":1e99999999999999999999}", PARLANCE_AUTH_DENIED, "" },
	{ "{\"sub\":\"u\",\"exp\":1e-300}", PARLANCE_AUTH_EXPIRED, "expired" },
	{ "{\"sub\":\"u\",\"exp\":9223372036854775807}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":18446744075409551616}", PARLANCE_AUTH_DENIED, "" },
	{ "{\"sub\":\"u\",\"exp\":99999999999999999999999999}", PARLANCE_AUTH_DENIED, "" },
	{ "{\"sub\":\"u\",\"exp\":\"1700000100\"}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":null}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":true}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":[1700000100]}", PARLANCE_AUTH_DENIED, "exp" },
	{ "{\"sub\":\"u\",\"exp\":{}}", PARLANCE_AUTH_DENIED, "exp" },

	/* Leeway, 5 s by default: the edges of exp, nbf and iat */
	{ "{\"sub\":\"u\",\"exp\":1699999996}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"exp\":1699999995}", PARLANCE_AUTH_EXPIRED, "expired" },
	{ "{\"sub\":\"u\",\"exp\":1699999995.001}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"nbf\":1700000005}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"nbf\":1700000005.001}", PARLANCE_AUTH_DENIED, "nbf" },
	{ "{\"sub\":\"u\",\"nbf\":1700000006}", PARLANCE_AUTH_DENIED, "nbf" },
	{ "{\"sub\":\"u\",\"nbf\":\"1\"}", PARLANCE_AUTH_DENIED, "nbf" },
	{ "{\"sub\":\"u\",\"nbf\":-1}", PARLANCE_AUTH_DENIED, "nbf" },
	{ "{\"sub\":\"u\",\"iat\":1700000005}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"iat\":1700000006}", PARLANCE_AUTH_DENIED, "iat" },
	{ "{\"sub\":\"u\",\"iat\":false}", PARLANCE_AUTH_DENIED, "iat" },
	{ "{\"sub\":\"u\",\"iat\":1e300}", PARLANCE_AUTH_DENIED, "iat" },
	/* Expired is what is nothing worse. */
	{ "{\"exp\":1600000000}", PARLANCE_AUTH_DENIED, "names no user" },
	{ "{\"sub\":\"u\",\"exp\":1600000000,\"nbf\":1800000000}", PARLANCE_AUTH_DENIED, "nbf" },

	/* Purpose */
	{ "{\"sub\":\"u\",\"type\":\"refresh\"}", PARLANCE_AUTH_DENIED, "refresh" },
	{ "{\"sub\":\"u\",\"typ\":\"Refresh\"}", PARLANCE_AUTH_DENIED, "refresh" },
	{ "{\"sub\":\"u\",\"typ\":\"Offline\"}", PARLANCE_AUTH_DENIED, "refresh" },
	{ "{\"sub\":\"u\",\"token_type\":\"refresh_token\"}", PARLANCE_AUTH_DENIED, "refresh" },
	{ "{\"sub\":\"u\",\"type\":\"\\u0072efresh\"}", PARLANCE_AUTH_DENIED, "refresh" },
	{ "{\"sub\":\"u\",\"type\":\"access\",\"typ\":\"Bearer\"}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"type\":7}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"iss\":7}", PARLANCE_AUTH_DENIED, "iss" },
	{ "{\"sub\":\"u\",\"aud\":7}", PARLANCE_AUTH_DENIED, "aud" },

	/* What it can be revoked by */
	{ "{\"sub\":\"u\",\"jti\":\"t\",\"sid\":\"s\",\"iat\":1}", RIG_ACCEPTED, "u" },
	{ "{\"sub\":\"u\",\"jti\":7}", PARLANCE_AUTH_DENIED, "jti is not a string" },
	{ "{\"sub\":\"u\",\"jti\":null}", PARLANCE_AUTH_DENIED, "jti is not a string" },
	{ "{\"sub\":\"u\",\"jti\":\"\"}", PARLANCE_AUTH_DENIED, "jti is empty" },
	{ "{\"sub\":\"u\",\"jti\":\"a\\nb\"}", PARLANCE_AUTH_DENIED, "jti has control" },
	{ "{\"sub\":\"u\",\"jti\":\"a\\u0085b\"}", PARLANCE_AUTH_DENIED, "jti has control" },
	{ "{\"sub\":\"u\",\"sid\":[\"s\"]}", PARLANCE_AUTH_DENIED, "sid is not a string" },
	{ "{\"sub\":\"u\",\"sid\":{}}", PARLANCE_AUTH_DENIED, "sid is not a string" },
	{ "{\"sub\":\"u\",\"sid\":\"a\\u007f\"}", PARLANCE_AUTH_DENIED, "sid has control" },
	{ "{\"sub\":\"u\",\"sid\":\"a\\u0000b\"}", PARLANCE_AUTH_DENIED, "" },

	/* JSON */
	{ "{\"sub\":\"a\",\"sub\":\"b\"}", PARLANCE_AUTH_DENIED, "twice" },
	{ "{\"sub\":\"a\",\"\\u0073ub\":\"b\"}", PARLANCE_AUTH_DENIED, "twice" },
	{ "{\"sub\":\"u\",\"x\":1,\"y\":2,\"x\":1}", PARLANCE_AUTH_DENIED, "twice" },
	{ "{\"sub\":\"u\",\"x\":{\"deep\":[1,2,{\"a\":null}],\"b\":[]}}", RIG_ACCEPTED, "u" },
	{ " {\t\"sub\" :\n\"u\"\r} ", RIG_ACCEPTED, "u" },
	{ "", PARLANCE_AUTH_DENIED, "three parts" },
	{ "null", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "[]", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "\"sub\"", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\"", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\"}{}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\"}x", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":'u'}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",\"x\":01}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",\"x\":1.}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",\"x\":+1}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",\"x\":NaN}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",\"x\":tru}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",\"x\":[1,]}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",\"x\":\"\\x\"}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",\"x\":\"\\u12g4\"}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{\"sub\":\"u\",\"x\":\"\t\"}", PARLANCE_AUTH_DENIED, "not a JSON object" },
	{ "{sub:\"u\"}", PARLANCE_AUTH_DENIED, "not a JSON object" },
};

static void test_claims(void **state)
{
	(void)state;
	begin_plain();
	for (size_t i = 0; i < ARRAY_LEN(claims_table); i++) {
		const char *claims = claims_table[i].claims;
		struct rig_op op;

		if (ask(hs256(NULL, claims), &op) != claims_table[i].verdict)
			fail_msg("%s: answered with %d (%s)", claims, op.verdict, op.detail);
		if (op.verdict == RIG_ACCEPTED)
			assert_string_equal(op.subject, claims_table[i].subject);
		else if (!strstr(op.detail, claims_table[i].subject))
			fail_msg("%s: refused with \"%s\"", claims, op.detail);
	}
}

static void test_identity(void **state)
{
	static const char claims[] = "{\"sub\":\"u\",\"exp\":1700000100,\"roles\":[\"a\"]}";
	struct rig_op op;
	char *token = hs256(NULL, claims);

	(void)state;
	begin_plain();
	assert_int_equal(rig_ask(m, &op, token, strlen(token)), RIG_ACCEPTED);
	/* The leeway belongs to the token's life. */
	assert_true(op.expires_ms == NOW_MS + 105000);
	assert_string_equal(op.claims, claims);
	rig_fini(&op);
	free(token);
	assert_int_equal(ask(hs256(NULL, "{\"sub\":\"u\"}"), &op), RIG_ACCEPTED);
	assert_true(op.expires_ms == 0);
	assert_int_equal(ask(hs256(NULL, "{\"sub\":\"u\",\"exp\":1}"), &op), PARLANCE_AUTH_EXPIRED);
	assert_int_equal(ask(hs256(NULL, "{}"), &op), PARLANCE_AUTH_DENIED);
	assert_int_equal(mock_counter(m, "accepted"), 2);
	assert_int_equal(mock_counter(m, "expired"), 1);
	assert_int_equal(mock_counter(m, "denied"), 1);
}

static void test_ids(void **state)
{
	char claims[700];
	char id[300];
	struct rig_op op;

	(void)state;
	begin_plain();
	memset(id, 'i', sizeof(id));
	(void)snprintf(claims, sizeof(claims),
		       "{\"sub\":\"u\",\"jti\":\"%.*s\",\"sid\":\"\\u00e9\",\"iat\":1699999999.5}",
		       PARLANCE_TOKEN_ID_MAX, id);
	assert_int_equal(ask(hs256(NULL, claims), &op), RIG_ACCEPTED);
	assert_int_equal(strlen(op.token_id), PARLANCE_TOKEN_ID_MAX);
	assert_memory_equal(op.token_id, id, PARLANCE_TOKEN_ID_MAX);
	assert_string_equal(op.session, "\xc3\xa9");
	assert_true(op.issued_ms == NOW_MS - 500);
	assert_int_equal(ask(hs256(NULL, "{\"sub\":\"u\"}"), &op), RIG_ACCEPTED);
	assert_string_equal(op.token_id, "");
	assert_string_equal(op.session, "");
	assert_true(op.issued_ms == 0);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(claims, sizeof(claims), "{\"sub\":\"u\",\"%s\":\"%.*s\"}",
			       i ? "sid" : "jti", PARLANCE_TOKEN_ID_MAX + 1, id);
		assert_int_equal(ask(hs256(NULL, claims), &op), PARLANCE_AUTH_DENIED);
		assert_non_null(strstr(op.detail, i ? "sid is too long" : "jti is too long"));
	}
}

static void test_subject_length(void **state)
{
	char claims[512];
	char user[300];

	(void)state;
	begin_plain();
	memset(user, 'u', sizeof(user));
	(void)snprintf(claims, sizeof(claims), "{\"sub\":\"%.*s\"}", PARLANCE_USER_MAX, user);
	expect(RIG_ACCEPTED, hs256(NULL, claims));
	(void)snprintf(claims, sizeof(claims), "{\"sub\":\"%.*s\"}", PARLANCE_USER_MAX + 1, user);
	expect(PARLANCE_AUTH_DENIED, hs256(NULL, claims));
}

static void test_leeway(void **state)
{
	(void)state;
	begin(WITH({ "secret", SECRET }, { "leeway_s", "0" }, { "require_exp", "yes" }));
	expect(RIG_ACCEPTED, hs256(NULL, "{\"sub\":\"u\",\"exp\":1700000001}"));
	expect(RIG_ACCEPTED, hs256(NULL, "{\"sub\":\"u\",\"exp\":1700000000.001}"));
	expect(PARLANCE_AUTH_EXPIRED, hs256(NULL, "{\"sub\":\"u\",\"exp\":" NOW "}"));
	expect(RIG_ACCEPTED, hs256(NULL, "{\"sub\":\"u\",\"exp\":1800000000,\"nbf\":" NOW "}"));
	expect(PARLANCE_AUTH_DENIED,
	       hs256(NULL, "{\"sub\":\"u\",\"exp\":1800000000,\"nbf\":1700000001}"));
	expect(PARLANCE_AUTH_DENIED, hs256(NULL, "{\"sub\":\"u\"}"));
	expect(PARLANCE_AUTH_EXPIRED, hs256(NULL, "{\"sub\":\"u\",\"exp\":0}"));
}

static void test_issuer_and_audience(void **state)
{
	static const struct {
		const char *claims;
		int verdict;
	} table[] = {
		{ "{\"sub\":\"u\",\"iss\":\"https://i\",\"aud\":\"chat\"}", RIG_ACCEPTED },
		{ "{\"sub\":\"u\",\"iss\":\"https:\\/\\/i\",\"aud\":\"chat\"}", RIG_ACCEPTED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":\"web\"}", RIG_ACCEPTED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":[\"x\",\"chat\"]}", RIG_ACCEPTED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":[ \"chat\" ]}", RIG_ACCEPTED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":[]}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":[\"x\",\"y\"]}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":[\"chat\",1]}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":{\"chat\":1}}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":[[\"chat\"]]}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":\"cha\"}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":\"chatt\"}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"other\",\"aud\":null}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"other\"}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"https://j\",\"aud\":\"chat\"}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"https://i/\",\"aud\":\"chat\"}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":[\"other\"],\"aud\":\"chat\"}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"iss\":\"\",\"aud\":\"chat\"}", PARLANCE_AUTH_DENIED },
		{ "{\"sub\":\"u\",\"aud\":\"chat\"}", PARLANCE_AUTH_DENIED },
	};

	(void)state;
	begin(WITH({ "secret", SECRET }, { "issuer", "https://i, other" },
		   { "audience", "chat, web" }));
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		expect(table[i].verdict, hs256(NULL, table[i].claims));
}

/* Beside the options: both must be satisfied. */
static void test_demands(void **state)
{
	static const struct {
		const char *issuer, *audience; /* of the listener */
		const char *claims;
		const char *detail; /* NULL: accepted */
	} table[] = {
		{ "i", "", "{\"sub\":\"u\",\"iss\":\"i\",\"aud\":\"chat\"}", NULL },
		{ "i", "", "{\"sub\":\"u\",\"iss\":\"j\",\"aud\":\"chat\"}", "iss) than" },
		{ "k", "", "{\"sub\":\"u\",\"iss\":\"k\",\"aud\":\"chat\"}", "issuer (iss)" },
		{ "i", "", "{\"sub\":\"u\",\"iss\":\"ii\",\"aud\":\"chat\"}", "issuer (iss)" },
		{ "", "web", "{\"sub\":\"u\",\"iss\":\"i\",\"aud\":[\"chat\",\"web\"]}", NULL },
		{ "", "web", "{\"sub\":\"u\",\"iss\":\"i\",\"aud\":\"chat\"}", "aud) than" },
		{ "", "web", "{\"sub\":\"u\",\"iss\":\"i\",\"aud\":\"web\"}", "audience (aud)" },
		{ "", "we", "{\"sub\":\"u\",\"iss\":\"i\",\"aud\":[\"chat\",\"web\"]}", "aud) than" },
		{ "j", "chat", "{\"sub\":\"u\",\"iss\":\"j\",\"aud\":\"chat\"}", NULL },
	};
	struct rig_op op;

	(void)state;
	begin(WITH({ "secret", SECRET }, { "issuer", "i, j" }, { "audience", "chat" }));
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		rig_demand(table[i].issuer, table[i].audience);
		assert_int_equal(ask(hs256(NULL, table[i].claims), &op),
				 table[i].detail ? PARLANCE_AUTH_DENIED : RIG_ACCEPTED);
		if (table[i].detail)
			assert_non_null(strstr(op.detail, table[i].detail));
	}
	mock_destroy(m);
	/* Also where the options demand nothing. */
	begin_plain();
	rig_demand("i", "web");
	expect(RIG_ACCEPTED, hs256(NULL, "{\"sub\":\"u\",\"iss\":\"i\",\"aud\":\"web\"}"));
	expect(PARLANCE_AUTH_DENIED, hs256(NULL, "{\"sub\":\"u\",\"aud\":\"web\"}"));
	expect(PARLANCE_AUTH_DENIED, hs256(NULL, "{\"sub\":\"u\",\"iss\":\"i\"}"));
	rig_demand("", "");
}

static void test_user_claims(void **state)
{
	struct rig_op op;

	(void)state;
	begin(WITH({ "secret", SECRET }, { "user_claims", "https://example.org/user, email" }));
	assert_int_equal(ask(hs256(NULL, "{\"sub\":\"u\",\"email\":\"e\"}"), &op), RIG_ACCEPTED);
	assert_string_equal(op.subject, "e");
	assert_int_equal(ask(hs256(NULL, "{\"https:\\/\\/example.org\\/user\":5,\"email\":\"e\"}"),
			     &op),
			 RIG_ACCEPTED);
	assert_string_equal(op.subject, "5");
	expect(PARLANCE_AUTH_DENIED, hs256(NULL, "{\"sub\":\"u\"}"));
}

/* Headers */

static void test_headers(void **state)
{
	static const struct {
		const char *header;
		int verdict;
	} table[] = {
		{ "{\"alg\":\"HS256\"}", RIG_ACCEPTED },
		{ "{\"typ\":\"jwt\",\"alg\":\"HS256\",\"kid\":\"any\"}", RIG_ACCEPTED },
		{ "{\"alg\":\"HS256\",\"x\":[1,{\"alg\":\"none\"}]}", RIG_ACCEPTED },
		{ "{\"alg\":\"hs256\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS384\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"RS256\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"none\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"None\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"NONE\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"nOnE\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\" HS256\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\\u0000\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256HS256HS256HS256\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":null}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":256}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":[\"HS256\"]}", PARLANCE_AUTH_DENIED },
		{ "{}", PARLANCE_AUTH_DENIED },
		{ "[]", PARLANCE_AUTH_DENIED },
		{ "HS256", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"none\",\"alg\":\"HS256\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"crit\":[]}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"crit\":null}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"typ\":\"refresh\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"typ\":\"Refresh+JWT\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"typ\":7}", PARLANCE_AUTH_DENIED },
		{ "{\"alg\":\"HS256\",\"kid\":7}", PARLANCE_AUTH_DENIED },
	};

	(void)state;
	begin_plain();
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		expect(table[i].verdict, hs256(table[i].header, "{\"sub\":\"u\"}"));
		/* The same without a signature. */
		expect(PARLANCE_AUTH_DENIED,
		       mint_hmac("none", table[i].header, "{\"sub\":\"u\"}", "", 0));
		/* And with one that is nonsense. */
		expect(PARLANCE_AUTH_DENIED,
		       mint_hmac("HS256", table[i].header, "{\"sub\":\"u\"}", "other", 5));
	}
}

/* The parts alone: libjwt refuses some of this too, differently in each generation. */

static struct parlance_str str(const char *text)
{
	return (struct parlance_str){ text, strlen(text) };
}

static const char *check_claims(const char *text)
{
	static const char *const user_claims[] = { "sub" };
	static const struct claims_demands nothing;
	static struct claims_result result;
	static struct json_object claims;
	const struct claims_config config = { .user_claims = { 1, user_claims } };

	assert_int_equal(json_read(&claims, str(text)), JSON_FINE);
	return claims_check(&claims, &config, &nothing, NOW_MS, &result);
}

static const char *check_header(const char *text)
{
	static struct json_object header;

	assert_int_equal(json_read(&header, str(text)), JSON_FINE);
	return claims_check_header(&header);
}

static void test_parts(void **state)
{
	static struct json_object object;
	struct token_parts parts;
	char bytes[8];
	size_t len;

	(void)state;
	assert_true(token_split(str("a.b.c"), &parts));
	assert_false(token_split(str("a.b.c.d"), &parts));
	assert_false(token_split(str("a.b.c."), &parts));
	assert_false(token_split(str("a.b"), &parts));
	assert_false(token_split(str("a..c"), &parts));
	assert_true(token_decode(str("AAAA"), bytes, 3, &len));
	assert_int_equal(len, 3);
	assert_false(token_decode(str("AAAA"), bytes, 2, &len));
	assert_false(token_decode(str("A"), bytes, sizeof(bytes), &len));
	assert_false(token_decode(str("AAAAA"), bytes, sizeof(bytes), &len));
	assert_true(token_decode(str("_-8"), bytes, sizeof(bytes), &len));
	assert_memory_equal(bytes, "\xff\xef", 2);
	assert_false(token_decode(str("_-9"), bytes, sizeof(bytes), &len));

	assert_int_equal(json_read(&object, str("{\"a\\u0000\":1}")), JSON_MALFORMED);
	assert_null(check_claims("{\"sub\":9223372036854775807}"));
	assert_non_null(check_claims("{\"sub\":9223372036854775808}"));
	assert_non_null(check_claims("{\"sub\":18446744073709551616}"));
	assert_non_null(check_claims("{\"sub\":\"a\\u0000b\"}"));
	assert_non_null(check_claims("{\"sub\":\"u\",\"exp\":1e400}"));
	assert_non_null(check_claims("{\"sub\":\"u\",\"exp\":18446744075409551616}"));
	assert_null(check_claims("{\"sub\":\"u\",\"exp\":1800000000.0000000000000000000001}"));
	/* More digits than are looked at: 253402300800. */
	assert_non_null(check_claims("{\"sub\":\"u\",\"exp\":253402300800000000000000e-12}"));
	assert_null(check_claims("{\"sub\":\"u\",\"exp\":0.0000000000000000000018e30}"));

	assert_null(check_header("{\"typ\":\"at+jwt\"}"));
	assert_null(check_header("{\"typ\":\"application/AT+JWT\"}"));
	assert_non_null(strstr(check_header("{\"typ\":\"Refresh\"}"), "refresh token"));
	assert_non_null(strstr(check_header("{\"typ\":\"dpop+jwt\"}"), "access token"));
}

/* The outside */

static void test_not_a_token(void **state)
{
	static const char *const table[] = {
		"x", ".", "..", "...", "a.b.c", "a.b.c.d", "Bearer x.y.z", "\x01\x02\x03",
		"eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJub25lIn0.e30", "eyJhbGciOiJub25lIn0..",
	};

	(void)state;
	begin_plain();
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		expect(PARLANCE_AUTH_DENIED, strdup(table[i]));
}

static void test_cut(void **state)
{
	char *whole = hs256(NULL, "{\"sub\":\"u\"}");
	struct rig_op op;

	(void)state;
	begin_plain();
	for (size_t len = 0; len < strlen(whole); len++) {
		assert_int_equal(rig_ask(m, &op, whole, len), PARLANCE_AUTH_DENIED);
		rig_fini(&op);
	}
	assert_int_equal(rig_ask(m, &op, whole, strlen(whole)), RIG_ACCEPTED);
	rig_fini(&op);
	free(whole);
}

/* No single character can be changed, taken out or put in, in any part of any kind of token. */
static void altered(char *whole)
{
	static const char with[] = "AQgwz09-_.=+/ \n";
	size_t len = strlen(whole);
	char *token = malloc(len + 2);
	struct rig_op op;

	assert_non_null(token);
	for (size_t at = 0; at < len; at++) {
		/* One in five of the long ones: time. */
		if (len > 300 && at % 5 && at != len - 1)
			continue;
		for (size_t i = 0; i < sizeof(with); i++) {
			memcpy(token, whole, len + 1);
			token[at] = with[i];
			if (whole[at] == with[i])
				continue;
			if (rig_ask(m, &op, token, len) == RIG_ACCEPTED)
				fail_msg("byte %zu is now '%c'", at, with[i]);
			rig_fini(&op);
		}
		memcpy(token, whole, at);
		memcpy(token + at, whole + at + 1, len - at);
		assert_int_equal(rig_ask(m, &op, token, len - 1), PARLANCE_AUTH_DENIED);
		rig_fini(&op);
		memcpy(token, whole, at);
		token[at] = 'A';
		memcpy(token + at + 1, whole + at, len - at + 1);
		if (strcmp(token, whole) != 0)
			assert_int_equal(rig_ask(m, &op, token, len + 1), PARLANCE_AUTH_DENIED);
		rig_fini(&op);
	}
	free(token);
	free(whole);
}

static void test_altered_hmac(void **state)
{
	(void)state;
	begin_plain();
	altered(hs256(NULL, "{\"sub\":\"u\"}"));
}

static void test_altered_rsa(void **state)
{
	(void)state;
	begin(WITH({ "key_file", rsa_file }, { "algorithms", "RS256" }));
	altered(mint_signed("RS256", NULL, "{\"sub\":\"u\"}", MINT_RSA));
}

static void test_altered_ecdsa(void **state)
{
	(void)state;
	begin(WITH({ "key_file", p256_file }, { "algorithms", "ES256" }));
	altered(mint_signed("ES256", NULL, "{\"sub\":\"u\"}", MINT_P256));
}

static void test_too_long(void **state)
{
	char claims[7000];
	struct rig_op op;
	size_t len;
	char *token;

	(void)state;
	begin_plain();
	len = (size_t)snprintf(claims, sizeof(claims), "{\"sub\":\"u\",\"x\":\"");
	memset(claims + len, 'x', 6000);
	(void)snprintf(claims + len + 6000, sizeof(claims) - len - 6000, "\"}");
	token = hs256(NULL, claims);
	assert_true(strlen(token) <= 8192);
	assert_int_equal(ask(token, &op), RIG_ACCEPTED);
	memset(claims + len, 'x', 6120);
	(void)snprintf(claims + len + 6120, sizeof(claims) - len - 6120, "\"}");
	token = hs256(NULL, claims);
	assert_true(strlen(token) > 8192);
	assert_int_equal(ask(token, &op), PARLANCE_AUTH_DENIED);
	assert_non_null(strstr(op.detail, "8192"));
}

static void test_many_claims(void **state)
{
	char claims[4096];
	struct rig_op op;
	size_t len = 0;
	int n;

	(void)state;
	begin_plain();
	for (n = 0; n < 127; n++)
		len += (size_t)snprintf(claims + len, sizeof(claims) - len, "%s\"c%d\":%d",
					n ? "," : "{\"sub\":\"u\",", n, n);
	(void)snprintf(claims + len, sizeof(claims) - len, "}");
	assert_int_equal(ask(hs256(NULL, claims), &op), RIG_ACCEPTED);
	(void)snprintf(claims + len, sizeof(claims) - len, ",\"more\":1}");
	assert_int_equal(ask(hs256(NULL, claims), &op), PARLANCE_AUTH_DENIED);
	assert_non_null(strstr(op.detail, "too many"));
}

static void test_deep(void **state)
{
	char claims[512];
	int depth;

	(void)state;
	begin_plain();
	for (depth = 30; depth <= 33; depth++) {
		(void)snprintf(claims, sizeof(claims), "{\"sub\":\"u\",\"x\":%.*s%.*s}", depth,
			       "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", depth,
			       "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
		expect(depth < 31 ? RIG_ACCEPTED : PARLANCE_AUTH_DENIED, hs256(NULL, claims));
	}
}

/* Algorithms and keys */

static const struct {
	const char *alg;
	enum mint_kind kind; /* 0: HMAC */
	const char *file;
} algs[] = {
	{ "HS256", 0, secret_file },	   { "HS384", 0, secret_file },
	{ "HS512", 0, secret_file },	   { "RS256", MINT_RSA, rsa_file },
	{ "RS384", MINT_RSA, rsa_file },   { "RS512", MINT_RSA, rsa_file },
	{ "PS256", MINT_RSA, rsa_file },   { "PS384", MINT_RSA, rsa_file },
	{ "PS512", MINT_RSA, rsa_file },   { "ES256", MINT_P256, p256_file },
	{ "ES384", MINT_P384, p384_file }, { "ES512", MINT_P521, p521_file },
	{ "EdDSA", MINT_ED25519, ed25519_file },
};

static char *sign(const char *alg, const char *header, const char *claims, enum mint_kind kind)
{
	return kind ? mint_signed(alg, header, claims, kind)
		    : mint_hmac(alg, header, claims, SECRET, strlen(SECRET));
}

/* Each algorithm alone accepts itself and none of the others, with whatever key they are made. */
static void test_algorithms(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		begin(WITH({ "algorithms", algs[i].alg }, { "key_file", algs[i].file }));
		for (size_t j = 0; j < ARRAY_LEN(algs); j++) {
			expect(i == j ? RIG_ACCEPTED : PARLANCE_AUTH_DENIED,
			       sign(algs[j].alg, NULL, "{\"sub\":\"u\"}", algs[j].kind));
		}
		/* The right key, the wrong words in the header. */
		expect(PARLANCE_AUTH_DENIED, sign(algs[i].alg, "{\"alg\":\"none\"}",
						  "{\"sub\":\"u\"}", algs[i].kind));
		mock_destroy(m);
	}
}

/* RFC 8037 appendix A.4, and RFC 7515 appendix A.3, with the keys as JWK. */
static void test_known_answers(void **state)
{
	static const struct {
		const char *jwk;
		const char *alg;
		const char *token;
	} table[] = {
		{ "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
		  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
		  "EdDSA",
		  "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
		  "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr"
		  "_MuM0KAg" },
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\","
		  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
		  "ES256",
		  "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9"
		  "leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXF"
		  "CgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct algorithm *alg = algorithm_find(str(table[i].alg));
		struct parlance_str input = str(table[i].token);
		struct json_object object;
		struct token_parts parts;
		struct jwk jwk;
		char bytes[128];
		size_t len;

		assert_int_equal(json_read(&object, str(table[i].jwk)), JSON_FINE);
		assert_null(jwk_read(&jwk, &object));
		assert_true(token_split(input, &parts));
		assert_true(token_decode(parts.signature, bytes, sizeof(bytes), &len));
		input.len -= parts.signature.len + 1;
		assert_int_equal(pubkey_verify(jwk.key, alg, input, (struct parlance_str){ bytes, len }),
				 SIGNATURE_GOOD);
		/* Each bit of the signature counts, its length, the text and the algorithm. */
		for (size_t bit = 0; bit < len * 8; bit++) {
			bytes[bit / 8] ^= (char)(1 << bit % 8);
			assert_int_equal(pubkey_verify(jwk.key, alg, input,
						       (struct parlance_str){ bytes, len }),
					 SIGNATURE_BAD);
			bytes[bit / 8] ^= (char)(1 << bit % 8);
		}
		for (size_t n = 0; n < len; n++)
			assert_int_equal(pubkey_verify(jwk.key, alg, input,
						       (struct parlance_str){ bytes, n }),
					 SIGNATURE_BAD);
		input.len--;
		assert_int_equal(pubkey_verify(jwk.key, alg, input, (struct parlance_str){ bytes, len }),
				 SIGNATURE_BAD);
		input.len++;
		assert_int_equal(pubkey_verify(jwk.key, algorithm_find(str(i ? "EdDSA" : "ES256")), input,
					       (struct parlance_str){ bytes, len }),
				 SIGNATURE_BAD);
		assert_int_equal(ERR_peek_error(), 0);
		jwk_fini(&jwk);
	}
}

/* RSA keys serve three algorithms, of which only those listed count. */
static void test_several(void **state)
{
	(void)state;
	begin(WITH({ "algorithms", "RS512, HS256, RS256, RS256" }, { "key_file", rsa_file },
		   { "secret", SECRET }));
	expect(RIG_ACCEPTED, sign("RS256", NULL, "{\"sub\":\"u\"}", MINT_RSA));
	expect(RIG_ACCEPTED, sign("RS512", NULL, "{\"sub\":\"u\"}", MINT_RSA));
	expect(RIG_ACCEPTED, sign("HS256", NULL, "{\"sub\":\"u\"}", 0));
	expect(PARLANCE_AUTH_DENIED, sign("RS384", NULL, "{\"sub\":\"u\"}", MINT_RSA));
	expect(PARLANCE_AUTH_DENIED, sign("HS512", NULL, "{\"sub\":\"u\"}", 0));
}

/* The confusion of keys: a token made with HMAC and the public key, which is no secret. */
static void test_public_key_as_secret(void **state)
{
	static const enum mint_kind kinds[] = { MINT_RSA, MINT_P256 };
	const char *const files[] = { rsa_file, p256_file };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *pem = mint_public_pem(kinds[i]);
		const char *alg = i ? "HS256, ES256" : "HS256, RS256";
		size_t len = strlen(pem);

		begin(WITH({ "algorithms", alg }, { "key_file", files[i] }, { "secret", SECRET }));
		for (size_t cut = 0; cut < 2; cut++) {
			expect(PARLANCE_AUTH_DENIED,
			       mint_hmac("HS256", NULL, "{\"sub\":\"u\"}", pem, len - cut));
			expect(PARLANCE_AUTH_DENIED,
			       mint_hmac("HS256", "{\"alg\":\"RS256\"}", "{\"sub\":\"u\"}", pem,
					 len - cut));
			expect(PARLANCE_AUTH_DENIED,
			       mint_hmac("HS256", "{\"alg\":\"ES256\"}", "{\"sub\":\"u\"}", pem,
					 len - cut));
		}
		mock_destroy(m);
		begin(WITH({ "algorithms", alg + 7 }, { "key_file", files[i] }));
		expect(PARLANCE_AUTH_DENIED,
		       mint_hmac("HS256", NULL, "{\"sub\":\"u\"}", pem, len));
		mock_destroy(m);
	}
}

static void test_key_ids(void **state)
{
	char keys[256];

	(void)state;
	(void)snprintf(keys, sizeof(keys), "old=file:%s, new=%s", secret_file, rsa_file);
	begin(WITH({ "algorithms", "HS256, RS256" }, { "keys", keys }));
	expect(RIG_ACCEPTED, hs256("{\"alg\":\"HS256\",\"kid\":\"old\"}", "{\"sub\":\"u\"}"));
	expect(RIG_ACCEPTED, sign("RS256", "{\"alg\":\"RS256\",\"kid\":\"new\"}",
				  "{\"sub\":\"u\"}", MINT_RSA));
	/* The other's id, an unknown one, one that begins like it, none. */
	expect(PARLANCE_AUTH_DENIED,
	       hs256("{\"alg\":\"HS256\",\"kid\":\"new\"}", "{\"sub\":\"u\"}"));
	expect(PARLANCE_AUTH_DENIED,
	       hs256("{\"alg\":\"HS256\",\"kid\":\"older\"}", "{\"sub\":\"u\"}"));
	expect(PARLANCE_AUTH_DENIED,
	       hs256("{\"alg\":\"HS256\",\"kid\":\"ol\"}", "{\"sub\":\"u\"}"));
	expect(PARLANCE_AUTH_DENIED,
	       hs256("{\"alg\":\"HS256\",\"kid\":\"\"}", "{\"sub\":\"u\"}"));
	expect(PARLANCE_AUTH_DENIED, hs256(NULL, "{\"sub\":\"u\"}"));
	mock_destroy(m);

	/* With a key beside them that has no id, which tokens without one belong to. */
	(void)snprintf(keys, sizeof(keys), "new=%s", rsa_file);
	begin(WITH({ "algorithms", "HS256, RS256" }, { "keys", keys }, { "secret", SECRET }));
	expect(RIG_ACCEPTED, hs256(NULL, "{\"sub\":\"u\"}"));
	expect(PARLANCE_AUTH_DENIED,
	       hs256("{\"alg\":\"HS256\",\"kid\":\"x\"}", "{\"sub\":\"u\"}"));
}

/* Where secrets come from */

static void put(const char *path, const void *text, size_t len)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void put_text(const char *path, const char *text)
{
	put(path, text, strlen(text));
}

static void test_sources(void **state)
{
	static const char bytes[] = "\0\1\2\3\xff\xfe binary, and long enough for any HMAC of ours";
	char path[128];

	(void)state;
	(void)setenv("JWT_ACCESS_SECRET", SECRET, 1);
	begin(NULL, 0);
	expect(RIG_ACCEPTED, hs256(NULL, "{\"sub\":\"u\"}"));
	mock_destroy(m);
	(void)unsetenv("JWT_ACCESS_SECRET");

	begin(WITH({ "key_file", secret_file }));
	expect(RIG_ACCEPTED, hs256(NULL, "{\"sub\":\"u\"}"));
	mock_destroy(m);

	(void)snprintf(path, sizeof(path), "%s/credential", folder);
	put_text(path, SECRET "\n");
	(void)setenv("CREDENTIALS_DIRECTORY", folder, 1);
	begin(WITH({ "key_file", "credential:credential" }));
	expect(RIG_ACCEPTED, hs256(NULL, "{\"sub\":\"u\"}"));
	mock_destroy(m);

	/* Bytes of any kind. */
	put(path, bytes, sizeof(bytes) - 1);
	begin(WITH({ "key_file", path }));
	expect(RIG_ACCEPTED,
	       mint_hmac("HS256", NULL, "{\"sub\":\"u\"}", bytes, sizeof(bytes) - 1));
	expect(PARLANCE_AUTH_DENIED, mint_hmac("HS256", NULL, "{\"sub\":\"u\"}", "", 0));
	assert_int_equal(unlink(path), 0);
}

static void refused(const struct mock_option *options, size_t n, const char *sentence)
{
	if (mock_create(m, options, n) == 0)
		fail_msg("accepted: %s=%s", options[0].name, options[0].value);
	if (!strstr(m->err, sentence))
		fail_msg("%s=%s: %s", options[0].name, options[0].value, m->err);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(options[i].name, "secret") == 0 && strlen(options[i].value) > 3 &&
		    strcmp(options[i].value, "secret") != 0)
			assert_null(strstr(m->err, options[i].value));
	}
}

static void test_weak_secrets(void **state)
{
	static const char *const table[] = {
		"your-jwt-secret", "your-256-bit-secret", "changeme", "Change-Me!", "CHANGE_ME_NOW",
		"password", "Password123", "supersecret", "super-secret", "jwt-secret",
		"jwt_secret_key",
		"my-secret-key", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "12345678", "keyboard cat",
		"your-super-secret-jwt-key-change-this-in-production", "--------",
		"a-secret-key", "<your_secret_here>",
	};
	static const char *const fine[] = { "kT7mQ2xZ9vB4nW8r", "correct horse battery staple" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		refused(WITH({ "secret", table[i] }), "everybody knows");
	refused(WITH({ "secret", "secret" }), "shorter than 8");
	refused(WITH({ "secret", "kT7mQ2x" }), "shorter than 8");
	refused(WITH({ "secret", "" }), "no key");
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		mock_log_clear(m);
		if (mock_create(m, WITH({ "secret", fine[i] }))) {
			/* libjwt 3.x itself wants 32 bytes. */
			assert_non_null(strstr(m->err, "libjwt demands"));
			continue;
		}
		assert_true(mock_log_has(m, "shorter than the 32 bytes"));
		assert_false(mock_log_has(m, fine[i]));
		mock_destroy(m);
	}
	mock_log_clear(m);
	begin_plain();
	assert_string_equal(mock_log(m), "");
}

static void test_refused_options(void **state)
{
	char path[128];
	char keys[512];
	const char *pem = mint_public_pem(MINT_RSA);

	(void)state;
	refused(WITH({ "algorithms", "none" }, { "secret", SECRET }), "\"none\"");
	refused(WITH({ "algorithms", "HS256, NONE" }, { "secret", SECRET }), "\"none\"");
	refused(WITH({ "algorithms", "hs256" }, { "secret", SECRET }), "there are HS256");
	refused(WITH({ "algorithms", "ES256K" }, { "secret", SECRET }), "there are HS256");
	refused(WITH({ "algorithms", "" }, { "secret", SECRET }), "empty");
	refused(WITH({ "algorithms", "RS256" }), "no key");
	refused(WITH({ "algorithms", "RS256" }, { "secret", SECRET }), "names none for such a key");
	refused(WITH({ "algorithms", "HS256, RS256" }, { "secret", SECRET }), "no key for it");
	refused(WITH({ "algorithms", "HS256" }, { "key_file", rsa_file }),
		"key_file is an RSA key, and algorithms names none");
	refused(WITH({ "algorithms", "HS256, RS256" }, { "key_file", rsa_file }), "no key for it");
	refused(WITH({ "algorithms", "ES256" }, { "key_file", p384_file }), "an EC key");
	refused(WITH({ "algorithms", "HS256" }, { "secret", pem }), "secret is a key in PEM");
	refused(WITH({ "secret", SECRET }, { "key_file", secret_file }), "second key");
	refused(WITH({ "secret", SECRET }, { "user_claims", "" }), "user_claims is empty");
	refused(WITH({ "secret", SECRET }, { "leeway_s", "601" }), "does not fit");
	refused(WITH({ "secret", SECRET }, { "leeway_s", "-1" }), "does not fit");
	refused(WITH({ "key_file", "/nowhere/key" }), "key_file: /nowhere/key");
	refused(WITH({ "key_file", "credential:x" }), "key_file: ");
	refused(WITH({ "key_file", SECRET }), "key_file: ");
	assert_null(strstr(m->err, SECRET));
	refused(WITH({ "keys", SECRET }), "keys has an item");
	assert_null(strstr(m->err, SECRET));
	refused(WITH({ "keys", "=file:/x" }), "keys has an item");
	refused(WITH({ "keys", "x=" }), "keys has an item");
	refused(WITH({ "keys", "x=/nowhere/key" }), "keys: /nowhere/key");
	(void)snprintf(keys, sizeof(keys), "a=%s, a=%s", secret_file, secret_file);
	refused(WITH({ "keys", keys }), "second key");

	(void)snprintf(path, sizeof(path), "%s/odd", folder);
	put_text(path, mint_private_pem(MINT_RSA));
	refused(WITH({ "algorithms", "RS256" }, { "key_file", path }), "private key");
	pem = mint_public_pem(MINT_RSA_SHORT);
	put_text(path, pem);
	refused(WITH({ "algorithms", "RS256" }, { "key_file", path }), "less than 2048 bits");
	put_text(path, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	refused(WITH({ "algorithms", "RS256" }, { "key_file", path }), "certificate");
	put_text(path, "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n");
	refused(WITH({ "algorithms", "RS256" }, { "key_file", path }), "no public key in PEM");
	put_text(path, "");
	refused(WITH({ "key_file", path }), "empty");
	put_text(path, "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7");
	refused(WITH({ "key_file", path }), "looks like a public key");
	put_text(path, "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}");
	refused(WITH({ "key_file", path }), "looks like a public key");
	put_text(path, "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA");
	refused(WITH({ "key_file", path }), "looks like a public key");
	assert_int_equal(ERR_peek_error(), 0);
	mock_fail_at(m, MOCK_SECRET, 1);
	refused(WITH({ "key_file", secret_file }), "key_file: out of memory");
	assert_int_equal(unlink(path), 0);
}

static void test_reload(void **state)
{
	(void)state;
	begin_plain();
	assert_int_equal(mock_reload(m, WITH({ "secret", "changeme" })), -1);
	assert_non_null(strstr(m->err, "everybody knows"));
	expect(RIG_ACCEPTED, hs256(NULL, "{\"sub\":\"u\",\"iss\":\"a\"}"));
	assert_int_equal(mock_reload(m, WITH({ "key_file", rsa_file }, { "algorithms", "RS256" },
					     { "issuer", "b" })),
			 0);
	expect(PARLANCE_AUTH_DENIED, hs256(NULL, "{\"sub\":\"u\",\"iss\":\"b\"}"));
	expect(RIG_ACCEPTED, sign("RS256", NULL, "{\"sub\":\"u\",\"iss\":\"b\"}", MINT_RSA));
	expect(PARLANCE_AUTH_DENIED,
	       sign("RS256", NULL, "{\"sub\":\"u\",\"iss\":\"a\"}", MINT_RSA));
}

static int make_files(void **state)
{
	static const struct {
		char *path;
		const char *name;
		enum mint_kind kind;
	} files[] = {
		{ rsa_file, "rsa.pem", MINT_RSA },   { p256_file, "p256.pem", MINT_P256 },
		{ p384_file, "p384.pem", MINT_P384 }, { p521_file, "p521.pem", MINT_P521 },
		{ ed25519_file, "ed25519.pem", MINT_ED25519 },
	};

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const char *pem = mint_public_pem(files[i].kind);

		(void)snprintf(files[i].path, sizeof(rsa_file), "%s/%s", folder, files[i].name);
		put(files[i].path, pem, strlen(pem));
	}
	(void)snprintf(secret_file, sizeof(secret_file), "%s/secret", folder);
	put(secret_file, SECRET, strlen(SECRET));
	return 0;
}

static int remove_files(void **state)
{
	const char *const files[] = { rsa_file,  p256_file,    p384_file,
				      p521_file, ed25519_file, secret_file };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		(void)unlink(files[i]);
	mint_free();
	return rmdir(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_claims),
		TEST(test_identity),
		TEST(test_ids),
		TEST(test_subject_length),
		TEST(test_leeway),
		TEST(test_issuer_and_audience),
		TEST(test_demands),
		TEST(test_user_claims),
		TEST(test_headers),
		TEST(test_parts),
		TEST(test_not_a_token),
		TEST(test_cut),
		TEST(test_altered_hmac),
		TEST(test_altered_rsa),
		TEST(test_altered_ecdsa),
		TEST(test_too_long),
		TEST(test_many_claims),
		TEST(test_deep),
		TEST(test_algorithms),
		TEST(test_known_answers),
		TEST(test_several),
		TEST(test_public_key_as_secret),
		TEST(test_key_ids),
		TEST(test_sources),
		TEST(test_weak_secrets),
		TEST(test_refused_options),
		TEST(test_reload),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
