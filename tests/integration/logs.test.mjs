// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What never comes into a log, or into any other output: tokens, keys, passwords and the texts of users,
// whatever is sent, and whatever fails. All of them have a mark here, or are known by their beginning.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import http from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Daemon, Database, Tab, token } from './lib/chat.mjs';
import { clientEvents } from './lib/contract.mjs';
import { get, handshake, post } from './lib/http.mjs';
import { programOf } from './lib/program.mjs';
import { Raw, postRequest, request, upgradeRequest } from './lib/raw.mjs';
import { leak, secret } from './lib/secrets.mjs';
import { Socket } from './lib/socket.mjs';
import { event, until } from './lib/util.mjs';

const MARK = `mark${randomBytes(8).toString('hex')}`;
// What the daemon itself takes out of texts must be something else.
const KEY = secret(`key-${randomBytes(16).toString('hex')}`);
const TARGET = '/socket.io/?EIO=4&transport=websocket';

function assertDiscreet(text) {
	for (const line of text.split('\n'))
		assert.ok(!line.includes(MARK) && !leak(line), `a secret in: ${line}`);
}

// An AI service whose answer is what the last message asks for, and quotes it: { name: [status, type,
// body] }, where body is a function of what is to be quoted.
const json = (value) => [`application/json`, JSON.stringify(value)];
const stream = (...events) => [`text/event-stream`, events.map((e) => `data: ${e}\n\n`).join('')];
const delta = (content) => JSON.stringify({ choices: [{ index: 0, delta: { content } }] });
const ANSWERS = {
	answer: (q) => [200, ...stream(delta(q), '[DONE]')],
	refused: (q) => [400, ...json({ error: { message: `no: ${q}`, type: 'invalid_request_error' } })],
	'refused by name': (q) => [401, ...json({ error: { message: q, type: 'auth', code: q.slice(0, 60) } })],
	'refused in few words': (q) => [422, ...json({ error: q })],
	'refused otherwise': (q) => [403, ...json({ object: 'error', message: q, type: q, code: 403 })],
	limited: (q) => [429, ...json({ error: { message: `slower: ${q}`, param: q } })],
	broken: (q) => [500, 'text/plain', q],
	moved: (q) => [302, 'text/plain', q],
	page: (q) => [200, 'text/html', `<p>${q}</p>`],
	'error in the stream': (q) => [200, ...stream(delta(q), JSON.stringify({ error: { message: q } }))],
	'malformed stream': (q) => [200, ...stream(delta(q), `{"choices":[{"delta":{"content":"${q}`)],
	'no stream': (q) => [200, ...json({ choices: [], note: q })],
};

let database;
let service;
const asked = [];
before(async () => {
	database = await Database.start();
	// As a site would: its own rules, which say what they do not like.
	await database.sql(`
		ALTER TABLE parlance.message ADD CHECK (content NOT LIKE '%check-rule%');
		CREATE FUNCTION public.rule() RETURNS trigger LANGUAGE plpgsql AS $$
		DECLARE
			v_text text := CASE TG_TABLE_NAME WHEN 'message' THEN to_json(NEW)->>'content'
				ELSE to_json(NEW)->>'title' END;
		BEGIN
			IF v_text LIKE '%raise-rule-%' THEN
				RAISE EXCEPTION 'not liked: %', v_text
					USING ERRCODE = substring(v_text FROM 'raise-rule-(.....)');
			ELSIF v_text LIKE '%cast-rule%' THEN
				PERFORM v_text::uuid;
			ELSIF v_text LIKE '%query-rule%' THEN
				EXECUTE format('SELECT %I FROM public.%I', v_text, v_text);
			END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER rule BEFORE INSERT OR UPDATE ON parlance.message
			FOR EACH ROW EXECUTE FUNCTION public.rule();
		CREATE TRIGGER rule BEFORE INSERT OR UPDATE ON parlance.conversation
			FOR EACH ROW EXECUTE FUNCTION public.rule();`);
	service = http.createServer(async (req, response) => {
		const pieces = [];
		for await (const piece of req) pieces.push(piece);
		const { messages } = JSON.parse(Buffer.concat(pieces));
		const text = messages.at(-1).content;
		const name = /<(.*)>/.exec(text)[1];
		asked.push(name);
		const quote = `${text} ${JSON.stringify(messages)} ${req.headers.authorization} ${req.headers['x-key']}`;
		const [status, type, body] = ANSWERS[name](quote);
		response.writeHead(status, MARK, {
			'content-type': type,
			location: `http://127.0.0.1:1/${MARK}`,
			'x-request-id': MARK,
		});
		response.end(body);
	});
	service.listen(0, '127.0.0.1');
	await event(service, 'listening');
	service.url = `http://127.0.0.1:${service.address().port}/v1`;
});
after(async () => {
	service?.close();
	await database?.stop();
});

