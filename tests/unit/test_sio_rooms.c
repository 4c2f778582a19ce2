/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Rooms: who is in, who is reached, and that nothing is left of what is over.
 */
#include "sio_fixture.h"

static struct slice room(const char *name)
{
	return slice_str(name);
}

static void join(struct sio_socket *s, const char *name)
{
	assert_int_equal(sio_join(s, room(name)), 0);
	assert_true(sio_in_room(s, room(name)));
}

static uint32_t count_rooms(void)
{
	struct sio_stats stats;

	sio_stats(sio, &stats);
	return stats.rooms;
}

/* ---- in and out ---- */

static void test_join_and_leave(void **state)
{
	struct session *c;
	struct sio_socket *a = connect_client(&c);
	struct sio_socket *b = connect_client(&c);
	struct sio_socket *other = join_nsp(c, "0/other,");

	(void)state;
	assert_false(sio_in_room(a, room("r")));
	assert_int_equal(sio_room_size(nsp, room("r")), 0);
	assert_null(sio_room_member(nsp, room("r"), 0));
	assert_int_equal(sio_room_of(a, 0).len, 0);
	sio_leave(a, room("r"));
	sio_room_clear(nsp, room("r"));
	join(a, "r");
	join(a, "r");
	assert_int_equal(sio_room_size(nsp, room("r")), 1);
	join(b, "r");
	join(a, "s");
	assert_int_equal(sio_room_size(nsp, room("r")), 2);
	assert_true(slice_is(sio_room_of(a, 0), "r") || slice_is(sio_room_of(a, 1), "r"));
	assert_int_equal(sio_room_of(a, 2).len, 0);
	assert_ptr_equal(sio_room_member(nsp, room("s"), 0), a);
	assert_null(sio_room_member(nsp, room("s"), 1));
	/* A room of another namespace is another room. */
	join(other, "r");
	assert_int_equal(sio_room_size(nsp, room("r")), 2);
	assert_int_equal(sio_room_size(nsp_other, room("r")), 1);
	assert_int_equal(count_rooms(), 3);
	sio_leave(a, room("r"));
	sio_leave(a, room("r"));
	assert_false(sio_in_room(a, room("r")));
	assert_true(sio_in_room(a, room("s")));
	assert_ptr_equal(sio_room_member(nsp, room("r"), 0), b);
	assert_null(sio_room_member(nsp, room("r"), 1));
	/* The last one turns off the light. */
	sio_leave(b, room("r"));
	assert_int_equal(sio_room_size(nsp, room("r")), 0);
	assert_int_equal(count_rooms(), 2);
	sio_leave(a, sio_room_of(a, 0));
	assert_int_equal(count_rooms(), 1);
}

static void test_names(void **state)
{
	static char longest[UINT16_MAX + 1];
	struct session *c;
	struct sio_socket *s = connect_client(&c);

	(void)state;
	assert_int_equal(sio_join(s, slice_of("a\0b", 3)), 0);
	assert_true(sio_in_room(s, slice_of("a\0b", 3)));
	assert_false(sio_in_room(s, slice_of("a\0c", 3)));
	assert_false(sio_in_room(s, room("a")));
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(sio_join(s, slice_of(longest, UINT16_MAX)), 0);
	assert_int_equal(sio_join(s, slice_of(longest, UINT16_MAX + 1)), PARLANCE_ELIMIT);
	assert_int_equal(count_rooms(), 2);
}

static void test_limit(void **state)
{
	struct session *c;
	struct sio_socket *s = connect_client(&c);

	(void)state;
	config.max_rooms = 2;
	join(s, "a");
	join(s, "b");
	join(s, "b");
	assert_int_equal(sio_join(s, room("c")), PARLANCE_ELIMIT);
	assert_int_equal(count_rooms(), 2); /* no empty room is left */
	sio_leave(s, room("a"));
	join(s, "c");
	/* The limit is each socket's own. */
	s = connect_client(&c);
	join(s, "a");
	join(s, "b");
	assert_int_equal(sio_join(s, room("c")), PARLANCE_ELIMIT);
}

static void test_clear(void **state)
{
	struct session *c;
	struct sio_socket *s[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		s[i] = connect_client(&c);
		join(s[i], "before");
		join(s[i], "cleared");
		join(s[i], "behind");
	}
	sio_leave(s[2], room("before"));
	sio_room_clear(nsp, room("cleared"));
	assert_int_equal(sio_room_size(nsp, room("cleared")), 0);
	assert_int_equal(sio_room_size(nsp, room("before")), 4);
	assert_int_equal(sio_room_size(nsp, room("behind")), 5);
	assert_int_equal(count_rooms(), 2);
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		assert_false(sio_in_room(s[i], room("cleared")));
		assert_true(sio_in_room(s[i], room("behind")));
	}
	join(s[0], "cleared");
}

