"""Our sshd by what its users see: OpenSSH's client logs in to it, an administrator reloads it, and
strangers try their luck."""
import glob
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import (IS_ROOT, PASSWORD, PATIENCE, PORTS, SANITIZED, Client, make_key, nacre, need,
                      openssh, public_line, run, until)

SSHD = nacre('sshd')


def logged(server, pattern):
    return until(lambda: re.search(pattern, server.log()), f'{pattern}\n{server.log()}')


class Terminal:
    """A program under a pseudo-terminal, typed at and read like a person would."""

    def __init__(self, command, **environment):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, close_fds=True,
                                        env={**os.environ, 'TERM': 'xterm', **environment})
        os.close(slave)
        self.text = ''

    def type(self, text):
        os.write(self.master, text.encode())

    def see(self, pattern, patience=PATIENCE):
        end = time.monotonic() + patience
        while not re.search(pattern, self.text):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f'{pattern} was not shown:\n{self.text}'
            try:
                self.text += os.read(self.master, 65536).decode(errors='replace')
            except OSError:
                assert re.search(pattern, self.text), f'{pattern} was not shown:\n{self.text}'
                return
        self.text = self.text[re.search(pattern, self.text).end():]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def children_of(pid):
    """Process ids whose parent is pid."""
    found = []
    for path in glob.glob('/proc/[0-9]*/stat'):
        try:
            with open(path) as file:
                fields = file.read().rsplit(')', 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.split('/')[2]))
    return found


def status_of(pid):
    with open(f'/proc/{pid}/status') as file:
        return dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)


@pytest.fixture(scope='module')
def sshd(servers):
    return servers.sshd(SSHD, 'LogLevel VERBOSE')


# Sessions ----------------------------------------------------------------------------------------

def test_standard_input_ends(openssh_ssh, sshd):
    assert openssh_ssh.run(sshd, 'wc -c', input=b'x' * 100000).stdout.strip() == b'100000'


def test_output_is_drained_before_the_channel_closes(openssh_ssh, sshd):
    for _ in range(5):
        result = openssh_ssh.run(sshd, 'head -c 3000000 /dev/zero; exit 3')
        assert result.returncode == 3 and len(result.stdout) == 3000000


def test_a_program_that_reads_nothing(openssh_ssh, sshd):
    result = openssh_ssh.run(sshd, 'exec <&-; sleep 0.5; echo done', input=b'x' * 10000000)
    assert result.stdout == b'done\n' and result.returncode == 0


def test_background_program_holds_the_channel_as_long_as_it_holds_the_output(openssh_ssh, sshd):
    begin = time.monotonic()
    result = openssh_ssh.run(sshd, '(sleep 1; echo late) & echo early')
    assert result.stdout == b'early\nlate\n' and time.monotonic() - begin >= 1
    begin = time.monotonic()
    openssh_ssh.run(sshd, 'sleep 50 >/dev/null 2>&1 </dev/null &')
    assert time.monotonic() - begin < 20


def test_large_transfers(openssh_ssh, sshd, tmp_path):
    data = os.urandom(1 << 20) * 24
    assert openssh_ssh.run(sshd, 'cat', input=data).stdout == data


def test_environment(openssh_ssh, sshd, account):
    result = openssh_ssh.run(sshd, 'env', '-o', 'SetEnv=LC_TEST=yes SECRET=no')
    lines = dict(line.split('=', 1) for line in result.stdout.decode().splitlines() if '=' in line)
    assert lines['USER'] == lines['LOGNAME'] == account.name
    assert lines['HOME'] == account.home and lines['LC_TEST'] == 'yes' and 'SECRET' not in lines
    assert re.fullmatch(rf'127.0.0.1 \d+ 127.0.0.1 {sshd.port}', lines['SSH_CONNECTION'])
    assert re.fullmatch(rf'127.0.0.1 \d+ {sshd.port}', lines['SSH_CLIENT'])


