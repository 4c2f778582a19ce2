dnl SPDX-License-Identifier: MIT
dnl Copyright the Parlance authors
dnl
dnl For those who build plugins for parlanced; installed to aclocal's folder.

# PARLANCE_CHECK_PLUGIN([ABI-VERSION], [ACTION-IF-FOUND], [ACTION-IF-NOT-FOUND])
# ------------------------------------------------------------------------------
# Looks for the plugin interface, of at least this version of its major number (MAJOR.MINOR; default 1.0). Sets, and
# substitutes:
#   PARLANCE_CFLAGS       where the headers are
#   PARLANCE_ABI_VERSION  what was found; the plugin will need a parlanced of this minor version or a later one
#   parlance_plugindir    where plugins are installed, below this package's own libdir, so that "make install" and
#                         "make distcheck" work in any prefix; parlanced looks there when both have the same prefix
#   PARLANCE_PLUGIN_LDFLAGS   what libtool is to make a plugin with
# In Makefile.am:
#   plugindir = $(parlance_plugindir)
#   plugin_LTLIBRARIES = auth_mine.la
#   auth_mine_la_CPPFLAGS = $(PARLANCE_CFLAGS)
#   auth_mine_la_CFLAGS = -fvisibility=hidden
#   auth_mine_la_LDFLAGS = $(PARLANCE_PLUGIN_LDFLAGS)
# Without ACTION-IF-NOT-FOUND, configure stops when the interface is not there.
AC_DEFUN([PARLANCE_CHECK_PLUGIN], [
AC_REQUIRE([PKG_PROG_PKG_CONFIG])
parlance_wanted=m4_default([$1], [1.0])
parlance_problem=
PKG_CHECK_EXISTS([parlance],
	[PARLANCE_CFLAGS=`$PKG_CONFIG --cflags parlance`
	 PARLANCE_ABI_VERSION=`$PKG_CONFIG --variable=abi_version parlance`],
	[parlance_problem="parlance.pc is not found; install parlanced with its headers, or set PKG_CONFIG_PATH"
	 PARLANCE_CFLAGS=
	 PARLANCE_ABI_VERSION=])
AC_MSG_CHECKING([for parlanced's plugin interface, version $parlance_wanted])
AS_IF([test -z "$parlance_problem"], [
	AS_IF([test "x${PARLANCE_ABI_VERSION%%.*}" != "x${parlance_wanted%%.*}" ||
	       test "${PARLANCE_ABI_VERSION#*.}" -lt "${parlance_wanted#*.}"],
		[parlance_problem="version $PARLANCE_ABI_VERSION is installed and $parlance_wanted is needed (the same number before the dot, and at least the one behind it)"])])
AS_IF([test -z "$parlance_problem"], [
	parlance_save_CPPFLAGS=$CPPFLAGS
	CPPFLAGS="$CPPFLAGS $PARLANCE_CFLAGS"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <parlance/plugin.h>]],
		[[int abi[PARLANCE_ABI_MAJOR] = { PARLANCE_ABI_MINOR }; (void)abi;]])],
		[], [parlance_problem="parlance/plugin.h does not compile"])
	CPPFLAGS=$parlance_save_CPPFLAGS])
AS_IF([test -z "$parlance_problem"],
	[AC_MSG_RESULT([$PARLANCE_ABI_VERSION])],
	[AC_MSG_RESULT([no])])
AC_SUBST([PARLANCE_CFLAGS])
AC_SUBST([PARLANCE_ABI_VERSION])
AC_SUBST([parlance_plugindir], ['${libdir}/parlance'])
AC_SUBST([PARLANCE_PLUGIN_LDFLAGS], ['-module -avoid-version -shared'])
AS_IF([test -z "$parlance_problem"], [m4_default([$2], [:])],
	[m4_default([$3], [AC_MSG_ERROR([parlanced's plugin interface: $parlance_problem])])])
])
