// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The echo server as a child process. ECHO_SERVER names the program; each server gets a port of its
// own.

import { randomInt } from 'node:crypto';
import net from 'node:net';
import { Program, programOf } from './program.mjs';
import { event } from './util.mjs';

// An environment in which the memory of the process says something: ASan keeps little of what was
// freed.
export const FRUGAL = {
	ASAN_OPTIONS: [process.env.ASAN_OPTIONS, 'quarantine_size_mb=4'].filter(Boolean).join(':'),
};

// A port for a listener whose number the server does not tell, or that is to have it again: free now, and none that
// the kernel gives to anybody who asks for any.
const FIRST_PORT = 20000;
const PORTS = 12000;
const given = new Set();
export async function freePort() {
	for (;;) {
		const port = FIRST_PORT + randomInt(PORTS);
		if (given.has(port)) continue;
		given.add(port);
		const probe = net.createServer().listen(port, '127.0.0.1');
		const free = await new Promise((resolve) => {
			probe.once('listening', () => resolve(true));
			probe.once('error', () => resolve(false));
		});
		if (!free) continue;
		probe.close();
		await event(probe, 'close');
		return port;
	}
}

export class Server extends Program {
	// port: 0 picks one; null leaves it to set['listener.address']. set: options of the config table. files: the limit of open files. env: more
	// of the environment. inherit: sockets as systemd passes them, { fds, names, pid }: descriptors
	// that become 3 and so on, and for whom they are (without pid for the server). args: more of the
	// command line.
	static async start({
		port = 0,
		engine = false,
		pingInterval,
		pingTimeout,
		set = {},
		files,
		env = {},
		inherit,
		args: more = [],
	} = {}) {
		const args = port === null ? [] : ['--port', String(port)];
		if (pingInterval !== undefined) args.push('--ping-interval', String(pingInterval));
		if (pingTimeout !== undefined) args.push('--ping-timeout', String(pingTimeout));
		if (engine) args.push('--engine');
		for (const [key, value] of Object.entries(set))
			args.push('--set', `${key}=${value}`);
		args.push(...more);
		let command = programOf('ECHO_SERVER');
		if (files !== undefined) {
			args.unshift('-c', `ulimit -n ${files}; exec "$@"`, 'sh', command);
			command = 'sh';
		}
		if (inherit) {
			const pid = inherit.pid ?? '$$';
			args.unshift('-c', `export LISTEN_PID=${pid}; exec "$@"`, 'sh', command);
			command = 'sh';
			env = {
				...env,
				LISTEN_FDS: String(inherit.fds.length),
				LISTEN_FDNAMES: inherit.names,
			};
		}
		const server = new Server();
		const [match] = await server.run(
			command,
			args,
			{
				env: { ...process.env, ...env },
				stdio: ['ignore', 'pipe', 'pipe', ...(inherit?.fds ?? [])],
			},
			[/^listening on 127\.0\.0\.1:(\d+)$/],
		);
		server.port = Number(match[1]);
		server.url = `http://127.0.0.1:${server.port}`;
		server.wsUrl = `ws://127.0.0.1:${server.port}`;
		return server;
	}

	// What it counts right now.
	async counts() {
		const line = this.line(/^counts (.*)$/);
		this.signal('SIGUSR2');
		return JSON.parse((await line)[1]);
	}

	// It is ready, and has the number --next-number.
	async change() {
		const line = this.line(/^changed$/);
		this.signal('SIGUSR1');
		await line;
	}
}

// For a whole file or group: starts before, stops after.
export function serverFor({ before, after }, options) {
	const holder = {};
	before(async () => {
		holder.server = await Server.start(options);
	});
	after(() => holder.server?.stop());
	return holder;
}
