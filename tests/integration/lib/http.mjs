// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A well-behaved HTTP client: one new connection for each request, so that no pool decides the order.

import http from 'node:http';
import https from 'node:https';
import { PATIENCE, within } from './util.mjs';

// Begins the request at once; `done` is its answer, `sent` when the bytes are with the kernel. tls: options
// for https, such as ca.
export function begin(
	url,
	{ method = 'GET', body, headers = {}, localAddress, socketPath, tls = {} } = {},
) {
	const { request: start } = String(url).startsWith('https:') ? https : http;
	const request = start(url, { method, headers, localAddress, socketPath, agent: false, ...tls });
	const done = new Promise((resolve, reject) => {
		request.on('error', reject);
		request.on('response', (response) => {
			const chunks = [];
			response.on('data', (chunk) => chunks.push(chunk));
			response.on('error', reject);
			response.on('end', () => {
				const text = Buffer.concat(chunks).toString();
				resolve({
					status: response.statusCode,
					headers: response.headers,
					text,
				});
			});
		});
	});
	done.catch(() => {}); // whoever awaits it still sees the error
	const sent = new Promise((resolve) => request.once('finish', resolve));
	if (body !== undefined) request.setHeader('content-length', Buffer.byteLength(body));
	request.end(body);
	return { request, sent, done: within(done, PATIENCE, `the answer to ${method} ${url}`) };
}

export function get(url, options) {
	return begin(url, options).done;
}

export function post(url, body, options) {
	return begin(url, { method: 'POST', body, ...options }).done;
}

// Opens a polling session: { sid, url } and the fields of the open packet.
export async function handshake(base, options) {
	const url = `${base}?EIO=4&transport=polling`;
	const answer = await get(url, options);
	if (answer.status !== 200 || answer.text[0] !== '0')
		throw new Error(`no handshake: ${answer.status} ${answer.text}`);
	const open = JSON.parse(answer.text.slice(1));
	return { ...open, open, url: `${url}&sid=${open.sid}` };
}
