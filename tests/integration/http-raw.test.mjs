// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The HTTP side from a raw socket: pipelining, bodies, held polls, broken and hostile requests.
// After each case the guard looks whether anyone else was hurt.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Guard } from './lib/guard.mjs';
import { get, handshake, post } from './lib/http.mjs';
import { Raw, postRequest, request, upgradeRequest } from './lib/raw.mjs';
import { Server } from './lib/server.mjs';
import { Socket } from './lib/socket.mjs';
import { turn, until } from './lib/util.mjs';

const PATH = '/engine.io/';
const OPEN = `${PATH}?EIO=4&transport=polling`;
const MAX_PAYLOAD = 100000;
const HEADER_TIMEOUT = 800;
const BODY_TIMEOUT = 1000;
const CLOSED = null; // as a status: the connection ended without an answer

let server;
let guard;

before(async () => {
	server = await Server.start({
		engine: true,
		set: {
			'engine.max_payload_bytes': MAX_PAYLOAD,
			'limits.header_timeout_ms': HEADER_TIMEOUT,
			'limits.body_timeout_ms': BODY_TIMEOUT,
		},
	});
	guard = await Guard.stand(server);
});
afterEach(() => guard.check());
after(async () => {
	guard?.leave();
	await server?.stop();
});

const connect = (options) => Raw.connect(server.port, options);
const base = () => server.url + PATH;

async function session() {
	const { sid, url } = await handshake(base());
	return { sid, url, target: `${OPEN}&sid=${sid}` };
}

// Sends the bytes, wants one of the statuses as first answer, and drops the connection.
async function expectStatus(bytes, allowed, options) {
	const raw = await connect();
	raw.write(bytes);
	const answer = await raw.answer('the answer or the end', undefined, options);
	raw.destroy();
	const status = answer === null ? CLOSED : answer.status;
	const start = bytes.toString('latin1').slice(0, 70);
	assert.ok(
		allowed.includes(status),
		`${JSON.stringify(start)} gave ${status}, want ${allowed}`,
	);
	return answer;
}

// A held poll: on the server before the promise settles, as the session's answer to another packet
// that came later shows.
async function hold() {
	const opened = await session();
	const raw = await connect();
	await raw.write(request('GET', opened.target));
	await guard.served();
	return { ...opened, raw };
}

async function sessionCloses(url) {
	await until(async () => (await get(url)).status === 400, 'the close of the session', 3000);
}

describe('pipelining', () => {
	// Later ones may be left unanswered only by closing, said in the last answer.
	async function pipelined(bytes, count) {
		const raw = await connect();
		raw.write(bytes);
		const answers = [];
		while (answers.length < count) {
			const answer = await raw.answer('the next answer or the end');
			if (answer === null) break;
			answers.push(answer);
		}
		assert.ok(answers.length > 0, 'the first request was not answered');
		if (answers.length < count)
			assert.match(answers.at(-1).headers.connection ?? '', /close/i);
		raw.destroy();
		return answers;
	}

	for (const count of [2, 3, 20, 500]) {
		it(`${count} handshakes in one packet`, async () => {
			const answers = await pipelined(request('GET', OPEN).repeat(count), count);
			for (const answer of answers) {
				assert.equal(answer.status, 200);
				assert.equal(answer.text[0], '0');
			}
		});

		it(`${count} polls of an unknown session in one packet`, async () => {
			const answers = await pipelined(
				request('GET', `${OPEN}&sid=none`).repeat(count),
				count,
			);
			for (const answer of answers) assert.equal(answer.status, 400);
		});

		it(`${count} posts in one packet`, async () => {
			const { target } = await session();
			let bytes = '';
			for (let i = 0; i < count; i++)
				bytes += postRequest(target, `4message ${i}`);
			const answers = await pipelined(bytes, count);
			assert.equal(answers[0].status, 200);
			assert.equal(answers[0].text, 'ok');
		});
	}

	it('a post, then a poll: the poll gets the echo, or the connection closes', async () => {
		const { target } = await session();
		const answers = await pipelined(
			postRequest(target, '4pipe') + request('GET', target),
			2,
		);
		assert.equal(answers[0].text, 'ok');
		if (answers.length === 2) assert.equal(answers[1].text, '4pipe');
	});

	it('a poll, then a post, then a poll, and the client leaves', async () => {
		const { target } = await session();
		const raw = await connect();
		await raw.write(
			request('GET', target) +
				postRequest(target, '4pipe') +
				request('GET', target),
		);
		await server.becomesIdle();
		raw.destroy();
	});

	it('a handshake, then an upgrade', async () => {
		const upgrade = upgradeRequest(`${PATH}?EIO=4&transport=websocket`);
		const answers = await pipelined(request('GET', OPEN) + upgrade, 2);
		assert.equal(answers[0].status, 200);
		if (answers.length === 2)
			assert.ok(
				[101, 400].includes(answers[1].status),
				`status ${answers[1].status}`,
			);
	});
});

