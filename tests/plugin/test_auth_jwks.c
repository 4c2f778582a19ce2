/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* auth_jwt with key sets, from a service on a socket and from files: rotation, bad days, issuers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "plugin/auth_rig.h"
#include "plugin/http_service.h"
#include "plugin/jwt_mint.h"
#include "plugin/mock_host_http.h"

#define WAIT_MS 10000
#define WAITERS 50
#define CLAIMS_A "{\"sub\":\"u\",\"iss\":\"https://a.example\"}"
#define CLAIMS_B "{\"sub\":\"u\",\"iss\":\"https://b.example\"}"
#define CLAIMS "{\"sub\":\"u\"}"
#define ALGORITHMS { "algorithms", "RS256, PS256, ES256, ES384, ES512, EdDSA" }
#define SECRET "kT7mQ2xZ9vB4nW8rY3pL6sD1fG5hJ0aC"

#define WITH(...) (const struct mock_option[]){ __VA_ARGS__ }, \
	sizeof((const struct mock_option[]){ __VA_ARGS__ }) / sizeof(struct mock_option)

static struct mock_host *m;
static struct service a;
static struct service b;
static char jwks_a[160];    /* "https://a.example URL" */
static char jwks_both[320]; /* and of b */
static char file[] = "/tmp/test_auth_jwks.XXXXXX";

static int setup(void **state)
{
	static const struct mock_config config = { .plugin = parlance_plugin_v1,
						   .sink = &rig_sink };

	(void)state;
	(void)unsetenv("JWT_ACCESS_SECRET");
	service_start(&a);
	service_start(&b);
	(void)snprintf(jwks_a, sizeof(jwks_a), "https://a.example %s/keys", a.url);
	(void)snprintf(jwks_both, sizeof(jwks_both), "%s, https://b.example  %s/keys?x=secret",
		       jwks_a, b.url);
	m = mock_new(&config);
	mock_http_init(m, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (m->self)
		mock_destroy(m);
	mock_free(&m);
	service_stop(&a);
	service_stop(&b);
	return 0;
}

static void begin(const struct mock_option *options, size_t n)
{
	if (mock_create(m, options, n))
		fail_msg("create: %s", m->err);
}

/* Gives out a set; frees it. */
static void publish(struct service *s, const char *headers, char *jwks)
{
	service_set(s, SERVICE_ANSWER, 200, headers, jwks);
	free(jwks);
}

static char *token(const char *alg, enum mint_kind kind, const char *kid, const char *claims)
{
	char header[128];

	(void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"%s%s%s}", alg, kid ? ",\"kid\":\"" : "",
		       kid ? kid : "", kid ? "\"" : "");
	return mint_signed(alg, header, claims, kind);
}

static char detail[256];

static int ask(char *text)
{
	struct rig_op op;
	int verdict = rig_ask(m, &op, text, strlen(text));

	(void)snprintf(detail, sizeof(detail), "%s", op.detail);
	rig_fini(&op);
	free(text);
	return verdict;
}

static void expect(int verdict, char *text)
{
	int got = ask(text);

	if (got != verdict)
		fail_msg("answered with %d (%s), not %d", got, detail, verdict);
}

static bool at_least(void *arg)
{
	const unsigned *want = arg;

	return service_requests(&a) >= *want;
}

static void wait_requests(unsigned n)
{
	assert_true(mock_run_until(m, at_least, &n, WAIT_MS));
}

/* Each kind of key from a set, each with its own algorithm alone. */
static void test_kinds(void **state)
{
	static const struct {
		const char *alg;
		enum mint_kind kind;
	} kinds[] = { { "RS256", MINT_RSA },	 { "PS256", MINT_RSA },	    { "ES256", MINT_P256 },
		      { "ES384", MINT_P384 },	 { "ES512", MINT_P521 },    { "EdDSA", MINT_ED25519 },
		      { "EdDSA", MINT_ED448 } };

	(void)state;
	publish(&a, "",
		mint_jwks(mint_jwk(MINT_RSA, "0", NULL), mint_jwk(MINT_P256, "2", "\"use\":\"sig\""),
			  mint_jwk(MINT_P384, "3", "\"alg\":\"ES384\""),
			  mint_jwk(MINT_P521, "4", "\"key_ops\":[\"sign\",\"verify\"]"),
			  mint_jwk(MINT_ED25519, "5", "\"alg\":\"EdDSA\",\"x5c\":[\"MII\"]"),
			  mint_jwk(MINT_ED448, "6", NULL), NULL));
	begin(WITH(ALGORITHMS, { "jwks", jwks_a }));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		for (size_t j = 0; j < ARRAY_LEN(kinds); j++) {
			char kid[8];
			bool fits = kinds[i].kind == kinds[j].kind;

			/* The key j, named as i. */
			(void)snprintf(kid, sizeof(kid), "%zu", i == 1 ? 0 : i);
			expect(fits ? RIG_ACCEPTED : PARLANCE_AUTH_DENIED,
			       token(kinds[j].alg, kinds[j].kind, kid, CLAIMS_A));
		}
	}
	/* All of it with one fetch: kids that are unknown for the alg do not make more. */
	assert_int_equal(service_requests(&a), 1);
	/* A header that names the algorithm of another key. */
	expect(PARLANCE_AUTH_DENIED, mint_signed("ES256", "{\"alg\":\"EdDSA\",\"kid\":\"2\"}", CLAIMS_A,
						 MINT_P256));
	expect(PARLANCE_AUTH_DENIED, mint_signed("RS256", "{\"alg\":\"PS256\",\"kid\":\"0\"}", CLAIMS_A,
						 MINT_RSA));
	/* No key is a secret. */
	expect(PARLANCE_AUTH_DENIED,
	       mint_hmac("HS256", "{\"alg\":\"HS256\",\"kid\":\"0\"}", CLAIMS_A,
			 mint_public_pem(MINT_RSA), strlen(mint_public_pem(MINT_RSA))));
}