const private_ = {
	title: `${MARK} title`,
	systemPrompt: `${MARK} prompt`,
	metadata: { [MARK]: [MARK] },
};
// Good arguments of each event, all with a mark where there may be one.
const GOOD = (id, user) => ({
	'auth:refresh': { token: token(user, { claims: { mark: MARK } }) },
	'conversation:create': private_,
	'conversation:leave_view': { conversationId: id },
	'conversation:list': { cursor: MARK },
	'conversation:share': { conversationId: id, userId: 'other', role: 'viewer' },
	'conversation:unshare': { conversationId: id, userId: 'other' },
	'conversation:update': { conversationId: id, update: { ...private_, model: MARK } },
	'conversation:view': { conversationId: id },
	'join:conversation': { conversationId: id, sinceSeq: 0 },
	'message:list': { conversationId: id },
	'message:send': {
		conversationId: id,
		content: `${MARK} <answer>`,
		messageId: MARK,
		options: { [MARK]: MARK },
	},
	'message:stop': { conversationId: id },
	'presence:get': { userIds: [MARK] },
	'presence:subscribe': { userIds: [MARK] },
	'typing:start': { conversationId: id },
	'typing:stop': { conversationId: id },
	ping: { [MARK]: MARK },
	'leave:conversation': { conversationId: id },
	'conversation:delete': { conversationId: id },
});

// Tokens that are no good, each for another reason.
const seconds = () => Math.floor(Date.now() / 1000);
const BAD_TOKENS = {
	garbage: () => MARK,
	'cut off': () => token('u').slice(0, -5),
	'of nobody': () => token(undefined, { claims: { mark: MARK } }),
	'of something': () => token({ mark: MARK }),
	'of somebody with a long name': () => token(MARK.repeat(100)),
	expired: () => token('u', { claims: { exp: seconds() - 100, mark: MARK } }),
	'to come': () => token('u', { claims: { nbf: seconds() + 100, mark: MARK } }),
	'of an odd time': () => token('u', { claims: { exp: MARK } }),
	"of another's": () => token('u', { claims: { mark: MARK }, secret: MARK.repeat(3) }),
	'of another algorithm': () => token('u', { header: { alg: 'HS512', mark: MARK } }),
	'of no algorithm': () => token('u', { header: { alg: 'none', mark: MARK } }),
	'of an unknown key': () => token('u', { header: { kid: MARK } }),
	'too long': () => token('u', { claims: { mark: MARK.repeat(2000) } }),
};

