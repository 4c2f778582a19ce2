/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The timer wheel. A timer whose due time first differs from now in bit b sits on level b / 6, in
 * the slot of its own six bits there. So a slot of a level is always ahead of now's own slot on
 * that level, nothing wraps around, and a level's earliest slot is its lowest set bit. When now
 * reaches the start of a slot above level 0, its timers move down.
 */
#include "loop/timer.h"

#define SLOT_BITS 6

static unsigned int slot_of(uint64_t due_ms, unsigned int level)
{
	return (unsigned int)(due_ms >> (SLOT_BITS * level)) & (TIMER_SLOTS - 1);
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
	wheel->now_ms = now_ms;
	for (unsigned int l = 0; l < TIMER_LEVELS; l++) {
		wheel->occupied[l] = 0;
		for (unsigned int s = 0; s < TIMER_SLOTS; s++)
			list_init(&wheel->slots[l][s]);
	}
}

static void insert(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t differs = (timer->due_ms ^ wheel->now_ms) | (TIMER_SLOTS - 1);
	unsigned int level = (63u - (unsigned int)__builtin_clzll(differs)) / SLOT_BITS;

	CHECK(level < TIMER_LEVELS);
	unsigned int slot = slot_of(timer->due_ms, level);

	list_push_back(&wheel->slots[level][slot], &timer->node);
	wheel->occupied[level] |= (uint64_t)1 << slot;
}

/*
 * The start of the level's earliest occupied slot; stale bits (timers that were stopped) are
 * cleared on the way.
 */
static uint64_t level_next(struct timer_wheel *wheel, unsigned int level)
{
	unsigned int shift = SLOT_BITS * level;

	while (wheel->occupied[level]) {
		unsigned int slot = (unsigned int)__builtin_ctzll(wheel->occupied[level]);

		if (list_empty(&wheel->slots[level][slot])) {
			wheel->occupied[level] &= ~((uint64_t)1 << slot);
			continue;
		}
		uint64_t span = (uint64_t)TIMER_SLOTS << shift;

		return (wheel->now_ms & ~(span - 1)) + ((uint64_t)slot << shift);
	}
	return UINT64_MAX;
}

uint64_t timer_wheel_next(struct timer_wheel *wheel)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int l = 0; l < TIMER_LEVELS; l++) {
		uint64_t at = level_next(wheel, l);

		if (at < next)
			next = at;
	}
	return next;
}

static void move_down(struct timer_wheel *wheel, unsigned int level)
{
	unsigned int slot = slot_of(wheel->now_ms, level);
	struct list due;
	struct list *node;

	if (!(wheel->occupied[level] & (uint64_t)1 << slot))
		return;
	wheel->occupied[level] &= ~((uint64_t)1 << slot);
	list_init(&due);
	list_splice_back(&due, &wheel->slots[level][slot]);
	while ((node = list_pop_front(&due)))
		insert(wheel, CONTAINER_OF(node, struct timer, node));
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms)
{
	uint64_t at;

	while ((at = timer_wheel_next(wheel)) <= now_ms) {
		struct list due;
		struct list *node;

		wheel->now_ms = at;
		for (unsigned int l = TIMER_LEVELS - 1; l > 0; l--)
			move_down(wheel, l);

		unsigned int slot = slot_of(at, 0);

		wheel->occupied[0] &= ~((uint64_t)1 << slot);
		list_init(&due);
		list_splice_back(&due, &wheel->slots[0][slot]);
		while ((node = list_pop_front(&due))) {
			struct timer *timer = CONTAINER_OF(node, struct timer, node);

			timer->fn(timer);
		}
	}
	if (now_ms > wheel->now_ms)
		wheel->now_ms = now_ms;
}

void timer_start_at(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms,
		    void (*fn)(struct timer *timer))
{
	timer_stop(timer);
	timer->due_ms = due_ms > wheel->now_ms ? due_ms : wheel->now_ms + 1;
	timer->fn = fn;
	insert(wheel, timer);
}

void timer_stop(struct timer *timer)
{
	list_remove(&timer->node);
}