/* Keys that are not for this are left out, and the log says so once. */
static void test_unusable(void **state)
{
	static const char *const left_out[] = {
		"\"use\":\"enc\"", "\"use\":7", "\"key_ops\":[\"sign\"]", "\"key_ops\":\"verify\"",
		"\"alg\":\"ES384\"", "\"alg\":\"RS256\"", "\"alg\":\"none\"", "\"alg\":7",
		"\"d\":\"AQ\"",
	};
	static const char *const malformed[] = {
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\",\"kid\":\"k\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\","
		"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		"\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",
		"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AQ\",\"y\":\"AQ\",\"kid\":\"k\"}",
		"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"kid\":\"k\"}",
		"{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\",\"kid\":\"k\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQ\",\"kid\":\"k\"}",
		"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"kid\":\"k\",\"x\":\"AQ\"}",
		"{\"kty\":\"oct\",\"k\":\"a1Q3bVEyeFo5dkI0blc4clkzcEw2c0QxZkc1aEowYUM\",\"kid\":\"k\"}",
		"{\"kty\":\"EC\",\"kid\":7}",
		"{}", "7", "null", "[]", "{\"kty\":\"x\",\"kty\":\"x\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(left_out) + ARRAY_LEN(malformed); i++) {
		bool plain = i >= ARRAY_LEN(left_out);
		char *bad = plain ? strdup(malformed[i - ARRAY_LEN(left_out)])
				  : mint_jwk(MINT_P256, "k", left_out[i]);

		publish(&a, "", mint_jwks(bad, mint_jwk(MINT_ED25519, "good", NULL), NULL));
		mock_log_clear(m);
		begin(WITH(ALGORITHMS, { "jwks", jwks_a }));
		expect(RIG_ACCEPTED, token("EdDSA", MINT_ED25519, "good", CLAIMS_A));
		expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256, "k", CLAIMS_A));
		if (!mock_log_has(m, "1 of 2 keys cannot be used: "))
			fail_msg("%zu: %s", i, mock_log(m));
		mock_destroy(m);
	}
	/* An alg binds the key: it is not for others of its family. */
	publish(&a, "", mint_jwks(mint_jwk(MINT_RSA, "k", "\"alg\":\"RS256\""), NULL));
	begin(WITH(ALGORITHMS, { "jwks", jwks_a }));
	expect(RIG_ACCEPTED, token("RS256", MINT_RSA, "k", CLAIMS_A));
	expect(PARLANCE_AUTH_DENIED, token("PS256", MINT_RSA, "k", CLAIMS_A));
	mock_destroy(m);
	/* The second key of an id is not taken for the first. */
	publish(&a, "", mint_jwks(mint_jwk(MINT_P256, "k", NULL), mint_jwk(MINT_P256_OTHER, "k", NULL),
				  NULL));
	begin(WITH(ALGORITHMS, { "jwks", jwks_a }));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "k", CLAIMS_A));
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256_OTHER, "k", CLAIMS_A));
	assert_true(mock_log_has(m, "has the id of another"));
}

