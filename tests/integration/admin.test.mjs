// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The listener for those who watch the process: /healthz, /readyz and nothing else.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { begin, get, handshake } from './lib/http.mjs';
import { Raw, request } from './lib/raw.mjs';
import { Server } from './lib/server.mjs';
import { until } from './lib/util.mjs';

const PATH = '/engine.io/';
const PATHS = ['/healthz', '/readyz'];

let folder;
let files = 0;

before(() => {
	folder = mkdtempSync(join(tmpdir(), 'admin-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

// probe(path): the answer of its admin listener, which is a Unix socket.
async function start(t, { set = {}, args = [] } = {}) {
	const socketPath = join(folder, `${++files}.sock`);
	const server = await Server.start({
		engine: true,
		port: null,
		set: {
			'listener.address': '127.0.0.1:0',
			'listener.probes.address': `unix:${socketPath}`,
			'listener.probes.admin': 'yes',
			...set,
		},
		args,
	});
	t.after(() => server.stop());
	server.socketPath = socketPath;
	server.probe = (path, options) => get(`http://probe${path}`, { socketPath, ...options });
	return server;
}

it('says that the process works, and whether it is ready', async (t) => {
	const server = await start(t, { args: ['--not-ready', 'waiting for the database'] });
	const before = [];
	for (const path of PATHS) before.push(await server.probe(path));
	assert.deepEqual(
		before.map(({ status, text }) => [status, text]),
		[
			[200, 'ok\n'],
			[503, 'waiting for the database\n'],
		],
	);
	for (const { headers } of before) {
		assert.equal(headers['cache-control'], 'no-store');
		assert.match(headers['content-type'], /^text\/plain/);
	}
	await server.change();
	for (const [path, text] of [
		['/healthz', 'ok\n'],
		['/readyz', 'ready\n'],
		['/readyz?verbose', 'ready\n'],
	]) {
		const answer = await server.probe(path);
		assert.deepEqual([answer.status, answer.text], [200, text]);
	}
});

it('answers HEAD without the body', async (t) => {
	const server = await start(t, { args: ['--not-ready', 'no'] });
	const raw = await Raw.connect(0, { path: server.socketPath });
	for (const [path, status, length] of [
		['/healthz', 200, 3],
		['/readyz', 503, 3],
	]) {
		raw.write(request('HEAD', path));
		const answer = await raw.answer('the answer', undefined, { head: true });
		assert.equal(answer.status, status);
		assert.equal(Number(answer.headers['content-length']), length);
	}
	raw.destroy();
});

it('is nothing else: no clients, no files, no other method', async (t) => {
	const server = await start(t, { set: { 'web.root': folder } });
	for (const path of [
		'/',
		'/healthz/',
		'/Healthz',
		'/healthz/x',
		`${PATH}?EIO=4&transport=polling`,
		`${PATH}?EIO=4&transport=websocket`,
	])
		assert.equal((await server.probe(path)).status, 404, path);
	for (const method of ['POST', 'OPTIONS', 'DELETE'])
		for (const path of [...PATHS, PATH])
			assert.equal((await server.probe(path, { method })).status, 404);
});

it('alone serves these paths', async (t) => {
	const server = await start(t);
	for (const path of PATHS)
		for (const method of ['GET', 'HEAD'])
			assert.equal((await begin(server.url + path, { method }).done).status, 404);
});

it('answers while clients have all connections, and takes none of theirs', async (t) => {
	const server = await start(t, { set: { 'limits.max_connections': 2 } });
	const probes = [];
	for (let i = 0; i < 70; i++) {
		probes.push(await Raw.connect(0, { path: server.socketPath }));
		probes.at(-1).write(request('GET', '/healthz'));
	}
	const served = await Promise.all(probes.map((raw) => raw.answer()));
	assert.equal(served.filter((answer) => answer?.status === 200).length, 64);
	assert.equal(served.filter((answer) => answer === null).length, 6);
	const held = [];
	for (let i = 0; i < 3; i++) {
		const raw = await Raw.connect(server.port);
		raw.write(request('GET', '/nowhere'));
		assert.equal((await raw.answer())?.status, 404);
		held.push(raw);
	}
	// Two and one in the margin: others are closed unheard.
	await assert.rejects(handshake(server.url + PATH), { code: /ECONNRESET|EPIPE/ });
	for (const raw of probes) raw.destroy();
	const healthy = () => server.probe('/healthz').then(({ status }) => status === 200, () => false);
	await until(healthy, 'a place, when the server has seen them go');
	for (const raw of held) raw.destroy();
});
