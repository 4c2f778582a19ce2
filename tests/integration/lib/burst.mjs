// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Numbered events in bulk, made inside PostgreSQL as another program would, in the forms that
// checker.mjs reads. A track is a user (events by publish_to_user) or a conversation (changes of its
// title, messages, and publish_to_conversation, a transaction of each in turn). Transactions that fail
// are among them. What a crash interrupts goes on where it was: the number is in the same transaction.

import { until } from './util.mjs';

const SETUP = `
	CREATE TABLE track (name text PRIMARY KEY, n integer NOT NULL);

	CREATE FUNCTION one(p_kind text, p_track text, p_n integer, p_big boolean) RETURNS void
	LANGUAGE plpgsql AS $$
	DECLARE
		v_pad text := CASE WHEN p_big THEN repeat('é', 5000) ELSE '' END;
		v_data json := json_build_object('track', p_track, 'n', p_n, 'pad', v_pad);
		v_ord bigint;
	BEGIN
		CASE p_kind
		WHEN 'user' THEN
			PERFORM parlance.publish_to_user(p_track, 'app:tick', v_data);
		WHEN 'publish' THEN
			PERFORM parlance.publish_to_conversation(p_track::uuid, 'app:tick', v_data);
		WHEN 'title' THEN
			UPDATE parlance.conversation SET title = '#' || p_n || ' ' || v_pad
				WHERE id = p_track::uuid;
		WHEN 'message' THEN
			UPDATE parlance.conversation SET last_ord = last_ord + 1
				WHERE id = p_track::uuid RETURNING last_ord INTO v_ord;
			INSERT INTO parlance.message (id, conversation, ord, role, content)
				VALUES (gen_random_uuid(), p_track::uuid, v_ord, 'user',
					'#' || p_n || ' ' || v_pad);
		END CASE;
	END $$;

	CREATE PROCEDURE burst(p_kinds text[], p_track text, p_to integer, p_per integer, p_big integer,
		p_pause float) LANGUAGE plpgsql AS $$
	DECLARE
		v_from integer;
		v_kind text;
	BEGIN
		INSERT INTO track VALUES (p_track, 0) ON CONFLICT DO NOTHING;
		COMMIT;
		LOOP
			UPDATE track SET n = n + p_per WHERE name = p_track AND n < p_to
				RETURNING n - p_per INTO v_from;
			EXIT WHEN NOT FOUND;
			v_kind := p_kinds[1 + v_from / p_per % cardinality(p_kinds)];
			IF random() < 0.1 THEN
				PERFORM one(v_kind, p_track, 1000000000, false);
				ROLLBACK;
			ELSE
				FOR i IN 1 .. p_per LOOP
					PERFORM one(v_kind, p_track, v_from + i,
						p_big > 0 AND (v_from + i) % p_big = 0);
				END LOOP;
				COMMIT;
			END IF;
			IF p_pause > 0 THEN
				PERFORM pg_sleep(p_pause);
			END IF;
		END LOOP;
	END $$;`;

const PER = 5; // events of a transaction
const OF_CONVERSATIONS = ['title', 'message', 'publish'];

// Those of a conversation's numbers that its participants hear who have not joined it.
export const outside = (n) =>
	OF_CONVERSATIONS[Math.floor((n - 1) / PER) % OF_CONVERSATIONS.length] !== 'publish';

// PostgreSQL was away, or one of two that locked each other gave way.
const PASSING = /connection|terminat|starting up|shutting down|recovery mode|deadlock|No such file/i;

export class Burst {
	#database;

	static async prepare(database) {
		const burst = new Burst();
		burst.#database = database;
		await database.sql(SETUP);
		return burst;
	}

	// Brings the track to number `to`, a multiple of 5. big: every so many has over 8 kB. pauseMs:
	// after each transaction. writers: so many at once.
	async run({ user, conversation, to, big = 0, pauseMs = 0, writers = 1 }) {
		const kinds = user ? 'user' : OF_CONVERSATIONS.join(',');
		const call = `CALL burst('{${kinds}}', '${user ?? conversation}', ${to}, ${PER}, ${big},
			${pauseMs / 1000})`;
		const write = () =>
			this.#database.sql(call).then(
				() => true,
				(error) => {
					if (PASSING.test(error.stderr ?? '')) return false;
					throw error;
				},
			);
		await Promise.all(
			Array.from({ length: writers }, () => until(write, `the burst of ${to}`, 120000)),
		);
	}
}
