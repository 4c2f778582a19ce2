/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Post: a locked list and a uv_async_t. */
#include <pthread.h>
#include <uv.h>

#include "loop/post.h"
#include "base/err.h"

struct letter {
	struct list node;
	void (*fn)(void *arg);
	void *arg;
};

struct post {
	uv_async_t async;
	pthread_mutex_t lock;
	struct list letters;
};

static void deliver(struct post *post)
{
	struct list batch;
	struct list *node;

	list_init(&batch);
	pthread_mutex_lock(&post->lock);
	list_splice_back(&batch, &post->letters);
	pthread_mutex_unlock(&post->lock);
	while ((node = list_pop_front(&batch))) {
		struct letter *letter = CONTAINER_OF(node, struct letter, node);

		letter->fn(letter->arg);
		free(letter);
	}
}

static void on_async(uv_async_t *async)
{
	deliver(async->data);
}

static void on_closed(uv_handle_t *handle)
{
	struct post *post = handle->data;

	pthread_mutex_destroy(&post->lock);
	free(post);
}

int post_new(struct post **out, struct loop *loop)
{
	struct post *post = calloc(1, sizeof(*post));

	if (!post)
		return PARLANCE_ENOMEM;
	if (uv_async_init(loop_native(loop), &post->async, on_async)) {
		free(post);
		return PARLANCE_ESYS;
	}
	/* A mailbox alone does not keep the loop alive. */
	uv_unref((uv_handle_t *)&post->async);
	post->async.data = post;
	CHECK(pthread_mutex_init(&post->lock, NULL) == 0);
	list_init(&post->letters);
	*out = post;
	return 0;
}

int post_send(struct post *post, void (*fn)(void *arg), void *arg)
{
	struct letter *letter = calloc(1, sizeof(*letter));

	if (!letter)
		return PARLANCE_ENOMEM;
	letter->fn = fn;
	letter->arg = arg;
	pthread_mutex_lock(&post->lock);
	list_push_back(&post->letters, &letter->node);
	pthread_mutex_unlock(&post->lock);
	CHECK(uv_async_send(&post->async) == 0);
	return 0;
}

void post_free(struct post **postp)
{
	struct post *post = *postp;

	if (!post)
		return;
	*postp = NULL;
	deliver(post);
	uv_close((uv_handle_t *)&post->async, on_closed);
}
