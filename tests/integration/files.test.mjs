// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The folder of files beside the endpoint: what is served and how, what nobody gets to see, and
// that a large file to a slow reader costs the others nothing.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import { makeCertificate } from './lib/cert.mjs';
import { Guard } from './lib/guard.mjs';
import { get, handshake } from './lib/http.mjs';
import { Raw, postRequest, request, upgradeRequest } from './lib/raw.mjs';
import { FRUGAL, Server, freePort } from './lib/server.mjs';
import { event, turn } from './lib/util.mjs';

const MIB = 1 << 20;
const IDLE_TIMEOUT = 1500;
const MAX_HEADER = 8192;
const HTML = 'text/html; charset=utf-8';
const JS = 'text/javascript; charset=utf-8';
const PAGE = '<!doctype html><title>page</title>';
const SECRET = 'nobody may read this';
const POLLING = '/engine.io/?EIO=4&transport=polling';

// No two stretches of it are the same, so a piece that is lost, repeated or moved is seen.
const LARGE = Buffer.alloc(12 * MIB);
for (let i = 0; i < LARGE.length; i += 4) LARGE.writeUInt32LE((i * 2654435761) >>> 0, i);

const CONTENT = {
	'index.html': PAGE,
	'app.js': "'use strict';",
	'empty.css': '',
	'docs/index.html': '<p>docs',
	'docs/a b+c%.txt': 'odd name',
	'docs/über.txt': 'umlaut',
	'engine.io/index.html': 'shadowed',
	'engine.io/client.js': 'beside',
	'large.bin': LARGE,
	'.hidden': SECRET,
	'.git/config': SECRET,
};

let folder;
let root;
let server;
let guard;
let secure;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'files-'));
	root = join(folder, 'root');
	for (const [name, content] of Object.entries(CONTENT)) {
		mkdirSync(join(root, name, '..'), { recursive: true });
		writeFileSync(join(root, name), content);
	}
	writeFileSync(join(folder, 'secret'), SECRET);
	symlinkSync('../secret', join(root, 'out'));
	symlinkSync('..', join(root, 'up'));
	symlinkSync('app.js', join(root, 'alias.js'));
	utimesSync(join(root, 'index.html'), 784111777, 784111777);

	const { cert, key, ca } = makeCertificate(folder);
	secure = { host: '127.0.0.1', port: await freePort(), ca };
	server = await Server.start({
		engine: true,
		port: null,
		pingInterval: 600000,
		env: FRUGAL,
		set: {
			'web.root': root,
			'limits.idle_timeout_ms': IDLE_TIMEOUT,
			'limits.max_header_bytes': MAX_HEADER,
			'listener.address': '127.0.0.1:0',
			'listener.local.address': `unix:${join(folder, 'sock')}`,
			'listener.secure.address': `127.0.0.1:${secure.port}`,
			'listener.secure.tls_cert': cert,
			'listener.secure.tls_key': key,
		},
	});
	guard = await Guard.stand(server);
});
afterEach(() => guard.check());
after(async () => {
	guard?.leave();
	await server?.stop();
	rmSync(folder, { recursive: true, force: true });
});

const connect = (options) => Raw.connect(server.port, options);

// The first answer to the bytes; the connection is dropped.
async function ask(bytes, options) {
	const raw = await connect();
	raw.write(bytes);
	const answer = await raw.answer('the answer', undefined, options);
	raw.destroy();
	return answer;
}

const fetchFile = (path, headers) => ask(request('GET', path, headers));

function isLarge(answer) {
	assert.equal(answer?.status, 200);
	assert.ok(answer.body.equals(LARGE), `not the file: ${answer.body.length} bytes`);
}