/* A token without an id of its key is good if there is one key that it can be. */
static void test_without_kid(void **state)
{
	(void)state;
	publish(&a, "", mint_jwks(mint_jwk(MINT_P256, "1", NULL), mint_jwk(MINT_ED25519, "2", NULL),
				  NULL));
	publish(&b, "", mint_jwks(mint_jwk(MINT_P256, "1", NULL), mint_jwk(MINT_P256_OTHER, NULL, NULL),
				  NULL));
	begin(WITH(ALGORITHMS, { "jwks", jwks_both }));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, NULL, CLAIMS_A));
	expect(RIG_ACCEPTED, token("EdDSA", MINT_ED25519, NULL, CLAIMS_A));
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256_OTHER, NULL, CLAIMS_A));
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256, NULL, CLAIMS_B));
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256_OTHER, NULL, CLAIMS_B));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "1", CLAIMS_B));
}

/* The keys of one issuer are not those of another, and nobody else's. */
static void test_issuers(void **state)
{
	char all[480];

	(void)state;
	publish(&a, "", mint_jwks(mint_jwk(MINT_P256, "k", NULL), NULL));
	publish(&b, "", mint_jwks(mint_jwk(MINT_P256_OTHER, "k", NULL), NULL));
	begin(WITH(ALGORITHMS, { "jwks", jwks_both }));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "k", CLAIMS_A));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256_OTHER, "k", CLAIMS_B));
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256, "k", CLAIMS_B));
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256_OTHER, "k", CLAIMS_A));
	for (size_t i = 0; i < 2; i++) {
		enum mint_kind kind = i ? MINT_P256 : MINT_P256_OTHER;

		expect(PARLANCE_AUTH_DENIED, token("ES256", kind, "k", CLAIMS));
		expect(PARLANCE_AUTH_DENIED, token("ES256", kind, "k", "{\"sub\":\"u\",\"iss\":\"c\"}"));
		expect(PARLANCE_AUTH_DENIED, token("ES256", kind, "k", "{\"sub\":\"u\",\"iss\":7}"));
		expect(PARLANCE_AUTH_DENIED,
		       token("ES256", kind, "k",
			     "{\"sub\":\"u\",\"iss\":[\"https://a.example\",\"https://b.example\"]}"));
	}
	assert_int_equal(service_requests(&a) + service_requests(&b), 2);
	mock_destroy(m);

	/* Keys of the options are for those that have no set of their own; and so is a secret. */
	begin(WITH({ "algorithms", "ES256, HS256" }, { "secret", SECRET }, { "jwks", jwks_a }));
	expect(RIG_ACCEPTED, mint_hmac("HS256", NULL, CLAIMS, SECRET, strlen(SECRET)));
	expect(RIG_ACCEPTED, mint_hmac("HS256", NULL, CLAIMS_B, SECRET, strlen(SECRET)));
	expect(PARLANCE_AUTH_DENIED, mint_hmac("HS256", NULL, CLAIMS_A, SECRET, strlen(SECRET)));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "k", CLAIMS_A));
	mock_destroy(m);

	/* And a set without an issuer. */
	(void)snprintf(all, sizeof(all), "%s, %s/keys", jwks_a, b.url);
	begin(WITH(ALGORITHMS, { "jwks", all }));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "k", CLAIMS_A));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256_OTHER, "k", CLAIMS_B));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256_OTHER, "k", CLAIMS));
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256_OTHER, "k", CLAIMS_A));
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256, "k", CLAIMS));
}

