// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What the process may do: the filter of system calls, root's rights, core dumps, whose plugins it
// takes.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
	chmodSync,
	chownSync,
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	readdirSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DEVELOPMENT, Daemon, Database, SECRET, Service, Tab } from './lib/chat.mjs';
import { Program, programOf } from './lib/program.mjs';
import { Link } from './lib/proxy.mjs';
import { each } from './lib/util.mjs';

const AS_ROOT = process.getuid() === 0;
const NOBODY = 65534;
const PLUGINS = ['auth_jwt', 'storage_pgsql', 'provider_demo'];

let database;
let service;
let folder;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'parlance-sandbox-'));
	chmodSync(folder, 0o755);
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

async function start(t, options) {
	const daemon = await Daemon.start({ database, service, ...options });
	t.after(() => daemon.stop());
	return daemon;
}

// A whole turn: token, database, name service and the AI service have been asked.
async function talk(daemon) {
	const tab = await Tab.open(daemon, 'alice');
	const { closing } = await tab.turn(await tab.create(), 'hello');
	assert.equal(closing, 'message:complete');
	await tab.close();
}

// The field of all its threads.
function ofThreads(daemon, field) {
	const tasks = `/proc/${daemon.pid}/task`;
	return readdirSync(tasks).map((task) => {
		const status = readFileSync(join(tasks, task, 'status'), 'latin1');
		return new RegExp(`^${field}:\\s+(.*)$`, 'm').exec(status)[1];
	});
}

// Runs it to its end.
function run(args, options = {}) {
	return new Promise((done) => {
		const env = { ...process.env, JWT_ACCESS_SECRET: SECRET, DATABASE_URL: database.url };
		execFile(programOf('PARLANCED'), args, { env, ...options }, (error, stdout, stderr) =>
			done({ code: error ? error.code : 0, stdout, stderr }),
		);
	});
}

const settings = (set) => Object.entries(set).flatMap(([key, value]) => ['-o', `${key}=${value}`]);

const BASE = {
	'listener.main.address': '127.0.0.1:0',
	'plugins.directory': process.env.PLUGINS,
	'plugins.load': PLUGINS.join(', '),
};

describe('system calls', () => {
	it('are filtered in every thread', async (t) => {
		// The database by a name, which a thread looks up.
		const link = await Link.open(() => database.place);
		t.after(() => link.close());
		const url = database.urlAt(link.port).replace('127.0.0.1', 'localhost');
		const daemon = await start(t, { database: { url } });
		await talk(daemon);
		const filters = ofThreads(daemon, 'Seccomp');
		assert.ok(filters.length > 1, 'there are other threads');
		assert.deepEqual(new Set(filters), new Set(['2']));
		assert.deepEqual(new Set(ofThreads(daemon, 'NoNewPrivs')), new Set(['1']));
	});

	it('are not when that is switched off', async (t) => {
		const daemon = await start(t, { set: { 'process.seccomp': 'no' } });
		await talk(daemon);
		assert.deepEqual(new Set(ofThreads(daemon, 'Seccomp')), new Set(['0']));
		assert.deepEqual(new Set(ofThreads(daemon, 'NoNewPrivs')), new Set(['1']));
	});

	it('may be logged alone', async (t) => {
		const daemon = await start(t, { set: { 'process.seccomp': 'log' } });
		assert.match(daemon.stderr, /sandbox: system calls are filtered for the log alone/);
		await talk(daemon);
		assert.deepEqual(new Set(ofThreads(daemon, 'Seccomp')), new Set(['2']));
	});
});

describe('root', { skip: !AS_ROOT && 'this is not run by root' }, () => {
	const own = settings({ ...BASE, 'plugins.root_only': 'no' });

	it('is refused', async () => {
		const { code, stdout, stderr } = await run(['-c', '/dev/null', ...own]);
		assert.equal(
			stderr,
			'parlanced does not run as root, whose rights it does not need: start it as a ' +
				'user of its own (User= in the unit, or runuser -u USER), or set ' +
				'allow_root = yes in [process]\n',
		);
		assert.equal(code, 1);
		assert.equal(stdout, '');
	});

	it('may look at the configuration', async () => {
		for (const option of ['--check', '--dump', '--sample', '--help', '--version']) {
			const { code, stderr } = await run(['-c', '/dev/null', ...own, option]);
			assert.equal(stderr, '', option);
			assert.equal(code, 0, option);
		}
	});
});

