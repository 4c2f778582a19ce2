/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Intrusive doubly linked list. The node lives in the object; the list owns nothing. One thread at
 * a time.
 */
#ifndef PARLANCE_BASE_LIST_H
#define PARLANCE_BASE_LIST_H

#include "base/check.h"

#ifdef __cplusplus
extern "C" {
#endif

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/** A node that was removed, or initialised and never added, is not linked. */
static inline bool list_linked(const struct list *node)
{
	return node->next && node->next != node;
}

static inline void list_push_back(struct list *l, struct list *node)
{
	node->next = l;
	node->prev = l->prev;
	l->prev->next = node;
	l->prev = node;
}

/** Takes the node out of whatever list it is in; harmless on an unlinked (zeroed or initialised)
 * node. */
static inline void list_remove(struct list *node)
{
	if (!node->next)
		return;
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline struct list *list_pop_front(struct list *l)
{
	struct list *node = l->next;

	if (node == l)
		return NULL;
	list_remove(node);
	return node;
}

/** Moves all nodes of `from` to the end of `to`. */
static inline void list_splice_back(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/** Walks the list; the current node may be removed in the body, its successor may not. */
#define LIST_FOREACH_SAFE(it, tmp, l) \
	for ((it) = (l)->next, (tmp) = (it)->next; (it) != (l); (it) = (tmp), (tmp) = (it)->next)

#ifdef __cplusplus
}
#endif
#endif
