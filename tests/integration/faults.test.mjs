// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Bad days of the machine: memory that runs out, sockets that take a byte at a time, clocks that
// jump, no more file descriptors, a log that cannot be written. FAULTS_STEP=1 has every allocation
// fail in its turn; else some do.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { io } from 'socket.io-client';
import { makeCertificate } from './lib/cert.mjs';
import { Daemon, DEVELOPMENT, Database, SECRET, Service, Tab, token } from './lib/chat.mjs';
import { Faults, LOG_FULL, OURS, READ_NONE, READ_ONE, WRITE_NONE, WRITE_ONE } from './lib/faults.mjs';
import { get } from './lib/http.mjs';
import { programOf } from './lib/program.mjs';
import { Raw, upgradeRequest } from './lib/raw.mjs';
import { Server, freePort } from './lib/server.mjs';
import { Socket } from './lib/socket.mjs';
import { each, until, within } from './lib/util.mjs';

const run = promisify(execFile);
const STEP = Number(process.env.FAULTS_STEP ?? 0);
const HOUR_MS = 3600 * 1000;

const SANITIZER = /Sanitizer|runtime error:|internal error:/;

let database;
let service;
let folder;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'faults-'));
	database = await Database.start();
	service = await Service.start();
});
after(() =>
	each(
		() => service?.kill(),
		() => database?.stop(),
		() => rmSync(folder, { recursive: true, force: true }),
	),
);

// A daemon whose days may be bad: daemon.faults.
function daemonFor(hooks, options = {}) {
	const holder = {};
	hooks.before(async () => {
		holder.faults = new Faults();
		holder.daemon = await Daemon.start({
			database,
			service,
			...options,
			env: { ...holder.faults.env, ...options.env },
		});
	});
	hooks.after(() =>
		each(
			() => holder.faults?.clear(),
			() => holder.daemon?.stop(),
			() => holder.faults?.end(),
		),
	);
	return holder;
}

