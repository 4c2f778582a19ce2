dnl SPDX-License-Identifier: MIT
dnl Copyright the Parlance authors
dnl
dnl Libraries, by pkg-config. What is missing is collected, so that one run of configure names all of it.

dnl PARLANCE_REQUIRE(VARIABLE-PREFIX, PKG-CONFIG-MODULE, OLDEST-VERSION, DEBIAN-PACKAGE, FEDORA-PACKAGE)
dnl Sets PREFIX_CFLAGS and PREFIX_LIBS. An empty OLDEST-VERSION means any.
AC_DEFUN([PARLANCE_REQUIRE], [
AC_REQUIRE([PKG_PROG_PKG_CONFIG])
PKG_CHECK_MODULES([$1], m4_ifblank([$3], [[$2]], [[$2 >= $3]]), [], [
	parlance_have=`$PKG_CONFIG --modversion "$2" 2>/dev/null` || parlance_have=
	AS_IF([test -n "$parlance_have"],
	      [parlance_have="version $parlance_have is installed"], [parlance_have="not found"])
	AS_VAR_APPEND([parlance_missing], ["
  $2[]m4_ifnblank([$3], [ >= $3]) ($parlance_have): install $4 (Debian) or $5 (Fedora)"])
])])

dnl PARLANCE_REQUIRE_DONE
dnl Stops with the list of what PARLANCE_REQUIRE did not find.
AC_DEFUN([PARLANCE_REQUIRE_DONE], [
AS_IF([test -n "$parlance_missing"], [AC_MSG_ERROR([these libraries are missing or too old:$parlance_missing
(a library outside the usual folders is found through PKG_CONFIG_PATH)])])
])
