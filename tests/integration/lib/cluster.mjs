// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Several daemons on one database that are to behave as one server: each with a network to PostgreSQL
// that can be disturbed, listeners for its peers and for administrators, and a load balancer in front
// of all. A node keeps its ports when it is started again.

import assert from 'node:assert/strict';
import { Daemon, Database, Service } from './chat.mjs';
import { Checker } from './checker.mjs';
import { get } from './http.mjs';
import { RoundRobin, Link } from './proxy.mjs';
import { Recorder } from './recorder.mjs';
import { freePort } from './server.mjs';
import { until, within } from './util.mjs';

// One daemon.
class Node {
	#cluster;
	#set;

	constructor(cluster, set) {
		this.#cluster = cluster;
		this.#set = set;
	}

	// Its listeners need numbers beforehand: peers are told one, and clients come back to the other.
	async reserve() {
		this.port = await freePort();
		this.peerPort = await freePort();
		this.url = `http://127.0.0.1:${this.port}`;
		const { database } = this.#cluster;
		this.link = await Link.open(() => database.place);
	}

	async start(more = {}, lines) {
		const { database, service } = this.#cluster;
		this.daemon = await Daemon.start({
			database: { url: database.urlAt(this.link.port) },
			service,
			lines,
			set: {
				'listener.main.address': `127.0.0.1:${this.port}`,
				'listener.peer.address': `127.0.0.1:${this.peerPort}`,
				'listener.admin.address': '127.0.0.1:0',
				'listener.admin.admin': 'yes',
				'cluster.advertise': `127.0.0.1:${this.peerPort}`,
				'storage_pgsql.reconnect_max_ms': 1000,
				'chat.drain_spread_ms': 300,
				'chat.drain_timeout_ms': 8000,
				...this.#set,
				...more,
			},
		});
	}

	// SIGTERM; resolves when it has ended as it should, and says how long that took.
	async drain(ms = 40000) {
		const start = performance.now();
		this.daemon.signal('SIGTERM');
		const { code, signal } = await within(this.daemon.gone, ms, 'the exit after SIGTERM');
		assert.deepEqual({ code, signal }, { code: 0, signal: null }, this.daemon.stderr.slice(-4000));
		return performance.now() - start;
	}

	// The status of /readyz or /healthz.
	async status(path) {
		const { status } = await get(`http://127.0.0.1:${this.daemon.ports.admin}${path}`);
		return status;
	}

	async becomesReady(ready = true, ms = 15000) {
		const want = ready ? 200 : 503;
		await until(
			async () => (await this.status('/readyz')) === want,
			`/readyz says ${want}`,
			ms,
		);
	}

	async close() {
		try {
			if (!this.daemon) return;
			this.daemon.signal('SIGCONT');
			this.link.up();
			this.link.slow(0);
			this.link.resume();
			await this.daemon.stop();
		} finally {
			await this.daemon?.kill();
			await this.link?.close();
		}
	}
}

export class Cluster {
	nodes = [];
	checkers = [];
	doors = [];

	// n: how many. ai: with the fake AI service and a recorder before it, else the demo provider.
	// set: options of all. The balancer is at `url`.
	static async start({ n = 2, ai = false, set = {} } = {}) {
		const cluster = new Cluster();
		try {
			cluster.database = await Database.start();
			if (ai) {
				cluster.mock = await Service.start();
				cluster.recorder = await Recorder.start(cluster.mock);
				cluster.service = cluster.recorder;
			}
			for (let i = 0; i < n; i++) {
				const node = new Node(cluster, set);
				cluster.nodes.push(node);
				await node.reserve();
			}
			await Promise.all(cluster.nodes.map((node) => node.start()));
			cluster.balancer = await RoundRobin.open(() =>
				cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
			);
			cluster.url = cluster.balancer.url;
			return cluster;
		} catch (error) {
			await cluster.stop().catch(() => {});
			throw error;
		}
	}

	// Undoes what a case did to the nodes and to PostgreSQL.
	async mend() {
		if (!this.database.running) await this.database.up();
		await Promise.all(
			this.nodes.map(async (node) => {
				node.link.up();
				node.link.slow(0);
				node.link.resume();
				if (node.daemon.running) node.daemon.signal('SIGCONT');
				else await node.start();
			}),
		);
	}

	// A way for clients to the node with the number `at`, which can be changed and cut.
	async door(at = 0) {
		const door = await Link.open(() => ({ host: '127.0.0.1', port: this.nodes[door.at].port }));
		door.at = at;
		this.doors.push(door);
		return door;
	}

	checker() {
		const checker = new Checker();
		this.checkers.push(checker);
		return checker;
	}

	sql(query) {
		return this.database.sql(query);
	}

	// Ends the connections that listen, of one instance or of all, as a failover would; returns how
	// many there were.
	async killListeners() {
		const rows = await this.sql(`
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name LIKE 'parlanced%listen%'`);
		return rows.length;
	}

	// Everything is ended, and the first of what went wrong is thrown.
	async stop() {
		const failures = [];
		const end = (promise) => promise?.catch((error) => failures.push(error));
		for (const checker of this.checkers) await end(checker.close());
		for (const door of this.doors) await end(door.close());
		await Promise.all(this.nodes.map((node) => end(node.close())));
		await end(this.balancer?.close());
		await end(this.recorder?.kill());
		await end(this.mock?.kill());
		await end(this.database?.stop());
		if (failures.length) throw failures[0];
	}
}

// A cluster for a whole file or group; use(cluster) before the first case.
export function clusterFor({ before, after }, options, use) {
	let cluster;
	before(async () => {
		cluster = await Cluster.start(options);
		await use(cluster);
	});
	after(() => cluster?.stop());
}