def test_terminal_with_job_control_and_resize(openssh_ssh, sshd):
    terminal = Terminal(openssh_ssh.command(sshd, '-tt') + ['/bin/sh', '-i'])
    try:
        terminal.type("PS1='pro''mpt '; stty -echo\r")
        terminal.see('prompt ')
        terminal.type('sleep 100\r')
        time.sleep(0.3)
        terminal.type('\x1a')
        terminal.see('Stopped')
        terminal.type('kill %1; fg; echo te''rm $TERM $(tty) $SSH_TTY\r')
        terminal.see(r'term xterm (/dev/pts/\d+) \1')
        terminal.type('trap "echo resized" WINCH; echo trap set\r')
        terminal.see('trap set')
        import fcntl
        import struct
        import termios
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 77, 0, 0))
        os.kill(terminal.process.pid, signal.SIGWINCH)
        until(lambda: terminal.type('stty size\r') or re.search(
            '33 77', read_some(terminal)), 'the new size')
        terminal.type('echo qui''et; exec 3>&1; cat; echo un''seen\r')
        terminal.see('quiet')
        time.sleep(0.3)
        read_some(terminal)
        terminal.text = ''
        terminal.type('\x03')
        terminal.see('prompt ')  # what is typed before that is thrown away with the signal
        terminal.type('exit 9\r')
        assert terminal.process.wait(PATIENCE) == 9
    finally:
        terminal.close()


def read_some(terminal):
    while select.select([terminal.master], [], [], 0.2)[0]:
        terminal.text += os.read(terminal.master, 65536).decode(errors='replace')
    return terminal.text


def test_terminal_hangs_up_when_the_connection_dies(openssh_ssh, sshd, workspace):
    mark = os.path.join(workspace, 'hup')
    terminal = Terminal(openssh_ssh.command(sshd, '-tt') +
                        [f"trap 'echo gone >{mark}; exit' HUP; echo rea''dy; "
                         'while :; do sleep 0.1; done'])
    try:
        terminal.see('ready')
        terminal.process.kill()
        until(lambda: os.path.exists(mark), 'SIGHUP')
    finally:
        terminal.close()


def test_pty_belongs_to_the_user(openssh_ssh, sshd, account):
    result = openssh_ssh.run(sshd, 'stat -c "%U %a" $(tty)', '-tt')
    owner, mode = result.stdout.split()
    assert owner.decode() == account.name and mode in (b'620', b'600')


def test_max_sessions(servers, openssh_ssh, tmp_path):
    server = servers.sshd(SSHD, 'MaxSessions 1')
    server_without_sessions = servers.sshd(SSHD, 'Match all\nMaxSessions 0')
    assert openssh_ssh.run(server, 'echo one').stdout == b'one\n'
    assert openssh_ssh.run(server_without_sessions, 'echo none').returncode == 255


# Subsystems, forwarding --------------------------------------------------------------------------

@pytest.mark.parametrize('protocol', ['-s', '-O'])
def test_scp_both_ways(openssh_ssh, sshd, workspace, tmp_path, protocol):
    source, back = tmp_path / 'source', tmp_path / 'back'
    source.write_bytes(os.urandom(3000000))
    options = openssh_ssh.options(sshd) + [protocol, '-P', str(sshd.port), '-q']
    there = f'{sshd.user}@127.0.0.1:{workspace}/copy'
    run(['/usr/bin/scp', *options, str(source), there], check=True)
    run(['/usr/bin/scp', *options, there, str(back)], check=True)
    assert back.read_bytes() == source.read_bytes()


def test_external_sftp_server(servers, openssh_ssh, workspace, tmp_path):
    program = openssh('sftp-server')
    if not os.path.exists(program):
        pytest.skip('sftp-server is not installed')
    server = servers.sshd(SSHD, f'Subsystem other {program}')
    batch = tmp_path / 'batch'
    batch.write_text(f'mkdir {workspace}/made\n')
    run(['/usr/bin/sftp', *openssh_ssh.options(server), '-P', str(server.port), '-b', str(batch),
         '-s', 'other', f'{server.user}@127.0.0.1'], check=True)
    assert os.path.isdir(os.path.join(workspace, 'made'))


def test_unknown_subsystem_is_refused(openssh_ssh, sshd):
    assert openssh_ssh.run(sshd, 'nothing', '-s').returncode == 255
    logged(sshd, 'subsystem request for nothing by user .* failed, subsystem not found')


def test_jump_through_us(openssh_ssh, sshd, openssh_sshd, tmp_path):
    jump = ' '.join(openssh_ssh.command(sshd, '-W', '%h:%p'))
    result = openssh_ssh.run(openssh_sshd, 'echo arrived', '-o', f'ProxyCommand={jump}')
    assert result.stdout == b'arrived\n', result.stderr