/* Many tokens with ids that nobody knows: one fetch. Then the issuer has a new key. */
static void test_rotation(void **state)
{
	(void)state;
	publish(&a, "", mint_jwks(mint_jwk(MINT_P256, "old", NULL), NULL));
	begin(WITH(ALGORITHMS, { "jwks", jwks_a }, { "jwks_retry_s", "1" }));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "old", CLAIMS_A));
	assert_int_equal(service_requests(&a), 1);
	/* Just fetched: an id that is not there is none. */
	for (int i = 0; i < 20; i++)
		expect(PARLANCE_AUTH_DENIED, token("EdDSA", MINT_ED25519, "new", CLAIMS_A));
	assert_int_equal(service_requests(&a), 1);
	publish(&a, "", mint_jwks(mint_jwk(MINT_ED25519, "new", NULL), NULL));
	assert_false(mock_run_until(m, NULL, NULL, 1050)); /* jwks_retry_s */
	expect(RIG_ACCEPTED, token("EdDSA", MINT_ED25519, "new", CLAIMS_A));
	assert_int_equal(service_requests(&a), 2);
	/* The old one is gone with that. */
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256, "old", CLAIMS_A));
	assert_int_equal(service_requests(&a), 2);
}

struct waiters {
	struct rig_op ops[WAITERS];
};

static bool all_answered(void *arg)
{
	struct waiters *w = arg;

	for (size_t i = 0; i < WAITERS; i++) {
		if (!rig_answered(&w->ops[i]))
			return false;
	}
	return true;
}

static void ask_many(struct waiters *w)
{
	char *text = token("ES256", MINT_P256, "k", CLAIMS_A);

	for (size_t i = 0; i < WAITERS; i++)
		rig_verify(m, &w->ops[i], text, strlen(text));
	free(text);
}

/* Tokens wait for the first fetch, each third gives up; a reload meanwhile makes no difference. */
static void test_waiting(void **state)
{
	struct waiters w;

	(void)state;
	for (int reload = 0; reload < 2; reload++) {
		unsigned before = service_requests(&a);

		publish(&a, "", mint_jwks(mint_jwk(MINT_P256, "k", NULL), NULL));
		service_mode(&a, SERVICE_HANG);
		begin(WITH(ALGORITHMS, { "jwks", jwks_a }));
		wait_requests(before + 1);
		ask_many(&w);
		for (size_t i = 0; i < WAITERS; i++) {
			assert_false(rig_answered(&w.ops[i]));
			if (i % 3 == 0)
				rig_cancel(&w.ops[i]);
		}
		if (reload)
			assert_int_equal(mock_reload(m, WITH(ALGORITHMS, { "jwks", jwks_a },
							     { "jwks_max_age_s", "100" })),
					 0);
		service_mode(&a, SERVICE_ANSWER);
		assert_true(mock_run_until(m, all_answered, &w, WAIT_MS));
		for (size_t i = 0; i < WAITERS; i++) {
			assert_int_equal(w.ops[i].verdict,
					 i % 3 == 0 ? PARLANCE_AUTH_TEMPORARY : RIG_ACCEPTED);
			rig_fini(&w.ops[i]);
		}
		assert_true(service_requests(&a) <= before + 1 + (unsigned)reload);
		mock_destroy(m);
	}
}

