#!/bin/sh
# Installs what building (and with "check" or "bench" what testing) needs, where that can be done:
# on Debian and Ubuntu as root or with sudo. Elsewhere it names the packages and stops.
set -u

apt_build="gcc make pkg-config libc6-dev libsodium-dev libssl-dev zlib1g-dev nettle-dev libpam0g-dev libedit-dev libp11-kit-dev libfido2-dev"
dnf_build="gcc make pkgconf-pkg-config glibc-devel libsodium-devel openssl-devel zlib-devel nettle-devel pam-devel libedit-devel p11-kit-devel libfido2-devel"
apk_build="gcc make pkgconf musl-dev linux-headers libsodium-dev openssl-dev zlib-dev nettle-dev linux-pam-dev libedit-dev p11-kit-dev libfido2-dev"
apt_check="libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-paramiko openssh-client openssh-server putty-tools dropbear-bin curl git rsync sshpass iproute2 procps passwd ssh-audit valgrind fail2ban haproxy python3-prometheus-client xvfb xauth x11-apps x11-utils iputils-ping strace softhsm2 opensc zsh fish sshfs lftp borgbackup ansible-core"
dnf_check="libcmocka-devel python3-pytest python3-pytest-xdist python3-paramiko openssh-clients openssh-server putty dropbear curl git rsync sshpass iproute procps-ng shadow-utils ssh-audit valgrind fail2ban haproxy python3-prometheus_client xorg-x11-server-Xvfb xorg-x11-xauth xclock xdpyinfo xwininfo iputils strace softhsm opensc zsh fish fuse-sshfs lftp borgbackup ansible-core"
apk_check="cmocka-dev py3-pytest py3-pytest-xdist py3-paramiko openssh putty dropbear curl git rsync sshpass iproute2 procps shadow ssh-audit valgrind fail2ban haproxy py3-prometheus-client xvfb xauth xclock xdpyinfo xwininfo iputils strace softhsm opensc zsh fish sshfs lftp borgbackup ansible-core"
apt_openssh="openssh-tests putty-tools make"
dnf_openssh="putty make"
apk_openssh="putty make"
apt_lint="clang-format clang-tidy cppcheck clang"
dnf_lint="clang-tools-extra cppcheck clang"
apk_lint="clang-extra-tools cppcheck clang"

apt=$apt_build dnf=$dnf_build apk=$apk_build
for group in "$@"; do
	case $group in
	check | bench) apt="$apt $apt_check" dnf="$dnf $dnf_check" apk="$apk $apk_check" ;;
	openssh) apt="$apt $apt_openssh" dnf="$dnf $dnf_openssh" apk="$apk $apk_openssh" ;;
	lint) apt="$apt $apt_lint" dnf="$dnf $dnf_lint" apk="$apk $apk_lint" ;;
	*)
		echo "usage: dependencies.sh [check] [bench] [openssh] [lint]" >&2
		exit 2
		;;
	esac
done

tell_and_stop() {
	cat >&2 <<EOF
$1 Please install the packages, then run make again:
  Debian, Ubuntu:  apt-get install $missing_or_all
  Fedora, RHEL:    dnf install $dnf
  Alpine:          apk add $apk
EOF
	exit 1
}

missing_or_all=$apt
if ! command -v dpkg-query >/dev/null 2>&1; then
	# Not Debian: if a compiler finds the libraries, there is nothing to do.
	if pkg-config --exists libsodium libcrypto zlib nettle libedit p11-kit-1 libfido2 2>/dev/null &&
		[ -e /usr/include/security/pam_appl.h ]; then
		exit 0
	fi
	tell_and_stop "The libraries that Nacre builds on are not installed."
fi

missing=
for package in $apt; do
	case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
	"install ok installed") ;;
	*) missing="$missing $package" ;;
	esac
done
[ -z "$missing" ] && exit 0

missing_or_all=$missing
if [ "$(id -u)" = 0 ]; then
	as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
	as_root=sudo
else
	tell_and_stop "Installing packages needs root, or sudo without a password:$missing."
fi
echo "Installing:$missing"
$as_root apt-get update -qq || echo "apt-get update failed; trying with the lists that are here" >&2
# A server package must not start a server of its own here.
$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
	tell_and_stop "apt-get could not install$missing."
