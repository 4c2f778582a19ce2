dnl SPDX-License-Identifier: MIT
dnl Copyright the Parlance authors

dnl PARLANCE_ABI
dnl Substitutes PARLANCE_ABI_VERSION, MAJOR.MINOR of the plugin interface, for parlance.pc; the header says it.
AC_DEFUN([PARLANCE_ABI], [
AC_REQUIRE([AC_PROG_SED])
AC_MSG_CHECKING([for the version of the plugin interface])
parlance_header=$srcdir/src/include/parlance/plugin.h
PARLANCE_ABI_VERSION=`$SED -n 's/^.define PARLANCE_ABI_MAJOR \([[0-9]][[0-9]]*\).*/\1/p' "$parlance_header"`.`$SED -n 's/^.define PARLANCE_ABI_MINOR \([[0-9]][[0-9]]*\).*/\1/p' "$parlance_header"`
AC_MSG_RESULT([$PARLANCE_ABI_VERSION])
AS_CASE([$PARLANCE_ABI_VERSION], [.*|*.], [AC_MSG_ERROR([$parlance_header does not say its version])])
AC_SUBST([PARLANCE_ABI_VERSION])
])
