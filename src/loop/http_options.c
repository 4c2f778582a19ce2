/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * HTTP client: a request's options. All that libcurl is told of it, and the refusal of what would
 * not be the request that its caller means.
 */
#include <strings.h>

#include "loop/http_private.h"
#include "base/err.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice http_trim(struct slice s)
{
	while (s.len && is_space(s.p[0]))
		s = slice_of(s.p + 1, s.len - 1);
	while (s.len && is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

int http_code_err(CURLcode code)
{
	if (code == CURLE_OK)
		return 0;
	return code == CURLE_OUT_OF_MEMORY ? PARLANCE_ENOMEM : PARLANCE_EINVAL;
}

static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			     (c >= 'a' && c <= 'z');

		/* RFC 9110 section 5.6.2; strchr would find the terminator too. */
		if (!alnum && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return s.len > 0;
}

static bool name_is(struct slice name, const char *other)
{
	return name.len == strlen(other) && strncasecmp(name.p, other, name.len) == 0;
}

static bool is_value(struct slice s)
{
	return !s.len || (!memchr(s.p, '\r', s.len) && !memchr(s.p, '\n', s.len) &&
			  !memchr(s.p, '\0', s.len));
}

static int add_line(struct http_request *r, const char *line)
{
	struct curl_slist *longer = curl_slist_append(r->headers, line);

	if (!longer)
		return PARLANCE_ENOMEM;
	r->headers = longer;
	return 0;
}

static int add_header(struct http_request *r, struct slice name, struct slice value)
{
	struct strbuf line;
	int err;

	value = http_trim(value);
	strbuf_init(&line, SIZE_MAX / 2);
	strbuf_append_slice(&line, name);
	/* libcurl's way to say an empty value; a colon alone would take the header out. */
	strbuf_append_str(&line, value.len ? ": " : ";");
	strbuf_append_slice(&line, value);
	err = strbuf_ok(&line) ? add_line(r, strbuf_cstr(&line)) : line.err;
	strbuf_fini(&line);
	return err;
}

static int set_headers(struct http_request *r, const struct http_request_config *config)
{
	bool typed = false;
	int err = 0;

	for (size_t i = 0; i < config->n_headers && !err; i++) {
		struct slice name = config->headers[i].name;
		struct slice value = config->headers[i].value;

		/* A length that is not the body's would let a request hide in another. */
		if (!is_token(name) || !is_value(value) || name_is(name, "Content-Length") ||
		    name_is(name, "Transfer-Encoding") || name_is(name, "Expect"))
			return PARLANCE_EINVAL;
		typed = typed || name_is(name, "Content-Type");
		err = add_header(r, name, value);
	}
	/* libcurl's own ideas for a body, taken out. */
	if (!err)
		err = add_line(r, "Expect:");
	if (!err && !typed)
		err = add_line(r, "Content-Type:");
	return err;
}

static int set_method(struct http_request *r, const char *method, struct slice body)
{
	CURLcode code;

	if (!method || !is_token(slice_str(method)))
		return PARLANCE_EINVAL;
	if (strcmp(method, "HEAD") == 0)
		return body.len ? PARLANCE_EINVAL
				: http_code_err(curl_easy_setopt(r->easy, CURLOPT_NOBODY, 1L));
	/* These say their body's length even when it is 0 (RFC 9110 section 8.6). */
	if (body.len || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
	    strcmp(method, "PATCH") == 0) {
		code = curl_easy_setopt(r->easy, CURLOPT_POST, 1L);
		if (!code)
			code = curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE,
						(curl_off_t)body.len);
		if (!code)
			code = curl_easy_setopt(r->easy, CURLOPT_COPYPOSTFIELDS,
						body.len ? body.p : "");
	} else {
		code = curl_easy_setopt(r->easy, CURLOPT_HTTPGET, 1L);
	}
	if (!code)
		code = curl_easy_setopt(r->easy, CURLOPT_CUSTOMREQUEST, method);
	return http_code_err(code);
}

static int check_url(const char *url)
{
	CURLU *parsed = curl_url();
	char *scheme = NULL;
	int err = PARLANCE_EINVAL;
	CURLUcode code;

	if (!parsed)
		return PARLANCE_ENOMEM;
	code = url ? curl_url_set(parsed, CURLUPART_URL, url, 0) : CURLUE_MALFORMED_INPUT;
	if (!code)
		code = curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
	if (code == CURLUE_OUT_OF_MEMORY)
		err = PARLANCE_ENOMEM;
	else if (!code && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0))
		err = 0;
	curl_free(scheme);
	curl_url_cleanup(parsed);
	return err;
}

static int set_transport(struct http_request *r, const char *url)
{
	const struct http_client_config *client = &r->client->config;
	CURL *easy = r->easy;
	/* 0 would be libcurl's own 300 s. It divides this among the addresses of a name. */
	uint32_t connect_ms = r->timeouts.connect_ms ? r->timeouts.connect_ms : INT32_MAX;
	CURLcode code = CURLE_OK;

	if (connect_ms > INT32_MAX)
		connect_ms = INT32_MAX;
	code = code ? code : curl_easy_setopt(easy, CURLOPT_URL, url);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	code = code ? code : curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	code = code ? code
		    : curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* A name that is being looked up does not hold up the end of its request. */
	code = code ? code : curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	code = code ? code
		    : curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	/* Empty strings keep libcurl from the environment. */
	code = code ? code : curl_easy_setopt(easy, CURLOPT_PROXY, client->proxy);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	code = code ? code : curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	code = code ? code
		    : curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (client->ca_file[0])
		code = code ? code : curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->headers);
	return http_code_err(code);
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
	return value ? value : fallback;
}

static void set_timeouts(struct http_request *r, const struct http_request_config *config)
{
	const struct http_client_config *client = &r->client->config;

	r->timeouts.connect_ms = or_default(config->connect_timeout_ms, client->connect_timeout_ms);
	r->timeouts.first_byte_ms =
		or_default(config->first_byte_timeout_ms, client->first_byte_timeout_ms);
	r->timeouts.idle_ms = or_default(config->idle_timeout_ms, client->idle_timeout_ms);
	r->timeouts.total_ms = or_default(config->total_timeout_ms, client->total_timeout_ms);
}

int http_request_set_options(struct http_request *r, const struct http_request_config *config)
{
	int err = check_url(config->url);

	set_timeouts(r, config);
	err = err ? err : set_headers(r, config);
	err = err ? err : set_method(r, config->method, config->body);
	err = err ? err : set_transport(r, config->url);
	return err;
}