describe('a user without rights', { skip: !AS_ROOT && 'only root can be another' }, () => {
	const plugins = () => join(folder, 'plugins');
	let program;
	let link;

	// As installed: program and plugins are root's, and nothing is allowed beyond the defaults.
	before(async () => {
		link = await Link.open(() => database.place);
		program = join(folder, 'parlanced');
		copyFileSync(programOf('PARLANCED'), program);
		chmodSync(program, 0o755);
		mkdirSync(plugins());
		chmodSync(plugins(), 0o755);
		for (const name of PLUGINS) {
			copyFileSync(join(process.env.PLUGINS, `${name}.so`), join(plugins(), `${name}.so`));
			chmodSync(join(plugins(), `${name}.so`), 0o644);
		}
	});
	after(() => link.close());

	const args = () => [
		...['-c', '/dev/null', '-o', 'log.format=kv'],
		...settings({ ...BASE, 'plugins.directory': plugins() }),
	];
	const options = () => ({
		uid: NOBODY,
		gid: NOBODY,
		cwd: '/',
		env: {
			...process.env,
			HOME: '/',
			JWT_ACCESS_SECRET: SECRET,
			DATABASE_URL: database.urlAt(link.port),
		},
		stdio: ['ignore', 'pipe', 'pipe'],
	});

	it('serves', async (t) => {
		const daemon = new Program();
		const [match] = await daemon.run(program, args(), options(), [
			/listener: listening .*port=(\d+)/,
			/chat: registered in the database/,
		]);
		t.after(() => daemon.stop());
		daemon.url = `http://127.0.0.1:${match[1]}`;
		await talk(daemon);
		assert.deepEqual(new Set(ofThreads(daemon, 'Seccomp')), new Set(['2']));
		assert.deepEqual(new Set(ofThreads(daemon, 'CapEff')), new Set(['0'.repeat(16)]));
		// What others of its user would read its memory by is root's.
		const reader = await new Promise((done) =>
			execFile(
				'head',
				['-c', '1', `/proc/${daemon.pid}/environ`],
				{ uid: NOBODY, gid: NOBODY },
				(error) => done(error),
			),
		);
		assert.match(reader.message, /Permission denied/);
	});

	it('has no plugins of its own', async () => {
		const file = join(plugins(), 'provider_demo.so');
		chownSync(file, NOBODY, NOBODY);
		const wanted = new Program();
		await assert.rejects(
			wanted.run(program, args(), options(), [/ready/]),
			new RegExp(
				`plugin ${file}: belongs to the daemon's own user, so whoever takes the daemon ` +
					`over could put in any code; make root its owner \\(chown root ${file}\\), ` +
					'or, for development, set root_only = no in \\[plugins\\]',
			),
		);
		chownSync(file, 0, 0);
	});
});

describe('a core dump', () => {
	const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'latin1').trim();
	const skip = /[|/]/.test(pattern) && `cores go to ${pattern}`;
	const secret = randomBytes(32).toString('hex');

	// Ends it with SIGABRT after a turn; the core, or null.
	async function dump(set) {
		const cwd = mkdtempSync(join(folder, 'core-'));
		writeFileSync(join(cwd, 'jwt'), secret, { mode: 0o600 });
		const daemon = new Program();
		const options = {
			...BASE,
			...DEVELOPMENT,
			'plugins.load': 'auth_jwt, storage_pgsql, provider_openai',
			'log.format': 'kv',
			'auth_jwt.key_file': join(cwd, 'jwt'),
			'provider_openai.base_url': service.url,
			...set,
		};
		const env = { ...process.env, DATABASE_URL: database.url };
		delete env.JWT_ACCESS_SECRET;
		// A build with AddressSanitizer would not dump by itself.
		env.ASAN_OPTIONS = [env.ASAN_OPTIONS, 'disable_coredump=0'].filter(Boolean).join(':');
		const [match] = await daemon.run(
			'sh',
			[
				...['-c', 'ulimit -c unlimited && exec "$@"', 'sh'],
				...[programOf('PARLANCED'), '-c', '/dev/null', ...settings(options)],
			],
			{ cwd, env, stdio: ['ignore', 'pipe', 'pipe'] },
			[/listener: listening listener=main .*port=(\d+)/, /chat: registered in the database/],
		);
		daemon.url = `http://127.0.0.1:${match[1]}`;
		const tab = await Tab.open(daemon, 'alice', { secret });
		const { closing } = await tab.turn(await tab.create(), 'hello');
		assert.equal(closing, 'message:complete');
		await tab.close();
		daemon.signal('SIGABRT');
		assert.equal((await daemon.gone).signal, 'SIGABRT');
		const core = readdirSync(cwd).find((name) => name.startsWith('core'));
		return core ? readFileSync(join(cwd, core)) : null;
	}

	it('is not made', { skip }, async () => {
		assert.equal(await dump({}), null);
	});

	// Those that libraries send (keys of AI services, passwords of the database) and those that they
	// work with (keys of TLS) have copies; that is why none is made by default.
	it('where it is allowed, has not the secret of the tokens', { skip }, async () => {
		const core = await dump({ 'process.core_dumps': 'yes' });
		assert.ok(core, 'a core was made');
		assert.ok(core.includes('provider_openai'), 'it has the memory of the process');
		assert.ok(!core.includes(secret), 'the secret is in it');
	});
});
