/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Operations: what is asked of a plugin, from the question to the answer. The plugin's side (state)
 * and the asker's (answered) end apart from each other: at a deadline the asker has his answer at
 * once, and the operation lives on until the plugin has completed it.
 */
#include "plugin/private.h"

#include "base/clock.h"

/*
 * So many operations of an instance that are over keep their memory, so that a second completion is
 * recognised. One that comes still later is as bad as any other use of freed memory.
 */
#define GRAVES_MAX 256

static void op_move(struct op *op, enum op_state to)
{
	/* A bit for each state that may follow. */
	static const unsigned allowed[] = {
		[OP_QUEUED] = 1u << OP_RUNNING | 1u << OP_ENDED,
		[OP_RUNNING] = 1u << OP_ENDED,
		[OP_ENDED] = 1u << OP_DEAD,
		[OP_DEAD] = 0,
	};

	CHECK(allowed[op->state] & 1u << to);
	op->state = to;
}

void op_answer(struct op *op, enum op_reason reason)
{
	if (op->answered)
		return;
	op->answered = true;
	timer_stop(&op->deadline);
	op->kind->answer(op, reason);
}

static void op_bury(struct op *op)
{
	struct instance *inst = op->inst;

	list_push_back(&inst->graves, &op->node);
	if (inst->n_graves < GRAVES_MAX) {
		inst->n_graves++;
		return;
	}
	free(CONTAINER_OF(list_pop_front(&inst->graves), struct op, node));
}

static void op_retire(struct op *op)
{
	struct plugins *set = op->set;

	op_move(op, OP_DEAD);
	timer_stop(&op->deadline);
	loop_undefer(&op->task);
	list_remove(&op->node);
	op->kind->release(op);
	if (op->inst)
		op_bury(op);
	else
		free(op);
	plugins_progress(set);
}

/* The instance is known at the end of the turn only. */
static void op_settle(struct op *op, struct instance *inst)
{
	list_remove(&op->node);
	op->inst = inst;
	list_push_back(&inst->ops, &op->node);
}

static void op_begin(struct op *op)
{
	if (op->inst && op->kind->choose)
		op_settle(op, op->kind->choose(op));
	if (!op->inst || !op->inst->made || op->cancel_wanted || op->answered) {
		op_move(op, OP_ENDED);
		op_answer(op, op->inst && op->inst->made ? OP_NOT_BEGUN : OP_NO_PLUGIN);
		op_retire(op);
		return;
	}
	op_move(op, OP_RUNNING);
	op->inst->inside++;
	op->kind->begin(op);
	op->inst->inside--;
}

/* It may be completed from inside these calls, but is not freed before the next task. */
static void op_go_on(struct op *op)
{
	if (op->refused)
		op_answer(op, OP_REFUSED);
	if (op->cancel_wanted && !op->cancel_given) {
		op->cancel_given = true;
		op->inst->inside++;
		op->kind->cancel(op);
		op->inst->inside--;
	} else if (op->resume_wanted && !op->cancel_given) {
		op->resume_wanted = false;
		op->inst->inside++;
		op->kind->resume(op);
		op->inst->inside--;
	}
}

/* What is to be done for an op at the end of the turn. */
static void op_turn(struct loop_task *task)
{
	struct op *op = CONTAINER_OF(task, struct op, task);

	switch (op->state) {
	case OP_QUEUED:
		op_begin(op);
		break;
	case OP_RUNNING:
		op_go_on(op);
		break;
	case OP_ENDED:
		op_answer(op, op->refused ? OP_REFUSED : OP_COMPLETED);
		op_retire(op);
		break;
	case OP_DEAD:
		CHECK(false);
	}
}

static void on_deadline(struct timer *timer)
{
	struct op *op = CONTAINER_OF(timer, struct op, deadline);

	if (op->cancel_given)
		instance_fault(op->inst, "it does not complete what was cancelled");
	/* First, so that the answer cannot find it running and begin anything. */
	op_cancel(op);
	op_answer(op, OP_TIMED_OUT);
}

void op_start(struct op *op, const struct op_kind *kind, struct plugins *set,
	      struct instance *inst, uint64_t timeout_ms)
{
	op->kind = kind;
	op->set = set;
	op->inst = inst;
	op->state = OP_QUEUED;
	op->task.fn = op_turn;
	list_push_back(inst ? &inst->ops : &set->homeless, &op->node);
	loop_defer(set->loop, &op->task);
	loop_timer_start(set->loop, &op->deadline, timeout_ms, on_deadline);
}

void op_cancel(struct op *op)
{
	if (op->state == OP_ENDED || op->cancel_wanted)
		return;
	op->cancel_wanted = true;
	loop_defer(op->set->loop, &op->task);
}

void op_cancel_within(struct op *op, uint64_t patience_ms)
{
	uint64_t now = loop_now_ms(op->set->loop);

	if (op->state == OP_ENDED || op->cancel_wanted)
		return;
	op_cancel(op);
	if (!op->answered && op->deadline.due_ms > now + patience_ms)
		loop_timer_start(op->set->loop, &op->deadline, patience_ms, on_deadline);
}

void op_resume(struct op *op)
{
	if (op->state == OP_ENDED || op->cancel_wanted)
		return;
	op->resume_wanted = true;
	loop_defer(op->set->loop, &op->task);
}

bool op_may_speak(struct op *op, const char *what)
{
	if (op->state == OP_RUNNING)
		return true;
	if (op->inst)
		instance_fault(op->inst, "%s for an operation that it has completed before", what);
	return false;
}

bool op_is_direct(const struct op *op)
{
	return !op->inst->inside;
}

void op_complete(struct op *op, bool now)
{
	op_move(op, OP_ENDED);
	timer_stop(&op->deadline);
	if (now && op_is_direct(op)) {
		op_answer(op, op->refused ? OP_REFUSED : OP_COMPLETED);
		op_retire(op);
	} else {
		loop_defer(op->set->loop, &op->task);
	}
}

void op_refuse(struct op *op, const char *detail)
{
	if (op->refused)
		return;
	op->refused = true;
	op->detail = detail;
	op_cancel(op);
	loop_defer(op->set->loop, &op->task);
}

void op_free_all(struct instance *inst)
{
	struct list *node;

	while ((node = list_pop_front(&inst->ops))) {
		struct op *op = CONTAINER_OF(node, struct op, node);

		timer_stop(&op->deadline);
		loop_undefer(&op->task);
		op->kind->release(op);
		free(op);
	}
	while ((node = list_pop_front(&inst->graves)))
		free(CONTAINER_OF(node, struct op, node));
	inst->n_graves = 0;
}