for (const format of ['kv', 'json'])
	describe(`log.format = ${format}`, () => {
		let daemon;
		let tab;
		let user;
		before(async () => {
			daemon = await Daemon.start({
				database,
				service,
				set: {
					'log.format': format,
					'listener.admin.address': '127.0.0.1:0',
					'listener.admin.admin': 'yes',
					'cors.origins': 'https://chat.example',
					'provider_openai.extra_headers': `x-key: ${KEY}`,
				},
			});
			user = `user-${randomUUID().slice(0, 8)}`;
			tab = await Tab.open(daemon, user);
		});
		after(async () => {
			await tab?.close();
			await daemon?.stop();
		});

		const logs = (pattern) => until(() => pattern.test(daemon.stderr), `a line that matches ${pattern}`);

		it('what is right', async () => {
			const id = await tab.create(private_);
			const arguments_ = GOOD(id, user);
			assert.deepEqual(Object.keys(arguments_).sort(), [...clientEvents].sort());
			for (const [name, argument] of Object.entries(arguments_)) {
				const ack = await tab.ask(name, argument);
				if (name === 'message:send') await tab.closing(ack);
				else if (name !== 'conversation:list') assert.ok(ack.ok, `${name}: ${JSON.stringify(ack)}`);
			}
			assertDiscreet(daemon.stderr);
		});

		it('arguments that are not', async () => {
			const id = await tab.create(private_);
			const acks = [];
			const ask = (name, ...args) => acks.push(tab.socket.emitWithAck(name, ...args));
			for (const [name, argument] of Object.entries(GOOD(id, user))) {
				if (name === 'auth:refresh' || name.endsWith(':delete')) continue;
				for (const value of [MARK, [MARK], { conversationId: MARK }, Buffer.from(MARK)]) ask(name, value);
				for (const key of ['update', 'content', 'messageId', 'options', 'userId', 'limit', 'title'])
					for (const value of [MARK.repeat(3000), [MARK], { [MARK]: MARK }, `${MARK}\0`, `${MARK}\ud800`])
						ask(name, { ...argument, onBusy: 'reject', [key]: value });
				await Promise.all(acks.splice(0));
			}
			ask('message:Send', { content: MARK });
			ask('auth:refresh', MARK);
			for (const bad of Object.values(BAD_TOKENS)) ask('auth:refresh', { token: bad() });
			await Promise.all(acks);
			await tab.ok('message:stop', id);
			assertDiscreet(daemon.stderr);
		});

		it('packets that are none', async () => {
			const good = token(user, { claims: { mark: MARK } });
			const connect = `40{"token":"${good}"}`;
			const PACKETS = [
				[`40{"token":"${good}"`],
				[`40{"token":"${good}"}}`],
				[`40{token:"${good}"}`],
				[`40["${good}"]`],
				[`40"${good}"`],
				[`40/${MARK},{"token":"${good}"}`],
				[`4${MARK}`],
				[MARK],
				[`40${good}`],
				[connect, `42["message:send",{"content":"${MARK}"`],
				[connect, `420["message:send" {"content":"${MARK}"}]`],
				[connect, `42{"content":"${MARK}"}`],
				[connect, `42["${MARK}"]`],
				[connect, `43999["${MARK}"]`],
				[connect, `451-["message:send",{"content":"${MARK}","a":{"_placeholder":true,"num":7}}]`, Buffer.from(MARK)],
				[connect, `451-["message:send",{"content":"${MARK}"}]`, `42["ping"]`],
				[connect, Buffer.from(MARK)],
				[connect, connect],
				[connect, `42["message:send",${'['.repeat(5000)}"${MARK}"]`],
				[`42["message:send",{"content":"${MARK}"}]`],
				[`44{"message":"${MARK}"}`],
			];
			for (const packets of PACKETS) {
				const socket = await Socket.open(daemon.url.replace('http', 'ws') + TARGET);
				await socket.next('the open packet');
				for (const packet of packets) socket.send(packet);
				// It ends the connection or says something; else it is over it when it answers a close.
				await socket.close();
				const { url } = await handshake(`${daemon.url}/socket.io/`);
				await post(url, packets.map((p) => (typeof p === 'string' ? p : `b${p.toString('base64')}`)).join('\x1e'));
			}
			assertDiscreet(daemon.stderr);
		});

		it('tokens in addresses and headers, good and bad', async () => {
			const all = { ...BAD_TOKENS, good: () => token(user, { claims: { mark: MARK } }) };
			const bearer = (t) => ({ authorization: `Bearer ${t}` });
			for (const given of Object.values(all)) {
				const t = given();
				if (t.length < 4000) {
					await get(`${daemon.url}/socket.io/?EIO=4&transport=polling&token=${t}`);
					await get(`${daemon.url}/socket.io/?EIO=3&transport=polling&token=${t}`);
					await get(`${daemon.url}/socket.io/?EIO=4&transport=${t}`);
					await get(`${daemon.url}/socket.io/?EIO=4&transport=polling&sid=${t}`);
					await get(`${daemon.url}/other/${t}?token=${t}`);
					await get(`http://127.0.0.1:${daemon.ports.admin}/metrics?token=${t}`, { headers: bearer(t) });
				}
				for (const path of [TARGET, `${TARGET}&token=${t}`]) {
					if (path.length > 4000) continue;
					const headers = path === TARGET && t.length < 4000 ? bearer(t) : {};
					const socket = await Socket.open(daemon.url.replace('http', 'ws') + path, { headers });
					await socket.next('the open packet');
					socket.send('40');
					assert.match(await socket.nextData(), t.length < 4000 || path !== TARGET ? /^4[04]\{/ : /^44\{/);
					await socket.close();
				}
			}
			const good = all.good();
			const REQUESTS = [
				request('GET', `${TARGET}&token=${good}%zz`),
				request('GET', `${TARGET}&token=${good} x`),
				request('GET', `/${good.repeat(100)}`),
				request('BREW', `${TARGET}&token=${good}`),
				request('GET', TARGET, { Authorization: `Basic ${good}` }),
				request('GET', TARGET, { Authorization: `Bearer ${good} ${good}` }),
				request('GET', TARGET, { Cookie: `token=${good}`, 'Content-Length': MARK }),
				`GET ${TARGET} HTTP/1.1\r\nHost: x\r\nAuthorization Bearer ${good}\r\n\r\n`,
				`GET ${TARGET} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${good}\0\r\n\r\n`,
				`GET ${TARGET} ${good}\r\n\r\n`,
				`${good}\r\n\r\n`,
				postRequest(`/socket.io/?EIO=4&transport=polling&token=${good}`, good),
				upgradeRequest(`${TARGET}&token=${good}`, { Origin: 'https://evil.example' }),
				upgradeRequest(`${TARGET}&token=${good}`, { 'Sec-WebSocket-Version': '7', ...bearer(good) }),
				upgradeRequest(`${TARGET}&token=${good}`, { 'Sec-WebSocket-Key': good }),
			];
			for (const bytes of REQUESTS) {
				const raw = await Raw.connect(daemon.port);
				await raw.write(bytes);
				await raw.answer();
				raw.destroy();
			}
			await logs(/a client was refused/);
			assertDiscreet(daemon.stderr);
		});

		it('an AI service that fails, and quotes what it was asked', async () => {
			const id = await tab.create(private_);
			for (const name of Object.keys(ANSWERS)) {
				const ack = await tab.ok('message:send', { conversationId: id, content: `${MARK} <${name}>` });
				const [closing, data] = await tab.closing(ack);
				assert.ok(asked.includes(name), name);
				assert.equal(closing, name === 'answer' ? 'message:complete' : 'message:error', name);
				const { error } = data.assistantMessage;
				if (error) assert.ok(!JSON.stringify(error).includes(MARK), name);
			}
			await logs(/the AI service failed/);
			assertDiscreet(daemon.stderr);
		});

		it('a database that refuses, and quotes what it was given', async () => {
			const RULES = ['check-rule', 'cast-rule', 'query-rule', ...['22023', '23514', 'P0001', 'ZZ001', '42501', '0A000'].map((c) => `raise-rule-${c}`)];
			const failures = () => daemon.stderr.split('the storage failed').length;
			for (const rule of RULES) {
				const text = `${MARK} ${rule}`;
				const conversationId = await tab.create();
				const before = failures();
				await tab.refused('INTERNAL', 'message:send', { conversationId, content: text });
				if (rule !== 'check-rule') {
					await tab.refused('INTERNAL', 'conversation:create', { title: text });
					await tab.refused('INTERNAL', 'conversation:update', { conversationId, update: { title: text } });
				}
				if (rule === RULES[0]) await until(() => failures() > before, 'the line');
				assertDiscreet(daemon.stderr);
			}
		});
	});

describe('programs that end by themselves', () => {
	const LONG = MARK.repeat(3);
	const DSNS = [
		`postgresql://u:${MARK}@127.0.0.1:1/x`,
		`postgresql://u:${MARK}@[bad/x`,
		`postgresql://u:${MARK}@127.0.0.1:${MARK}/x`,
		`postgresql://u:${MARK}%zz@h/x`,
		`postgresql://u@h/x?password=${MARK}&nothing=${MARK}`,
		`postgresql://u@h/x?${MARK}`,
		`host=127.0.0.1 port=1 password=${MARK}`,
		`host=127.0.0.1 password='${MARK}`,
		`host=127.0.0.1 password ${MARK}`,
		`host=127.0.0.1 pasword=${MARK}`,
		`${MARK}`,
	];
	let folder;
	before(() => {
		folder = mkdtempSync(join(tmpdir(), 'logs-'));
	});
	after(() => rmSync(folder, { recursive: true, force: true }));

	// All that a program said.
	function output(variable, args, env = {}) {
		const { DATABASE_URL: _, JWT_ACCESS_SECRET: __, ...clean } = process.env;
		return new Promise((done) => {
			execFile(programOf(variable), args, { env: { ...clean, ...env } }, (error, stdout, stderr) =>
				done({ code: error ? error.code : 0, stdout, stderr, text: stdout + stderr }),
			);
		});
	}
	const file = (text) => {
		const path = join(folder, `${randomUUID()}.conf`);
		writeFileSync(path, text);
		return path;
	};

	it('parlancectl, when an address is wrong', async () => {
		const [good, ...bad] = DSNS;
		const calls = bad.map((dsn) => [['migrate', '-d', dsn]]);
		for (const dsn of [good, bad[0]])
			calls.push(
				[['revoke', '--user', 'x', '-d', dsn]],
				[['migrate'], { DATABASE_URL: dsn }],
				[['revoke', '--user', 'x', '-c', file(`[storage_pgsql]\ndsn = ${dsn}\n`)]],
			);
		for (const [args, env] of calls) {
			const { code, text } = await output('PARLANCECTL', args, env);
			assert.notEqual(code, 0, text);
			assertDiscreet(text);
		}
	});

	it('parlancectl token, which is for the standard output alone', async () => {
		for (const args of [
			['--secret-file', file(MARK)],
			['--secret-file', file(LONG), '--claim', `mark=${MARK}`],
			['--secret-file', file(LONG), '--claim', `mark:={"${MARK}"`],
			['-c', file(`[auth_jwt]\nsecret = ${MARK}\n`)],
			['-c', file(`[auth_jwt]\nsecret ${MARK}=\n`)],
			['-c', file(`[auth_jwt]\nsecrets = ${MARK}\n`)],
		]) {
			const { stderr, stdout } = await output('PARLANCECTL', ['token', '--user', 'x', ...args]);
			assert.notEqual(stderr, '');
			assertDiscreet(stderr);
			assert.ok(!stdout.includes(MARK));
		}
	});

	const PLUGINS = () => ['-o', `plugins.directory=${process.env.PLUGINS}`, '-o', 'plugins.load=auth_jwt, storage_pgsql, provider_openai'];
	const SECRETS = {
		'auth_jwt.secret': LONG,
		'storage_pgsql.dsn': `postgresql://u:${MARK}@127.0.0.1:1/x`,
		'storage_pgsql.listen_dsn': `postgresql://u:${MARK}@127.0.0.1:1/x`,
		'provider_openai.api_key': MARK,
		'provider_openai.extra_headers': `x-key: ${MARK}`,
		'http_client.proxy': `http://u:${MARK}@127.0.0.1:1`,
	};

	it('parlanced --dump and --check', async () => {
		const set = Object.entries(SECRETS).flatMap(([k, v]) => ['-o', `${k}=${v}`]);
		const env = { JWT_ACCESS_SECRET: LONG, DATABASE_URL: SECRETS['storage_pgsql.dsn'], OPENAI_API_KEY: MARK };
		for (const [more, given] of [[set, {}], [[], env]])
			for (const how of ['--dump', '--check', '--sample']) {
				const { code, text } = await output('PARLANCED', ['-c', '/dev/null', how, ...PLUGINS(), ...more], given);
				assert.equal(code, 0, text);
				assertDiscreet(text);
				if (how === '--dump') assert.match(text, /secret.*\(set\)/);
			}
	});

	it('parlanced, when its configuration is wrong', async () => {
		const WRONG = [
			['auth_jwt.secret', MARK.slice(0, 20)],
			['auth_jwt.secrets', LONG],
			['auth_jwt.key_file', `credential:${'x'.repeat(20)}`],
			['provider_openai.extra_headers', `${MARK}`],
			['provider_openai.extra_headers', `x-key: ${MARK}\x01`],
			['provider_openai.api_key', `${MARK} \x01${MARK}`],
			['provider_openai.base_url', `http://u:${MARK}@127.0.0.1:1/v1`],
			['http_client.proxy', `${MARK}://x:${MARK}@y`],
			['http_client.proxy', `http://u:${MARK}@127.0.0.1:${MARK}`],
			...DSNS.slice(1).map((dsn) => ['storage_pgsql.dsn', dsn]),
		];
		const check = async (name, ...args) => {
			const rest = Object.entries({ ...SECRETS, [name]: undefined });
			const set = rest.flatMap(([k, v]) => (v ? ['-o', `${k}=${v}`] : []));
			const { text } = await output('PARLANCED', ['--check', ...PLUGINS(), ...set, ...args]);
			assertDiscreet(text);
		};
		for (const [name, value] of WRONG) await check(name, '-c', '/dev/null', '-o', `${name}=${value}`);
		for (const [name, value] of Object.entries(SECRETS)) {
			const [section, option] = name.split('.');
			for (const line of [`${option} ${value}`, `${option} ${value} = x`, `${option}: ${value}`])
				await check(name, '-c', file(`[${section}]\n${line}\n`));
		}
	});
});
