// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Limits of connections and handshakes, whose address counts behind a proxy, and what happens when
// the process has no more file descriptors.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { get, handshake } from './lib/http.mjs';
import { Guard } from './lib/guard.mjs';
import { Raw, request, upgradeRequest } from './lib/raw.mjs';
import { Server, serverFor } from './lib/server.mjs';
import { turn, until } from './lib/util.mjs';

const PATH = '/engine.io/';
const OPEN = `${PATH}?EIO=4&transport=polling`;
const UPGRADE = `${PATH}?EIO=4&transport=websocket`;

async function start(t, options) {
	const server = await Server.start({ engine: true, ...options });
	t.after(() => server.stop());
	return server;
}

// A WebSocket that stays open: its connection, or null when it was refused with 503 or a close.
async function occupy(server, { headers, ...options } = {}) {
	const raw = await Raw.connect(server.port, options);
	raw.write(upgradeRequest(UPGRADE, headers));
	const answer = await raw.answer('the answer to the upgrade').catch((error) => {
		assert.match(error.message, /^cut answer/); // only a reset may cut it
		return null;
	});
	if (answer?.status === 101) return raw;
	assert.ok(answer === null || answer.status === 503, `status ${answer?.status}`);
	raw.destroy();
	return null;
}

// The statuses of so many handshakes, one after the other.
async function burst(server, count, options) {
	const statuses = [];
	for (let i = 0; i < count; i++) {
		const given = typeof options === 'function' ? options(i) : options;
		statuses.push((await get(server.url + OPEN, given)).status);
	}
	return statuses;
}

function assertLimited(statuses) {
	assert.equal(statuses[0], 200);
	const refused = statuses.filter((status) => status === 429 || status === 503);
	assert.ok(refused.length > 0, `nothing was refused: ${statuses}`);
	assert.equal(
		refused.length + statuses.filter((status) => status === 200).length,
		statuses.length,
	);
}

describe('connections', () => {
	it('of one address are limited, others get in, and a place becomes free', async (t) => {
		const server = await start(t, {
			set: { 'limits.max_connections_per_address': 3 },
		});
		const held = [];
		for (let i = 0; i < 3; i++) held.push(await occupy(server));
		assert.ok(held.every(Boolean), 'the first three get in');
		assert.equal(await occupy(server), null, 'the fourth does not');
		const other = await occupy(server, { localAddress: '127.0.0.2' });
		assert.ok(other, 'another address gets in');
		await server.becomesIdle();
		held.pop().destroy();
		held.push(await until(() => occupy(server), 'a place that became free'));
		for (const raw of [...held, other]) raw.destroy();
	});

	it('in all are limited', async (t) => {
		const server = await start(t, {
			set: { 'limits.max_connections': 4 },
		});
		const held = [];
		for (let i = 0; i < 4; i++)
			held.push(await occupy(server, { localAddress: `127.0.0.${i + 2}` }));
		assert.ok(held.every(Boolean), 'the first four get in');
		assert.equal(
			await occupy(server, { localAddress: '127.0.0.9' }),
			null,
			'the fifth does not',
		);
		await server.becomesIdle();
		held.pop().reset();
		held.push(await until(() => occupy(server), 'a place that became free'));
		for (const raw of held) raw.destroy();
	});

	it('behind a trusted proxy count for the client that it names', async (t) => {
		const server = await start(t, {
			set: {
				'limits.max_connections_per_address': 2,
				'limits.trusted_proxies': '127.0.0.1',
			},
		});
		const from = (address) =>
			occupy(server, { headers: { 'X-Forwarded-For': address } });
		const held = [];
		for (let i = 1; i <= 6; i++) held.push(await from(`203.0.113.${i}`));
		held.push(await from('203.0.113.1'));
		assert.ok(held.every(Boolean), 'two of one client and one of each other');
		assert.equal(await from('203.0.113.1'), null, 'the third of one client');
		for (const raw of held) raw.destroy();
	});
});

