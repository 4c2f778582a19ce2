// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A load balancer that knows nothing of sessions: each request, and each upgrade, goes to the next
// server. Connections to the servers are kept and shared by all clients, as reverse proxies do it.

import http from 'node:http';
import net from 'node:net';
import { event } from './util.mjs';

export class Balancer {
	requests = 0;
	upgrades = 0;
	connections = 0; // to the servers
	#next = 0;
	#agent = new http.Agent({ keepAlive: true, maxFreeSockets: 2, scheduling: 'fifo' });
	#open = new Set();
	#server;

	// ports: of the servers, a list that may change. pick(url, ports): the port for a request that
	// is not the next one's.
	static async start(t, ports, pick) {
		const balancer = new Balancer();
		balancer.ports = ports;
		balancer.pick = pick ?? (() => ports[balancer.#next++ % ports.length]);
		balancer.#server = http.createServer((...args) => balancer.#request(...args));
		balancer.#server.on('upgrade', (...args) => balancer.#upgrade(...args));
		balancer.#server.on('connection', (socket) => balancer.#keep(socket));
		balancer.#server.listen(0, '127.0.0.1');
		await event(balancer.#server, 'listening');
		balancer.port = balancer.#server.address().port;
		balancer.url = `http://127.0.0.1:${balancer.port}`;
		balancer.wsUrl = `ws://127.0.0.1:${balancer.port}`;
		t.after(() => balancer.stop());
		return balancer;
	}

	#keep(socket) {
		this.#open.add(socket);
		socket.on('close', () => this.#open.delete(socket));
		socket.on('error', () => socket.destroy());
	}

	#request(request, response) {
		// A connection header is between two neighbours.
		const { connection: _, ...headers } = request.headers;
		this.requests++;
		const upstream = http.request({
			host: '127.0.0.1',
			port: this.pick(request.url, this.ports),
			method: request.method,
			path: request.url,
			headers,
			agent: this.#agent,
		});
		upstream.on('socket', () => {
			if (!upstream.reusedSocket) this.connections++;
		});
		upstream.on('response', (answer) => {
			const { connection: __, ...head } = answer.headers;
			response.writeHead(answer.statusCode, head);
			answer.on('error', () => response.destroy());
			answer.pipe(response);
		});
		upstream.on('error', () => {
			if (response.headersSent) response.destroy();
			else response.writeHead(502).end();
		});
		response.on('close', () => upstream.destroy());
		request.pipe(upstream);
	}

	#upgrade(request, socket, head) {
		this.upgrades++;
		const upstream = net.connect(this.pick(request.url, this.ports), '127.0.0.1');
		const lines = [];
		for (let i = 0; i < request.rawHeaders.length; i += 2)
			lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}\r\n`);
		this.#keep(upstream);
		upstream.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
		upstream.write(head);
		upstream.pipe(socket).pipe(upstream);
		upstream.on('close', () => socket.destroy());
		socket.on('close', () => upstream.destroy());
	}

	stop() {
		this.#agent.destroy();
		this.#server.close();
		for (const socket of this.#open) socket.destroy();
	}
}