describe('a file', () => {
	for (const [path, body, type] of [
		['/', PAGE, HTML],
		['/index.html', PAGE, HTML],
		['/?v=1&x=%zz', PAGE, HTML],
		['/app.js', CONTENT['app.js'], JS],
		['/alias.js', CONTENT['app.js'], JS],
		['/%61pp%2Ejs', CONTENT['app.js'], JS],
		['/empty.css', '', 'text/css; charset=utf-8'],
		['/docs/', '<p>docs', HTML],
		['/docs%2f', '<p>docs', HTML],
		['/docs/a%20b+c%25.txt', 'odd name', 'text/plain; charset=utf-8'],
		['/docs/%C3%BCber.txt', 'umlaut', 'text/plain; charset=utf-8'],
		['http://test/app.js', CONTENT['app.js'], JS],
	]) {
		it(`GET ${path}`, async () => {
			const answer = await fetchFile(path);
			assert.equal(answer.status, 200);
			assert.equal(answer.text, body);
			assert.equal(answer.headers['content-type'], type);
		});
	}

	it('has its headers', async () => {
		const { headers } = await fetchFile('/');
		const { etag, ...others } = headers;
		assert.match(etag, /^"[0-9a-f]{32}"$/);
		assert.deepEqual(others, {
			connection: 'keep-alive',
			'content-length': String(PAGE.length),
			'content-type': HTML,
			'last-modified': 'Sun, 06 Nov 1994 08:49:37 GMT',
			'cache-control': 'no-cache',
			'x-content-type-options': 'nosniff',
			'referrer-policy': 'no-referrer',
			'content-security-policy':
				"default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; " +
				"style-src 'self'; script-src 'self'; base-uri 'none'; " +
				"frame-ancestors 'none'; object-src 'none'",
		});
	});

	it('HEAD: the length of the body, without it', async () => {
		const raw = await connect();
		raw.write(request('HEAD', '/large.bin') + request('HEAD', '/none'));
		raw.write(request('GET', '/app.js'));
		const head = await raw.answer('the head', undefined, { head: true });
		assert.equal(head.status, 200);
		assert.equal(head.headers['content-length'], String(LARGE.length));
		assert.match(head.headers.etag, /^"/);
		const none = await raw.answer('404', undefined, { head: true });
		assert.equal(none.status, 404);
		assert.equal((await raw.answer()).text, CONTENT['app.js']);
		raw.destroy();
	});

	it('If-None-Match: 304 without a body when it lists the tag, and the connection goes on', async () => {
		const { etag } = (await fetchFile('/')).headers;
		const raw = await connect();
		for (const list of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
			for (const method of ['GET', 'HEAD']) {
				raw.write(request(method, '/', { 'If-None-Match': list }));
				const { status, headers } = await raw.answer('304');
				assert.equal(status, 304, list);
				assert.equal(headers.etag, etag);
				assert.equal(headers['cache-control'], 'no-cache');
				assert.equal(headers['content-length'], undefined);
			}
		}
		for (const list of ['"x"', etag.slice(1, -1), etag.slice(0, -1), '', '"']) {
			raw.write(request('GET', '/', { 'If-None-Match': list }));
			assert.equal((await raw.answer()).text, PAGE, list);
		}
		raw.write(request('GET', '/none', { 'If-None-Match': '*' }));
		assert.equal((await raw.answer()).status, 404);
		raw.destroy();
	});

	it('a range is not served: all of it comes', async () => {
		const answer = await fetchFile('/', { Range: 'bytes=0-3' });
		assert.equal(answer.status, 200);
		assert.equal(answer.text, PAGE);
	});

	it('an upgrade of it is ignored', async () => {
		const answer = await ask(upgradeRequest('/'));
		assert.equal(answer.status, 200);
		assert.equal(answer.text, PAGE);
	});

	it('HTTP/1.0, and Connection: close: whole, then the end', async () => {
		for (const bytes of [
			'GET /large.bin HTTP/1.0\r\n\r\n',
			request('GET', '/large.bin', { Connection: 'close' }),
		]) {
			const raw = await connect();
			raw.write(bytes);
			const answer = await raw.answer();
			isLarge(answer);
			assert.equal(answer.headers.connection, 'close');
			await raw.ended();
		}
	});

	it('is what it was when the server started', async () => {
		writeFileSync(join(root, 'app.js'), 'changed');
		writeFileSync(join(root, 'new.js'), 'new');
		assert.equal((await fetchFile('/app.js')).text, CONTENT['app.js']);
		assert.equal((await fetchFile('/new.js')).status, 404);
	});
});

describe('what is no file', () => {
	it('404, and the connection goes on', async () => {
		const raw = await connect();
		for (const path of ['/none', '/docs', '/app.js/', '/docs//', '//', '/APP.JS', '*']) {
			raw.write(request(path === '*' ? 'OPTIONS' : 'GET', path));
			const answer = await raw.answer();
			assert.equal(answer.status, 404, path);
			assert.equal(answer.text, 'Not found\n');
			raw.write(request('GET', '/app.js'));
			assert.equal((await raw.answer()).text, CONTENT['app.js']);
		}
		raw.destroy();
	});

	it('other methods: 405 names those allowed, 404 where there is nothing', async () => {
		const raw = await connect();
		for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'get']) {
			raw.write(request(method, '/app.js'));
			const answer = await raw.answer();
			assert.equal(answer.status, 405, method);
			assert.equal(answer.headers.allow, 'GET, HEAD');
			raw.write(request(method, '/none'));
			assert.equal((await raw.answer()).status, 404, method);
		}
		raw.destroy();
	});

	it('a body behind such a request is not taken for the next one', async () => {
		for (const [method, status] of [
			['POST', 405],
			['GET', 200],
		]) {
			const raw = await connect();
			raw.write(
				request(
					method,
					'/app.js',
					{ 'Content-Length': 100 },
					request('GET', '/'),
				),
			);
			const answers = await raw.answers();
			assert.equal(answers.length, 1);
			assert.equal(answers[0].status, status);
			assert.equal(answers[0].headers.connection, 'close');
			raw.destroy();
		}
	});

	it('outside of the folder, or hidden: never', async () => {
		const ups = ['..', '%2e%2e', '.%2E', '%252e%252e', '..%00', '%c0%ae%c0%ae', '..;'];
		const slashes = ['/', '%2f', '\\', '%5c', '%252f', '//', '%c0%af'];
		const paths = [
			'/out',
			'/up/secret',
			'/up/root/app.js',
			'/.hidden',
			'/%2ehidden',
			'/.git/config',
			'/docs/../.hidden',
			`${folder}/secret`,
			`/${folder}/secret`,
			'/.',
			'/./',
			'/..',
			'/../',
			`/${'../'.repeat(40)}etc/passwd`,
			`/docs/${'%2e%2e/'.repeat(40)}etc/passwd`,
			'http://test/../secret',
		];
		for (const up of ups) {
			for (const slash of slashes) {
				paths.push(`/${up}${slash}secret`);
				paths.push(`/docs${slash}${up}${slash}${up}${slash}secret`);
				paths.push(`/docs${slash}${up}${slash}.hidden`);
				paths.push(`/docs${slash}${up}${slash}app.js`);
			}
		}
		for (const path of paths) {
			const answer = await fetchFile(path);
			assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`);
			assert.ok(!answer.text.includes(SECRET), path);
		}
	});

	it('a malformed path: 400, and the connection goes on when it can', async () => {
		const raw = await connect();
		for (const path of ['/%', '/app.js%', '/%0', '/%zz', '/%00', '/app.js%00', '/%00/app.js']) {
			raw.write(request('GET', path));
			assert.equal((await raw.answer()).status, 400, path);
			raw.write(request('GET', '/app.js'));
			assert.equal((await raw.answer()).status, 200);
		}
		raw.destroy();
		for (const path of ['/\0', '/app.js\0', '/a b', '/\x7f', 'app.js', '']) {
			const answer = await fetchFile(path);
			assert.equal(answer.status, 400, JSON.stringify(path));
		}
	});

	it('a long path: 404 up to the limit of a head, then 431', async () => {
		const longest = MAX_HEADER - request('GET', '').length;
		for (const fill of ['/', 'a', '%41', '/..']) {
			const path = `/${fill.repeat(longest)}`;
			const fits = path.slice(0, longest - (longest % fill.length) + 1 - fill.length);
			assert.equal((await fetchFile(fits)).status, 404, fill);
			assert.equal((await fetchFile(path.slice(0, longest + 1))).status, 431, fill);
		}
	});
});

describe('the endpoint', () => {
	it('goes before a file of the same path', async () => {
		assert.equal((await fetchFile('/engine.io/')).status, 400);
		assert.equal((await fetchFile(POLLING)).text[0], '0');
		assert.equal((await fetchFile('/engine.io')).status, 400);
		const { sid } = await handshake(`${server.url}/engine.io/`);
		assert.ok(sid);
	});

	it('leaves the files beside it', async () => {
		assert.equal((await fetchFile('/engine.io/client.js')).text, 'beside');
	});

	it('keeps its CORS, which files have none of', async () => {
		const origin = { Origin: 'https://other.example' };
		assert.equal((await fetchFile(POLLING, origin)).status, 403);
		const answer = await fetchFile('/app.js', origin);
		assert.equal(answer.status, 200);
		assert.equal(answer.headers['access-control-allow-origin'], undefined);
	});
});

describe('pipelining', () => {
	for (const count of [2, 20, 500]) {
		it(`${count} small files in one packet`, async () => {
			const raw = await connect();
			raw.write(request('GET', '/app.js').repeat(count));
			for (let i = 0; i < count; i++)
				assert.equal((await raw.answer()).text, CONTENT['app.js']);
			raw.destroy();
		});
	}

	it('files, handshakes, posts and errors keep their order', async () => {
		const { url, sid } = await handshake(`${server.url}/engine.io/`);
		const raw = await connect();
		const rounds = 5;
		let bytes = '';
		for (let i = 0; i < rounds; i++)
			bytes +=
				request('GET', '/') +
				request('GET', '/large.bin') +
				request('GET', POLLING) +
				request('GET', '/none') +
				postRequest(`${POLLING}&sid=${sid}`, `4${i}`) +
				request('HEAD', '/') +
				request('GET', '/empty.css');
		raw.write(bytes);
		for (let i = 0; i < rounds; i++) {
			assert.equal((await raw.answer()).text, PAGE);
			isLarge(await raw.answer());
			assert.equal((await raw.answer()).text[0], '0');
			assert.equal((await raw.answer()).status, 404);
			assert.equal((await raw.answer()).text, 'ok');
			const head = await raw.answer('the head', undefined, { head: true });
			assert.equal(head.headers['content-length'], String(PAGE.length));
			assert.equal((await raw.answer()).text, '');
		}
		raw.destroy();
		assert.equal((await get(url)).text, '40\x1e41\x1e42\x1e43\x1e44');
	});

	it('requests that come byte by byte, while a file goes out', async () => {
		const raw = await connect();
		const bytes = request('GET', '/large.bin') + request('GET', '/app.js');
		for (const byte of Buffer.from(bytes)) {
			await raw.write(Buffer.from([byte]));
			await turn();
		}
		isLarge(await raw.answer());
		assert.equal((await raw.answer()).text, CONTENT['app.js']);
		raw.destroy();
	});

	it('what follows a file is not waited for longer than any head', async () => {
		const raw = await connect();
		raw.write(`${request('GET', '/large.bin')}GET /app`);
		isLarge(await raw.answer());
		raw.write('.js HTTP/1.1\r\nHost: test\r\n\r\n');
		assert.equal((await raw.answer()).text, CONTENT['app.js']);
		await raw.ended('the end of an idle connection');
	});
});

describe('a large file', () => {
	it('and the next on the same connection', async () => {
		const raw = await connect();
		for (let i = 0; i < 3; i++) {
			raw.write(request('GET', '/large.bin'));
			isLarge(await raw.answer());
		}
		raw.destroy();
	});

	async function openSecure() {
		const socket = tls.connect(secure);
		await event(socket, 'secureConnect');
		socket.unref();
		return new Raw(socket);
	}

	it('over TLS, two of them pipelined', async () => {
		const raw = await openSecure();
		raw.write(request('GET', '/large.bin').repeat(2) + request('GET', '/app.js'));
		isLarge(await raw.answer());
		isLarge(await raw.answer());
		assert.equal((await raw.answer()).text, CONTENT['app.js']);
		raw.destroy();
	});

	for (const [over, open] of [
		['TCP', () => connect()],
		['TLS', openSecure],
		['a Unix socket', () => connect({ path: join(folder, 'sock') })],
	]) {
		it(`to a reader that pauses, over ${over}: others are served, then it gets the rest`, async () => {
			const raw = await open();
			raw.write(request('GET', '/large.bin') + request('GET', '/app.js'));
			assert.ok(await raw.read(1));
			raw.pause();
			await guard.served();
			assert.equal((await fetchFile('/app.js')).text, CONTENT['app.js']);
			assert.ok((await server.load(300)) < 0.3, 'the server spins');
			raw.resume();
			// the first byte of the answer, "H", was read above
			const rest = await raw.read(LARGE.length, 'most of the answer');
			const from = rest.indexOf('\r\n\r\n') + 4;
			assert.ok(from > 4);
			const tail = await raw.read(from, 'the rest of the answer');
			assert.ok(Buffer.concat([rest.subarray(from), tail]).equals(LARGE));
			assert.equal((await raw.answer()).text, CONTENT['app.js']);
			raw.destroy();
		});
	}

	it('to a slow reader: it has the idle time for each piece, not for all', async () => {
		const raw = await connect({ path: join(folder, 'sock') });
		raw.write(request('GET', '/large.bin'));
		const start = Date.now();
		const pieces = [];
		let left = LARGE.length;
		while (left > 0) {
			raw.resume();
			const piece = await raw.read(Math.min(left, 512 * 1024));
			assert.ok(piece, `the connection ended with ${left} bytes to go`);
			raw.pause();
			pieces.push(piece);
			left -= piece.length;
			await delay(IDLE_TIMEOUT / 8);
		}
		assert.ok(Date.now() - start > 2 * IDLE_TIMEOUT, 'it was not slow');
		raw.resume();
		const head = Buffer.concat(pieces).indexOf('\r\n\r\n') + 4;
		pieces.push(await raw.read(head));
		assert.ok(Buffer.concat(pieces).subarray(head).equals(LARGE));
		raw.destroy();
	});

	it('to a reader that takes nothing: it is given up', async () => {
		const raw = await connect({ path: join(folder, 'sock') });
		raw.write(request('GET', '/large.bin').repeat(3));
		raw.pause();
		await delay(IDLE_TIMEOUT * 2);
		raw.resume();
		const got = await raw.rest();
		assert.ok(got.length < LARGE.length, 'it was never given up');
	});

	it('to many who read nothing and ask on and on: no memory for it', async () => {
		const before = server.residentKib();
		const all = [];
		for (let i = 0; i < 30; i++) {
			const raw = await connect({ path: join(folder, 'sock') });
			raw.pause();
			raw.write(request('GET', '/large.bin').repeat(5000));
			all.push(raw);
		}
		await server.becomesIdle();
		const grown = server.residentKib() - before;
		for (const raw of all) raw.destroy();
		assert.ok(grown < 16 * 1024, `the server grew by ${grown} KiB`);
	});

	it('whose reader leaves', async () => {
		for (const leave of ['destroy', 'reset', 'end']) {
			for (let i = 0; i < 10; i++) {
				const raw = await connect();
				raw.write(request('GET', '/large.bin').repeat(3));
				await raw.read(1 + i * 100000);
				raw[leave]();
				if (leave === 'end') await raw.rest();
			}
		}
	});

	it('to many at a time', async () => {
		const all = [];
		for (let i = 0; i < 8; i++) {
			const raw = await connect();
			raw.write(request('GET', '/large.bin'));
			all.push(raw);
		}
		await guard.served();
		for (const raw of all) {
			isLarge(await raw.answer());
			raw.destroy();
		}
	});
});

describe('start and stop', () => {
	it('without a folder there is nothing', async () => {
		const plain = await Server.start({ engine: true });
		const raw = await Raw.connect(plain.port);
		for (const path of ['/', '/app.js', '/%', '/%00']) {
			raw.write(request('GET', path));
			assert.equal((await raw.answer()).status, 404);
		}
		raw.destroy();
		await plain.stop();
	});

	for (const [what, set, sentence] of [
		['that is not there', { 'web.root': '/nowhere/at/all' }, /cannot open it: No such file/],
		['that is too large', { 'web.max_bytes': 1000 }, /more than 1000 bytes.*max_bytes/],
		['with too many files', { 'web.max_files': 3 }, /more than 3 files.*max_files/],
	]) {
		it(`a folder ${what}: the server says so and does not start`, async () => {
			const start = Server.start({ set: { 'web.root': root, ...set } });
			await assert.rejects(start, sentence);
		});
	}

	it('a download that runs when the server stops is completed', async () => {
		const own = await Server.start({ set: { 'web.root': root } });
		const raw = await Raw.connect(own.port);
		raw.write(request('GET', '/large.bin'));
		await raw.read(1);
		raw.pause();
		await own.load(100); // what the kernel takes, it has taken
		const stopped = own.stop();
		await turn();
		raw.resume();
		const rest = await raw.rest();
		assert.ok(rest.subarray(-LARGE.length).equals(LARGE));
		raw.destroy();
		await stopped;
	});
});
