#!/bin/bash
# A tour of Nacre on the loopback: two servers, an agent, logins, copies and a hop through the
# forwarded agent. Everything lives in one temporary directory, which is removed at the end and
# when the tour is interrupted.
#
# usage: demo.sh BUILD
set -u

bin=$(cd "${1:-build}/bin" && pwd) || exit 2
directory=$(mktemp -d "${TMPDIR:-/tmp}/nacre-demo.XXXXXX") || exit 1
failed=0

clean() {
	trap - EXIT INT TERM HUP
	# The shell knows its jobs even when it is interrupted right behind starting one.
	local started
	started=$(jobs -p)
	for pid in $started; do
		kill "$pid" 2>/dev/null
	done
	wait
	rm -rf "$directory"
}
trap clean EXIT
trap 'echo; echo "Interrupted: cleaning up."; exit 130' INT
trap 'exit 143' TERM HUP

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold= plain=; fi

say() {
	printf '\n%s\n' "$*"
}

# Shows a command line as a user would type it, runs it and says how long it took.
step() {
	local start end status
	printf '%s$ %s%s\n' "$bold" "$1" "$plain"
	start=$(date +%s%N)
	(cd "$directory" && PATH="$bin:$PATH" sh -c "$1") </dev/null
	status=$?
	end=$(date +%s%N)
	if [ $status -eq 0 ]; then
		printf '  (%d.%d ms)\n' $(((end - start) / 1000000)) $(((end - start) / 100000 % 10))
	else
		printf '  FAILED with exit status %d\n' $status
		failed=1
		exit 1
	fi
}

# A TCP port that nobody listens on just now.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 20000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo $port
}

start_server() {
	local name=$1 port=$2
	cat >"$directory/$name.conf" <<EOF
Port $port
ListenAddress 127.0.0.1
HostKey $directory/host_key
PidFile none
AuthorizedKeysFile $directory/authorized_keys
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
UsePAM no
# Where nothing is installed, the other side's scp and ssh are these, too.
SetEnv "PATH=$bin:$PATH"
Subsystem sftp internal-sftp
EOF
	printf '%s$ sshd -D -e -f %s.conf &%s\n' "$bold" "$name" "$plain"
	"$bin/sshd" -D -e -f "$directory/$name.conf" 2>"$directory/$name.log" </dev/null &
	local pid=$!
	for _ in $(seq 100); do
		if ! kill -0 "$pid" 2>/dev/null; then
			echo "sshd did not start:" && cat "$directory/$name.log"
			exit 1
		fi
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
		sleep 0.05
	done
	echo "sshd does not answer on port $port:" && cat "$directory/$name.log"
	exit 1
}

unset SSH_AUTH_SOCK SSH_AGENT_PID DISPLAY
me=$(id -un)
first=$(free_port)
second=$(free_port)
[ "$first" != "$second" ] || second=$(free_port)

say "Nacre's tour. Everything happens in $directory, as user $me."

say "1. Keys: one for the servers, one for you with the passphrase 'correct horse'."
step "ssh-keygen -q -t ed25519 -N '' -C demo-server -f host_key"
step "ssh-keygen -t ed25519 -N 'correct horse' -C demo-key -f id_demo"
cp "$directory/id_demo.pub" "$directory/authorized_keys"
# What a user has in ~/.ssh/config and ~/.ssh/known_hosts, kept here so that yours stays untouched.
{
	echo "[127.0.0.1]:$first,[127.0.0.1]:$second $(cut -d' ' -f1,2 "$directory/host_key.pub")"
} >"$directory/known_hosts"
cat >"$directory/config" <<EOF
Host first
    Port $first
Host second
    Port $second
Host *
    HostName 127.0.0.1
    User $me
    UserKnownHostsFile $directory/known_hosts
    GlobalKnownHostsFile /dev/null
    IdentityFile $directory/id_demo
    StrictHostKeyChecking yes
EOF

say "2. Two servers on free ports."
start_server first "$first"
start_server second "$second"

say "3. An agent that holds the key; its passphrase is asked for once (here a script answers)."
export SSH_AUTH_SOCK="$directory/agent.sock"
printf '%s$ ssh-agent -D -a agent.sock &%s\n' "$bold" "$plain"
"$bin/ssh-agent" -D -a "$SSH_AUTH_SOCK" >"$directory/agent.log" 2>&1 </dev/null &
for _ in $(seq 100); do [ -s "$directory/agent.log" ] && break; sleep 0.02; done
printf '#!/bin/sh\necho "correct horse"\n' >"$directory/askpass" && chmod 700 "$directory/askpass"
export SSH_ASKPASS="$directory/askpass" SSH_ASKPASS_REQUIRE=force
step "ssh-add id_demo"
step "ssh-add -l"

say "4. Log in, run commands."
step "ssh -F config first 'echo Hello from \$(uname -n), shell of \$(id -un)'"
step "ssh -F config first 'exit 7'; test \$? -eq 7 && echo 'the exit status came back: 7'"
step "ssh -F config first 'wc -c' </usr/share/common-licenses/GPL-3 2>/dev/null || ssh -F config first 'wc -c' <config"
step "ssh -tt -F config first 'tty && stty size'"

say "5. Copy a directory tree up and down, and compare."
mkdir -p "$directory/site/css" "$directory/site/images" "$directory/remote"
for i in 1 2 3 4 5 6 7 8 9; do
	echo "page $i" >"$directory/site/page $i.html"
	head -c $((i * 1000)) /dev/urandom >"$directory/site/images/$i.png"
done
echo 'body { color: black }' >"$directory/site/css/style.css"
head -c 20000000 /dev/urandom >"$directory/site/images/large.bin"
step "scp -r -q -p -F config site first:$directory/remote/"
step "scp -r -q -p -F config first:$directory/remote/site back"
step "diff -r site back && echo 'the same, byte for byte'"
step "scp -q -O -F config first:$directory/remote/site/css/style.css old-protocol.css && cmp site/css/style.css old-protocol.css && echo 'the old protocol (-O) works, too'"

say "6. Hop to the second server through the forwarded agent: the key never leaves this machine."
step "ssh -A -F config first 'ssh-add -l && ssh -F $directory/config second \"echo Hello from the second server, by way of the first\"'"
step "ssh -J first -F config second 'echo and by a jump: \$SSH_CONNECTION'"

say "7. What a stranger gets."
step "ssh-keygen -q -t ed25519 -N '' -f id_stranger; SSH_AUTH_SOCK= ssh -F config -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityFile=id_stranger first true 2>&1; test \$? -eq 255"

say "That is all: no file outside $directory was written, and it is removed now."
exit $failed