describe('an allocation that fails', () => {
	// Starts, and stops as soon as it is ready.
	async function start(n, whose) {
		const faults = new Faults();
		faults.set({ countdown: n, whose });
		const options = {
			'listener.main.address': '127.0.0.1:0',
			'plugins.directory': process.env.PLUGINS,
			...DEVELOPMENT,
			'plugins.load': 'auth_jwt, storage_pgsql, provider_demo',
			'log.format': 'kv',
		};
		const args = Object.entries(options).flatMap(([k, v]) => ['-o', `${k}=${v}`]);
		const child = spawn(programOf('PARLANCED'), ['-c', '/dev/null', ...args], {
			env: {
				...process.env,
				...faults.env,
				JWT_ACCESS_SECRET: SECRET,
				DATABASE_URL: database.url,
			},
			stdio: ['ignore', 'ignore', 'pipe'],
		});
		let text = '';
		let ready = false;
		child.stderr.setEncoding('utf8').on('data', (piece) => {
			text += piece;
			if (ready || !/registered in the database/.test(text)) return;
			ready = true;
			child.kill('SIGTERM');
		});
		const gone = new Promise((resolve) => {
			child.once('close', (code, signal) => resolve({ code, signal }));
		});
		const outcome = await within(gone, 30000, () => `its end (${n}): ${text}`).finally(() =>
			child.kill('SIGKILL'),
		);
		const result = { ...outcome, ready, text, failed: faults.get('failed') > 0 };
		faults.end();
		return result;
	}

	async function sweep(whose, step) {
		let refused = 0;
		for (let n = 1; ; n += step) {
			const { code, signal, ready, text, failed } = await start(n, whose);
			const what = `allocation ${n}: exit code ${code}, signal ${signal}:\n${text}`;
			assert.ok(signal === null && !SANITIZER.test(text), what);
			if (ready) assert.equal(code, 0, what);
			else assert.match(text, /out of memory|cannot|memory|file descriptors/i, what);
			if (!ready) assert.equal(code, 1, what);
			refused += !ready;
			if (!failed) return refused;
		}
	}

	it('when it starts: it refuses with a sentence, or goes on', async () => {
		assert.ok((await sweep(OURS, STEP || 19)) > 0, 'none mattered');
	});

	describe('when it serves', () => {
		const holder = daemonFor({ before, after });

		// What a new tab gets of one turn; rejects when its connection ends, or with what failed.
		async function turn(user) {
			const socket = io(holder.daemon.url, {
				auth: { token: token(user) },
				forceNew: true,
				reconnection: false,
				transports: ['websocket'],
				timeout: 3000, // it does not notice a WebSocket that is closed first of all
			});
			const over = new Promise((_, reject) => {
				const end = (how) => (why) => reject(new Error(`${how}: ${why?.message ?? why}`));
				socket.on('connect_error', end('refused'));
				socket.on('disconnect', end('disconnected'));
				socket.io.on('close', end('closed'));
			});
			over.catch(() => {});
			const next = (...names) =>
				Promise.race([over, ...names.map((name) => new Promise((resolve) => {
					socket.once(name, (data) => resolve({ name, data }));
				}))]);
			const ask = async (name, arg) => {
				const ack = await Promise.race([over, socket.emitWithAck(name, arg)]);
				if (!ack.ok) throw new Error(`${name}: ${ack.error.code}`);
				return ack;
			};
			try {
				await next('session:ready');
				const { conversation } = await ask('conversation:create', {});
				const closing = next('message:complete', 'message:error');
				closing.catch(() => {});
				await ask('message:send', {
					conversationId: conversation.id,
					content: '[[mock-5-5]]',
				});
				const { name, data } = await closing;
				if (name === 'message:error') throw new Error(`message:error ${data.code}`);
			} finally {
				socket.disconnect();
			}
		}

		async function sweep(whose, step, first = 1) {
			const outcomes = {};
			const { daemon, faults } = holder;
			const bystander = await Tab.open(daemon, 'bystander');
			for (let n = first; ; n += step) {
				faults.set({ countdown: n, whose, failed: 0, asked: 0 });
				const outcome = await within(turn(`user-${n}`), 6000, 'the turn').then(
					() => 'done',
					(error) => error.message,
				);
				const failed = faults.get('failed') > 0;
				const where = faults.where;
				faults.clear();
				assert.ok(daemon.running, `${n} (${where}): ${daemon.stderr.slice(-6000)}`);
				assert.doesNotMatch(daemon.stderr, SANITIZER, `allocation ${n} (${where})`);
				await bystander.settled();
				const name = `${failed ? where.replace(/.*\//, '') : '-'} ${outcome}`;
				(outcomes[name] ??= []).push(n);
				if (!failed) break;
			}
			await bystander.close();
			await turn('afterwards');
			return outcomes;
		}

		it('ends one request or connection, and nothing else', async (t) => {
			const outcomes = await sweep(OURS, STEP || 4);
			t.diagnostic(JSON.stringify(outcomes));
			assert.ok(Object.keys(outcomes).some((o) => o.endsWith(' done')));
		});
	});
});

describe('sockets that take or give a byte at a time, or nothing now', () => {
	const STORMS = {
		'short writes': WRITE_ONE,
		'writes that would block': WRITE_NONE,
		'short reads': READ_ONE,
		'all of it': WRITE_ONE | WRITE_NONE | READ_ONE | READ_NONE,
	};
	// Texts of all lengths of frames, the longest by far more than one write.
	const TEXTS = [0, 1, 125, 126, 4095, 20000].map(
		(n) => `${n}:${randomBytes(n).toString('base64').slice(0, n)}é€😀`,
	);

	for (const secure of [false, true])
		it(`have every byte echoed${secure ? ' over TLS' : ''}`, async (t) => {
			const faults = new Faults();
			const port = await freePort();
			const { cert, key, ca } = makeCertificate(folder);
			const server = await Server.start({
				engine: true,
				env: faults.env,
				port: null,
				set: {
					'listener.address': '127.0.0.1:0',
					'listener.secure.address': `127.0.0.1:${port}`,
					'listener.secure.tls_cert': cert,
					'listener.secure.tls_key': key,
				},
			});
			t.after(() => each(() => faults.clear(), () => server.stop(), () => faults.end()));
			const { echo } = clientOf(secure ? { url: `wss://localhost:${port}`, ca } : { url: server.wsUrl });
			for (const [name, sockets] of Object.entries(STORMS)) {
				faults.set({ sockets });
				await within(echo(TEXTS), 20000, name);
				await within(echo(TEXTS, 'polling'), 20000, `${name}, polling`);
				faults.clear();
			}
			assert.doesNotMatch(server.stderr, SANITIZER);
		});

	// Engine.IO sessions of the client of socket.io: over one transport alone.
	function clientOf({ url, ca }) {
		const echo = async (texts, transport = 'websocket') => {
			const { Socket: Client } = await import('engine.io-client');
			const client = new Client(url, {
				path: '/engine.io/',
				transports: [transport],
				upgrade: false,
				ca,
			});
			const got = [];
			const done = new Promise((resolve, reject) => {
				client.on('message', (text) => got.push(text) === texts.length && resolve());
				client.on('close', (why) => reject(new Error(`closed: ${why}`)));
				client.on('error', reject);
			});
			client.on('open', () => texts.forEach((text) => client.send(text)));
			await done.finally(() => client.close());
			assert.deepEqual(got, texts);
		};
		return { echo };
	}

	describe('between all of the chat', () => {
		const holder = daemonFor({ before, after });

		it('carry a turn as it is', async () => {
			const { daemon, faults } = holder;
			const tab = await Tab.open(daemon, 'alice');
			const id = await tab.create({ title: 'é€😀' });
			for (const sockets of Object.values(STORMS)) {
				faults.set({ sockets });
				const { closing, data } = await tab.turn(id, '[[mock-utf8-40-1]]');
				assert.equal(closing, 'message:complete');
				const text = tab
					.all('message:chunk', (d) => d.streamId === data.streamId)
					.map((d) => d.chunk)
					.join('');
				assert.equal(text, data.assistantMessage.content);
				assert.ok(text.length > 100);
			}
			faults.clear();
			const [rows] = await database.sql(
				`SELECT count(*) FROM parlance.message WHERE conversation = '${id}' AND status = 'complete'`,
			);
			assert.equal(rows[0], '8');
			await tab.close();
		});
	});
});