/* Whatever the service does, nobody gets in, and nobody is told that his token is bad. */
static void test_bad_days(void **state)
{
	static const struct {
		enum service_mode mode;
		int status;
		const char *body;
	} days[] = {
		{ SERVICE_ANSWER, 500, "" },	   { SERVICE_ANSWER, 301, "" },
		{ SERVICE_ANSWER, 404, "" },	   { SERVICE_ANSWER, 204, "" },
		{ SERVICE_ANSWER, 200, "" },	   { SERVICE_ANSWER, 200, "<html>" },
		{ SERVICE_ANSWER, 200, "[]" },	   { SERVICE_ANSWER, 200, "{\"keys\":{}}" },
		{ SERVICE_ANSWER, 200, "{}" },	   { SERVICE_ANSWER, 200, "{\"keys\":[{]}" },
		{ SERVICE_ANSWER, 200, "{\"keys\":[],\"keys\":[]}" },
		{ SERVICE_CLOSE, 200, "{\"keys\":[]}" },
		{ SERVICE_CUT, 200, "{\"keys\":[]}" },
		{ SERVICE_GARBAGE, 200, "{\"keys\":[]}" },
		{ SERVICE_HUGE, 200, "{\"keys\":[]}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(days); i++) {
		service_set(&a, days[i].mode, days[i].status,
			    days[i].status == 301 ? "Location: /elsewhere\r\n" : "", days[i].body);
		mock_log_clear(m);
		begin(WITH(ALGORITHMS, { "jwks", jwks_a }));
		for (int j = 0; j < 3; j++)
			expect(PARLANCE_AUTH_TEMPORARY, token("ES256", MINT_P256, "k", CLAIMS_A));
		assert_true(mock_log_has(m, "cannot be fetched ("));
		assert_true(mock_counter(m, "jwks_failed") >= 1);
		mock_destroy(m);
	}
	/* An empty set is one: the issuer has taken all keys back. */
	service_set(&a, SERVICE_ANSWER, 200, "", "{\"keys\":[]}");
	begin(WITH(ALGORITHMS, { "jwks", jwks_a }));
	expect(PARLANCE_AUTH_DENIED, token("ES256", MINT_P256, "k", CLAIMS_A));
	mock_destroy(m);
	service_down(&a);
	begin(WITH(ALGORITHMS, { "jwks", jwks_both }));
	expect(PARLANCE_AUTH_TEMPORARY, token("ES256", MINT_P256, "k", CLAIMS_A));
	assert_false(mock_log_has(m, "x=secret"));
	service_up(&a);
}

/* 100 keys, no more. */
static void test_too_many_keys(void **state)
{
	char *text = malloc(SERVICE_TEXT_MAX);
	size_t n;

	(void)state;
	assert_non_null(text);
	for (int keys = 100; keys <= 101; keys++) {
		n = (size_t)snprintf(text, SERVICE_TEXT_MAX, "{\"keys\":[{}");
		for (int i = 1; i < keys; i++)
			n += (size_t)snprintf(text + n, SERVICE_TEXT_MAX - n, ",{\"kid\":\"%d\"}", i);
		(void)snprintf(text + n, SERVICE_TEXT_MAX - n, "]}");
		service_set(&a, SERVICE_ANSWER, 200, "", text);
		begin(WITH(ALGORITHMS, { "jwks", jwks_a }));
		expect(keys == 100 ? PARLANCE_AUTH_DENIED : PARLANCE_AUTH_TEMPORARY,
		       token("ES256", MINT_P256, "k", CLAIMS_A));
		mock_destroy(m);
	}
	free(text);
}

/* The set of before stays in force while the service is away, up to the bound; and it comes back. */
static void test_stale(void **state)
{
	(void)state;
	publish(&a, "Cache-Control: public, max-age=0\r\n",
		mint_jwks(mint_jwk(MINT_P256, "k", NULL), NULL));
	begin(WITH(ALGORITHMS, { "jwks", jwks_a }, { "jwks_min_age_s", "1" }, { "jwks_retry_s", "1" },
		   { "jwks_stale_s", "4" }));
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "k", CLAIMS_A));
	service_set(&a, SERVICE_ANSWER, 500, "", "");
	wait_requests(2); /* max-age is over */
	wait_requests(3); /* and it is tried again */
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "k", CLAIMS_A));
	expect(PARLANCE_AUTH_TEMPORARY, token("ES256", MINT_P256, "other", CLAIMS_A));
	assert_true(mock_log_has(m, "stays in force"));
	for (int i = 0; i < 100 && !mock_log_has(m, "not in force any more"); i++)
		assert_false(mock_run_until(m, NULL, NULL, 100));
	expect(PARLANCE_AUTH_TEMPORARY, token("ES256", MINT_P256, "k", CLAIMS_A));
	publish(&a, "", mint_jwks(mint_jwk(MINT_P256, "k", NULL), NULL));
	wait_requests(service_requests(&a) + 1);
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "k", CLAIMS_A));
}

