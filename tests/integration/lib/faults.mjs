// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Bad days for a program (tests/tools/faults.c). FAULTS_LIBRARY names the shared object.

import { randomUUID } from 'node:crypto';
import {
	closeSync,
	existsSync,
	ftruncateSync,
	openSync,
	readSync,
	rmSync,
	writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const FIELDS = ['countdown', 'run', 'whose', 'failed', 'asked', 'sockets', 'realtime', 'monotonic'];
const BYTES = 512;

export const OURS = 1;
export const LIBRARIES = 2;
export const WRITE_ONE = 1;
export const WRITE_NONE = 2;
export const READ_ONE = 4;
export const READ_NONE = 8;
export const LOG_FULL = 16;

function library() {
	const path = process.env.FAULTS_LIBRARY;
	if (!path || !existsSync(path))
		throw new Error('FAULTS_LIBRARY is not set to the path of faults.so (make check builds it)');
	return resolve(path);
}

// Faults of one program at a time: env is for the program, set() works while it runs.
export class Faults {
	#path = join(tmpdir(), `faults-${randomUUID()}`);
	#fd = openSync(this.#path, 'w+');

	constructor() {
		ftruncateSync(this.#fd, BYTES);
	}

	get env() {
		return {
			FAULTS: this.#path,
			LD_PRELOAD: library(),
			ASAN_OPTIONS: [process.env.ASAN_OPTIONS, 'verify_asan_link_order=0',
				'allocator_may_return_null=1'].filter(Boolean).join(':'),
		};
	}

	// Numbers by the names of FIELDS.
	set(values) {
		for (const [name, value] of Object.entries(values)) {
			const bytes = Buffer.alloc(8);
			bytes.writeBigInt64LE(BigInt(value));
			const at = FIELDS.indexOf(name);
			if (at < 0) throw new Error(`no fault is called ${name}`);
			writeSync(this.#fd, bytes, 0, 8, at * 8);
		}
	}

	get(name) {
		const bytes = Buffer.alloc(8);
		readSync(this.#fd, bytes, 0, 8, FIELDS.indexOf(name) * 8);
		return Number(bytes.readBigInt64LE());
	}

	// The object whose allocation failed last.
	get where() {
		const bytes = Buffer.alloc(BYTES - FIELDS.length * 8);
		readSync(this.#fd, bytes, 0, bytes.length, FIELDS.length * 8);
		return bytes.toString('latin1').replace(/\0.*$/s, '');
	}

	// No more of them.
	clear() {
		this.set({ countdown: 0, run: 0, whose: 0, failed: 0, asked: 0, sockets: 0 });
	}

	end() {
		closeSync(this.#fd);
		rmSync(this.#path, { force: true });
	}
}
