// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A program under test as a child process: it has begun when it says so, is stopped with SIGTERM,
// and must then exit with 0 (a sanitizer's finding does not).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { leak } from './secrets.mjs';
import { PATIENCE, within } from './util.mjs';

const TICK_MS = 10; // USER_HZ is 100 on every Linux that we build for
const STDERR_KEEP = 1024 * 1024;

// The path of a program that an environment variable names.
export function programOf(variable) {
	const path = process.env[variable];
	if (!path) throw new Error(`${variable} is not set: set it to the path of the program`);
	try {
		accessSync(path, constants.X_OK);
	} catch {
		throw new Error(`${variable} is ${path}, which is not a program that can be run`);
	}
	return resolve(path);
}

export class Program {
	discreet = false; // nothing secret may be in what it writes (lib/secrets.mjs)
	#child;
	#gone;
	#stderr = '';
	#killed = false;
	#leaks = [];
	#listeners = new Set();

	// Runs it until a line of its standard output or error matches each of the patterns; returns the
	// matches.
	async run(command, args, options, patterns) {
		const child = spawn(command, args, options);
		this.#child = child;
		this.#gone = new Promise((done) => {
			child.once('error', (error) => done({ error }));
			child.once('close', (code, signal) => done({ code, signal }));
		});
		const found = patterns.map(() => null);
		const ready = new Promise((done) => {
			const look = (line) => {
				patterns.forEach((pattern, i) => (found[i] ??= pattern.exec(line)));
				if (found.every(Boolean)) done(found);
				if (this.discreet && leak(line)) this.#leaks.push(`${leak(line)}… in: ${line}`);
				for (const listener of this.#listeners) listener(line);
			};
			child.stderr.setEncoding('utf8');
			child.stderr.on('data', (text) => {
				this.#stderr = (this.#stderr + text).slice(-STDERR_KEEP);
			});
			for (const stream of [child.stdout, child.stderr])
				createInterface({ input: stream }).on('line', look);
		});
		const outcome = await within(
			Promise.race([ready, this.#gone]),
			PATIENCE,
			`lines that match ${patterns.join(' and ')}`,
		).catch((error) => {
			child.kill('SIGKILL');
			throw new Error(`${error.message}; its last words:\n${this.#stderr.slice(-4000)}`);
		});
		if (!Array.isArray(outcome))
			throw new Error(`the server did not start: ${this.#describe(outcome)}`);
		return outcome;
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

	// The next line, from now on, that matches.
	async line(pattern, ms = PATIENCE) {
		let listener;
		const match = new Promise((done) => {
			listener = (line) => {
				const found = pattern.exec(line);
				if (found) done(found);
			};
			this.#listeners.add(listener);
		});
		try {
			return await within(match, ms, `a line that matches ${pattern}`);
		} finally {
			this.#listeners.delete(listener);
		}
	}

	#describe({ error, code, signal }) {
		const how = error ? error.message : `exit code ${code}, signal ${signal}`;
		return `${how}; its last words:\n${this.#stderr.slice(-8000)}`;
	}

	signal(name) {
		this.#child.kill(name);
	}

	// How it ended, once it has.
	get gone() {
		return this.#gone;
	}

	#assertDiscreet() {
		assert.deepEqual(this.#leaks.slice(0, 10), [], 'secrets in its log');
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
		this.#assertDiscreet();
	}

	// As a crash would end it.
	async kill() {
		this.#killed = true;
		this.#child.kill('SIGKILL');
		await within(this.#gone, PATIENCE, 'the exit after SIGKILL');
		this.#assertDiscreet();
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
			`the program is not idle: it uses ${Math.round(load * 100)} % of a core`,
		);
	}
}
