// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Cross-origin rules on polling, preflight and upgrade (Fetch standard, "CORS protocol"; RFC 6455
// section 10.2 for the Origin of an upgrade).

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { begin, get, handshake, post } from './lib/http.mjs';
import { Raw, upgradeRequest } from './lib/raw.mjs';
import { serverFor } from './lib/server.mjs';
import { until } from './lib/util.mjs';

const PATH = '/engine.io/';
const QUERY = '?EIO=4&transport=polling';
const APP = 'https://app.example';
const DEV = 'http://localhost:5173';
const EVIL = [
	'https://evil.example',
	'http://app.example',
	'https://app.example:8443',
	'https://app.example.evil.com',
	'https://evil.com/https://app.example',
	'https://xapp.example',
	'https://app.exampl',
	'app.example',
	'null',
	`${APP}, ${DEV}`,
	'*',
	' ',
];

const list = (value) =>
	(value ?? '')
		.toLowerCase()
		.split(',')
		.map((item) => item.trim());

function preflight(url, origin) {
	return begin(url, {
		method: 'OPTIONS',
		headers: {
			Origin: origin,
			'Access-Control-Request-Method': 'POST',
			'Access-Control-Request-Headers': 'content-type',
		},
	}).done;
}

// The status of the answer to an upgrade; null when there was none.
async function upgrade(server, origin) {
	const raw = await Raw.connect(server.port);
	raw.write(upgradeRequest(`${PATH}?EIO=4&transport=websocket`, { Origin: origin }));
	const answer = await raw.answer('the answer to the upgrade');
	raw.destroy();
	return answer?.status ?? null;
}

describe('a list of origins, credentials, no-origin allowed', () => {
	const holder = serverFor(
		{ before, after },
		{
			engine: true,
			set: {
				'cors.origins': `${APP},${DEV}`,
				'cors.credentials': 'yes',
				'cors.max_age_s': 600,
			},
		},
	);
	const url = () => holder.server.url + PATH + QUERY;

	function assertAllowed(answer, origin) {
		assert.equal(answer.headers['access-control-allow-origin'], origin);
		assert.equal(answer.headers['access-control-allow-credentials'], 'true');
		assert.ok(
			list(answer.headers.vary).includes('origin'),
			`Vary: ${answer.headers.vary}`,
		);
	}

	it('answers a preflight', async () => {
		for (const origin of [APP, DEV]) {
			const answer = await preflight(url(), origin);
			assert.ok([200, 204].includes(answer.status), `status ${answer.status}`);
			assertAllowed(answer, origin);
			assert.ok(
				list(answer.headers['access-control-allow-methods']).includes(
					'post',
				),
			);
			assert.ok(
				list(answer.headers['access-control-allow-methods']).includes(
					'get',
				),
			);
			assert.ok(
				list(answer.headers['access-control-allow-headers']).includes(
					'content-type',
				),
			);
			assert.equal(answer.headers['access-control-max-age'], '600');
		}
	});

	it('opens, polls and posts', async () => {
		const headers = { Origin: APP };
		assertAllowed(await get(url(), { headers }), APP);
		const session = await handshake(holder.server.url + PATH, { headers });
		const posted = await post(session.url, '4x', { headers });
		assert.equal(posted.status, 200);
		assertAllowed(posted, APP);
		const polled = await get(session.url, { headers });
		assert.equal(polled.text, '4x');
		assertAllowed(polled, APP);
	});

	it('lets the page read an error', async () => {
		const answer = await get(`${url()}&sid=none`, { headers: { Origin: APP } });
		assert.equal(answer.status, 400);
		assertAllowed(answer, APP);
	});

	it('refuses other origins everywhere, and says so once in the log', async () => {
		const session = await handshake(holder.server.url + PATH);
		for (const origin of EVIL) {
			const headers = { Origin: origin };
			for (const answer of [
				await preflight(url(), origin),
				await get(url(), { headers }),
				await get(session.url, { headers }),
				await post(session.url, '4x', { headers }),
			]) {
				assert.equal(answer.status, 403, origin);
				assert.equal(
					answer.headers['access-control-allow-origin'],
					undefined,
				);
			}
			assert.equal(await upgrade(holder.server, origin), 403, origin);
		}
		await until(
			() => holder.server.stderr.includes('cors.origins'),
			'a log line that names the option',
		);
		assert.ok(holder.server.stderr.includes(EVIL[0]), 'the log names the origin');
		// the session was not touched by them
		assert.equal((await post(session.url, '4mine')).text, 'ok');
		assert.equal((await get(session.url)).text, '4mine');
	});

	it('upgrades from an allowed origin', async () => {
		assert.equal(await upgrade(holder.server, APP), 101);
		assert.equal(await upgrade(holder.server, DEV), 101);
	});

	it('serves clients that send no origin, and caches must tell them apart', async () => {
		const answer = await get(url());
		assert.equal(answer.status, 200);
		assert.equal(answer.headers['access-control-allow-origin'], undefined);
		assert.ok(
			list(answer.headers.vary).includes('origin'),
			`Vary: ${answer.headers.vary}`,
		);
		assert.equal(await upgrade(holder.server, undefined), 101);
	});
});

describe('no origins at all', () => {
	const holder = serverFor({ before, after }, { engine: true });
	const url = () => holder.server.url + PATH + QUERY;

	it('refuses every other origin', async () => {
		assert.equal((await get(url(), { headers: { Origin: APP } })).status, 403);
		assert.equal((await preflight(url(), APP)).status, 403);
		assert.equal(await upgrade(holder.server, APP), 403);
	});

	it('serves a page of its own origin', async () => {
		const headers = { Origin: holder.server.url };
		assert.equal((await get(url(), { headers })).status, 200);
	});

	it('serves clients that send no origin', async () => {
		assert.equal((await get(url())).status, 200);
		assert.equal(await upgrade(holder.server, undefined), 101);
	});
});

describe('every origin', () => {
	const holder = serverFor(
		{ before, after },
		{ engine: true, set: { 'cors.origins': '*', 'cors.credentials': 'no' } },
	);

	it('is allowed, without credentials', async () => {
		const answer = await get(holder.server.url + PATH + QUERY, {
			headers: { Origin: APP },
		});
		assert.equal(answer.status, 200);
		assert.ok(['*', APP].includes(answer.headers['access-control-allow-origin']));
		assert.equal(answer.headers['access-control-allow-credentials'], undefined);
		assert.equal(await upgrade(holder.server, 'https://evil.example'), 101);
	});
});

describe('an origin required', () => {
	const holder = serverFor(
		{ before, after },
		{
			engine: true,
			set: {
				'cors.origins': APP,
				'cors.allow_no_origin': 'no',
				'cors.credentials': 'no',
			},
		},
	);

	it('refuses a client that sends none', async () => {
		assert.equal((await get(holder.server.url + PATH + QUERY)).status, 403);
		assert.equal(await upgrade(holder.server, undefined), 403);
	});

	it('serves the listed one', async () => {
		const answer = await get(holder.server.url + PATH + QUERY, {
			headers: { Origin: APP },
		});
		assert.equal(answer.status, 200);
		assert.equal(answer.headers['access-control-allow-origin'], APP);
		assert.equal(answer.headers['access-control-allow-credentials'], undefined);
	});
});
