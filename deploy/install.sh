#!/bin/sh
# Installs (or with "remove" takes away again) what a host needs around the server: units, the user
# before login, PAM, a first configuration. "make install" calls it with the paths in the
# environment. Files in /etc that are there already stay as they are; those that were changed are
# not removed.
set -eu

action=${1:-install}
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A user's own installation has no business in /etc.
may_configure() {
	[ -n "${DESTDIR:-}" ] || [ "$(id -u)" = 0 ]
}

ours() { # ours SOURCE MODE TARGET: a file of the package
	if [ "$action" = remove ]; then
		rm -f "$DESTDIR$3"
	else
		install -D -m "$2" "$1" "$DESTDIR$3"
	fi
}

theirs() { # theirs SOURCE TARGET FROM: a file that belongs to the administrator once it is there
	may_configure || return 0
	if [ "$action" = remove ]; then
		if cmp -s "$1" "$DESTDIR$2"; then rm -f "$DESTDIR$2"; fi
	elif [ -e "$DESTDIR$2" ]; then
		echo "$DESTDIR$2 is there: left as it is (ours is $3)"
	else
		install -D -m 644 "$1" "$DESTDIR$2"
	fi
}

pam_style() {
	if [ -n "${PAM_STYLE:-}" ]; then
		echo "$PAM_STYLE"
	elif [ -e /etc/pam.d/common-auth ]; then
		echo debian
	elif [ -e /etc/pam.d/password-auth ]; then
		echo redhat
	else
		echo plain
	fi
}

sed -e "s|@SBINDIR@|$SBINDIR|g" -e "s|/etc/ssh/|$SYSCONFDIR/|g" \
	"$here/systemd/nacre-sshd.service.in" >"$work/nacre-sshd.service"
sed -e "s|/etc/ssh/|$SYSCONFDIR/|g" "$here/systemd/nacre-sshd.socket" >"$work/nacre-sshd.socket"
sed -e "s|/etc/ssh/|$SYSCONFDIR/|g" "$here/sshd_config" >"$work/sshd_config"
ours "$work/nacre-sshd.service" 644 "$UNITDIR/nacre-sshd.service"
ours "$work/nacre-sshd.socket" 644 "$UNITDIR/nacre-sshd.socket"
ours "$here/nacre-sshd.sysusers" 644 "$SYSUSERSDIR/nacre-sshd.conf"
ours "$here/nacre-sshd.tmpfiles" 644 "$TMPFILESDIR/nacre-sshd.conf"
theirs "$work/sshd_config" "$SYSCONFDIR/sshd_config" "$here/sshd_config"
pam=$here/pam.d/sshd.$(pam_style)
theirs "$pam" "$PAMDIR/sshd" "$pam"
