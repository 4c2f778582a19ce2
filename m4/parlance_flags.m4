dnl SPDX-License-Identifier: MIT
dnl Copyright the Parlance authors
dnl
dnl Compiler and linker flags. Every flag is tried before it is used; the user's CFLAGS, CPPFLAGS and
dnl LDFLAGS are left alone (they come later on the command line, so they win). The results:
dnl   PARLANCE_CPPFLAGS PARLANCE_CFLAGS PARLANCE_LDFLAGS   for everything
dnl   PARLANCE_PROGRAM_LDFLAGS                             for programs (not for modules): PIE
dnl   PARLANCE_PREFIX_MAP_CFLAGS                           takes the build's paths out of the objects

dnl PARLANCE_WARNINGS
AC_DEFUN([PARLANCE_WARNINGS], [
AC_ARG_ENABLE([werror],
	[AS_HELP_STRING([--enable-werror], [turn warnings into errors (for developers and CI)])],
	[], [enable_werror=no])
AX_APPEND_COMPILE_FLAGS([-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes dnl
	-Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef dnl
	-Wimplicit-fallthrough], [PARLANCE_CFLAGS], [-Werror])
AS_VAR_IF([enable_werror], [yes], [AX_APPEND_FLAG([-Werror], [PARLANCE_CFLAGS])])
])

dnl PARLANCE_INSTRUMENTATION
dnl Sanitizers, fuzzers and coverage: asked for by name, so what the compiler cannot do is an error.
AC_DEFUN([PARLANCE_INSTRUMENTATION], [
AC_ARG_ENABLE([sanitizers],
	[AS_HELP_STRING([--enable-sanitizers], [build with AddressSanitizer and UBSan])],
	[], [enable_sanitizers=no])
AC_ARG_ENABLE([fuzzers],
	[AS_HELP_STRING([--enable-fuzzers],
		[make the programs in tests/fuzz libFuzzer targets (needs clang)])],
	[], [enable_fuzzers=no])
AC_ARG_ENABLE([coverage],
	[AS_HELP_STRING([--enable-coverage], [build for gcov])],
	[], [enable_coverage=no])

AS_VAR_IF([enable_sanitizers], [no], [], [
	parlance_flags="-fsanitize=address,undefined"
	AX_CHECK_LINK_FLAG([$parlance_flags], [], [AC_MSG_ERROR(
		[--enable-sanitizers: $CC cannot link with $parlance_flags; install libasan and libubsan (gcc) or libclang-rt-dev (clang)])])
	AX_APPEND_FLAG([$parlance_flags -fno-sanitize-recover=all -fno-omit-frame-pointer],
		[PARLANCE_CFLAGS])
	AX_APPEND_FLAG([$parlance_flags], [PARLANCE_LDFLAGS])
])

dnl The library code carries the fuzzer's counters; only the fuzz targets get libFuzzer's main().
AS_VAR_IF([enable_fuzzers], [no], [], [
	AX_CHECK_COMPILE_FLAG([-fsanitize=fuzzer-no-link],
		[AX_APPEND_FLAG([-fsanitize=fuzzer-no-link], [PARLANCE_CFLAGS])
		 AX_APPEND_FLAG([-fsanitize=fuzzer-no-link], [PARLANCE_LDFLAGS])],
		[AC_MSG_ERROR([--enable-fuzzers needs clang with libFuzzer: ./configure CC=clang (Debian: clang and libclang-rt-dev; Fedora: clang and compiler-rt)])])
])
AM_CONDITIONAL([FUZZERS], [test "x$enable_fuzzers" != xno])
AC_SUBST([FUZZER_LIBS], [-fsanitize=fuzzer])

AS_VAR_IF([enable_coverage], [no], [], [
	AX_CHECK_LINK_FLAG([--coverage], [], [AC_MSG_ERROR(
		[--enable-coverage: $CC cannot link with --coverage])])
	AX_APPEND_FLAG([--coverage], [PARLANCE_CFLAGS])
	AX_APPEND_FLAG([--coverage], [PARLANCE_LDFLAGS])
])
])

dnl PARLANCE_HARDENING
dnl After PARLANCE_INSTRUMENTATION: _FORTIFY_SOURCE hides errors from the sanitizers, and without
dnl optimisation it only warns. A compiler or packager that sets it already knows better.
AC_DEFUN([PARLANCE_HARDENING], [
AX_APPEND_COMPILE_FLAGS([-fstack-clash-protection -fcf-protection], [PARLANCE_CFLAGS], [-Werror])
AX_CHECK_LINK_FLAG([-fstack-protector-strong],
	[AX_APPEND_FLAG([-fstack-protector-strong], [PARLANCE_CFLAGS])], [], [-Werror])
AX_APPEND_LINK_FLAGS([-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed],
	[PARLANCE_LDFLAGS], [-Werror])
AX_CHECK_LINK_FLAG([-pie],
	[AX_APPEND_FLAG([-fPIE], [PARLANCE_CFLAGS])
	 AX_APPEND_FLAG([-pie], [PARLANCE_PROGRAM_LDFLAGS])], [], [-fPIE -Werror])

AC_MSG_CHECKING([whether to set _FORTIFY_SOURCE])
AS_VAR_IF([enable_sanitizers], [no], [
	AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#if !defined __OPTIMIZE__ || defined _FORTIFY_SOURCE
#error "no use, or already set"
#endif
int x;]])],
		[parlance_fortify=yes], [parlance_fortify=no])],
	[parlance_fortify=no])
AC_MSG_RESULT([$parlance_fortify])
AS_VAR_IF([parlance_fortify], [yes],
	[AX_APPEND_FLAG([-D_FORTIFY_SOURCE=2], [PARLANCE_CPPFLAGS])])
])

dnl PARLANCE_FLAGS
AC_DEFUN([PARLANCE_FLAGS], [
PARLANCE_CPPFLAGS='-D_GNU_SOURCE'
AS_UNSET([PARLANCE_CFLAGS])
AS_UNSET([PARLANCE_LDFLAGS])
AS_UNSET([PARLANCE_PROGRAM_LDFLAGS])
AX_CHECK_COMPILE_FLAG([-std=gnu11], [AX_APPEND_FLAG([-std=gnu11], [PARLANCE_CFLAGS])],
	[AC_MSG_ERROR([$CC does not know -std=gnu11; a C11 compiler is needed])])
PARLANCE_WARNINGS
AX_APPEND_COMPILE_FLAGS([-fvisibility=hidden], [PARLANCE_CFLAGS], [-Werror])
PARLANCE_INSTRUMENTATION
PARLANCE_HARDENING
dnl The three spellings of a source's path: as make names it, and where the two trees really are.
dnl Of several maps that fit, the last one wins.
AX_CHECK_COMPILE_FLAG([-ffile-prefix-map=/nowhere=.],
	[PARLANCE_PREFIX_MAP_CFLAGS='-ffile-prefix-map=$(top_srcdir)/= -ffile-prefix-map=$(abs_top_srcdir)=. -ffile-prefix-map=$(abs_top_builddir)=.'],
	[PARLANCE_PREFIX_MAP_CFLAGS=], [-Werror])
AC_SUBST([PARLANCE_CPPFLAGS])
AC_SUBST([PARLANCE_CFLAGS])
AC_SUBST([PARLANCE_LDFLAGS])
AC_SUBST([PARLANCE_PROGRAM_LDFLAGS])
AC_SUBST([PARLANCE_PREFIX_MAP_CFLAGS])
])
