// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The server under test as a child process. ECHO_SERVER names the program; each server gets a port
// of its own, is stopped with SIGTERM, and must then exit with 0 (a sanitizer's finding does not).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import net from 'node:net';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE, event, within } from './util.mjs';

const TICK_MS = 10; // USER_HZ is 100 on every Linux that we build for
const STDERR_KEEP = 256 * 1024;

function program() {
	const path = process.env.ECHO_SERVER;
	if (!path)
		throw new Error(
			'ECHO_SERVER is not set: set it to the path of the echo-server program',
		);
	try {
		accessSync(path, constants.X_OK);
	} catch {
		throw new Error(`ECHO_SERVER is ${path}, which is not a program that can be run`);
	}
	return resolve(path);
}

// An environment in which the memory of the process says something: ASan keeps little of what was
// freed.
export const FRUGAL = {
	ASAN_OPTIONS: [process.env.ASAN_OPTIONS, 'quarantine_size_mb=4'].filter(Boolean).join(':'),
};

// A port for a listener whose number the server does not tell: free now, with luck free then.
export async function freePort() {
	const probe = net.createServer().listen(0, '127.0.0.1');
	await event(probe, 'listening');
	const { port } = probe.address();
	probe.close();
	await event(probe, 'close');
	return port;
}

export class Server {
	#child;
	#gone;
	#stderr = '';
	#killed = false;

	// port: 0 picks one; null leaves it to set['listener.address']. set: options of the config table. files: the limit of open files. env: more
	// of the environment. inherit: sockets as systemd passes them, { fds, names, pid }: descriptors
	// that become 3 and so on, and for whom they are (without pid for the server).
	static async start({
		port = 0,
		engine = false,
		pingInterval,
		pingTimeout,
		set = {},
		files,
		env = {},
		inherit,
	} = {}) {
		const args = port === null ? [] : ['--port', String(port)];
		if (pingInterval !== undefined) args.push('--ping-interval', String(pingInterval));
		if (pingTimeout !== undefined) args.push('--ping-timeout', String(pingTimeout));
		if (engine) args.push('--engine');
		for (const [key, value] of Object.entries(set))
			args.push('--set', `${key}=${value}`);
		let command = program();
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
		await server.#run(command, args, {
			env: { ...process.env, ...env },
			stdio: ['ignore', 'pipe', 'pipe', ...(inherit?.fds ?? [])],
		});
		return server;
	}

	async #run(command, args, options) {
		const child = spawn(command, args, options);
		this.#child = child;
		child.stderr.setEncoding('utf8');
		child.stderr.on('data', (text) => {
			this.#stderr = (this.#stderr + text).slice(-STDERR_KEEP);
		});
		this.#gone = new Promise((done) => {
			child.once('error', (error) => done({ error }));
			child.once('close', (code, signal) => done({ code, signal }));
		});
		const lines = createInterface({ input: child.stdout });
		const ready = new Promise((done) => {
			lines.on('line', (line) => {
				const match = /^listening on 127\.0\.0\.1:(\d+)$/.exec(line);
				if (match) done(Number(match[1]));
			});
		});
		const outcome = await within(
			Promise.race([ready, this.#gone]),
			PATIENCE,
			'the line "listening on 127.0.0.1:PORT"',
		).catch((error) => {
			child.kill('SIGKILL');
			throw error;
		});
		if (typeof outcome !== 'number')
			throw new Error(`the server did not start: ${this.#describe(outcome)}`);
		this.port = outcome;
		this.url = `http://127.0.0.1:${this.port}`;
		this.wsUrl = `ws://127.0.0.1:${this.port}`;
	}

	get pid() {
		return this.#child.pid;
	}

	get stderr() {
		return this.#stderr;
	}

	get running() {
		return this.#child.exitCode === null && this.#child.signalCode === null;
	}

	#describe({ error, code, signal }) {
		const how = error ? error.message : `exit code ${code}, signal ${signal}`;
		return `${how}; its last words:\n${this.#stderr.slice(-8000)}`;
	}

	// May be called again, so that a hook can stop what a failed case left behind.
	async stop() {
		if (this.#killed) return;
		this.#child.kill('SIGTERM');
		let outcome;
		try {
			outcome = await within(this.#gone, PATIENCE, 'the exit after SIGTERM');
		} catch (error) {
			this.#child.kill('SIGKILL');
			throw error;
		}
		assert.ok(outcome.code === 0, `not a clean exit: ${this.#describe(outcome)}`);
	}

	// As a crash would end it.
	async kill() {
		this.#killed = true;
		this.#child.kill('SIGKILL');
		await within(this.#gone, PATIENCE, 'the exit after SIGKILL');
	}

	// What of its memory is in RAM, in KiB.
	residentKib() {
		const status = readFileSync(`/proc/${this.pid}/status`, 'latin1');
		return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]);
	}

	// CPU time that the process has used so far, all threads, in milliseconds.
	cpuMs() {
		const stat = readFileSync(`/proc/${this.pid}/stat`, 'latin1');
		const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
	}

	// The share of one core that it uses over the next `ms`.
	async load(ms) {
		const before = this.cpuMs();
		const start = performance.now();
		await delay(ms);
		return (this.cpuMs() - before) / (performance.now() - start);
	}

	// What the last case left to do may take a moment, a spinning loop never ends.
	async becomesIdle() {
		const end = Date.now() + PATIENCE;
		let load;
		do {
			load = await this.load(200);
			if (load < 0.12) return;
		} while (Date.now() < end);
		throw new Error(
			`the server is not idle: it uses ${Math.round(load * 100)} % of a core`,
		);
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