describe('the body of a post', () => {
	async function echoOf(url) {
		const poll = await get(url);
		assert.equal(poll.status, 200);
		return poll.text;
	}

	it('in pieces', async () => {
		const { url, target } = await session();
		const raw = await connect();
		const bytes = postRequest(target, '4in seven pieces');
		const step = Math.ceil(bytes.length / 7);
		for (let at = 0; at < bytes.length; at += step) {
			await raw.write(bytes.slice(at, at + step));
			await turn();
		}
		assert.equal((await raw.answer()).text, 'ok');
		raw.destroy();
		assert.equal(await echoOf(url), '4in seven pieces');
	});

	it('byte by byte, header and all', async () => {
		const { url, target } = await session();
		const raw = await connect();
		for (const byte of Buffer.from(postRequest(target, '4über'))) {
			await raw.write(Buffer.from([byte]));
			await turn();
		}
		assert.equal((await raw.answer()).text, 'ok');
		raw.destroy();
		assert.equal(await echoOf(url), '4über');
	});

	it('exactly as large as allowed', async () => {
		const { url } = await session();
		const body = `4${'x'.repeat(MAX_PAYLOAD - 1)}`;
		assert.equal((await post(url, body)).text, 'ok');
		assert.equal(await echoOf(url), body);
	});

	it('one byte larger than allowed', async () => {
		const { url } = await session();
		const answer = await post(url, `4${'x'.repeat(MAX_PAYLOAD)}`).catch(
			(error) => error,
		);
		// the answer may be lost when the server closes on bytes that it did not read
		if (answer instanceof Error)
			assert.ok(['ECONNRESET', 'EPIPE'].includes(answer.code), answer.message);
		else assert.ok([400, 413].includes(answer.status), `status ${answer.status}`);
	});

	it('declared too large is refused before it comes, and the connection ends', async () => {
		const { target } = await session();
		const raw = await connect();
		raw.write(request('POST', target, { 'Content-Length': MAX_PAYLOAD + 1 }));
		const answer = await raw.answer('a refusal before the body', BODY_TIMEOUT / 2);
		assert.ok([400, 413].includes(answer.status), `status ${answer.status}`);
		await raw.ended('the end after a refused body', BODY_TIMEOUT * 3);
	});

	it('longer than declared: the rest is no part of it', async () => {
		const { url, target } = await session();
		const raw = await connect();
		raw.write(
			request(
				'POST',
				target,
				{ 'Content-Length': 6 },
				'4short and this is no request\r\n\r\n',
			),
		);
		const first = await raw.answer();
		assert.equal(first.text, 'ok');
		const second = await raw.answer('a refusal or the end');
		assert.ok(second === null || second.status >= 400, `status ${second?.status}`);
		raw.destroy();
		assert.equal(await echoOf(url), '4short');
	});

	for (const [how, leave] of [
		['FIN', (raw) => raw.end()],
		['RST', (raw) => raw.reset()],
	]) {
		it(`shorter than declared, then ${how}`, async () => {
			const { url, target } = await session();
			const raw = await connect();
			await raw.write(
				request('POST', target, { 'Content-Length': 50 }, '4too short'),
			);
			leave(raw);
			await raw.ended('the end of the connection', BODY_TIMEOUT * 3);
			await post(url, '4after');
			const poll = await get(url);
			assert.ok(
				poll.status === 400 || poll.text === '4after',
				`${poll.status} ${poll.text}`,
			);
		});
	}

	for (const sent of ['', '4some of it']) {
		it(`never comes${sent && ' to its end'}`, async () => {
			const { target } = await session();
			const raw = await connect();
			raw.write(request('POST', target, { 'Content-Length': 50 }, sent));
			const answer = await raw.answer('408 or the end', BODY_TIMEOUT * 4);
			assert.ok(
				answer === null || [400, 408].includes(answer.status),
				`${answer?.status}`,
			);
			await raw.ended('the end of the connection', BODY_TIMEOUT);
		});
	}

	it('trickles: the deadline is for all of it', async () => {
		const { target } = await session();
		const raw = await connect();
		raw.write(request('POST', target, { 'Content-Length': 5000 }, '4'));
		const end = Date.now() + BODY_TIMEOUT * 5;
		while (!raw.over && Date.now() < end) {
			raw.write('x');
			await delay(50);
		}
		assert.ok(raw.over, 'a trickled body was never given up');
		raw.destroy();
	});

	it('with a bad length', async () => {
		const { target } = await session();
		const lengths = [
			'abc',
			'-1',
			'+6',
			'6x',
			'0x6',
			'1e1',
			'99999999999999999999999',
			'',
			' ',
			'18446744073709551622',
			'4294967302',
		];
		for (const length of lengths) {
			const bytes = request(
				'POST',
				target,
				{ 'Content-Length': length },
				'4hello',
			);
			await expectStatus(bytes, [400, 411, 413, CLOSED]);
		}
	});

	it('with two lengths that differ', async () => {
		const { target } = await session();
		const twice =
			`POST ${target} HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n` +
			'Content-Length: 7\r\n\r\n4hello!';
		await expectStatus(twice, [400, CLOSED]);
		await expectStatus(
			request('POST', target, { 'Content-Length': '6, 7' }, '4hello!'),
			[400, CLOSED],
		);
	});

	it('without a length', async () => {
		const { target } = await session();
		await expectStatus(request('POST', target), [411]);
	});

	it('chunked', async () => {
		const { target } = await session();
		const chunked = { 'Transfer-Encoding': 'chunked' };
		await expectStatus(
			request('POST', target, chunked, '6\r\n4hello\r\n0\r\n\r\n'),
			[411],
		);
		await expectStatus(
			request(
				'POST',
				target,
				{ 'Transfer-Encoding': 'gzip, chunked' },
				'6\r\n4hello\r\n0\r\n\r\n',
			),
			[411],
		);
	});

	it('chunked and with a length', async () => {
		const { target } = await session();
		const both = { 'Transfer-Encoding': 'chunked', 'Content-Length': 6 };
		await expectStatus(
			request('POST', target, both, '6\r\n4hello\r\n0\r\n\r\n'),
			[400, 411],
		);
	});

	it('of a GET is not taken for another request', async () => {
		const inner = request('GET', OPEN);
		const raw = await connect();
		raw.write(request('GET', OPEN, { 'Content-Length': inner.length }, inner));
		raw.end();
		assert.ok((await raw.answers()).length <= 1);
	});

	it('is empty, or nothing but separators', async () => {
		const { target } = await session();
		await expectStatus(postRequest(target, ''), [200, 400]);
		const other = await session();
		await expectStatus(postRequest(other.target, '\x1e'.repeat(1000)), [200, 400]);
	});

	it('has bad base64 or bad UTF-8: nothing wrong is echoed', async () => {
		for (const body of [Buffer.from('b!!!!'), Buffer.from([0x34, 0xff, 0xfe])]) {
			const { url } = await session();
			await post(url, body);
			await post(url, '4mark');
			const poll = await get(url);
			assert.ok(
				poll.status === 400 || poll.text.endsWith('4mark'),
				`${poll.status}`,
			);
			assert.equal(Buffer.from(poll.text).indexOf(0xff), -1);
		}
	});

	it('comes twice at a time: the session closes', async () => {
		const { url, target } = await session();
		const first = await connect();
		await first.write(request('POST', target, { 'Content-Length': 20 }, '4half of'));
		await guard.served();
		await expectStatus(postRequest(target, '4second'), [400, 500]);
		first.destroy();
		await sessionCloses(url);
	});
});

