/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* A shared object that is no plugin. */
int plugin_none_is_no_plugin(void);

int plugin_none_is_no_plugin(void)
{
	return 0;
}