describe('a clock that jumps', () => {
	const holder = daemonFor(
		{ before, after },
		{ set: { 'engine.ping_interval_ms': 400, 'engine.ping_timeout_ms': 300 } },
	);
	const DAY_S = 24 * 3600;
	const now = () => Math.floor(Date.now() / 1000);
	const patient = (user) => token(user, { claims: { exp: now() + 10 * DAY_S } });
	let tabs;

	before(async () => {
		tabs = await Promise.all(
			['a', 'b', 'c', 'd', 'e'].map((user) =>
				Tab.open(holder.daemon, user, { auth: { token: patient(user) } }),
			),
		);
	});
	after(() => each(...(tabs ?? []).map((tab) => () => tab.close())));

	async function nobodyLeft() {
		// More than a ping and its answer later.
		for (let i = 0; i < 3; i++)
			await Promise.all(tabs.map((tab) => pinged(tab)));
		for (const tab of tabs) await tab.settled();
		assert.doesNotMatch(holder.daemon.stderr, SANITIZER);
	}

	// The server's next ping has come.
	function pinged(tab) {
		const { engine } = tab.socket.io;
		return within(
			new Promise((resolve, reject) => {
				engine.once('heartbeat', resolve);
				engine.once('close', (why) => reject(new Error(`closed: ${why}`)));
			}),
			5000,
			'a ping',
		);
	}

	// Whether this token opens a session: null, or the code of the refusal.
	async function refusal(claims) {
		const auth = { token: token('eve', { claims }) };
		try {
			await (await Tab.open(holder.daemon, 'eve', { auth })).close();
			return null;
		} catch (error) {
			return error.data?.code ?? error.message;
		}
	}

	it('ahead and behind: tokens are judged by it, and nobody is cut off', async () => {
		const { faults } = holder;
		const expired = { iat: now() - 3 * 3600, exp: now() - 3600 };
		const fresh = { iat: now(), exp: now() + 3600 };
		const long = { iat: now(), exp: now() + 3 * 3600 };
		assert.deepEqual([await refusal(expired), await refusal(fresh)], ['TOKEN_EXPIRED', null]);
		faults.set({ realtime: 2 * HOUR_MS });
		await nobodyLeft();
		assert.deepEqual([await refusal(fresh), await refusal(long)], ['TOKEN_EXPIRED', null]);
		faults.set({ realtime: -2 * HOUR_MS });
		await nobodyLeft();
		assert.equal(await refusal(expired), null);
		faults.set({ realtime: 0 });
		await nobodyLeft();
		const id = await tabs[0].create();
		assert.equal((await tabs[0].turn(id, '[[mock-5-5]]')).closing, 'message:complete');
	});

	// As it looks from inside when the machine has slept.
	it('that counts the hours of a sleep: nobody is cut off who still answers', async () => {
		const { faults } = holder;
		let asleep = 0;
		for (const ms of [2500, 60000, HOUR_MS]) {
			asleep += ms;
			faults.set({ monotonic: asleep });
			await nobodyLeft();
		}
		const id = await tabs[0].create();
		assert.equal((await tabs[0].turn(id, '[[mock-5-5]]')).closing, 'message:complete');
	});
});

