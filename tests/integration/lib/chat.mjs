// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The daemon with all it needs: a PostgreSQL of its own, a fake AI service, tokens, and tabs, which
// are unmodified socket.io-client sockets that remember what they heard. The environment names the
// programs: PARLANCED, PARLANCECTL, PLUGINS (the folder of the plugins) and MOCKAI.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { io } from 'socket.io-client';
import { validate, validateAck } from './contract.mjs';
import { Program, programOf } from './program.mjs';
import { Psql } from './psql.mjs';
import { Recorder } from './recorder.mjs';
import { secret as hidden, secretsOf } from './secrets.mjs';
import { freePort } from './server.mjs';
import { PATIENCE, each, event, within } from './util.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));

export const SECRET = hidden(randomBytes(32).toString('hex'));
// Of the database (which asks for none), and of the AI service.
const PASSWORD = hidden(`password-${randomBytes(8).toString('hex')}`);
const API_KEY = hidden(`sk-${randomBytes(16).toString('hex')}`);

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

// A token as auth_jwt wants it; header, claims, secret and alg (HS256, HS384, HS512) may be changed.
export function token(user, { claims = {}, header = {}, secret = SECRET } = {}) {
	const now = Math.floor(Date.now() / 1000);
	const head = { alg: 'HS256', typ: 'JWT', ...header };
	const body = { userId: user, iat: now, exp: now + 3600, ...claims };
	const signed = `${base64url(head)}.${base64url(body)}`;
	const hash = `sha${head.alg.slice(2)}`.replace(/^sha(?!256|384|512).*/, 'sha256');
	return hidden(`${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`);
}

// A PostgreSQL of its own, migrated, that can be killed and started again.
export class Database {
	#folder;

	static async start({ migrate = true, settings = ['fsync=off', 'max_connections=200'] } = {}) {
		const database = new Database();
		database.#folder = mkdtempSync(join(tmpdir(), 'parlance-pg-'));
		database.settings = settings;
		await database.up();
		if (migrate)
			await database.migrate().catch(async (error) => {
				await database.stop();
				throw error;
			});
		return database;
	}