describe('a poll is held', () => {
	it('and answered by what comes', async () => {
		const { raw, url } = await hold();
		assert.equal((await post(url, '4wake')).text, 'ok');
		assert.equal((await raw.answer()).text, '4wake');
		raw.destroy();
	});

	it('the client sends FIN: the connection ends, the session closes', async () => {
		const { raw, url } = await hold();
		raw.end();
		await raw.ended('the end after our FIN', 3000);
		await sessionCloses(url);
	});

	it('the client closes: the session closes', async () => {
		const { raw, url } = await hold();
		raw.destroy();
		await sessionCloses(url);
	});

	it('the client sends RST: the session closes', async () => {
		const { raw, url } = await hold();
		raw.reset();
		await sessionCloses(url);
	});

	for (const [what, bytes] of [
		['one byte', 'X'],
		['half a request', 'GET / HT'],
		['another request', request('GET', OPEN)],
		['64 KiB', 'x'.repeat(65536)],
		['4 MiB', 'x'.repeat(4 << 20)],
	]) {
		it(`pipelined bytes do not spin or harm: ${what}`, async () => {
			const { raw, url } = await hold();
			raw.write(bytes);
			await server.becomesIdle();
			if (!raw.over) {
				await post(url, '4wake');
				const answer = await raw
					.answer('the held answer, a refusal, or the end')
					.catch(() => null);
				assert.ok(
					answer === null ||
						answer.status === 400 ||
						answer.text === '4wake',
				);
			}
			raw.destroy();
		});

		it(`pipelined bytes, then FIN: ${what}`, async () => {
			const { raw, url } = await hold();
			raw.write(bytes);
			raw.end();
			await raw.ended('the end after our FIN', 3000);
			await sessionCloses(url);
		});

		it(`pipelined bytes, then RST: ${what}`, async () => {
			const { raw, url } = await hold();
			raw.write(bytes);
			await turn();
			raw.reset();
			await sessionCloses(url);
		});
	}

	it('by a hundred clients that all vanish', async () => {
		const held = [];
		for (let i = 0; i < 100; i++) held.push(await hold());
		for (const { raw } of held) raw.reset();
		for (const { url } of held) await sessionCloses(url);
	});

	it('a second poll ends the first with a close packet', async () => {
		const { raw, url } = await hold();
		const second = await get(url);
		assert.ok([400, 500].includes(second.status), `status ${second.status}`);
		assert.equal((await raw.answer()).text, '1');
		raw.destroy();
		await sessionCloses(url);
	});
});

