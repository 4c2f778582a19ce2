// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The server over TLS, with a certificate that openssl makes for the run.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import tls from 'node:tls';
import { io } from 'socket.io-client';
import { Raw, request } from './lib/raw.mjs';
import { Server } from './lib/server.mjs';
import { event, within } from './lib/util.mjs';

const LARGE = 900000;
const LARGE_BINARY_POST = 700000; // in base64 under 1,000,000 bytes

let folder;
let server;
let ca;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'tls-test-'));
	const cert = join(folder, 'cert.pem');
	const key = join(folder, 'key.pem');
	execFileSync(
		'openssl',
		[
			'req',
			'-x509',
			'-newkey',
			'ec',
			'-pkeyopt',
			'ec_paramgen_curve:P-256',
			'-nodes',
			'-days',
			'2',
			'-subj',
			'/CN=localhost',
			'-addext',
			'subjectAltName=DNS:localhost,IP:127.0.0.1',
			'-keyout',
			key,
			'-out',
			cert,
		],
		{ stdio: 'pipe' },
	);
	ca = readFileSync(cert);
	server = await Server.start({
		set: { 'listener.tls_cert': cert, 'listener.tls_key': key },
	});
});

after(async () => {
	try {
		await server?.stop();
	} finally {
		rmSync(folder, { recursive: true });
	}
});

async function connected(t, transports) {
	const socket = io(`https://127.0.0.1:${server.port}`, {
		forceNew: true,
		reconnection: false,
		transports,
		ca,
	});
	t.after(() => socket.disconnect());
	const refused = new Promise((_, reject) => {
		socket.once('connect_error', reject);
	});
	await Promise.race([event(socket, 'connect'), refused]);
	return socket;
}

// A finished TLS handshake, or its error.
function shake(options) {
	const socket = tls.connect({ port: server.port, host: '127.0.0.1', ca, ...options });
	const done = new Promise((resolve, reject) => {
		socket.once('secureConnect', () => resolve(socket));
		socket.once('error', reject);
		socket.once('close', () => reject(new Error('closed in the TLS handshake')));
	});
	return within(done, 5000, 'the TLS handshake').finally(() => socket.on('error', () => {}));
}

for (const [name, transports] of [
	['websocket', ['websocket']],
	['polling', ['polling']],
	['polling, then upgrade', ['polling', 'websocket']],
]) {
	it(`${name}: echoes, small and 900 kB`, async (t) => {
		const socket = await connected(t, transports);
		if (transports.length === 2 && socket.io.engine.transport.name !== 'websocket')
			await event(socket.io.engine, 'upgrade');
		const last = transports.at(-1);
		assert.equal(socket.io.engine.transport.name, last);
		const sizes = last === 'polling' ? LARGE_BINARY_POST : LARGE;
		for (const value of ['small', 'x'.repeat(LARGE), Buffer.alloc(sizes, 0xc3)])
			assert.deepEqual(
				await socket.timeout(10000).emitWithAck('echo', value),
				value,
			);
	});
}

it('many messages at once keep their order', async (t) => {
	const socket = await connected(t, ['websocket']);
	const answers = Array.from({ length: 300 }, (_, n) =>
		socket.timeout(10000).emitWithAck('echo', [n, 'y'.repeat(n * 10)]),
	);
	const numbers = (await Promise.all(answers)).map(([n]) => n);
	assert.deepEqual(
		numbers,
		numbers.map((_, i) => i),
	);
});

for (const version of ['TLSv1.2', 'TLSv1.3']) {
	it(`${version} is spoken`, async () => {
		const socket = await shake({ minVersion: version, maxVersion: version });
		assert.equal(socket.getProtocol(), version);
		socket.destroy();
	});
}

for (const version of ['TLSv1', 'TLSv1.1']) {
	it(`${version} is refused by the server`, async () => {
		const old = {
			minVersion: version,
			maxVersion: version,
			ciphers: 'DEFAULT@SECLEVEL=0',
		};
		await assert.rejects(shake(old), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
	});
}

it('HTTP/2 is not offered', async () => {
	const socket = await shake({ ALPNProtocols: ['h2', 'http/1.1'] });
	assert.equal(socket.alpnProtocol, 'http/1.1');
	socket.destroy();
});

it('plain HTTP and garbage on the TLS port are turned away', async () => {
	for (const bytes of [
		request('GET', '/socket.io/?EIO=4&transport=polling'),
		Buffer.alloc(100, 0xff),
	]) {
		const raw = await Raw.connect(server.port);
		raw.write(bytes);
		await raw.ended('the end of a connection without TLS');
	}
	await server.becomesIdle();
});

it('a client that leaves in the TLS handshake hurts nobody', async (t) => {
	const hello = Buffer.from('160301020001', 'hex');
	for (const leave of ['end', 'destroy', 'reset']) {
		const raw = await Raw.connect(server.port);
		await raw.write(hello);
		raw[leave]();
		if (leave === 'end') await raw.ended('the end after our FIN');
	}
	const socket = await connected(t, ['websocket']);
	assert.equal(await socket.timeout(10000).emitWithAck('echo', 'fine'), 'fine');
	await server.becomesIdle();
});