describe('handshakes per second', () => {
	const holder = serverFor(
		{ before, after },
		{
			engine: true,
			set: {
				'limits.handshakes_per_second_per_address': 5,
				'limits.handshake_burst_per_address': 5,
			},
		},
	);

	it('are limited for one address, others get in, and it passes', async () => {
		const { server } = holder;
		assertLimited(await burst(server, 30));
		assert.equal(
			(await get(server.url + OPEN, { localAddress: '127.0.0.2' })).status,
			200,
		);
		await until(
			async () => (await get(server.url + OPEN)).status === 200,
			'the next handshake',
			5000,
		);
	});

	it('count upgrades too, and not what an open session does', async () => {
		const { server } = holder;
		const localAddress = '127.0.0.3';
		const session = await handshake(server.url + PATH, { localAddress });
		const statuses = [];
		for (let i = 0; i < 30; i++) {
			const raw = await Raw.connect(server.port, { localAddress });
			raw.write(upgradeRequest(UPGRADE));
			statuses.push((await raw.answer()).status);
			raw.destroy();
		}
		assert.equal(statuses[0], 101);
		assert.ok(
			statuses.some((status) => status === 429 || status === 503),
			`${statuses}`,
		);
		for (let i = 0; i < 10; i++) {
			const answer = await get(`${server.url}${OPEN}&sid=${session.sid}x`, {
				localAddress,
			});
			assert.equal(answer.status, 400, 'an unknown session, not a limit');
		}
	});

	it('are not fooled by a header from an address that is not trusted', async () => {
		const statuses = await burst(holder.server, 30, (i) => ({
			localAddress: '127.0.0.4',
			headers: { 'X-Forwarded-For': `203.0.113.${i}` },
		}));
		assertLimited(statuses);
	});

	describe('behind a trusted proxy', () => {
		const proxied = serverFor(
			{ before, after },
			{
				engine: true,
				set: {
					'limits.handshakes_per_second_per_address': 5,
					'limits.trusted_proxies': '127.0.0.1,10.0.0.1',
				},
			},
		);
		const forwarded = (value) => ({ headers: { 'X-Forwarded-For': value } });

		it('count for the client that it names', async () => {
			const { server } = proxied;
			assertLimited(await burst(server, 30, forwarded('203.0.113.7')));
			assert.deepEqual(
				await burst(server, 2, forwarded('203.0.113.8')),
				[200, 200],
			);
			assert.deepEqual(
				await burst(server, 2, forwarded('2001:db8::1')),
				[200, 200],
			);
		});

		it('count for the last address that no proxy of ours has', async () => {
			const statuses = await burst(proxied.server, 30, (i) =>
				forwarded(`198.51.100.${i}, 203.0.113.9, 10.0.0.1`),
			);
			assertLimited(statuses);
		});

		it('survive a header that is no list of addresses', async () => {
			for (const value of [
				'',
				',',
				',,,,',
				'unknown',
				'1.2.3',
				'999.1.1.1',
				'203.0.113.77:8080',
				'[2001:db8::2]:80',
				'::ffff:203.0.113.66',
				'x'.repeat(1000),
				'1.1.1.1,'.repeat(100),
			]) {
				const { status } = await get(
					proxied.server.url + OPEN,
					forwarded(value),
				);
				assert.ok(
					[200, 400, 429, 431, 503].includes(status),
					`${value}: ${status}`,
				);
			}
		});
	});
});

