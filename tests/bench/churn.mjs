// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Churn: opens RATE connections a second for SECONDS, each joins the main namespace, stays a second, and leaves in one of three ways
// (a closing handshake, a FIN, a reset). Prints what it did; the exit status is 1 when one failed.
// Usage: node churn.mjs PORT [RATE=200] [SECONDS=60]

import net from 'node:net';

const [port, rate = 200, seconds = 60] = process.argv.slice(2).map(Number);
const MASK = Buffer.alloc(4);
const frame = (opcode, text) => Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | text.length]), MASK, Buffer.from(text)]);
const request =
	`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\n` +
	'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

let opened = 0;
let joined = 0;
let left = 0;
let failed = 0;

function leave(socket, how) {
	if (how === 0) socket.write(frame(8, ''));
	else if (how === 1) socket.end();
	else socket.resetAndDestroy();
}

function one(how) {
	const socket = net.connect(port, '127.0.0.1');
	let text = '';
	let done = false;
	opened++;
	socket.on('connect', () => socket.write(request));
	socket.on('data', (bytes) => {
		text += bytes.toString('latin1');
		if (!done && text.includes('0{"sid"') && !text.includes('sent')) {
			text = 'sent';
			socket.write(frame(1, '40'));
		} else if (!done && text.includes('40{"sid"')) {
			done = true;
			joined++;
			setTimeout(leave, 1000, socket, how);
		}
	});
	socket.on('error', () => {});
	socket.on('close', () => {
		left++;
		if (!done) failed++;
		socket.destroy();
	});
}

const total = rate * seconds;
const start = Date.now();
const timer = setInterval(() => {
	const due = Math.min(total, Math.ceil(((Date.now() - start) / 1000) * rate));
	while (opened < due) one(opened % 3);
	if (opened === total && left === total) {
		clearInterval(timer);
		console.log(`${opened} opened, ${joined} joined, ${left} left, ${failed} failed in ${(Date.now() - start) / 1000} s`);
		process.exitCode = failed ? 1 : 0;
	}
}, 10);