describe('no more file descriptors', () => {
	const probes = () => join(folder, 'probes.sock');
	const holder = daemonFor(
		{ before, after },
		{
			get set() {
				return {
					'listener.probes.address': `unix:${probes()}`,
					'listener.probes.admin': 'yes',
				};
			},
		},
	);
	const probe = () => get('http://probe/readyz', { socketPath: probes() });

	it('lets nobody in, tells so, serves who is in, and recovers', async () => {
		const { daemon } = holder;
		const tab = await Tab.open(daemon, 'alice');
		const id = await tab.create();
		const limit = (n) => run('prlimit', ['--pid', String(daemon.pid), `--nofile=${n}:`]);
		const { stdout } = await run('prlimit', ['--pid', String(daemon.pid), '-n', '-o', 'SOFT', '--noheadings']);
		const told = daemon.line(/descriptors|open files|EMFILE/i);
		await limit(8);
		const late = await Promise.all(
			Array.from({ length: 20 }, async () => {
				const raw = await Raw.connect(daemon.port);
				raw.write(upgradeRequest('/socket.io/?EIO=4&transport=websocket'));
				return raw;
			}),
		);
		await told;
		assert.ok((await daemon.load(500)) < 0.3, 'it spins');
		await tab.settled();
		assert.ok(daemon.stderr.length < 300000, 'the log is flooded');
		await limit(Number(stdout));
		for (const raw of late) {
			assert.equal((await raw.answer('the answer to who waited'))?.status, 101);
			raw.destroy();
		}
		assert.equal((await probe()).status, 200);
		assert.equal((await tab.turn(id, '[[mock-5-5]]')).closing, 'message:complete');
		await tab.close();
		assert.doesNotMatch(daemon.stderr, SANITIZER);
	});
});

describe('a log that cannot be written', () => {
	const holder = daemonFor({ before, after });

	it('keeps nobody from his answers, and says later that lines were lost', async () => {
		const { daemon, faults } = holder;
		const tab = await Tab.open(daemon, 'alice');
		const id = await tab.create();
		faults.set({ sockets: LOG_FULL });
		const before = daemon.stderr.length;
		const refused = () =>
			Tab.open(daemon, 'eve', { auth: { token: token('eve', { secret: 'x' }) } });
		for (let i = 0; i < 3; i++) await assert.rejects(refused());
		assert.equal((await tab.turn(id, '[[mock-5-5]]')).closing, 'message:complete');
		assert.equal(daemon.stderr.length, before);
		const told = daemon.line(/log: lines were lost.* lines=(\d+)/);
		faults.clear();
		await assert.rejects(refused());
		assert.ok(Number((await told)[1]) >= 3);
		await tab.close();
	});

	it('from the start: it serves', async (t) => {
		const port = await freePort();
		const full = openSync('/dev/full', 'w');
		const options = {
			'listener.main.address': `127.0.0.1:${port}`,
			'plugins.directory': process.env.PLUGINS,
			...DEVELOPMENT,
			'plugins.load': 'auth_jwt, storage_pgsql, provider_demo',
			'log.level': 'debug',
		};
		const args = Object.entries(options).flatMap(([k, v]) => ['-o', `${k}=${v}`]);
		const child = spawn(programOf('PARLANCED'), ['-c', '/dev/null', ...args], {
			env: { ...process.env, JWT_ACCESS_SECRET: SECRET, DATABASE_URL: database.url },
			stdio: ['ignore', 'ignore', full],
		});
		t.after(() => child.kill('SIGKILL'));
		const gone = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
		// It may be told to come again until the daemon is somebody in the database.
		const again = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 50 };
		const open = () =>
			Tab.open({ url: `http://127.0.0.1:${port}` }, 'alice', { options: again }).catch(() => null);
		const tab = await until(open, 'it serves');
		const id = await tab.create();
		assert.equal((await tab.turn(id, 'Hi')).closing, 'message:complete');
		await tab.close();
		child.kill('SIGTERM');
		assert.equal(await within(gone, 15000, 'its end'), 0);
	});
});