/* At the end of the turn; until then its rooms can be read. */
static void test_leave_on_disconnect(void **state)
{
	struct session *c;
	struct sio_socket *stays = connect_client(&c);
	struct sio_socket *goes = connect_client(&c);

	(void)state;
	join(stays, "both");
	join(goes, "both");
	join(goes, "own");
	sio_disconnect(goes, false);
	assert_true(sio_in_room(goes, room("own")));
	turn();
	assert_int_equal(sio_room_size(nsp, room("both")), 1);
	assert_int_equal(sio_room_size(nsp, room("own")), 0);
	assert_int_equal(count_rooms(), 1);
	assert_ptr_equal(sio_room_member(nsp, room("both"), 0), stays);
}

/* ---- who is reached ---- */

#define N_CLIENTS 5

static struct session *clients[N_CLIENTS];
static uint64_t ids[N_CLIENTS];

static struct sio_socket *socket_of(size_t i)
{
	return sio_lookup(sio, ids[i]);
}

static void connect_clients(void)
{
	for (size_t i = 0; i < N_CLIENTS; i++)
		ids[i] = sio_id(connect_client(&clients[i]));
}

/* Exactly these clients ("013") have got the message, once. */
static void check_reached(const char *who)
{
	for (size_t i = 0; i < N_CLIENTS; i++) {
		if (strchr(who, (int)('0' + i)))
			check_sent(clients[i], "2[\"say\",1]");
		check_sent_nothing(clients[i]);
	}
}

static void say(const struct slice *rooms, size_t n_rooms, const uint64_t *except, size_t n_except)
{
	struct sio_message m = { .name = slice_str("say"), .args = slice_str("1") };

	assert_int_equal(sio_emit_rooms(nsp, rooms, n_rooms, except, n_except, &m), 0);
}

static void test_reach(void **state)
{
	const struct slice a = room("a");
	const struct slice a_b[] = { room("a"), room("b") };
	const struct slice b_none_b[] = { room("b"), room("none"), room("b") };
	uint64_t except[4];

	(void)state;
	connect_clients();
	(void)join_nsp(clients[4], "0/other,");
	join(last_socket(), "a");
	join(socket_of(0), "a");
	join(socket_of(1), "a");
	join(socket_of(1), "b");
	join(socket_of(2), "b");
	say(&a, 1, NULL, 0);
	check_reached("01");
	say(a_b, 2, NULL, 0);
	check_reached("012");
	say(b_none_b, 3, NULL, 0);
	check_reached("12");
	say(&b_none_b[1], 1, NULL, 0);
	check_reached("");
	say(NULL, 0, NULL, 0);
	check_reached("01234");
	/* Except: those who are in, those who are not, and ids of nobody. */
	except[0] = ids[1];
	except[1] = ids[3];
	except[2] = last_id;
	except[3] = UINT64_MAX;
	say(a_b, 2, except, 4);
	check_reached("02");
	say(NULL, 0, except, 4);
	check_reached("024");
	say(NULL, 0, ids, N_CLIENTS);
	check_reached("");
	/* What was excepted once is reached again. */
	say(a_b, 2, NULL, 0);
	check_reached("012");
	/* The dead are not, although they are in their rooms until the end of the turn. */
	sio_disconnect(socket_of(1), false);
	check_sent(clients[1], "1");
	say(a_b, 2, NULL, 0);
	say(NULL, 0, &ids[4], 1);
	check_sent(clients[0], "2[\"say\",1]");
	check_sent(clients[2], "2[\"say\",1]");
	check_reached("023");
}

static struct fake_message *take(struct session *c)
{
	struct fake_message *m = fake_session_take(c);

	assert_non_null(m);
	return m;
}

static size_t number_as_offset(const struct sio_socket *s, char out[SIO_OFFSET_MAX])
{
	return (size_t)snprintf(out, SIO_OFFSET_MAX, "%llu", (unsigned long long)sio_id(s));
}

/* Encoded once: all have the same frames, or one of two where there are offsets. */
static void test_frames_are_shared(void **state)
{
	static const struct slice attachment = { "bytes", 5 };
	struct sio_message m = { .name = slice_str("say"),
				 .attachments = &attachment,
				 .n_attachments = 1 };
	const struct frame *frames[2] = { NULL, NULL };
	const struct frame *attached = NULL;

	(void)state;
	offset_of = number_as_offset;
	for (size_t i = 0; i < N_CLIENTS; i++) {
		answer = i % 2 ? ACCEPT_RECOVERABLE : ACCEPT;
		ids[i] = sio_id(connect_client(&clients[i]));
	}
	assert_int_equal(sio_emit_rooms(nsp, NULL, 0, NULL, 0, &m), 0);
	for (size_t i = 0; i < N_CLIENTS; i++) {
		struct fake_message *text = take(clients[i]);
		struct fake_message *bytes = take(clients[i]);

		if (i < 2)
			frames[i] = text->frame;
		if (i == 0)
			attached = bytes->frame;
		assert_ptr_equal(text->frame, frames[i % 2]);
		assert_ptr_equal(bytes->frame, attached);
		assert_int_equal(text->tail_len > 0, i % 2);
		assert_int_equal(bytes->tail_len, 0);
		/* Each one's own reference is all that keeps it. */
		assert_int_equal(bytes->frame->refs, N_CLIENTS - i);
		fake_message_free(&text);
		fake_message_free(&bytes);
	}
	assert_ptr_not_equal(frames[0], frames[1]);
}