def test_permit_open(servers, openssh_ssh, sshd):
    refused = servers.sshd(SSHD, 'PermitOpen 127.0.0.1:1')
    assert openssh_ssh.run(refused, None, '-W', f'127.0.0.1:{sshd.port}').returncode == 255
    allowed = servers.sshd(SSHD, f'PermitOpen 127.0.0.1:{sshd.port}')
    process = subprocess.Popen(openssh_ssh.command(allowed, '-W', f'127.0.0.1:{sshd.port}'),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline().startswith(b'SSH-2.0-')
    process.stdin.close()
    process.kill()
    process.wait()


def test_agent_forwarding(openssh_ssh, sshd, user_keys):
    need('ssh-agent')
    agent = run([openssh('ssh-agent'), '-s'], check=True).stdout.decode()
    socket_path = re.search(r'SSH_AUTH_SOCK=([^;]+)', agent).group(1)
    pid = int(re.search(r'SSH_AGENT_PID=(\d+)', agent).group(1))
    environment = {**os.environ, 'SSH_AUTH_SOCK': socket_path}
    try:
        run([openssh('ssh-add'), '-q', user_keys['ed25519']], check=True, env=environment)
        command = [word for word in openssh_ssh.command(sshd, '-A') if word != 'IdentityAgent=none']
        command = [word for word, after in zip(command, command[1:] + [''])
                   if not (word == '-o' and after in ('-o', '-i', '-A'))]
        result = run(command + ['ssh-add -L; stat -c %a $(dirname $SSH_AUTH_SOCK); '
                                'echo $SSH_AUTH_SOCK'], env=environment)
        key, mode, path = result.stdout.decode().splitlines()
        assert public_line(user_keys['ed25519']) in key and mode == '700'
        until(lambda: not os.path.exists(os.path.dirname(path)), 'the removal of the socket')
        refused = openssh_ssh.run(sshd, 'echo "<$SSH_AUTH_SOCK>"', env=environment)
        assert refused.stdout == b'<>\n'
    finally:
        os.kill(pid, signal.SIGTERM)


def test_client_learns_all_host_keys(openssh_ssh, servers, host_keys, tmp_path):
    server = servers.sshd(SSHD)
    known = tmp_path / 'known'
    known.write_text(f"[127.0.0.1]:{server.port} {public_line(host_keys['ed25519'])}\n")
    command = [word.replace(server.known_hosts, str(known)).replace('UpdateHostKeys=no',
                                                                   'UpdateHostKeys=yes')
               for word in openssh_ssh.command(server)]
    run(command + ['sleep 0.5'], check=True)
    learned = known.read_text()
    for name, path in host_keys.items():
        assert public_line(path) in learned, f'{name}\n{server.log()}'


# Who gets in -------------------------------------------------------------------------------------

def password_login(server, user, password, *options, with_key='no'):
    need('sshpass')
    return run(['sshpass', '-p', password, '/usr/bin/ssh', '-F', 'none', '-p', str(server.port),
                '-o', f'PubkeyAuthentication={with_key}', '-o', 'StrictHostKeyChecking=yes',
                '-o', f'UserKnownHostsFile={server.known_hosts}', '-o', 'NumberOfPasswordPrompts=1',
                *options, f'{user}@127.0.0.1', 'echo in'])


@pytest.mark.skipif(not IS_ROOT, reason='passwords are for root to check')
def test_passwords(sshd, account):
    assert password_login(sshd, account.name, PASSWORD).stdout == b'in\n'
    logged(sshd, rf'Accepted password for {account.name} from 127.0.0.1 port \d+ ssh2')
    assert password_login(sshd, account.name, 'wrong').returncode != 0
    logged(sshd, rf'Failed password for {account.name} from 127.0.0.1 port \d+ ssh2')
    assert password_login(sshd, 'nobody-here', PASSWORD).returncode != 0
    logged(sshd, r'Invalid user nobody-here from 127.0.0.1 port \d+')
    logged(sshd, r'Failed password for invalid user nobody-here from 127.0.0.1 port \d+ ssh2')


@pytest.mark.skipif(not IS_ROOT, reason='passwords are for root to check')
def test_an_unknown_user_takes_as_long(sshd, account):
    def seconds(user):
        times = []
        for _ in range(5):
            begin = time.monotonic()
            password_login(sshd, user, 'wrong')
            times.append(time.monotonic() - begin)
        return min(times)

    known, unknown = seconds(account.name), seconds('nobody-here')
    assert 0.4 < known / unknown < 2.5


def test_accepted_key_is_logged_with_its_fingerprint(openssh_ssh, sshd, user_keys, account):
    openssh_ssh.run(sshd, 'true', check=True)
    line = run([openssh('ssh-keygen'), '-l', '-f', user_keys['ed25519']]).stdout.decode().split()
    logged(sshd, rf'Accepted publickey for {account.name} from 127.0.0.1 port \d+ ssh2: '
                 rf'ED25519 {re.escape(line[1])}')
    logged(sshd, r'Received disconnect from 127.0.0.1 port \d+:11: disconnected by user')


def test_users_who_are_not_listed(servers, openssh_ssh, account):
    server = servers.sshd(SSHD, 'AllowUsers somebodyelse')
    assert openssh_ssh.run(server, 'true').returncode == 255
    logged(server, f'User {account.name} from 127.0.0.1 not allowed because not listed in '
                   'AllowUsers')


@pytest.mark.skipif(not IS_ROOT, reason='logs in as root')
def test_permit_root_login(servers, openssh_ssh):
    refused = servers.sshd(SSHD, 'PermitRootLogin no')
    forced = servers.sshd(SSHD, 'PermitRootLogin forced-commands-only')
    allowed = servers.sshd(SSHD, 'PermitRootLogin prohibit-password')
    for server in (refused, forced, allowed):
        server.user = 'root'
    assert openssh_ssh.run(refused, 'true').returncode == 255
    logged(refused, r'ROOT LOGIN REFUSED FROM 127.0.0.1 port \d+')
    assert openssh_ssh.run(forced, 'true').returncode == 255
    assert openssh_ssh.run(allowed, 'echo root', check=True).stdout == b'root\n'


def test_max_auth_tries(servers, openssh_ssh, tmp_path):
    server = servers.sshd(SSHD, 'MaxAuthTries 2')
    options = []
    for number in range(4):
        options += ['-i', make_key(str(tmp_path / f'k{number}'), ['-t', 'ed25519'])]
    result = openssh_ssh.run(server, 'true', *options, key=str(tmp_path / 'k0'))
    assert b'Too many authentication failures' in result.stderr
    logged(server, 'maximum authentication attempts exceeded for .* from 127.0.0.1 port')


def test_authorized_keys_options(servers, openssh_ssh, user_keys, place, account):
    path = os.path.join(place, 'restricted_keys')
    key = public_line(user_keys['ed25519'])
    server = servers.sshd(SSHD, key_types=['ed25519'], options=['-o', f'AuthorizedKeysFile={path}'])

    def with_options(options):
        with open(path, 'w') as file:
            file.write(f'{options} {key}\n')
        os.chmod(path, 0o644)

    with_options('command="echo forced: $SSH_ORIGINAL_COMMAND"')
    assert openssh_ssh.run(server, 'ls -l').stdout == b'forced: ls -l\n'
    with_options('restrict')
    assert b'PTY allocation request failed' in openssh_ssh.run(server, 'tty', '-tt').stderr
    assert openssh_ssh.run(server, 'echo plain').stdout == b'plain\n'
    with_options('from="192.0.2.*"')
    assert openssh_ssh.run(server, 'true').returncode == 255
    with_options('expiry-time="19990101"')
    assert openssh_ssh.run(server, 'true').returncode == 255


@pytest.mark.skipif(not IS_ROOT, reason='gives files away')
def test_strict_modes(servers, openssh_ssh, account, authorized_keys):
    folder = os.path.join(account.home, 'open')
    os.mkdir(folder)
    path = shutil.copy(authorized_keys, os.path.join(folder, 'keys'))
    account.own(path)
    os.chmod(folder, 0o777)
    server = servers.sshd(SSHD, options=['-o', 'StrictModes=yes', '-o', f'AuthorizedKeysFile={path}'])
    assert openssh_ssh.run(server, 'true').returncode == 255
    logged(server, 'Authentication refused: bad ownership or modes for directory')
    os.chmod(folder, 0o700)
    account.own(folder)
    assert openssh_ssh.run(server, 'true').returncode == 0


@pytest.mark.skipif(not IS_ROOT, reason='two methods are needed')
def test_authentication_methods(servers, openssh_ssh, account):
    server = servers.sshd(SSHD, 'AuthenticationMethods publickey,password')
    result = openssh_ssh.run(server, 'true')
    assert result.returncode == 255 and b'Permission denied (password)' in result.stderr
    logged(server, 'Partial publickey for')
    assert password_login(server, account.name, PASSWORD).returncode != 0
    result = password_login(server, account.name, PASSWORD, '-i', openssh_ssh.key, with_key='yes')
    assert result.stdout == b'in\n'


# Strangers ---------------------------------------------------------------------------------------

def test_login_grace_time(servers):
    server = servers.sshd(SSHD, options=['-g', '1'])
    with socket.create_connection(('127.0.0.1', server.port), timeout=PATIENCE) as stranger:
        begin = time.monotonic()
        while stranger.recv(4096):
            pass
        assert 0.5 < time.monotonic() - begin < 20
    logged(server, r'Timeout before authentication for 127.0.0.1 port \d+')


def test_max_startups(servers, openssh_ssh):
    server = servers.sshd(SSHD, options=['-o', 'MaxStartups=3:100:3'])
    time.sleep(0.5)  # the probe of the fixture is over
    silent = [socket.create_connection(('127.0.0.1', server.port)) for _ in range(3)]
    for each in silent:
        each.recv(64)
    with socket.create_connection(('127.0.0.1', server.port), timeout=PATIENCE) as dropped:
        answer = b''
        while chunk := dropped.recv(4096):
            answer += chunk
    assert answer == b'Exceeded MaxStartups\r\n'
    logged(server, r'drop connection #3 from \[127.0.0.1\]:\d+ on \[127.0.0.1\]:\d+ past MaxStartups')
    for each in silent:
        each.close()
    until(lambda: openssh_ssh.run(server, 'true').returncode == 0, 'a login afterwards')


@pytest.mark.parametrize('garbage', [b'GET / HTTP/1.0\r\n\r\n', b'SSH-1.5-old\r\n', b'\0' * 70000,
                                     b'SSH-2.0-x\r\n' + b'\xff' * 5000],
                         ids=['http', 'version 1', 'zeros', 'no packet'])
def test_garbage(sshd, openssh_ssh, garbage):
    with socket.create_connection(('127.0.0.1', sshd.port), timeout=PATIENCE) as stranger:
        try:
            stranger.sendall(garbage)
            while stranger.recv(65536):
                pass
        except ConnectionError:
            pass
    assert openssh_ssh.run(sshd, 'echo well').stdout == b'well\n'


def network_processes(server):
    """The processes that talk to strangers: children of the listener's children."""
    return [grandchild for child in children_of(server.process.pid)
            for grandchild in children_of(child)]


def test_network_process_is_confined(servers):
    if SANITIZED:
        pytest.skip('the filter would forbid what the sanitizer does')
    server = servers.sshd(SSHD)
    with socket.create_connection(('127.0.0.1', server.port)) as stranger:
        stranger.recv(64)
        pids = until(lambda: network_processes(server), 'a network process')
        for pid in pids:
            status = until(lambda pid=pid: status_of(pid) if
                           status_of(pid)['Seccomp'] == '2' else None, 'a filter')
            assert status['NoNewPrivs'] == '1'
            if IS_ROOT:
                assert status['Uid'].split()[0] != '0'
                assert set(status['Groups'].split()) == set()
                assert os.listdir(f'/proc/{pid}/root') == []
            open_files = os.listdir(f'/proc/{pid}/fd')
            assert len(open_files) <= 6
            with open(f'/proc/{pid}/limits') as file:
                limits = file.read()
            assert re.search(r'Max file size\s+0\s+0', limits)
            assert re.search(r'Max processes\s+0\s+0', limits)


def test_address_space_differs_between_connections(servers):
    if SANITIZED:
        pytest.skip('the sanitizer lays out the address space')
    server = servers.sshd(SSHD)

    def layout():
        with socket.create_connection(('127.0.0.1', server.port)) as stranger:
            stranger.recv(64)
            pids = children_of(server.process.pid)
            layouts = set()
            for pid in pids:
                with open(f'/proc/{pid}/maps') as file:
                    layouts.add(file.readline().split('-')[0])
            return layouts

    if not os.access(f'/proc/{server.process.pid}/maps', os.R_OK) or not IS_ROOT:
        pytest.skip('the maps are for root to read')
    seen = layout() | layout()
    assert len(seen) > 1


# The administrator -------------------------------------------------------------------------------

def test_reload(servers, openssh_ssh, host_keys):
    server = servers.sshd(SSHD, key_types=['ed25519'])
    config = os.path.join(server.folder, 'sshd_config')
    process = subprocess.Popen(openssh_ssh.command(server) + ['echo up; cat'],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'up\n'
    with open(config) as file:
        text = file.read()
    with open(config, 'w') as file:
        file.write('ForceCommand echo reloaded\n' + text)
    for _ in range(3):
        assert openssh_ssh.run(server, 'true').stdout == b''
    server.process.send_signal(signal.SIGHUP)
    logged(server, 'Received SIGHUP; restarting')
    until(lambda: openssh_ssh.run(server, 'true').stdout == b'reloaded\n', 'the new configuration')
    assert process.communicate(b'still here\n', PATIENCE)[0] == b'still here\n'
    with open(config, 'w') as file:
        file.write('NoSuchKeyword yes\n' + text)
    server.process.send_signal(signal.SIGHUP)
    logged(server, 'The configuration has errors')
    assert openssh_ssh.run(server, 'true').returncode == 0


def test_termination_leaves_sessions_alone(servers, openssh_ssh):
    folder = servers.folder('pid')
    pid_file = os.path.join(folder, 'pid')
    server = servers.sshd(SSHD, options=['-o', f'PidFile={pid_file}'])
    with open(pid_file) as file:
        assert int(file.read()) == server.process.pid
    process = subprocess.Popen(openssh_ssh.command(server) + ['echo up; cat'],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'up\n'
    server.process.terminate()
    assert server.process.wait(PATIENCE) == 0
    assert not os.path.exists(pid_file)
    assert process.communicate(b'still here\n', PATIENCE)[0] == b'still here\n'
    assert 'Received signal 15; terminating.' in server.log()


def test_inetd_mode(openssh_ssh, sshd):
    proxy = f'{SSHD} -i -e -f {sshd.folder}/sshd_config'
    result = openssh_ssh.run(sshd, 'echo by inetd', '-o', f'ProxyCommand={proxy}')
    assert result.stdout == b'by inetd\n', result.stderr


def test_host_key_that_others_can_read_is_refused(tmp_path, account):
    key = make_key(str(tmp_path / 'key'), ['-t', 'ed25519'])
    os.chmod(key, 0o644)
    result = run([SSHD, '-t', '-f', 'none', '-o', f'HostKey={key}'])
    assert result.returncode != 0
    assert b'UNPROTECTED PRIVATE KEY FILE' in result.stderr
    assert f"Permissions 0644 for '{key}' are too open.".encode() in result.stderr
    assert b'no hostkeys available' in result.stderr


def test_bad_configuration_is_named_with_its_line(tmp_path, host_keys):
    config = tmp_path / 'config'
    config.write_text(f"HostKey {host_keys['ed25519']}\nPort 22\nNonsense 1\n")
    result = run([SSHD, '-t', '-f', str(config)])
    assert result.returncode == 255
    assert f'{config}: line 3: Bad configuration option: Nonsense'.encode() in result.stderr


def test_debug_mode_serves_one_connection(openssh_ssh, sshd, tmp_path):
    port = PORTS.take()
    process = subprocess.Popen([SSHD, '-d', '-f', f'{sshd.folder}/sshd_config', '-o',
                                f'Port={port}', '-p', str(port)], stderr=subprocess.PIPE)
    command = openssh_ssh.command(sshd)
    command[command.index('-p') + 1] = str(port)
    index = next(i for i, word in enumerate(command) if word.startswith('StrictHostKeyChecking'))
    command[index] = 'StrictHostKeyChecking=no'

    def login():
        return run(command + ['echo', 'debugged']).stdout == b'debugged\n'
    try:
        until(login, 'a login')
        _, log = process.communicate(timeout=PATIENCE)
        assert b'debug1: ' in log and b'Accepted publickey' in log
    finally:
        process.kill()
        process.wait()
