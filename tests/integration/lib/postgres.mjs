// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A PostgreSQL server of the test's own, in a temporary folder, on a Unix socket only. PG_BINDIR names
// the folder of its programs; else the newest that Debian or Fedora has. Run by root, it belongs to
// the user postgres, since PostgreSQL refuses root.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const asRoot = process.getuid() === 0;

function bindir() {
	const folders = [process.env.PG_BINDIR ?? ''];
	const debian = '/usr/lib/postgresql';
	if (existsSync(debian))
		for (const version of readdirSync(debian).sort((a, b) => b - a))
			folders.push(join(debian, version, 'bin'));
	folders.push('/usr/bin');
	const found = folders.find((folder) => folder && existsSync(join(folder, 'initdb')));
	if (!found)
		throw new Error('PostgreSQL is not installed (Debian: postgresql), or set PG_BINDIR');
	return found;
}

export class Postgres {
	#bin = bindir();
	#databases = 0;
	folder;

	static async start() {
		const server = new Postgres();
		server.folder = mkdtempSync(join(tmpdir(), 'parlance-ctl-pg-'));
		chmodSync(server.folder, 0o755);
		try {
			if (asRoot) {
				const { stdout } = await run('id', ['-u', 'postgres']);
				chownSync(server.folder, Number(stdout), -1);
			}
			await server.#program('initdb', ['-D', server.#data, '-A', 'trust', '-U',
				'postgres', '-E', 'UTF8', '--no-locale', '--no-sync']);
			await server.#program('pg_ctl', ['start', '-w', '-D', server.#data, '-l',
				join(server.folder, 'log'), '-o',
				`-k ${server.folder} -c listen_addresses= -c fsync=off`]);
		} catch (error) {
			rmSync(server.folder, { recursive: true, force: true });
			throw error;
		}
		return server;
	}

	get #data() {
		return join(this.folder, 'data');
	}

	#program(name, args) {
		const program = join(this.#bin, name);
		return asRoot
			? run('runuser', ['-u', 'postgres', '--', program, ...args], { cwd: '/' })
			: run(program, args);
	}

	async stop() {
		await this.#program('pg_ctl', ['stop', '-w', '-m', 'immediate', '-D', this.#data]);
		rmSync(this.folder, { recursive: true, force: true });
	}

	// A new database; its address.
	async database(options = '') {
		const name = `test${++this.#databases}`;
		await this.query(this.dsn('postgres'), `CREATE DATABASE ${name} ${options}`);
		return this.dsn(name);
	}

	dsn(database, user = 'postgres') {
		return `host=${this.folder} dbname=${database} user=${user}`;
	}

	// Rows as arrays of text.
	async query(dsn, sql) {
		const { stdout } = await run(join(this.#bin, 'psql'), ['-X', '-q', '-A', '-t', '-F',
			'\t', '-v', 'ON_ERROR_STOP=1', '-d', dsn, '-c', sql]);
		return stdout.split('\n').filter(Boolean).map((line) => line.split('\t'));
	}

	async file(dsn, path) {
		const { stderr } = await run(join(this.#bin, 'psql'), ['-X', '-q', '-v',
			'ON_ERROR_STOP=1', '-d', dsn, '-f', path]);
		return stderr;
	}

	// A session that runs the statement and keeps its transaction until end() is called.
	async hold(dsn, sql) {
		const child = execFile(join(this.#bin, 'psql'), ['-X', '-q', '-A', '-t', '-d', dsn]);
		const gone = new Promise((resolve) => child.on('exit', resolve));
		const ready = new Promise((resolve, reject) => {
			let text = '';
			child.stdout.on('data', (piece) => {
				text += piece;
				if (text.includes('held')) resolve();
			});
			gone.then((status) => reject(new Error(`psql ended (${status})`)));
		});
		child.stdin.write(`BEGIN; ${sql}; SELECT 'held';\n`);
		await ready;
		return async () => {
			child.stdin.end('COMMIT;\n');
			assert.equal(await gone, 0);
		};
	}
}