/* ---- against a model ---- */

#define MODEL_STEPS 20000
#define MODEL_CLIENTS 24
#define MODEL_ROOMS 12

static struct session *model_clients[MODEL_CLIENTS];
static uint64_t model_ids[MODEL_CLIENTS];
static bool model[MODEL_CLIENTS][MODEL_ROOMS];
static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	/* xorshift64 (Marsaglia, 2003) */
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state % n);
}

/* The rooms are called by one letter each. */
static struct slice model_room(size_t r)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

	return slice_of(letters + r, 1);
}

static void check_model(void)
{
	uint32_t n_rooms = 0;

	for (size_t r = 0; r < MODEL_ROOMS; r++) {
		size_t size = 0;

		for (size_t i = 0; i < MODEL_CLIENTS; i++) {
			struct sio_socket *s = sio_lookup(sio, model_ids[i]);

			assert_non_null(s);
			assert_int_equal(sio_in_room(s, model_room(r)), model[i][r]);
			size += model[i][r];
		}
		assert_int_equal(sio_room_size(nsp, model_room(r)), size);
		for (size_t at = 0; at < size; at++)
			assert_true(sio_in_room(sio_room_member(nsp, model_room(r), at),
						model_room(r)));
		assert_null(sio_room_member(nsp, model_room(r), size));
		n_rooms += size > 0;
	}
	assert_int_equal(count_rooms(), n_rooms);
	for (size_t i = 0; i < MODEL_CLIENTS; i++) {
		struct sio_socket *s = sio_lookup(sio, model_ids[i]);
		struct slice name;
		size_t n = 0;

		for (; (name = sio_room_of(s, n)).len; n++)
			assert_true(model[i][name.p[0] - 'a']);
		for (size_t r = 0; r < MODEL_ROOMS; r++)
			n -= model[i][r];
		assert_int_equal(n, 0);
	}
}

/* To two rooms, except one: as the model has it. */
static void check_model_emit(void)
{
	size_t r[2] = { random_below(MODEL_ROOMS), random_below(MODEL_ROOMS) };
	const struct slice rooms[2] = { model_room(r[0]), model_room(r[1]) };
	size_t without = random_below(MODEL_CLIENTS);

	say(rooms, 2, &model_ids[without], 1);
	for (size_t i = 0; i < MODEL_CLIENTS; i++) {
		if (i != without && (model[i][r[0]] || model[i][r[1]]))
			check_sent(model_clients[i], "2[\"say\",1]");
		check_sent_nothing(model_clients[i]);
	}
}

static void model_reconnect(size_t i)
{
	struct sio_socket *s = sio_lookup(sio, model_ids[i]);

	sio_disconnect(s, false);
	check_sent(model_clients[i], "1");
	/* Sometimes the new one is there before the old one is buried. */
	if (random_below(2))
		turn();
	model_ids[i] = sio_id(join_nsp(model_clients[i], "0"));
	turn();
	memset(model[i], 0, sizeof(model[i]));
}

static void test_model(void **state)
{
	(void)state;
	random_state = 88172645463325252;
	memset(model, 0, sizeof(model));
	for (size_t i = 0; i < MODEL_CLIENTS; i++)
		model_ids[i] = sio_id(connect_client(&model_clients[i]));
	for (unsigned int step = 0; step < MODEL_STEPS; step++) {
		size_t i = random_below(MODEL_CLIENTS);
		size_t r = random_below(MODEL_ROOMS);
		uint32_t what = random_below(100);

		if (what < 50) {
			assert_int_equal(sio_join(sio_lookup(sio, model_ids[i]), model_room(r)), 0);
			model[i][r] = true;
		} else if (what < 95) {
			sio_leave(sio_lookup(sio, model_ids[i]), model_room(r));
			model[i][r] = false;
		} else if (what < 99) {
			model_reconnect(i);
		} else {
			sio_room_clear(nsp, model_room(r));
			for (size_t k = 0; k < MODEL_CLIENTS; k++)
				model[k][r] = false;
		}
		if (step % 20 == 0)
			check_model_emit();
		if (step % 100 == 0)
			check_model();
	}
	check_model();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_join_and_leave),
		TEST(test_names),
		TEST(test_limit),
		TEST(test_clear),
		TEST(test_leave_on_disconnect),
		TEST(test_reach),
		TEST(test_frames_are_shared),
		TEST(test_model),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
