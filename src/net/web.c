/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The folder of files that is served beside the endpoint: requests for it, and what goes with each
 * answer. Ranges are not served; such a request gets the whole (RFC 9110 section 14.2).
 */
#include "net/private.h"
#include "base/err.h"

int web_load(struct net *net, struct strbuf *err)
{
	const struct net_config *config = net->config;
	int rc;

	if (!config->web_root || !config->web_root[0])
		return 0;
	rc = files_load(&net->files, config->web_root, config->web_max_bytes,
			config->web_max_files, err);
	if (!rc)
		log_info("web",
			 LOG_FIELDS(LOG_STR("root", config->web_root),
				    LOG_UINT("files", files_count(net->files)),
				    LOG_UINT("bytes", files_bytes(net->files))),
			 "files loaded");
	return rc;
}

void web_append_headers(struct conn *c, const struct file *file)
{
	strbuf_printf(&c->out,
		      "Content-Type: %s\r\nETag: %s\r\nLast-Modified: %s\r\n"
		      "Cache-Control: no-cache\r\n",
		      file->type, file->etag, file->modified);
	/* A page may load what this server has and talk to chat servers, and nothing else. */
	strbuf_append_str(&c->out,
			  "X-Content-Type-Options: nosniff\r\n"
			  "Referrer-Policy: no-referrer\r\n"
			  "Content-Security-Policy: default-src 'self'; "
			  "connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; "
			  "script-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
			  "object-src 'none'\r\n");
}

void web_request(struct conn *c, const struct http_request *r)
{
	struct http_answer a = { .status = 200 };
	struct slice path;

	if (!c->net->files) {
		http_answer_text(c, 404, "Not found\n", NULL);
		return;
	}
	/* A head is no larger than limits.max_header_bytes, whose range ends below this. */
	if (r->path.len > NET_GATHER_BYTES ||
	    !files_decode(r->path, (char *)c->net->gather, &path)) {
		http_answer_text(c, 400, "The path is malformed\n", NULL);
		return;
	}
	a.file = files_find(c->net->files, path);
	if (!a.file)
		http_answer_text(c, 404, "Not found\n", NULL);
	else if (r->method != HTTP_GET && r->method != HTTP_HEAD)
		http_answer_text(c, 405, "Files are read with GET or HEAD\n",
				 "Allow: GET, HEAD\r\n");
	else {
		if (files_etag_matches(http_header(r, "if-none-match"), a.file->etag))
			a.status = 304;
		http_answer(c, &a);
	}
}