/* Cache-Control says when to come again, within bounds. */
static void test_max_age(void **state)
{
	static const char *const soon[] = {
		"Cache-Control: max-age=1\r\n", "cache-control: MAX-AGE=\"1\"\r\n",
		"Cache-Control: max-age=500\r\nAge: 499\r\n", "Cache-Control: no-store\r\n",
		"Cache-Control: private , no-cache, max-age=5000\r\n",
		"Cache-Control: max-age=99999999999999999999\r\n", "",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(soon); i++) {
		unsigned before = service_requests(&a);
		/* The last two are bounded by the options. */
		const char *max = i < 5 ? "3600" : "1";

		publish(&a, soon[i], mint_jwks(mint_jwk(MINT_P256, "k", NULL), NULL));
		begin(WITH(ALGORITHMS, { "jwks", jwks_a }, { "jwks_min_age_s", "1" },
			   { "jwks_max_age_s", max }));
		wait_requests(before + 2);
		mock_destroy(m);
	}
}

/* Files */

static void put(char *jwks)
{
	/* Renamed into place, as it should be done. */
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s.new", file);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(jwks, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(path, file), 0);
	free(jwks);
}

static void test_file(void **state)
{
	char jwks[128];

	(void)state;
	(void)snprintf(jwks, sizeof(jwks), "https://a.example file:%s", file);
	put(mint_jwks(mint_jwk(MINT_P256, "1", NULL), NULL));
	begin(WITH(ALGORITHMS, { "jwks", jwks }, { "jwks_retry_s", "1" }));
	/* It is there from the start. */
	expect(RIG_ACCEPTED, token("ES256", MINT_P256, "1", CLAIMS_A));
	/* It is found when it changes, */
	put(mint_jwks(mint_jwk(MINT_P256, "1", NULL), mint_jwk(MINT_ED25519, "2", NULL), NULL));
	for (int i = 0; i < 100 && ask(token("EdDSA", MINT_ED25519, "2", CLAIMS_A)) != RIG_ACCEPTED; i++)
		assert_false(mock_run_until(m, NULL, NULL, 50));
	expect(RIG_ACCEPTED, token("EdDSA", MINT_ED25519, "2", CLAIMS_A));
	/* what is nonsense does not count, and is logged, */
	put(strdup("{\"keys\":"));
	for (int i = 0; i < 100 && !mock_log_has(m, "not a JSON Web Key Set"); i++)
		assert_false(mock_run_until(m, NULL, NULL, 50));
	expect(RIG_ACCEPTED, token("EdDSA", MINT_ED25519, "2", CLAIMS_A));
	assert_int_equal(mock_reload(m, WITH(ALGORITHMS, { "jwks", jwks })), -1);
	assert_non_null(strstr(m->err, "not a JSON Web Key Set"));
	expect(RIG_ACCEPTED, token("EdDSA", MINT_ED25519, "2", CLAIMS_A));
	/* and a reload reads it at once. */
	put(mint_jwks(mint_jwk(MINT_P256_OTHER, "3", NULL), NULL));
	assert_int_equal(mock_reload(m, WITH(ALGORITHMS, { "jwks", jwks })), 0);
	expect(RIG_ACCEPTED, token("ES256", MINT_P256_OTHER, "3", CLAIMS_A));
	expect(PARLANCE_AUTH_DENIED, token("EdDSA", MINT_ED25519, "2", CLAIMS_A));
}

