-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- Revoked tokens: who is refused, what instances are told, how long it is kept.

CREATE FUNCTION t.opens(p_user text, p_token text, p_session text, p_issued bigint) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', a->>'ok', a->>'code', b->>'ok', b->>'code')
		FROM parlance.session_open(p_user, NULL, 'pid', NULL, NULL, NULL, NULL, NULL, p_token, p_session, p_issued) AS a,
			parlance.token_check(p_user, p_token, p_session, p_issued) AS b $$;
CREATE FUNCTION t.now_ms(p_more integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + p_more $$;
CREATE FUNCTION t.told(p_answer json) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(concat(r->>'kind', ':', r->>'id'), ',' ORDER BY r->>'kind', r->>'id'), 'nothing')
		FROM json_array_elements(p_answer->'revoked') AS r $$;

SELECT t.is(t.opens('ann', 'j1', 's1', 0) || t.opens('ann', NULL, NULL, NULL), 'true truetrue true', 'nothing is revoked');
CREATE TABLE t.first AS SELECT parlance.revocations(NULL) AS r;
SELECT t.is(t.told(r), 'nothing', 'and nothing is told') FROM t.first;

SELECT parlance.revoke('token', 'j1') AS x, parlance.revoke('session', 's1') AS x, parlance.revoke('user', 'bob') AS x \gset
SELECT t.is(t.opens('ann', 'j1', NULL, NULL), 'false UNAUTHENTICATED false UNAUTHENTICATED', 'a token');
SELECT t.is(t.opens('ann', 'j2', 's1', t.now_ms(60000)), 'false UNAUTHENTICATED false UNAUTHENTICATED', 'a session: its later tokens, too');
SELECT t.is(t.opens('ann', 'j2', 's2', NULL), 'true true', 'other tokens are good');
SELECT t.is(t.opens('ann', 's1', 'j1', NULL) || t.opens('j1', NULL, NULL, NULL), 'true truetrue true', 'an id of another kind is none');
SELECT t.is(t.opens('bob', 'j2', 's2', t.now_ms(-1000)), 'false UNAUTHENTICATED false UNAUTHENTICATED', 'a user: what was issued before');
SELECT t.is(t.opens('bob', NULL, NULL, NULL), 'false UNAUTHENTICATED false UNAUTHENTICATED', 'and what does not say when');
SELECT t.is(t.opens('bob', 'j2', 's2', t.now_ms(1000)), 'true true', 'not what is issued later');

SELECT t.is(t.told(parlance.revocations(r->>'after')), 'session:s1,token:j1,user:bob', 'instances are told') FROM t.first;
SELECT t.is(t.told(parlance.revocations(NULL)), 'session:s1,token:j1,user:bob', 'those that begin, too');
UPDATE parlance.revocation SET at = at - interval '11 min' WHERE id = 'j1';
SELECT t.is(t.told(parlance.revocations(NULL)), 'session:s1,user:bob', 'but not of what was long before');
SELECT t.ok((x->>'at')::bigint BETWEEN t.now_ms(-60000) AND t.now_ms(0), 'with the time, in ms')
	FROM t.first, json_array_elements(parlance.revocations(r->>'after')->'revoked') AS x WHERE x->>'kind' = 'user';
CREATE TABLE t.second AS SELECT parlance.revocations(r->>'after') AS r FROM t.first;
SELECT t.is(t.told(parlance.revocations(r->>'after')), 'nothing', 'once') FROM t.second;
SELECT parlance.revoke('user', 'bob') AS x \gset
SELECT t.is(t.told(parlance.revocations(r->>'after')), 'user:bob', 'and again when it is done again') FROM t.second;
SELECT t.is((SELECT count(*)::text FROM parlance.revocation), '3', 'which is kept once');

CREATE FUNCTION t.revoke_state(p_kind text, p_id text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM parlance.revoke(p_kind, p_id);
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT t.is(t.revoke_state('group', 'x'), '23514', 'another kind');
SELECT t.is(t.revoke_state('user', '') || t.revoke_state('user', repeat('é', 128)), '2351423514', 'an id that is empty, or too long');
SELECT t.is(t.revoke_state('token', NULL), '23502', 'no id');

SELECT parlance.revoke('token', 'short', '-1 s') AS x \gset
SELECT parlance.maintain() AS x \gset
SELECT t.is(t.opens('ann', 'short', NULL, NULL) || t.opens('ann', 'j1', NULL, NULL), 'true truefalse UNAUTHENTICATED false UNAUTHENTICATED',
	'maintain forgets what need not be kept any longer');
