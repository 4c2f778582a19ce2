// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A pgbouncer in transaction mode before a database.

import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program } from './program.mjs';
import { freePort } from './server.mjs';

const DEBIAN = '/usr/sbin/pgbouncer';

export class Pooler extends Program {
	#folder;

	static async start(database) {
		const pooler = new Pooler();
		pooler.#folder = mkdtempSync(join(tmpdir(), 'parlance-pool-'));
		chmodSync(pooler.#folder, 0o755);
		const port = await freePort();
		const host = new URL(database.url).searchParams.get('host');
		const file = join(pooler.#folder, 'pgbouncer.ini');
		writeFileSync(
			file,
			`[databases]
			parlance = host=${host} dbname=parlance user=parlance
			[pgbouncer]
			listen_addr = 127.0.0.1
			listen_port = ${port}
			unix_socket_dir =
			auth_type = any
			pool_mode = transaction
			default_pool_size = 10
			ignore_startup_parameters = extra_float_digits, options
			`.replace(/^\t+/gm, ''),
		);
		// It refuses to be root, and the database's folder is its owner's.
		const user = process.getuid() === 0 ? ['-u', 'postgres'] : [];
		await pooler.run(
			existsSync(DEBIAN) ? DEBIAN : 'pgbouncer',
			[...user, file],
			{ stdio: ['ignore', 'pipe', 'pipe'] },
			[/listening on 127\.0\.0\.1/],
		);
		pooler.url = `postgresql://parlance@127.0.0.1:${port}/parlance?sslmode=disable`;
		return pooler;
	}

	async close() {
		await this.kill();
		rmSync(this.#folder, { recursive: true, force: true });
	}
}
