// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A psql that stays: for transactions that are open while something else happens.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Inbox, event } from './util.mjs';

export class Psql {
	#process;
	#lines = new Inbox();

	constructor(url) {
		this.#process = spawn('psql', [url, '-XqAt', '-v', 'ON_ERROR_STOP=1'], {
			stdio: ['pipe', 'pipe', 'inherit'],
		});
		const lines = createInterface({ input: this.#process.stdout });
		lines.on('line', (line) => this.#lines.push(line));
		lines.on('close', () => this.#lines.push(null));
	}

	// Resolves with the rows, as psql prints them.
	async sql(text) {
		const rows = [];
		this.#process.stdin.write(`${text};\n\\echo done\n`);
		for (;;) {
			const line = await this.#lines.next(`psql: ${text}`);
			if (line === null) throw new Error(`psql ended: ${text}`);
			if (line === 'done') return rows;
			rows.push(line);
		}
	}

	async end() {
		const gone = event(this.#process, 'exit');
		this.#process.stdin.end();
		await gone;
	}
}
