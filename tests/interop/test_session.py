"""What a session is: its environment, scripts, terminal, records, root directory and end, with
OpenSSH's sshd and ours on the same machine (machine.py)."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import PATIENCE, nacre, need, public_line, run
from machine import (DEAD_PROCESS, PAM_SERVICE, SERVERS, USER_PROCESS, key,  # noqa: F401 (fixtures)
                     make_machine, program)
from test_accounts import by_key, by_password, options_for, password_hash  # noqa: F401
from test_sshd import Terminal, children_of, logged, status_of, until

LOGIN_PROCESS = 6


@pytest.fixture(scope='module')
def shared_machine(make_machine, key):
    need('sshd')
    machine = make_machine()
    machine.write('etc/root_keys', public_line(key) + '\n')
    machine.add_user('alice', key=key)
    return machine


@pytest.fixture
def machine(shared_machine):
    shared_machine.write('etc/pam.d/sshd', PAM_SERVICE)
    yield shared_machine
    shared_machine.stop()


class Names:
    count = 0


@pytest.fixture
def user(machine, key):
    Names.count += 1
    return machine.add_user(f'guest{Names.count}', key=key)


ROOT_KEYS = '\nMatch User root\nAuthorizedKeysFile /etc/root_keys\n'


# Environment -------------------------------------------------------------------------------------

def environment(server, who, key, *options):
    result = by_key(server, who, key, 'env', *options)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.decode().replace('\r', '').splitlines()
    found = dict(line.split('=', 1) for line in lines if '=' in line)
    return {name: re.sub(r'\b\d{5}\b', 'PORT', re.sub(r'/dev/pts/\d+', 'TTY', value))
            for name, value in found.items()}


@pytest.mark.parametrize('pam', ['yes', 'no'])
@pytest.mark.parametrize('options', [[], ['-tt'], ['-o', 'SetEnv=X_A=1 LANG=C SECRET=1 USER=no PATH=no']],
                         ids=['plain', 'terminal', 'sent'])
def test_environment_is_the_same(machine, key, pam, options):
    for who in ('alice', 'root'):
        seen = [environment(machine.sshd(
            program, f'UsePAM {pam}\nAcceptEnv X_* LANG USER PATH\nSetEnv A=1 "B=two words"' + ROOT_KEYS),
            who, key, *options) for program in SERVERS.values()]
        assert seen[0] == seen[1]
        assert seen[0]['SSH_CLIENT'] == '127.0.0.1 PORT PORT' and seen[0]['B'] == 'two words'


ENVIRONMENT = '''# a comment
  LEADING=1
\tTAB=2
no equals sign
USER=mallory
TRAILING=x\x20\x20

SSH_CLIENT=bad
X_A=file
FROM_KEY=file
SHARED=file
'''


@pytest.mark.parametrize('permitted, names', [
    ('yes', None), ('no', set()), ('LEADING,X_*', {'LEADING', 'X_A'})])
def test_environment_of_the_user(machine, user, key, permitted, names):
    user.write('.ssh/environment', ENVIRONMENT)
    user.write('.ssh/authorized_keys', f'environment="FROM_KEY=key",environment="ONLY_KEY=1" '
                                       f'{public_line(key)}\n', 0o600)
    machine.write('etc/shared', 'SHARED=pam\n')
    machine.write('etc/pam.d/sshd', 'session required pam_env.so envfile=/etc/shared\n' + PAM_SERVICE)
    for pam in ('yes', 'no'):
        seen = [environment(machine.sshd(
            program, f'UsePAM {pam}\nAcceptEnv X_*\nPermitUserEnvironment {permitted}'), user, key,
            '-o', 'SetEnv=X_A=client') for program in SERVERS.values()]
        assert seen[0] == seen[1]
        if names is None:
            assert seen[0]['USER'] == 'mallory' and seen[0]['TRAILING'] == 'x  '
            assert seen[0]['SSH_CLIENT'].startswith('127.0.0.1')
        else:
            assert ('LEADING' in seen[0]) == ('LEADING' in names) and 'TAB' not in seen[0]


def test_bad_line_of_the_environment_is_named(machine, user, program, key):
    user.write('.ssh/environment', ENVIRONMENT)
    result = by_key(machine.sshd(program, 'UsePAM no\nPermitUserEnvironment yes'), user, key)
    assert result.stderr == f'Bad line 4 in {user.home}/.ssh/environment\n'.encode()


def test_system_environment_comes_through_pam(machine, key, program):
    machine.write('etc/environment', 'FROM_SYSTEM=1\nQUOTED="two words"\n')
    machine.write('etc/pam.d/sshd', 'session required pam_env.so\n' + PAM_SERVICE)
    found = environment(machine.sshd(program, 'UsePAM yes'), 'alice', key)
    assert found['FROM_SYSTEM'] == '1' and found['QUOTED'] == 'two words'
    assert 'FROM_SYSTEM' not in environment(machine.sshd(program, 'UsePAM no'), 'alice', key)


# Scripts before the program ----------------------------------------------------------------------

SCRIPT = 'echo script error >&2; echo script $# $HOME; read a b; echo "<$a> <$b>"; pwd; exit 3\n'


@pytest.mark.parametrize('options', [[], ['-tt']], ids=['pipes', 'terminal'])
def test_script_of_the_user(machine, user, program, key, options):
    user.write('.ssh/rc', SCRIPT)
    result = by_key(machine.sshd(program, 'UsePAM no'), user, key, 'echo command', *options)
    lines = result.stdout.decode().replace('\r', '').splitlines()
    if options:
        assert lines.pop(0) == 'script error'
    else:
        assert result.stderr == b'script error\n'
    assert lines == [f'script 0 {user.home}', '<> <>', user.home, 'command']


def test_script_goes_through_the_shell_of_the_user(machine, program, key):
    """An account that may run nothing runs no script either."""
    name = f'closed{len(machine.users)}'
    user = machine.add_user(name, key=key, shell='/usr/sbin/nologin')
    user.write('.ssh/rc', f'touch {user.home}/ran\n')
    by_key(machine.sshd(program, 'UsePAM no'), user, key)
    assert not os.path.exists(f'{user.home}/ran')


def test_which_script_runs(make_machine, key, program):
    machine = make_machine()
    user = machine.add_user('scripted', key=key)
    log = f'{user.home}/log'
    user.write('.ssh/rc', f'echo own >>{log}\n')
    machine.write('etc/ssh/sshrc', f'echo system >>{log}\n')
    machine.write('bin/program', '#!/bin/sh\necho subsystem\n', 0o755)
    config = (f'UsePAM no\nSubsystem program {machine.path("bin/program")}\n'
              'Subsystem sftp internal-sftp\n')

    def scripts(more, *options, command='true'):
        by_key(machine.sshd(program, config + more), user, key, command, *options)
        with open(log) as file:
            text = file.read()
        os.unlink(log)
        return text
    assert scripts('') == 'own\n'
    assert scripts('PermitUserRC no') == 'system\n'
    assert scripts('ForceCommand true') == 'system\n'
    assert scripts('', '-s', command='program') == 'system\n'
    assert scripts('', '-s', command='sftp') == 'system\n'
    user.write('.ssh/authorized_keys', f'no-user-rc {public_line(key)}\n', 0o600)
    assert scripts('') == 'system\n'
    user.write('.ssh/authorized_keys', f'command="true" {public_line(key)}\n', 0o600)
    assert scripts('') == 'own\n'


def test_script_that_stays_does_not_hold_up_others(machine, user, key):
    user.write('.ssh/rc', f'[ -e {user.home}/fast ] || {{ : >{user.home}/began; sleep 3; }}\n')
    server = machine.sshd(nacre('sshd'), 'UsePAM no')
    slow = subprocess.Popen(options_for(server, user, '-i', key, '-M', '-S', f'{user.home}/control',
                                        '-o', 'BatchMode=yes') + ['echo slow'], stdout=subprocess.PIPE)
    until(lambda: os.path.exists(f'{user.home}/began'), 'the script')
    user.write('fast', '')
    begin = time.monotonic()
    fast = run(options_for(server, user, '-S', f'{user.home}/control') + ['echo fast'])
    assert fast.stdout == b'fast\n' and time.monotonic() - begin < 2.5
    assert slow.communicate(timeout=PATIENCE)[0] == b'slow\n'


# What is shown ------------------------------------------------------------------------------------

LAST = rb'Last login: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} from 127\.0\.0\.1\r'


def shell(server, who, key, *options):
    return by_key(server, who, key, None, *(options or ['-tt']), input=b'exit\n').stdout


def test_greeting(make_machine, key, program):
    machine = make_machine()
    user = machine.add_user('greeted', key=key)
    machine.write('etc/motd', 'Message of\nthe day\n')
    server = machine.sshd(program, 'UsePAM no\nPrintMotd yes')
    assert b'Last login' not in shell(server, user, key)
    text = shell(server, user, key)
    assert re.search(LAST, text) and b'Message of\r\nthe day\r\n' in text
    assert text.index(b'Last login') < text.index(b'Message of')
    assert b'Message' not in by_key(server, user, key, 'true', '-tt').stdout
    assert b'Message' not in shell(server, user, key, '-T')
    quiet = machine.sshd(program, 'UsePAM no\nPrintMotd no\nPrintLastLog no')
    assert b'Message' not in shell(quiet, user, key) and b'Last login' not in shell(quiet, user, key)
    user.write('.hushlogin', '')
    text = shell(server, user, key)
    assert b'Message' not in text and b'Last login' not in text


# Records ------------------------------------------------------------------------------------------

def test_records_of_a_login(make_machine, key, program):
    machine = make_machine()
    user = machine.add_user('recorded', key=key)
    server = machine.sshd(program, 'UsePAM no')
    by_key(server, user, key)
    assert machine.records('var/log/wtmp') == []  # only terminals
    terminal = Terminal(options_for(server, user, '-i', key, '-tt') + ['tty; cat'])
    try:
        terminal.see(r'/dev/(pts/\d+)')
        (entry,) = machine.records('run/utmp')
        assert entry['type'] == USER_PROCESS and entry['user'] == 'recorded'
        assert entry['host'] == '127.0.0.1' and entry['address'][:4] == bytes([127, 0, 0, 1])
        line = entry['line']
        assert re.fullmatch(r'pts/\d+', line) and entry['id'] == line[-4:]
        assert entry['pid'] in children_of(server.process.pid)
        assert abs(entry['seconds'] - time.time()) < PATIENCE
        assert machine.records('var/log/wtmp') == [entry]
        seconds, terminal_name, host = machine.last_login(user)
        assert (terminal_name, host) == (line, '127.0.0.1') and abs(seconds - time.time()) < PATIENCE
        terminal.type('\x04')
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        terminal.close()
    entries = until(lambda: (lambda found: found if len(found) == 2 else None)(
        machine.records('var/log/wtmp')), 'the record of the end')
    assert entries[1]['type'] == DEAD_PROCESS and entries[1]['line'] == line
    assert entries[1]['user'] == '' and entries[1]['pid'] == entry['pid']
    (entry,) = machine.records('run/utmp')
    assert entry['type'] == DEAD_PROCESS and entry['line'] == line


@pytest.mark.parametrize('how', ['client', 'session', 'monitor'])
def test_records_of_a_violent_end(make_machine, key, how):
    machine = make_machine()
    user = machine.add_user('recorded', key=key)
    log = machine.path('var/log/closed')
    script = machine.write('etc/closed', f'#!/bin/sh\n[ $PAM_TYPE = close_session ] && echo $PAM_USER '
                                         f'>>{log}\n', 0o755)
    machine.write('etc/pam.d/sshd', PAM_SERVICE + f'session optional pam_exec.so {script}\n')
    server = machine.sshd(nacre('sshd'), 'UsePAM yes')
    terminal = Terminal(options_for(server, user, '-i', key, '-tt') + ['echo he''re; cat'])
    try:
        terminal.see('here')
        (entry,) = machine.records('run/utmp')
        monitor = entry['pid']
        (session,) = [pid for pid in children_of(monitor)
                      if status_of(pid)['Uid'].split()[0] == str(user.uid)]
        victim, number = {'client': (terminal.process.pid, signal.SIGKILL),
                          'session': (session, signal.SIGKILL),
                          'monitor': (monitor, signal.SIGTERM)}[how]
        os.kill(victim, number)
        until(lambda: machine.records('run/utmp')[0]['type'] == DEAD_PROCESS, 'the end')
        until(lambda: os.path.exists(log) and open(log).read() == 'recorded\n', 'the session closed')
    finally:
        terminal.close()


def test_records_of_failures(make_machine, key, password_hash, program):
    need('sshpass')
    machine = make_machine()
    user = machine.add_user('failing', password=password_hash, key=key)
    server = machine.sshd(program, 'UsePAM no')
    by_password(server, user, 'wrong')
    by_password(server, 'nobody-here', 'wrong')
    entries = machine.records('var/log/btmp')
    assert {entry['user'] for entry in entries} == {'failing', 'nobody-here'}
    for entry in entries:
        assert entry['type'] == LOGIN_PROCESS and entry['line'] == 'ssh:notty'
        assert entry['host'] == '127.0.0.1' and entry['address'][:4] == bytes([127, 0, 0, 1])
    os.chmod(machine.path('var/log/btmp'), 0o644)
    by_password(server, user, 'wrong')
    assert len(machine.records('var/log/btmp')) == len(entries)
    logged(server, 'Excess permission or bad ownership on file /var/log/btmp')


def test_machines_without_records(make_machine, key, program):
    machine = make_machine()
    user = machine.add_user('unrecorded', key=key)
    for name in ('var/log/wtmp', 'var/log/btmp', 'var/log/lastlog', 'run/utmp'):
        machine.remove(name)
    server = machine.sshd(program, 'UsePAM no')
    assert by_key(server, user, key, 'echo in', '-tt').stdout == b'in\r\n'
    assert not os.path.exists(machine.path('var/log/wtmp'))


# Terminals ----------------------------------------------------------------------------------------

def test_terminal_is_given_to_its_user(machine, key, program):
    result = by_key(machine.sshd(program, 'UsePAM no'), 'alice', key,
                    'stat -c "%U %G %a" $SSH_TTY; test $SSH_TTY = $(tty) && echo same; '
                    'echo mine </dev/tty >/dev/tty', '-tt')
    assert result.stdout == b'alice tty 620\r\nsame\r\nmine\r\n'


def test_terminals_are_not_permitted(machine, user, key, program):
    server = machine.sshd(program, 'UsePAM no\nPermitTTY no')
    assert b'PTY allocation request failed' in by_key(server, user, key, 'true', '-tt').stderr
    user.write('.ssh/authorized_keys', f'no-pty {public_line(key)}\n', 0o600)
    server = machine.sshd(program, 'UsePAM no')
    assert b'PTY allocation request failed' in by_key(server, user, key, 'true', '-tt').stderr


def test_many_terminals_of_one_connection(machine, user, key):
    server = machine.sshd(nacre('sshd'), 'UsePAM no\nMaxSessions 3')
    control = f'{user.home}/control'
    master = subprocess.Popen(options_for(server, user, '-i', key, '-N', '-M', '-S', control))
    try:
        until(lambda: os.path.exists(control), 'a master')
        for _ in range(8):
            result = run(options_for(server, user, '-S', control, '-tt') + ['tty'])
            assert result.stdout.startswith(b'/dev/pts/')
    finally:
        master.kill()  # SIGTERM may come just before it waits, and be acted on when somebody speaks
        master.wait()


# A root directory of its own ----------------------------------------------------------------------

@pytest.fixture
def jail(machine):
    folder = machine.path('jail')
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, 0o755)
    # Nobody but root may write to any directory above it.
    machine.write('etc/jail/empty', '')
    return folder


def test_chroot_with_internal_sftp(machine, user, key, program, tmp_path):
    """"%u" in the path; a home directory in there is where it begins."""
    top = f'etc/jail/{user.name}'
    os.makedirs(machine.path(f'{top}/files'), exist_ok=True)
    os.chown(machine.path(f'{top}/files'), user.uid, user.uid)
    server = machine.sshd(program, 'UsePAM no\nSubsystem sftp internal-sftp\nForceCommand internal-sftp\n'
                                   'ChrootDirectory /etc/jail/%u\nAllowTcpForwarding no')
    assert by_key(server, user, key, 'id').stdout == b'This service allows sftp connections only.\n'
    (tmp_path / 'data').write_bytes(b'content')
    (tmp_path / 'batch').write_text(f'pwd\nls -1 /\nput {tmp_path}/data /files/data\nls -1 /files\n'
                                    f'-put {tmp_path}/data /data\n')
    result = run(['/usr/bin/sftp', '-F', 'none', '-i', key, '-P', str(server.port), '-o', 'BatchMode=yes',
                  '-o', f'UserKnownHostsFile={server.known_hosts}', '-b', str(tmp_path / 'batch'),
                  f'{user.name}@127.0.0.1'])
    assert b'Remote working directory: /\n' in result.stdout
    assert b'/files/data\n' in result.stdout and b'ermission denied' in result.stderr
    assert open(machine.path(f'{top}/files/data'), 'rb').read() == b'content'


def test_sftp_begins_at_home(machine, user, key, program, tmp_path):
    server = machine.sshd(program, 'UsePAM no\nSubsystem sftp internal-sftp')
    (tmp_path / 'batch').write_text('pwd\n')
    result = run(['/usr/bin/sftp', '-F', 'none', '-i', key, '-P', str(server.port), '-o', 'BatchMode=yes',
                  '-o', f'UserKnownHostsFile={server.known_hosts}', '-b', str(tmp_path / 'batch'),
                  f'{user.name}@127.0.0.1'])
    assert f'Remote working directory: {user.home}\n'.encode() in result.stdout


@pytest.mark.parametrize('spoil', ['owner', 'mode', 'missing', 'file'])
def test_chroot_that_others_could_change(machine, user, key, program, spoil):
    top = machine.path(f'etc/jail/{user.name}')
    os.makedirs(top, exist_ok=True)
    if spoil == 'owner':
        os.chown(top, user.uid, user.uid)
    elif spoil == 'mode':
        os.chmod(top, 0o775)
    else:
        os.rmdir(top)
        if spoil == 'file':
            open(top, 'w').close()
    server = machine.sshd(program, 'UsePAM no\nForceCommand internal-sftp\nChrootDirectory /etc/jail/%u')
    assert by_key(server, user, key).returncode == 255
    path = f'"/etc/jail/{user.name}"'
    logged(server, f'stat.{path}.: No such file' if spoil == 'missing' else
           f'chroot path {path} is not a directory' if spoil == 'file' else
           f'bad ownership or modes for chroot directory {path}')


def copy_program(path, folder):
    """A program and its libraries."""
    libraries = re.findall(r'(/\S+) \(0x', run(['ldd', path]).stdout.decode())
    for each in (path, *libraries):
        os.makedirs(folder + os.path.dirname(each), exist_ok=True)
        shutil.copy(os.path.realpath(each), folder + each)


@pytest.mark.parametrize('options', [[], ['-tt']], ids=['pipes', 'terminal'])
def test_chroot_with_a_shell(machine, key, program, options):
    if 'jailed' not in machine.users:
        user = machine.add_user('jailed', key=key)
        copy_program('/bin/sh', machine.path('etc/jail/shell'))
        os.makedirs(machine.path('etc/jail/shell') + user.home)
    server = machine.sshd(program, 'UsePAM no\nChrootDirectory /etc/jail/shell')
    result = by_key(server, 'jailed', key, 'echo in $PWD; echo /*; read line; echo $line', *options,
                    input=b'typed\n')
    lines = result.stdout.decode().replace('\r', '').splitlines()
    lines = [line for line in lines if line != 'typed'] + [line for line in lines if line == 'typed'][:1]
    home = machine.users['jailed'].home
    assert lines[0] == f'in {home}' and '/bin' in lines[1].split() and '/proc' not in lines[1].split()
    assert lines[-1] == 'typed' and result.returncode == 0


def test_chroot_without_a_shell(machine, user, key, program):
    os.makedirs(machine.path('etc/jail/bare'), exist_ok=True)
    server = machine.sshd(program, 'UsePAM no\nChrootDirectory /etc/jail/bare')
    result = by_key(server, user, key)
    assert result.returncode != 0 and result.stdout == b''
    assert b'/bin/sh: No such file or directory' in result.stderr


# Programs and their ends --------------------------------------------------------------------------

@pytest.mark.parametrize('command', ['exit 0', 'exit 7', 'exit 255', 'kill -TERM $$', 'kill -KILL $$',
                                     'kill -SEGV $$', 'kill -USR1 $$', 'kill -RTMIN $$', 'no-such-command',
                                     'exec /etc/passwd'])
def test_exit_statuses(machine, key, command):
    seen = []
    for program in SERVERS.values():
        server = machine.sshd(program, 'UsePAM no')
        result = by_key(server, 'alice', key, command, '-v')
        signals = re.findall(rb'rtype exit-(?:status|signal)', result.stderr)
        seen.append((result.returncode, signals))
    assert seen[0] == seen[1]


def test_home_directory_that_is_gone(machine, user, key, program):
    machine.write('etc/root_keys_for_all', public_line(key) + '\n')
    shutil.rmtree(user.home)
    server = machine.sshd(program, 'UsePAM no\nAuthorizedKeysFile /etc/root_keys_for_all')
    result = by_key(server, user, key, 'pwd')
    assert result.stdout == b'/\n'
    assert result.stderr == (f'Could not chdir to home directory {user.home}: '
                             'No such file or directory\n').encode()


@pytest.mark.parametrize('asked, original', [('ls  -l', 'ls  -l'), (None, '')])
def test_forced_command(machine, user, key, program, asked, original):
    server = machine.sshd(program, 'UsePAM no\nForceCommand echo "<$SSH_ORIGINAL_COMMAND>"')
    assert by_key(server, user, key, asked, '-T').stdout == f'<{original}>\n'.encode()
    user.write('.ssh/authorized_keys', f'command="echo key" {public_line(key)}\n', 0o600)
    assert by_key(server, user, key, asked, '-T').stdout == f'<{original}>\n'.encode()  # it goes first


def test_programs_hang_up_with_their_terminal(machine, user, key, program):
    server = machine.sshd(program, 'UsePAM no')
    terminal = Terminal(options_for(server, user, '-i', key, '-tt'))
    try:
        terminal.see(r'\$ ')
        terminal.type('sleep 987\r')
        pid = int(until(lambda: run(['pgrep', '-u', str(user.uid), '-f', 'sleep 987']).stdout, 'a program'))
        terminal.process.kill()
        until(lambda: not os.path.exists(f'/proc/{pid}'), 'the end of the program')
    finally:
        terminal.close()
