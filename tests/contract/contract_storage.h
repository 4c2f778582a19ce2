/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* What every storage plugin must do. */
#ifndef PARLANCE_TESTS_CONTRACT_CONTRACT_STORAGE_H
#define PARLANCE_TESTS_CONTRACT_CONTRACT_STORAGE_H

#include "parlance/plugin.h"
#include "plugin/mock_host.h"

struct storage_contract {
	parlance_plugin_fn *plugin;
	/* For a storage that is there, and of which a second without it makes an outage. */
	const struct mock_option *options;
	size_t n_options;
	/** The storage goes away, hard, and comes back with what it had. */
	void (*stop)(void);
	void (*start)(void);
	/** Writes to the address of an instance, as another instance would. */
	void (*tell)(int64_t instance, const char *payload);
};

/** Runs the suite; the number of tests that failed. */
int storage_contract_run(const struct storage_contract *contract);

#endif
