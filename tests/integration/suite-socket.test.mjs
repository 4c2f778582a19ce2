// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Socket.IO v5 of the echo server on /socket.io/: what socket.io-protocol asks of a server.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { engineCases, openSocket, suiteServer } from './lib/engine-cases.mjs';

const holder = suiteServer({ engine: false });
const PATH = '/socket.io/';

engineCases(holder, PATH);

function open() {
	return openSocket(holder.server.wsUrl + PATH);
}

// Reads the two packets that every namespace answers a CONNECT with.
async function connected(socket, nsp = '', auth = {}) {
	const prefix = `40${nsp}`;
	const answer = await socket.nextData(`the answer to ${prefix}`);
	assert.ok(answer.startsWith(prefix), answer);
	const body = JSON.parse(answer.slice(prefix.length));
	assert.deepEqual(Object.keys(body), ['sid']);
	assert.equal(typeof body.sid, 'string');
	assert.notEqual(body.sid, socket.session.sid, 'the socket id must not be the session id');
	assert.equal(
		await socket.nextData('the auth event'),
		`42${nsp}${JSON.stringify(['auth', auth])}`,
	);
	return body.sid;
}

async function onMain() {
	const socket = await open();
	socket.send('40');
	await connected(socket);
	return socket;
}

describe('connect', () => {
	it('to the main namespace', async () => {
		const socket = await open();
		socket.send('40');
		await connected(socket);
		await socket.close();
	});

	it('to the main namespace with a payload', async () => {
		const socket = await open();
		socket.send('40{"token":"123"}');
		await connected(socket, '', { token: '123' });
		await socket.close();
	});

	it('to a custom namespace', async () => {
		const socket = await open();
		socket.send('40/custom,');
		await connected(socket, '/custom,');
		await socket.close();
	});

	it('to a custom namespace, no comma', async () => {
		const socket = await open();
		socket.send('40/custom');
		await connected(socket, '/custom,');
		await socket.close();
	});

	it('to a custom namespace with a payload', async () => {
		const socket = await open();
		socket.send('40/custom,{"token":"abc"}');
		await connected(socket, '/custom,', { token: 'abc' });
		await socket.close();
	});

	it('to an unknown namespace is refused, and the connection stays', async () => {
		const socket = await open();
		socket.send('40/random');
		assert.equal(
			await socket.nextData('the refusal'),
			'44/random,{"message":"Invalid namespace"}',
		);
		socket.send('40');
		await connected(socket);
		await socket.close();
	});

	it('with an invalid packet closes', async () => {
		const socket = await open();
		socket.send('4abc');
		await socket.whenClosed(2000);
	});

	it('that never comes closes, though pings are answered', async () => {
		const socket = await open();
		assert.equal(await socket.nextData('the end by the connect timeout', 3000), null);
	});
});

describe('disconnect', () => {
	it('from the main namespace leaves the transport open and is not answered', async () => {
		const socket = await onMain();
		socket.send('41');
		assert.equal(await socket.next('a ping'), '2');
		await socket.close();
	});

	it('from a custom namespace leaves the main one working', async () => {
		const socket = await onMain();
		socket.send('40/custom');
		await connected(socket, '/custom,');
		socket.send('41/custom');
		socket.send('42["message","message to main namespace"]');
		assert.equal(
			await socket.nextData('the answer'),
			'42["message-back","message to main namespace"]',
		);
		await socket.close();
	});
});

describe('message', () => {
	const first = Buffer.from([1, 2, 3]);
	const second = Buffer.from([4, 5, 6]);
	const slots = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';

	it('comes back byte for byte', async () => {
		const socket = await onMain();
		socket.send('42["message",1,"2",{"3":[true]}]');
		assert.equal(
			await socket.nextData('the answer'),
			'42["message-back",1,"2",{"3":[true]}]',
		);
		await socket.close();
	});

	it('with binary comes back with its attachments', async () => {
		const socket = await onMain();
		socket.send(`452-["message",${slots}]`);
		socket.send(first);
		socket.send(second);
		assert.equal(await socket.nextData('the answer'), `452-["message-back",${slots}]`);
		// the heartbeat never comes between a packet and its attachments
		assert.deepEqual(await socket.next('the first attachment'), first);
		assert.deepEqual(await socket.next('the second attachment'), second);
		await socket.close();
	});

	it('is acknowledged', async () => {
		const socket = await onMain();
		socket.send('42456["message-with-ack",1,"2",{"3":[false]}]');
		assert.equal(await socket.nextData('the ack'), '43456[1,"2",{"3":[false]}]');
		await socket.close();
	});

	it('with binary is acknowledged with binary', async () => {
		const socket = await onMain();
		socket.send(`452-789["message-with-ack",${slots}]`);
		socket.send(first);
		socket.send(second);
		assert.equal(await socket.nextData('the ack'), `462-789[${slots}]`);
		assert.deepEqual(await socket.next('the first attachment'), first);
		assert.deepEqual(await socket.next('the second attachment'), second);
		await socket.close();
	});
});

describe('a malformed packet closes the transport', () => {
	const malformed = {
		'unknown type': ['4abc'],
		'type out of range': ['49[]'],
		'no event array': ['42{}'],
		'no event at all': ['42'],
		'empty event array': ['42[]'],
		'event name of a wrong type': ['42[true]'],
		'reserved event name': ['42["disconnect"]'],
		'bad JSON': ['42["message",'],
		'bytes after the JSON': ['42["message"]x'],
		'bad ack id': ['42abc["message-with-ack",1,"2",{"3":[false]}]'],
		'ack that is no array': ['431{}'],
		'bad attachment count': ['45x-["message",{"_placeholder":true,"num":0}]'],
		'no attachment count': ['45["message",{"_placeholder":true,"num":0}]'],
		'binary that nothing announced': [Buffer.from([1])],
		'text where an attachment is due': [
			'451-["message",{"_placeholder":true,"num":0}]',
			'42["message",1]',
		],
		'placeholder out of range': [
			'451-["message",{"_placeholder":true,"num":7}]',
			Buffer.from([1]),
		],
		'CONNECT payload that is no object': ['40/custom,"text"'],
		'server-only CONNECT_ERROR': ['44{"message":"no"}'],
	};
	for (const [name, frames] of Object.entries(malformed)) {
		it(name, async () => {
			const socket = await onMain();
			for (const frame of frames) socket.send(frame);
			await socket.whenClosed(2000);
		});
	}

	it('an ack that nobody asked for is ignored', async () => {
		const socket = await onMain();
		socket.send('4399999["stray"]');
		socket.send('42["message","still here"]');
		assert.equal(
			await socket.nextData('the answer'),
			'42["message-back","still here"]',
		);
		await socket.close();
	});

	it('a packet for a namespace that was never joined closes', async () => {
		const socket = await open();
		socket.send('42["message","too early"]');
		await socket.whenClosed(2000);
	});
});