describe('a request that is no good', () => {
	it('HTTP/1.0 is answered or refused, and the connection ends', async () => {
		const raw = await connect();
		raw.write(`GET ${OPEN} HTTP/1.0\r\n\r\n`);
		const answer = await raw.answer('an answer or the end');
		assert.ok(
			answer === null || [200, 400, 505].includes(answer.status),
			`${answer?.status}`,
		);
		await raw.ended('the end of an HTTP/1.0 connection', 3000);
	});

	it('other versions', async () => {
		const starts = [
			'GET /\r\n',
			`GET ${OPEN} HTTP/9.9\r\nHost: t\r\n\r\n`,
			'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
			`GET ${OPEN} HTTQ/1.1\r\nHost: t\r\n\r\n`,
			`GET ${OPEN}\r\nHost: t\r\n\r\n`,
		];
		for (const bytes of starts)
			await expectStatus(bytes, [400, 404, 405, 408, 505, CLOSED]);
	});

	it('2,000 headers', async () => {
		let bytes = `GET ${OPEN} HTTP/1.1\r\nHost: test\r\n`;
		for (let i = 0; i < 2000; i++) bytes += `X-Flood-${i}: ${'y'.repeat(50)}\r\n`;
		await expectRefusalOrReset(`${bytes}\r\n`);
	});

	// The answer may be lost when the server closes on bytes that it did not read.
	async function expectRefusalOrReset(bytes) {
		const raw = await connect();
		raw.write(bytes);
		const answer = await raw.answer('a refusal or the end').catch(() => null);
		assert.ok(
			answer === null || [400, 404, 413, 414, 431].includes(answer.status),
			`${answer?.status}`,
		);
		raw.destroy();
	}

	it('one header of 256 KiB', () =>
		expectRefusalOrReset(request('GET', OPEN, { 'X-Giant': 'y'.repeat(256 << 10) })));

	it('a header name of 256 KiB', () =>
		expectRefusalOrReset(request('GET', OPEN, { ['x'.repeat(256 << 10)]: 'y' })));

	it('a target of 256 KiB', () =>
		expectRefusalOrReset(request('GET', `${OPEN}&t=${'y'.repeat(256 << 10)}`)));

	it('headers without end', async () => {
		const raw = await connect();
		raw.write(`GET ${OPEN} HTTP/1.1\r\n`);
		const line = `X-More: ${'z'.repeat(8000)}\r\n`;
		const end = Date.now() + HEADER_TIMEOUT * 5;
		while (!raw.over && Date.now() < end) {
			await raw.write(line);
			await turn();
		}
		assert.ok(raw.over, 'endless headers were never given up');
		raw.destroy();
	});

	for (const [what, start] of [
		['nothing at all', ''],
		['a request line in pieces', 'GET /engine'],
		['header after header', `GET ${OPEN} HTTP/1.1\r\nX-Slow: `],
	]) {
		it(`slow: ${what}`, async () => {
			const raw = await connect();
			if (start) raw.write(start);
			const end = Date.now() + HEADER_TIMEOUT * 6;
			while (!raw.over && Date.now() < end) {
				if (start) raw.write('y');
				await delay(50);
			}
			assert.ok(raw.over, 'a slow request was never given up');
			raw.destroy();
		});
	}

	it('slow: the second request of a connection', async () => {
		const raw = await connect();
		raw.write(request('GET', OPEN));
		assert.equal((await raw.answer()).status, 200);
		const end = Date.now() + HEADER_TIMEOUT * 8;
		raw.write('GET /');
		while (!raw.over && Date.now() < end) {
			raw.write('y');
			await delay(50);
		}
		assert.ok(raw.over, 'a slow second request was never given up');
		raw.destroy();
	});

	it('an unknown Upgrade is ignored or refused, never agreed to', async () => {
		for (const protocol of ['foo', 'h2c', 'TLS/1.2', 'websocket2', 'foo, bar', '']) {
			const headers = {
				Connection: 'Upgrade, HTTP2-Settings',
				Upgrade: protocol,
				'HTTP2-Settings': 'AAMAAABkAAQAAP__',
			};
			await expectStatus(request('GET', OPEN, headers), [
				200,
				400,
				403,
				426,
				501,
				CLOSED,
			]);
		}
	});

	it('an Upgrade to WebSocket on the polling transport, and the reverse', async () => {
		const raw = await connect();
		raw.write(upgradeRequest(OPEN));
		const answer = await raw.answer('a refusal or the end');
		assert.ok(answer === null || answer.status === 400, `${answer?.status}`);
		raw.destroy();
		await expectStatus(request('GET', `${PATH}?EIO=4&transport=websocket`), [400, 426]);
	});

	it('other methods', async () => {
		const { target } = await session();
		for (const method of [
			'PUT',
			'DELETE',
			'PATCH',
			'TRACE',
			'FOO',
			'get',
			'GETGET',
			'PROPFIND',
		]) {
			await expectStatus(request(method, target, { 'Content-Length': 0 }), [
				400,
				403,
				404,
				405,
				501,
				CLOSED,
			]);
		}
		await expectStatus(request('HEAD', OPEN), [200, 400, 404, 405, CLOSED], {
			head: true,
		});
		await expectStatus(
			'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n',
			[400, 403, 404, 405, 501, CLOSED],
		);
		await expectStatus(`GET http://example.com${OPEN} HTTP/1.1\r\nHost: t\r\n\r\n`, [
			200,
			400,
			403,
			404,
			CLOSED,
		]);
		await expectStatus(request('OPTIONS', '*'), [200, 204, 400, 403, 404, 405, CLOSED]);
		await expectStatus(request('OPTIONS', OPEN), [200, 204, 400, 403, 405]);
	});

	it('another path', async () => {
		for (const path of [
			'/',
			'/other',
			'/engine.iox/',
			'/engine.i',
			'/xengine.io/',
			'//engine.io/',
			'/../etc/passwd',
			'/socket.io/',
		]) {
			await expectStatus(
				request('GET', `${path}?EIO=4&transport=polling`),
				[404],
			);
			await expectStatus(
				request('POST', path, { 'Content-Length': 3 }, 'abc'),
				[404],
			);
		}
	});

	it('the path without its slash is the same path', async () => {
		const { text } = await get(`${server.url}/engine.io?EIO=4&transport=polling`);
		const { sid } = JSON.parse(text.slice(1));
		assert.equal(
			(
				await post(
					`${server.url}/engine.io?EIO=4&transport=polling&sid=${sid}`,
					'4x',
				)
			).text,
			'ok',
		);
		assert.equal(
			(await get(`${base()}?EIO=4&transport=polling&sid=${sid}`)).text,
			'4x',
		);
	});

	it('an unknown session', async () => {
		for (const sid of [
			'none',
			'x'.repeat(3000),
			'%20',
			'..%2f..',
			'constructor',
			'%F0%9F%92%A9',
		]) {
			for (const method of ['GET', 'POST']) {
				const bytes = request(method, `${OPEN}&sid=${sid}`, {
					'Content-Length': 0,
				});
				const answer = await expectStatus(bytes, [400]);
				assert.deepEqual(JSON.parse(answer.text), {
					code: 1,
					message: 'Session ID unknown',
				});
			}
		}
	});

	it('another revision of the protocol', async () => {
		for (const eio of ['3', '5', '', '44', '4.0', '-4']) {
			const answer = await expectStatus(
				request('GET', `${PATH}?EIO=${eio}&transport=polling`),
				[400],
			);
			assert.deepEqual(JSON.parse(answer.text), {
				code: 5,
				message: 'Unsupported protocol version',
			});
		}
	});

	it('a query with odd escapes', async () => {
		const { text } = await get(`${base()}?EIO=%34&transport=poll%69ng&b64=1&t=abc`);
		assert.equal(text[0], '0');
		for (const query of [
			'EIO=4&transport=%zz',
			'EIO=4&transport=polling%',
			'EIO=%&transport=polling',
			'EIO=%0&transport=polling',
			'EIO=4&transport=poll%00ing',
			'EIO=4&transport=polling%00',
			'EIO=4%00&transport=polling',
			'%',
			'&&&===&&',
			'EIO',
			'=4&=polling',
		])
			await expectStatus(request('GET', `${PATH}?${query}`), [400, CLOSED]);
	});

	it('null bytes', async () => {
		await expectStatus(`GET ${OPEN}\0 HTTP/1.1\r\nHost: t\r\n\r\n`, [400, 404, CLOSED]);
		await expectStatus(
			`GET ${PATH}\0?EIO=4&transport=polling HTTP/1.1\r\nHost: t\r\n\r\n`,
			[400, 404, CLOSED],
		);
		await expectStatus(`G\0T ${OPEN} HTTP/1.1\r\nHost: t\r\n\r\n`, [400, 405, CLOSED]);
		await expectStatus(`GET ${OPEN} HTTP/1.1\r\nHo\0st: t\r\n\r\n`, [200, 400, CLOSED]);
		await expectStatus(`GET ${OPEN} HTTP/1.1\r\nHost: t\0t\r\n\r\n`, [
			200,
			400,
			CLOSED,
		]);
		await expectStatus(Buffer.alloc(5000), [400, CLOSED]);
	});

	it('garbage', async () => {
		let seed = 12345; // fixed, so that a failure comes again
		const noise = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 24;
		const inputs = [
			Buffer.from('16030102000100', 'hex'), // the start of a TLS ClientHello
			'SSH-2.0-OpenSSH_9.2\r\n',
			'\r\n'.repeat(50),
			'\n\n\n',
			' '.repeat(500),
			'GET\r\n\r\n',
			'GET  HTTP/1.1\r\n\r\n',
			': :\r\n\r\n',
			'{"json":true}\r\n\r\n',
			...Array.from({ length: 30 }, () =>
				Buffer.from(Array.from({ length: 400 }, noise)),
			),
		];
		await Promise.all(
			inputs.map((bytes) =>
				expectStatus(bytes, [400, 404, 405, 501, 408, CLOSED]),
			),
		);
	});

	it('a client that leaves in the middle of its headers', async () => {
		for (const leave of ['end', 'destroy', 'reset']) {
			const raw = await connect();
			await raw.write(`GET ${OPEN} HTTP/1.1\r\nHos`);
			raw[leave]();
			if (leave === 'end')
				await raw.ended('the end after our FIN', HEADER_TIMEOUT * 3);
		}
	});

	it('a client that leaves without reading its answers', async () => {
		for (let i = 0; i < 50; i++) {
			const raw = await connect();
			await raw.write(request('GET', OPEN));
			raw.reset();
		}
	});
});

describe('with a WebSocket beside it', () => {
	it('a session sees the same bytes on both transports', async () => {
		const { sid, url } = await session();
		const socket = await Socket.open(
			`${server.wsUrl}${PATH}?EIO=4&transport=websocket&sid=${sid}`,
		);
		socket.send('2probe');
		assert.equal(await socket.next('the answer to the probe'), '3probe');
		assert.equal((await get(url)).text, '6');
		assert.equal((await post(url, '4before')).text, 'ok');
		socket.send('5');
		assert.equal(await socket.nextData('what polling sent'), '4before');
		assert.equal((await get(url)).status, 400);
		assert.equal((await post(url, '4x')).status, 400);
		await socket.close();
	});
});