static void test_refused(void **state)
{
	static const struct {
		const char *jwks;
		const char *sentence;
	} table[] = {
		{ "http://a.example/keys", "jwks_http = yes" },
		{ "https://a.example http://a.example/keys", "jwks_http = yes" },
		{ "https://u:p@a.example/keys", "name and password" },
		{ "i https://a.example/a b", "blank" },
		{ "ftp://a.example/keys", "write SOURCE or ISSUER SOURCE" },
		{ "keys.json", "write SOURCE or ISSUER SOURCE" },
		{ "i /nowhere/keys", "/nowhere/keys: No such file" },
		{ "/tmp", "not a file" },
		{ "https://a.example/1, https://a.example/2", "two sets without an issuer" },
		{ "i https://a.example/1, i https://a.example/2", "two sets of the issuer i" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(mock_create(m, WITH(ALGORITHMS, { "jwks", table[i].jwks })), -1);
		if (!strstr(m->err, table[i].sentence))
			fail_msg("%s: %s", table[i].jwks, m->err);
	}
	assert_int_equal(mock_create(m, WITH({ "jwks", jwks_a })), -1);
	assert_non_null(strstr(m->err, "algorithms names none for such"));
	assert_int_equal(mock_create(m, WITH({ "algorithms", "HS256, ES256" }, { "jwks", jwks_a })), -1);
	assert_non_null(strstr(m->err, "HS256, and there is no key"));
	assert_int_equal(mock_create(m, WITH(ALGORITHMS, { "jwks", jwks_a }, { "jwks_min_age_s", "9" },
					     { "jwks_max_age_s", "8" })),
			 -1);
	/* Allowed, where it is asked for. */
	begin(WITH(ALGORITHMS, { "jwks", "http://a.invalid/keys" }, { "jwks_http", "yes" }));
	expect(PARLANCE_AUTH_TEMPORARY, token("ES256", MINT_P256, "k", CLAIMS));
}

/* What fails on our side is not held against anybody. */
static void test_failures(void **state)
{
	static const enum mock_call calls[] = { MOCK_HTTP_START, MOCK_TIMER_NEW };

	(void)state;
	publish(&a, "", mint_jwks(mint_jwk(MINT_P256, "k", NULL), NULL));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		mock_fail_at(m, calls[i], 1);
		if (mock_create(m, WITH(ALGORITHMS, { "jwks", jwks_a }, { "jwks_retry_s", "1" })))
			continue;
		expect(PARLANCE_AUTH_TEMPORARY, token("ES256", MINT_P256, "k", CLAIMS_A));
		wait_requests(1); /* it is tried again by itself */
		expect(RIG_ACCEPTED, token("ES256", MINT_P256, "k", CLAIMS_A));
		mock_destroy(m);
	}
	mock_fail_at(m, MOCK_TIMER_NEW, 0);
}

/* The end comes in the middle. */
static void test_end(void **state)
{
	(void)state;
	service_mode(&a, SERVICE_HANG);
	begin(WITH(ALGORITHMS, { "jwks", jwks_a }));
	wait_requests(1);
	assert_int_equal(mock_reload(m, WITH(ALGORITHMS, { "jwks", jwks_both })), 0);
	assert_int_equal(mock_reload(m, WITH(ALGORITHMS, { "jwks", jwks_a })), 0);
	mock_destroy(m);
}

static int begin_all(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int end_all(void **state)
{
	(void)state;
	(void)unlink(file);
	mint_free();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kinds),	  TEST(test_unusable), TEST(test_without_kid),
		TEST(test_issuers),	  TEST(test_rotation), TEST(test_waiting),
		TEST(test_bad_days),	  TEST(test_too_many_keys), TEST(test_stale),
		TEST(test_max_age),	  TEST(test_file),     TEST(test_refused),
		TEST(test_failures),	  TEST(test_end),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