describe('PROXY protocol', () => {
	const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
	const holder = serverFor(
		{ before, after },
		{
			engine: true,
			set: {
				'listener.proxy_protocol': 'yes',
				'limits.trusted_proxies': '127.0.0.1',
				'limits.handshakes_per_second_per_address': 5,
				'limits.header_timeout_ms': 800,
			},
		},
	);

	function v1(address, family = 'TCP4', local = '127.0.0.1') {
		return Buffer.from(`PROXY ${family} ${address} ${local} 40000 80\r\n`);
	}

	function v2({
		address = Buffer.alloc(0),
		command = 1,
		family = 0x11,
		version = 2,
		tlv = Buffer.alloc(0),
	}) {
		const half = address.length;
		const body = Buffer.concat([
			address,
			Buffer.alloc(half),
			half ? Buffer.from([0x9c, 0x40, 0, 80]) : Buffer.alloc(0),
			tlv,
		]);
		const head = Buffer.from([
			(version << 4) | command,
			family,
			body.length >> 8,
			body.length & 255,
		]);
		return Buffer.concat([SIGNATURE, head, body]);
	}

	// The status of a handshake behind such a header; null when the connection was closed.
	async function status(header, pieces = false) {
		const raw = await Raw.connect(holder.server.port);
		const bytes = Buffer.concat([header, Buffer.from(request('GET', OPEN))]);
		if (pieces) {
			for (const byte of bytes) {
				await raw.write(Buffer.from([byte]));
				await turn();
			}
		} else {
			raw.write(bytes);
		}
		const answer = await raw.answer('an answer or the end', 5000).catch((error) => {
			assert.match(error.message, /^cut answer/);
			return null;
		});
		raw.destroy();
		return answer?.status ?? null;
	}

	it('version 1', async () => {
		assert.equal(await status(v1('203.0.113.1')), 200);
		assert.equal(await status(v1('2001:db8::1', 'TCP6', '2001:db8::2')), 200);
		assert.equal(await status(v1('203.0.113.2'), true), 200);
		assert.equal(await status(Buffer.from('PROXY UNKNOWN\r\n')), 200);
		assert.equal(
			await status(Buffer.from('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n')),
			200,
		);
	});

	it('version 2', async () => {
		assert.equal(await status(v2({ address: Buffer.from([203, 0, 113, 3]) })), 200);
		assert.equal(
			await status(v2({ address: Buffer.alloc(16, 0x20), family: 0x21 })),
			200,
		);
		assert.equal(
			await status(v2({ address: Buffer.from([203, 0, 113, 4]) }), true),
			200,
		);
		assert.equal(
			await status(v2({ command: 0, family: 0 })),
			200,
			'LOCAL: a health check',
		);
		const tlv = Buffer.from([0x04, 0, 5, 1, 2, 3, 4, 5]);
		assert.equal(
			await status(v2({ address: Buffer.from([203, 0, 113, 5]), tlv })),
			200,
		);
	});

	it('names the address that counts', async () => {
		for (const header of [
			v1('203.0.113.20'),
			v2({ address: Buffer.from([203, 0, 113, 21]) }),
		]) {
			const statuses = [];
			for (let i = 0; i < 30; i++) statuses.push(await status(header));
			assertLimited(statuses);
		}
		assert.equal(await status(v1('203.0.113.22')), 200);
	});

	it('carries an upgrade', async () => {
		const raw = await Raw.connect(holder.server.port);
		raw.write(
			Buffer.concat([v1('203.0.113.30'), Buffer.from(upgradeRequest(UPGRADE))]),
		);
		assert.equal((await raw.answer()).status, 101);
		raw.destroy();
	});

	it('is required: without it, or with a broken one, the connection closes', async () => {
		const broken = {
			none: Buffer.alloc(0),
			'bad family': v1('203.0.113.40', 'TCP5'),
			'bad address': v1('203.0.113.999'),
			'wrong family of address': v1('2001:db8::1', 'TCP4'),
			'too few fields': Buffer.from('PROXY TCP4 203.0.113.41\r\n'),
			'lower case': Buffer.from('proxy TCP4 203.0.113.41 127.0.0.1 1 2\r\n'),
			'longer than 107 bytes': Buffer.from(
				`PROXY UNKNOWN ${'x'.repeat(200)}\r\n`,
			),
			'no such version': v2({
				address: Buffer.from([203, 0, 113, 42]),
				version: 3,
			}),
			'no such command': v2({
				address: Buffer.from([203, 0, 113, 43]),
				command: 7,
			}),
			'too short for its family': v2({ family: 0x11 }),
			'a v2 length of 64 KiB': Buffer.concat([
				SIGNATURE,
				Buffer.from([0x21, 0x11, 0xff, 0xff]),
				Buffer.alloc(65535),
			]),
		};
		for (const [name, header] of Object.entries(broken)) {
			const answer = await status(header);
			assert.ok(answer === null || answer === 400, `${name}: ${answer}`);
		}
	});

	it('that never comes to its end is given up', async () => {
		for (const start of ['', 'PROXY TCP4 203.0', '\r\n\r\n\0\r\nQUIT\n!\x11']) {
			const raw = await Raw.connect(holder.server.port);
			raw.write(Buffer.from(start, 'latin1'));
			await raw.ended('the end of a connection without a PROXY header', 5000);
		}
		await holder.server.becomesIdle();
	});
});

describe('no file descriptors left', () => {
	it('does not spin, clients that are there are served, and accepts resume', async (t) => {
		const files = 64;
		const server = await start(t, { files });
		const guard = await Guard.stand(server);
		const flood = [];
		for (let i = 0; i < files * 2; i++) {
			const raw = await Raw.connect(server.port);
			raw.write(upgradeRequest(UPGRADE));
			flood.push(raw);
		}
		await guard.served();
		const load = await server.load(1000);
		assert.ok(load < 0.2, `it spins: ${Math.round(load * 100)} % of a core`);
		await guard.served();
		assert.ok(server.stderr.length < 100000, 'the log is flooded');

		// the few that stay fit in beside the newcomers
		for (const raw of flood.splice(0, flood.length - 10)) raw.destroy();
		await guard.check();
		for (const raw of flood) raw.reset();
		await guard.check();

		// and once more, since the first time may have used a reserve up
		for (let i = 0; i < files * 2; i++) flood.push(await Raw.connect(server.port));
		await guard.served();
		assert.ok((await server.load(1000)) < 0.2, 'it spins the second time');
		for (const raw of flood) raw.reset();
		await guard.check();
		guard.leave();
	});
});