	async #control(action, ...args) {
		const script = join(root, 'contrib/private-postgres');
		const { stdout } = await run(script, [action, this.#folder, ...args]);
		return stdout.trim();
	}

	async up() {
		this.url = await this.#control('start', ...this.settings);
		this.running = true;
	}

	// As a power cut would end it.
	async kill() {
		this.running = false;
		await this.#control('kill');
	}

	// The Unix socket that it listens on, as net.connect takes it.
	get place() {
		return { path: join(this.#folder, '.s.PGSQL.5432') };
	}

	// Its address by way of a proxy.
	urlAt(port) {
		const url = new URL(this.url);
		url.searchParams.set('host', '127.0.0.1');
		url.searchParams.set('port', port);
		url.searchParams.set('sslmode', 'disable');
		url.searchParams.set('gssencmode', 'disable');
		return url.href;
	}

	async migrate() {
		await run(programOf('PARLANCECTL'), [
			'migrate',
			'-d',
			this.url,
			'--dir',
			join(root, 'sql'),
		]);
	}

	// The rows of a query, as arrays of text.
	async sql(query) {
		const { stdout } = await run('psql', [
			this.url,
			...['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-F', '\x1f', '-R', '\x1e'],
			...['-c', query],
		]);
		const text = stdout.replace(/\n$/, '');
		return text ? text.split('\x1e').map((row) => row.split('\x1f')) : [];
	}

	// A transaction with these statements, which stays open until the function that it returns is
	// called.
	async hold(statements) {
		const psql = new Psql(this.url);
		await psql.sql(`BEGIN; ${statements}`);
		return async (how = 'COMMIT') => {
			await psql.sql(how);
			await psql.end();
		};
	}

	async stop() {
		await this.#control('stop');
		rmSync(this.#folder, { recursive: true, force: true });
	}
}

// The fake AI service. Its behaviour is asked for by [[mock-…]] in a message; see tests/tools/mockai.c.
export class Service extends Program {
	static async start() {
		const service = new Service();
		const [match] = await service.run(
			programOf('MOCKAI'),
			['-p', '0'],
			{ stdio: ['ignore', 'pipe', 'pipe'] },
			[/^(\d+)$/],
		);
		service.url = `http://127.0.0.1:${match[1]}/v1`;
		return service;
	}

	async stats() {
		const answer = await fetch(new URL('/stats', this.url));
		return answer.text();
	}
}

// What a daemon out of a build folder has to be told: the plugins are those of whoever built them, and
// root may be who runs it.
export const DEVELOPMENT = {
	'plugins.root_only': 'no',
	...(process.getuid() === 0 ? { 'process.allow_root': 'yes' } : {}),
};

function withPassword(text) {
	const url = new URL(text);
	url.searchParams.set('password', PASSWORD);
	return url.href;
}

// What a daemon says when it has started, by the format of its log.
const STARTED = {
	kv: [/listener: listening listener=main .*port=(\d+)/, /main: ready/],
	json: [/"msg":"listening","listener":"main",.*"port":(\d+)/, /"subject":"main","msg":"ready"/],
};

export class Daemon extends Program {
	// set: options (null: not even the one that is set here), which count more than those of the file
	// `config`; service: null for the demo provider. lines: what it says when it has started.
	static async start({
		database,
		service = null,
		config = '/dev/null',
		set = {},
		env = {},
		lines = [/registered in the database/],
	}) {
		const daemon = new Daemon();
		daemon.discreet = true;
		const provider = service ? 'provider_openai' : 'provider_demo';
		const options = {
			'listener.main.address': `127.0.0.1:${await freePort()}`,
			'plugins.directory': process.env.PLUGINS,
			...DEVELOPMENT,
			'plugins.load': `auth_jwt, storage_pgsql, ${provider}`,
			'log.level': 'debug',
			'log.format': 'kv',
			...(service ? { 'provider_openai.base_url': service.url } : {}),
			...set,
		};
		const args = ['-c', config];
		for (const [key, value] of Object.entries(options))
			if (value !== null) args.push('-o', `${key}=${value}`);
		const [match] = await daemon.run(
			programOf('PARLANCED'),
			args,
			{
				env: {
					...process.env,
					JWT_ACCESS_SECRET: SECRET,
					DATABASE_URL: withPassword(database.url),
					OPENAI_API_KEY: API_KEY,
					...env,
				},
				stdio: ['ignore', 'pipe', 'pipe'],
			},
			[...STARTED[options['log.format'] ?? 'kv'], ...lines],
		);
		daemon.ports = {};
		const listening = /\blistening\b.*\blistener(?:=|":")(\w+).*\bport(?:=|":)(\d+)/g;
		for (const [, name, port] of daemon.stderr.matchAll(listening))
			daemon.ports[name] = Number(port);
		daemon.port = Number(match[1]);
		daemon.url = `http://127.0.0.1:${daemon.port}`;
		return daemon;
	}
}

// A tab: a socket.io-client, and everything it has heard, which is checked against the contract.
export class Tab {
	heard = []; // { name, data, at }
	#waiters = new Set();

	// auth: beside the token. secret: of the token. options: of io(). expectError: resolve with the connect_error.
	static async open(daemon, user, { auth = {}, options = {}, ready = true, secret } = {}) {
		const tab = new Tab();
		tab.user = user;
		tab.socket = io(daemon.url, {
			auth: { token: token(user, { secret }), ...auth },
			forceNew: true,
			reconnection: false,
			...options,
		});
		tab.socket.onAny((name, ...args) => {
			const entry = { name, data: args[0], at: performance.now() };
			try {
				// An offset stands behind the object when recovery was negotiated.
				const types = tab.socket._pid ? ['object', 'string'] : ['object'];
				assert.deepEqual(args.map((a) => typeof a), types, `arguments of ${name}`);
				// What applications publish is theirs.
				if (!name.startsWith('app:')) validate(name, args[0]);
			} catch (error) {
				tab.failure ??= error;
			}
			tab.heard.push(entry);
			for (const waiter of [...tab.#waiters]) waiter(entry);
		});
		if (ready) {
			const refused = new Promise((_, reject) => {
				tab.socket.once('connect_error', reject);
			});
			await Promise.race([tab.next('session:ready'), refused]).catch((error) => {
				tab.socket.disconnect();
				throw error;
			});
		}
		return tab;
	}

	check() {
		if (this.failure) throw this.failure;
	}

	// The data of all events with this name that it has heard.
	all(name, accept = () => true) {
		this.check();
		return this.heard.filter((e) => e.name === name && accept(e.data)).map((e) => e.data);
	}

	names() {
		this.check();
		return this.heard.map((e) => e.name);
	}

	// The first event with this name, heard already or still to come, that is accepted.
	async next(name, accept = () => true, ms = PATIENCE) {
		const [, data] = await this.nextOf([name], accept, ms);
		return data;
	}

	// As next, for one of several names: [name, data].
	async nextOf(names, accept = () => true, ms = PATIENCE) {
		const fits = (e) => names.includes(e.name) && accept(e.data);
		let entry = this.heard.find(fits);
		if (!entry) {
			let waiter;
			const arrival = new Promise((done) => {
				waiter = (e) => {
					if (fits(e)) done(e);
				};
				this.#waiters.add(waiter);
			});
			try {
				entry = await within(arrival, ms, `${names.join(' or ')} for ${this.user}`);
			} finally {
				this.#waiters.delete(waiter);
			}
		}
		this.check();
		return [entry.name, entry.data];
	}

	// Waits for the event that closes the turn of this acknowledgement: [name, data].
	async closing(ack, ms = 30000) {
		const mine = (d) => d.streamId === ack.streamId;
		return this.nextOf(['message:complete', 'message:error'], mine, ms);
	}

	forget() {
		this.heard.length = 0;
	}

	// Emits and returns the acknowledgement.
	async ask(name, ...args) {
		secretsOf(args);
		const ack = await within(
			this.socket.emitWithAck(name, ...args),
			PATIENCE,
			`the acknowledgement of ${name}`,
		);
		validateAck(name, ack);
		this.check();
		return ack;
	}

	// As ask, for what must succeed.
	async ok(name, ...args) {
		const ack = await this.ask(name, ...args);
		assert.equal(ack.ok, true, `${name}: ${JSON.stringify(ack.error)}`);
		return ack;
	}

	// As ask, for what must be refused with this code.
	async refused(code, name, ...args) {
		const ack = await this.ask(name, ...args);
		assert.equal(ack.ok, false, `${name} was not refused`);
		assert.equal(ack.error.code, code);
		return ack.error;
	}

	emit(name, ...args) {
		secretsOf(args);
		this.socket.emit(name, ...args);
	}

	// Everything that was sent to this tab before now has arrived when this returns: answers come in
	// order.
	async settled() {
		await this.ok('ping');
		this.check();
	}

	async create(fields = {}) {
		const { conversation } = await this.ok('conversation:create', fields);
		return conversation.id;
	}

	async join(id) {
		return this.ok('join:conversation', id);
	}

	// Sends a message and waits for its closing event; returns { ack, closing, data }.
	async turn(conversationId, content, more = {}, ms = 30000) {
		const ack = await this.ok('message:send', { conversationId, content, ...more });
		const [closing, data] = await this.closing(ack, ms);
		return { ack, closing, data };
	}

	async close() {
		if (!this.socket.connected) {
			this.socket.disconnect();
			return;
		}
		const gone = event(this.socket, 'disconnect');
		this.socket.disconnect();
		await gone;
	}
}

// A daemon with database and service for a whole file or group. record: with a recorder before the
// service.
export function chatFor({ before, after }, { service = true, record = false, set = {} } = {}) {
	const chat = { tabs: [] };

	before(async () => {
		chat.database = await Database.start();
		if (service) chat.service = await Service.start();
		if (record) chat.recorder = await Recorder.start(chat.service);
		chat.daemon = await Daemon.start({
			database: chat.database,
			service: chat.recorder ?? chat.service,
			set,
		});
	});
	after(async () => {
		await each(
			...chat.tabs.map((tab) => () => tab.close()),
			() => chat.daemon?.stop(),
			() => chat.recorder?.kill(),
			() => chat.service?.kill(),
			() => chat.database?.stop(),
		);
	});
	// Users are new for each case, so that cases do not hear each other.
	chat.user = (name) => `${name}-${randomUUID().slice(0, 8)}`;
	chat.open = async (user, options) => {
		const tab = await Tab.open(chat.daemon, user, options);
		chat.tabs.push(tab);
		return tab;
	};
	return chat;
}
