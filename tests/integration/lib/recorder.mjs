// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A proxy between the daemon and an AI service that remembers, for each request by the text of its
// last message, what the service's answer said: the truth that tabs and database are compared with.
// As a program: node recorder.mjs http://HOST:PORT

import http from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { fileURLToPath } from 'node:url';
import { Program } from './program.mjs';

const file = fileURLToPath(import.meta.url);

export class Recorder extends Program {
	// service: has a url.
	static async start(service) {
		const recorder = new Recorder();
		const [match] = await recorder.run(
			process.execPath,
			[file, new URL(service.url).origin],
			{ stdio: ['ignore', 'pipe', 'pipe'] },
			[/^recording on 127\.0\.0\.1:(\d+)$/],
		);
		recorder.url = `http://127.0.0.1:${match[1]}/v1`;
		return recorder;
	}

	// For each of the texts { requests, open, text, forsaken }: how often the service was asked, how
	// many of these still run, what it said, and how many were given up by the daemon.
	async recorded(texts) {
		const answer = await fetch(new URL('/recorded', this.url), {
			method: 'POST',
			body: JSON.stringify(texts),
		});
		return answer.json();
	}

	async of(text) {
		const [record] = await this.recorded([text]);
		return record;
	}
}

const records = new Map();

function recordOf(text) {
	if (!records.has(text))
		records.set(text, { requests: 0, open: 0, text: '', forsaken: 0 });
	return records.get(text);
}

// Takes the text out of a stream of server-sent events.
function listener(record) {
	let rest = '';
	return (text) => {
		const lines = (rest + text).split('\n');
		rest = lines.pop();
		for (const line of lines) {
			if (!line.startsWith('data: {')) continue;
			try {
				const { choices } = JSON.parse(line.slice(6));
				record.text += choices[0]?.delta?.content ?? '';
			} catch {
				// What is no JSON says nothing.
			}
		}
	};
}

function forward(target, request, body, response) {
	let record = null;
	if (request.method === 'POST') {
		record = recordOf(JSON.parse(body).messages.at(-1).content);
		record.requests++;
		record.open++;
	}
	const headers = { ...request.headers, host: new URL(target).host };
	const upstream = http.request(target + request.url, { method: request.method, headers });
	let over = false;
	const end = (finish) => {
		if (over) return;
		over = true;
		if (record) record.open--;
		finish();
	};
	// As the service ended it: without a proper end of the body.
	const cut = () => end(() => response.socket?.destroySoon());
	upstream.on('response', (answer) => {
		const hear = record ? listener(record) : () => {};
		response.writeHead(answer.statusCode, answer.headers);
		response.flushHeaders();
		const decoder = new StringDecoder('utf8');
		answer.on('data', (bytes) => {
			hear(decoder.write(bytes));
			response.write(bytes);
		});
		answer.on('end', () => end(() => response.end()));
		answer.on('error', cut);
		answer.on('aborted', cut);
	});
	upstream.on('error', cut);
	response.on('close', () => {
		end(() => {
			if (record) record.forsaken++;
			upstream.destroy();
		});
	});
	upstream.end(body);
}

function serve(target) {
	const server = http.createServer((request, response) => {
		const pieces = [];
		request.on('data', (piece) => pieces.push(piece));
		request.on('error', () => {});
		request.on('end', () => {
			const body = Buffer.concat(pieces);
			if (request.url === '/recorded')
				response.end(JSON.stringify(JSON.parse(body).map(recordOf)));
			else forward(target, request, body, response);
		});
	});
	server.keepAliveTimeout = 60000;
	server.listen(0, '127.0.0.1', 4096, () => {
		console.log(`recording on 127.0.0.1:${server.address().port}`);
	});
}

if (process.argv[1] === file) serve(process.argv[2]);
