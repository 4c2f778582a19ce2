/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What comes to the loop from elsewhere: letters from other threads, offloaded work, signals.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include "loop_fixture.h"

#include "loop/offload.h"
#include "loop/post.h"
#include "loop/signals.h"

#include "base/err.h"

static pthread_t loop_thread;

/* ---- letters ---- */

#define N_LETTERS 2000
#define N_SENDERS 2

struct sender {
	pthread_t thread;
	struct post *post;
	unsigned int received;
	struct letter {
		struct sender *from;
		unsigned int nr;
	} letters[N_LETTERS];
};

static struct sender senders[N_SENDERS];

static void receive(void *arg)
{
	struct letter *l = arg;

	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_int_equal(l->nr, l->from->received);
	l->from->received++;
	if (senders[0].received == N_LETTERS && senders[1].received == N_LETTERS)
		loop_stop(loop);
}

static void *send_letters(void *arg)
{
	struct sender *s = arg;
	int rc = 0;

	for (unsigned int i = 0; i < N_LETTERS; i++) {
		s->letters[i] = (struct letter){ s, i };
		rc |= post_send(s->post, receive, &s->letters[i]);
	}
	return rc ? s : NULL;
}

static void test_post(void **state)
{
	struct post *post;
	void *failed;

	(void)state;
	loop_thread = pthread_self();
	assert_int_equal(post_new(&post, loop), 0);
	for (size_t i = 0; i < N_SENDERS; i++) {
		senders[i].post = post;
		assert_int_equal(
			pthread_create(&senders[i].thread, NULL, send_letters, &senders[i]), 0);
	}
	run();
	for (size_t i = 0; i < N_SENDERS; i++) {
		assert_int_equal(pthread_join(senders[i].thread, &failed), 0);
		assert_null(failed);
		assert_int_equal(senders[i].received, N_LETTERS);
	}
	post_free(&post);
	assert_null(post);
	post_free(&post);
}

static void note_letter(void *arg)
{
	note(*(const char *)arg);
}

static void test_post_free(void **state)
{
	static char names[] = "abc";
	struct post *post;

	(void)state;
	assert_int_equal(post_new(&post, loop), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(post_send(post, note_letter, &names[i]), 0);
	assert_string_equal(events, "");
	post_free(&post);
	assert_string_equal(events, "abc");
}

/* ---- offload: the pool has one thread, see main ---- */

struct job {
	sem_t begun;
	sem_t may_end;
	bool blocks;
	bool last;
	unsigned int worked;
	unsigned int done;
	int status;
};

static void job_work(void *arg)
{
	struct job *j = arg;

	j->worked++;
	if (pthread_equal(pthread_self(), loop_thread))
		j->worked = 99;
	if (j->blocks) {
		(void)sem_post(&j->begun);
		(void)sem_wait(&j->may_end);
	}
}

static void job_done(void *arg, int status)
{
	struct job *j = arg;

	assert_true(pthread_equal(pthread_self(), loop_thread));
	j->done++;
	j->status = status;
	if (j->last)
		loop_stop(loop);
}

static void check_job(const struct job *j, unsigned int worked, int status)
{
	assert_int_equal(j->worked, worked);
	assert_int_equal(j->done, 1);
	assert_int_equal(j->status, status);
}

static void test_offload(void **state)
{
	struct job jobs[50] = { { .done = 0 } };

	(void)state;
	loop_thread = pthread_self();
	jobs[ARRAY_LEN(jobs) - 1].last = true; /* one thread: it is the last to end */
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		assert_int_equal(offload_run(loop, NULL, job_work, job_done, &jobs[i]), 0);
	assert_int_equal(jobs[0].done, 0);
	run();
	loop_run_empty(loop);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		check_job(&jobs[i], 1, 0);
	/* Empty is empty, although somebody has asked the loop to stop. */
	jobs[0] = (struct job){ .done = 0 };
	assert_int_equal(offload_run(loop, NULL, job_work, job_done, &jobs[0]), 0);
	loop_stop(loop);
	loop_run_empty(loop);
	check_job(&jobs[0], 1, 0);
}

static void test_offload_cancel(void **state)
{
	struct job running = { .blocks = true };
	struct job cancelled = { .done = 0 };
	struct job last = { .last = true };
	struct offload *o_running;
	struct offload *o_cancelled;

	(void)state;
	loop_thread = pthread_self();
	assert_int_equal(sem_init(&running.begun, 0, 0), 0);
	assert_int_equal(sem_init(&running.may_end, 0, 0), 0);
	assert_int_equal(offload_run(loop, &o_running, job_work, job_done, &running), 0);
	assert_int_equal(offload_run(loop, &o_cancelled, job_work, job_done, &cancelled), 0);
	assert_int_equal(offload_run(loop, NULL, job_work, job_done, &last), 0);
	assert_int_equal(sem_wait(&running.begun), 0);
	offload_cancel(o_running);
	offload_cancel(o_cancelled);
	offload_cancel(o_cancelled);
	assert_int_equal(cancelled.done, 0); /* later, not from within */
	turn();
	assert_int_equal(running.done, 0);
	assert_int_equal(sem_post(&running.may_end), 0);
	run();
	loop_run_empty(loop);
	check_job(&running, 1, 0);
	check_job(&cancelled, 0, PARLANCE_ECANCELED);
	check_job(&last, 1, 0);
	(void)sem_destroy(&running.begun);
	(void)sem_destroy(&running.may_end);
}

/* ---- signals ---- */

static void on_signal(int signum, void *arg)
{
	assert_int_equal(signum, SIGUSR1);
	note(*(const char *)arg);
	loop_stop(loop);
}

static void check_default_action(void)
{
	struct sigaction action;

	assert_int_equal(sigaction(SIGUSR1, NULL, &action), 0);
	assert_true(action.sa_handler == SIG_DFL);
}

static void test_signals(void **state)
{
	struct signal_watch *watch_usr1 = NULL;
	static char name = 's';

	(void)state;
	check_default_action();
	assert_int_equal(signal_watch_new(&watch_usr1, loop, SIGUSR1, on_signal, &name), 0);
	assert_string_equal(events, "");
	assert_int_equal(raise(SIGUSR1), 0);
	run();
	assert_string_equal(events, "s");
	assert_int_equal(raise(SIGUSR1), 0);
	run();
	assert_string_equal(events, "ss");
	signal_watch_free(&watch_usr1);
	assert_null(watch_usr1);
	signal_watch_free(&watch_usr1);
	check_default_action();
	assert_int_equal(signal_watch_new(&watch_usr1, loop, SIGKILL, on_signal, &name),
			 PARLANCE_ESYS);
	assert_null(watch_usr1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
		TEST(test_post),
		TEST(test_post_free),
		TEST(test_offload),
		TEST(test_offload_cancel),
		TEST(test_signals),
#undef TEST
	};

	/* Before libuv makes its pool: with one thread, what is blocked blocks what is behind. */
	if (setenv("UV_THREADPOOL_SIZE", "1", 1) < 0)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
