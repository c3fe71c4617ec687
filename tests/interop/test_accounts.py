"""Who gets in, by PAM and by the shadow file: OpenSSH's sshd and ours on the same machine, with the
same expectations. Each test has accounts of its own on a machine of its own (machine.py)."""
import contextlib
import os
import re
import subprocess
import time

import pytest

from conftest import PATIENCE, ROOT, hash_password, make_key, nacre, need, public_line, run
from machine import PAM_SERVICE, SERVERS, key, make_machine, program  # noqa: F401 (fixtures)
from test_sshd import Terminal, logged, until

paramiko = pytest.importorskip('paramiko')

PASSWORD = 'secret word'
DAY = int(time.time() / 86400)
ORDINARY = '19000:0:99999:7:::'


@pytest.fixture(scope='module')
def shared_machine(make_machine):
    need('sshpass', 'sshd')
    return make_machine()


@pytest.fixture
def machine(shared_machine):
    yield shared_machine
    shared_machine.stop()


@pytest.fixture(scope='module')
def password_hash():
    return hash_password(PASSWORD)


@pytest.fixture(scope='module')
def talk(place):
    """A PAM module that says, asks and does what its arguments are."""
    path = os.path.join(place, 'pam_talk.so')
    result = run(['cc', '-shared', '-fPIC', '-o', path, f'{ROOT}/tests/interop/pam_talk.c', '-lpam'])
    if result.returncode != 0:
        pytest.skip('needs a compiler and the headers of PAM')
    return path


class Users:
    """Accounts of a test: a fresh one each, with a password and a key."""

    def __init__(self, machine, key, password_hash):
        self.machine, self.key, self.password_hash, self.count = machine, key, password_hash, 0

    def new(self, **options):
        self.count += 1
        options.setdefault('password', self.password_hash)
        return self.machine.add_user(f'user{self.count}', key=self.key, **options)


@pytest.fixture(scope='module')
def users(shared_machine, key, password_hash):
    return Users(shared_machine, key, password_hash)


def options_for(server, user, *more):
    return ['/usr/bin/ssh', '-F', 'none', '-p', str(server.port), '-o', 'StrictHostKeyChecking=yes',
            '-o', f'UserKnownHostsFile={server.known_hosts}', '-o', 'NumberOfPasswordPrompts=1', *more,
            f'{getattr(user, "name", user)}@127.0.0.1']


def by_key(server, user, key, command='echo in', *more, **options):
    words = [command] if command is not None else []
    return run([*options_for(server, user, '-i', key, '-o', 'IdentitiesOnly=yes', '-o',
                             'BatchMode=yes', *more), *words], **options)


def by_password(server, user, password=PASSWORD, *more, method='password', **options):
    return run(['sshpass', '-p', password,
                *options_for(server, user, '-o', 'PubkeyAuthentication=no', '-o',
                             f'PreferredAuthentications={method}', *more), 'echo in'], **options)


def connect(server):
    transport = paramiko.Transport(('127.0.0.1', server.port))
    transport.start_client(timeout=PATIENCE)
    return transport


def converse(server, user, answers):
    """Keyboard-interactive: whether it succeeded, and what was asked."""
    transport, asked, left = connect(server), [], list(answers)

    def answer(_title, instruction, prompts):
        if instruction or prompts:
            asked.append((instruction, prompts))
        return [left.pop(0) for _ in prompts]
    try:
        transport.auth_interactive(user.name, answer)
        return True, asked
    except paramiko.AuthenticationException:
        return False, asked
    finally:
        transport.close()


def with_service(machine, text, name='sshd'):
    machine.write(f'etc/pam.d/{name}', text)


# PAM ---------------------------------------------------------------------------------------------

STAGE = '''#!/bin/sh
echo "stage=$PAM_TYPE user=$PAM_USER host=$PAM_RHOST tty=$PAM_TTY by=$PPID \\
connection=${SSH_CONNECTION%% *} how=$(echo ${SSH_AUTH_INFO_0%% *}) id=$(id -u)" >>LOG
'''


def test_stages_of_a_login(machine, users, program, key):
    user = users.new()
    log = machine.path('var/log/stages')
    stage = machine.write('etc/stage', STAGE.replace('LOG', log), 0o755)
    with_service(machine, ''.join(f'{kind} optional pam_exec.so {stage}\n' for kind in
                                  ('auth', 'account', 'session')) + PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes')

    def stages(login, count):
        open(log, 'w').close()
        assert login().stdout == b'in\n'
        lines = until(lambda: (lambda found: found if len(found) == count else None)(
            open(log).read().splitlines()), f'{count} stages')
        return [dict(word.split('=', 1) for word in line.split()) for line in lines]

    for login, method in ((lambda: by_key(server, user, key), 'publickey'),
                          (lambda: by_password(server, user), 'password')):
        seen = stages(login, 3 + (method == 'password'))
        expected = ['account', 'open_session', 'close_session']
        assert [each['stage'] for each in seen] == ['auth'] * (method == 'password') + expected
        for each in seen:
            assert each['user'] == user.name and each['host'] == '127.0.0.1'
            assert each['tty'] == 'ssh' and each['id'] == '0' and each['connection'] == '127.0.0.1'
        assert seen[-1]['how'] == seen[-2]['how'] == method
        assert seen[-1]['by'] == seen[-2]['by']  # the process that opened the session closes it


def test_environment_of_modules(machine, users, program, key):
    user = users.new()
    machine.write('etc/from_pam', 'FROM_PAM=1\nSSH_CONNECTION=bad\nSSH_AUTH_INFO_9=x\nA_SET=pam\n'
                                  'X_CLIENT=pam\nLANG=pam\n')
    with_service(machine, 'auth required pam_env.so envfile=/etc/from_pam\n' + PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes\nAcceptEnv X_*\nSetEnv A_SET=config')
    result = by_key(server, user, key, 'env', '-o', 'SetEnv=X_CLIENT=client X_OTHER=client')
    found = dict(line.split('=', 1) for line in result.stdout.decode().splitlines())
    assert found['FROM_PAM'] == '1' and found['LANG'] == 'pam' and found['A_SET'] == 'config'
    assert found['X_CLIENT'] == 'pam' and found['X_OTHER'] == 'client'
    assert found['SSH_CONNECTION'].startswith('127.0.0.1 ') and 'SSH_AUTH_INFO_9' not in found
    assert 'MAIL' not in found  # that is for a module to set


def test_group_and_limit_of_modules(machine, users, program, key):
    """What modules do to the process that opens the session holds in it."""
    user = users.new()
    machine.append('etc/group', 'fromgroup:x:59999:\n')
    machine.append('etc/security/group.conf', f'*;*;{user.name};Al0000-2400;fromgroup\n')
    machine.append('etc/security/limits.conf', f'{user.name} hard nofile 777\n')
    with_service(machine, 'auth optional pam_group.so\nsession required pam_limits.so\n' + PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes')
    result = by_key(server, user, key, 'id -Gn; ulimit -Hn')
    groups, limit = result.stdout.decode().splitlines()
    assert 'fromgroup' in groups.split() and user.name in groups.split() and limit == '777'


def test_conversation(machine, users, program, talk):
    user = users.new()
    with_service(machine, f'auth required {talk} info=Hello error=Careful show=Name:joe ask=Pin:42 '
                          f'together\n' + PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes')
    answers = ['joe', '42', 'one', 'two', PASSWORD]
    good, asked = converse(server, user, answers)
    assert good
    assert asked == [('', [('Hello\nCareful\nName: ', True)]), ('', [('Pin: ', False)]),
                     ('', [('Both, please\nFirst: ', True)]), ('', [('Second: ', False)]),
                     ('', [('Password: ', False)])]
    assert not converse(server, user, ['joe', '43', 'one', 'two', PASSWORD])[0]
    assert not converse(server, user, answers[:-1] + ['wrong'])[0]
    for line in (r'Postponed keyboard-interactive for USER from 127.0.0.1 port \d+ ssh2 \[preauth\]',
                 r'Postponed keyboard-interactive/pam for USER from 127.0.0.1 port \d+ ssh2 \[preauth\]',
                 r'Accepted keyboard-interactive/pam for USER from 127.0.0.1 port \d+ ssh2',
                 r'PAM: Authentication failure for USER from 127.0.0.1',
                 r'Failed keyboard-interactive/pam for USER from 127.0.0.1 port \d+ ssh2'):
        logged(server, line.replace('USER', user.name))
    # Where only a password can be given, other questions have no answer.
    assert by_password(server, user).returncode != 0


def test_messages_of_authentication(machine, users, program, talk):
    user = users.new()
    with_service(machine, f'auth optional {talk} info=Welcome\n' + PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes')
    assert b'Welcome' in by_password(server, user).stderr
    assert b'Welcome' not in by_password(server, user, 'wrong').stderr


def test_account_is_refused(machine, users, program, talk, key):
    user = users.new()
    with_service(machine, PAM_SERVICE + f'account required {talk} info=Not_you return=6\n')
    server = machine.sshd(program, 'UsePAM yes')
    for result in (by_key(server, user, key), by_password(server, user)):
        assert result.returncode == 255 and result.stdout == b'' and b'Not you' in result.stderr
        assert b'Permission denied' not in result.stderr  # that was the last attempt
    logged(server, rf'Failed publickey for {user.name} from 127.0.0.1 port \d+ ssh2: ED25519 SHA256')
    logged(server, rf'Failed password for {user.name} from 127.0.0.1 port \d+ ssh2')
    logged(server, rf'Access denied for user {user.name} by PAM account configuration \[preauth\]')
    good, asked = converse(server, user, [PASSWORD])
    assert not good and asked[-1] == ('Not you\n', [])


def test_session_is_refused(machine, users, program, talk, key):
    user = users.new()
    with_service(machine, PAM_SERVICE + f'session required {talk} info=No_session return=14\n')
    server = machine.sshd(program, 'UsePAM yes')
    result = by_key(server, user, key)
    assert result.returncode == 254 and result.stdout == b'No session\n'
    logged(server, r'PAM: pam_open_session\(\): ')


def test_messages_of_the_session(machine, users, program, talk, key):
    user = users.new()
    with_service(machine, PAM_SERVICE + f'session required {talk} info=Mind_the_gap\n')
    server = machine.sshd(program, 'UsePAM yes')
    assert b'Mind the gap' not in by_key(server, user, key).stdout
    shell = by_key(server, user, key, None, '-T', input=b'echo in\n')
    assert shell.stdout == b'Mind the gap\nin\n'
    assert b'Mind the gap\r\n' in by_key(server, user, key, None, '-tt', input=b'exit\n').stdout


def test_attempts_a_module_has_had_enough_of(machine, users, program, talk):
    user = users.new()
    with_service(machine, f'auth required {talk} return=11\n' + PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes')
    result = by_password(server, user)
    assert b'Permission denied (publickey)' in result.stderr


def test_a_module_cannot_change_the_user(machine, users, talk, key):
    user, other = users.new(), users.new()
    server = machine.sshd(nacre('sshd'), 'UsePAM yes')
    for kind in ('auth', 'account'):
        with_service(machine, PAM_SERVICE + f'{kind} required {talk} user={other.name}\n')
        assert by_password(server, user).returncode == 255
    assert by_key(server, user, key).returncode == 255
    logged(server, f'PAM: user {user.name} was changed to {other.name}, which is refused')


def test_unknown_users_look_alike(machine, users, program):
    user = users.new()
    with_service(machine, PAM_SERVICE.replace('auth required pam_unix.so',
                                              'auth required pam_unix.so nodelay'))
    server = machine.sshd(program, 'UsePAM yes')
    results = [by_password(server, name, 'wrong', '-o', 'NumberOfPasswordPrompts=2').stderr.decode()
               for name in (user.name, 'nobody-here')]
    assert results[0].replace(user.name, 'X') == results[1].replace('nobody-here', 'X')
    assert not converse(server, type('Stranger', (), {'name': 'nobody-here'}), [PASSWORD])[0]
    logged(server, 'PAM: .* for illegal user nobody-here from 127.0.0.1')
    logged(server, 'Failed password for invalid user nobody-here from 127.0.0.1')


def test_root_password_is_not_tried_where_it_does_not_count(machine, users, program, talk):
    """The right password must not be told from a wrong one."""
    machine.set_shadow('root', hash_password('root word'), ORDINARY)
    with_service(machine, f'auth required {talk} ask=Password:root_word\n' + PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes\nPermitRootLogin prohibit-password\n')
    with_service(machine, PAM_SERVICE)
    assert by_password(server, 'root', 'root word').returncode != 0
    assert by_password(server, 'root', 'root word', method='keyboard-interactive').returncode != 0
    logged(server, 'PAM: Authentication failure for root from 127.0.0.1')
    server = machine.sshd(program, 'UsePAM yes\nPermitRootLogin yes\n')
    assert by_password(server, 'root', 'root word').stdout == b'in\n'


def test_empty_passwords(machine, users, program):
    user = users.new(password='')
    with_service(machine, PAM_SERVICE.replace('auth required pam_unix.so',
                                              'auth required pam_unix.so nullok'))
    for pam in ('yes', 'no'):
        server = machine.sshd(program, f'UsePAM {pam}')
        assert by_password(server, user, '').returncode != 0
        server = machine.sshd(program, f'UsePAM {pam}\nPermitEmptyPasswords yes')
        # Without being asked: the first request is answered.
        assert run([*options_for(server, user, '-o', 'BatchMode=yes'), 'echo in']).stdout == b'in\n'
        logged(server, f'Accepted none for {user.name} from 127.0.0.1')


@pytest.mark.parametrize('asked', ['password', 'keyboard-interactive'])
def test_grace_time_holds_while_a_module_waits(machine, users, talk, asked):
    """Which it does not with OpenSSH's."""
    user = users.new()
    with_service(machine, f'auth required {talk} sleep=30\n' + PAM_SERVICE)
    server = machine.sshd(nacre('sshd'), 'UsePAM yes', options=['-o', 'LoginGraceTime=1'])
    begin = time.monotonic()
    assert by_password(server, user, method=asked).returncode == 255
    assert time.monotonic() - begin < 20
    logged(server, r'Timeout before authentication for 127.0.0.1 port \d+')


def test_grace_time_holds_while_a_question_is_open(machine, users, talk):
    user = users.new()
    with_service(machine, PAM_SERVICE)
    server = machine.sshd(nacre('sshd'), 'UsePAM yes', options=['-o', 'LoginGraceTime=1'])
    transport = connect(server)
    begin = time.monotonic()
    with pytest.raises(paramiko.SSHException):
        transport.auth_interactive(user.name, lambda *_: time.sleep(3) or ['late'])
    assert time.monotonic() - begin < 20
    logged(server, r'Timeout before authentication for 127.0.0.1 port \d+')


def test_conversation_is_given_up(machine, users, talk):
    """Another request in place of the answers: the module is told that none will come."""
    user = users.new()
    with_service(machine, f'auth optional {talk} ask=Pin:42\n' + PAM_SERVICE)
    server = machine.sshd(nacre('sshd'), 'UsePAM yes')
    transport = connect(server)

    def give_up(*_):
        message = paramiko.Message()
        message.add_byte(paramiko.common.cMSG_USERAUTH_REQUEST)
        for text in (user.name, 'ssh-connection', 'password'):
            message.add_string(text)
        message.add_boolean(False)
        message.add_string(PASSWORD)
        transport._send_message(message)  # pylint: disable=protected-access
        logged(server, f'Accepted password for {user.name}')
        return []
    with contextlib.suppress(paramiko.SSHException):  # it does not know what it was answered
        transport.auth_interactive(user.name, give_up)
    transport.close()
    logged(server, f'Accepted password for {user.name}')


def test_service_name(machine, users, talk, key):
    user = users.new()
    with_service(machine, PAM_SERVICE)
    with_service(machine, PAM_SERVICE + f'account required {talk} return=6\n', 'other-name')
    assert by_key(machine.sshd(nacre('sshd'), 'UsePAM yes'), user, key).stdout == b'in\n'
    server = machine.sshd(nacre('sshd'), 'UsePAM yes\nPAMServiceName other-name')
    assert by_key(server, user, key).returncode == 255


def test_configuration_of_pam_counts_at_once(machine, users, talk, key):
    """Although workers load its modules ahead of connections."""
    user = users.new()
    with_service(machine, PAM_SERVICE)
    server = machine.sshd(nacre('sshd'), 'UsePAM yes')
    assert by_key(server, user, key).stdout == b'in\n'
    with_service(machine, PAM_SERVICE + f'account required {talk} return=6\n')
    assert by_key(server, user, key).returncode == 255
    with_service(machine, PAM_SERVICE)
    assert by_key(server, user, key).stdout == b'in\n'


# Passwords that have expired ---------------------------------------------------------------------

EXPIRED = {'forced': '0:0:99999:7:::', 'aged': f'{DAY - 100}:0:30:7:::'}
NO_TERMINAL = b'WARNING: Your password has expired.\nPassword change required but no TTY available.\n'


@pytest.mark.parametrize('why', EXPIRED)
def test_expired_password_with_pam(machine, users, program, key, why):
    user = users.new(shadow=EXPIRED[why])
    with_service(machine, PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes')
    for result in (by_key(server, user, key), by_password(server, user)):
        assert result.returncode == 1 and result.stdout == b'' and NO_TERMINAL in result.stderr
        assert b'You are required to change your password immediately' in result.stderr


@pytest.mark.parametrize('why', EXPIRED)
def test_expired_password_without_pam(machine, users, program, key, why):
    user = users.new(shadow=EXPIRED[why])
    server = machine.sshd(program, 'UsePAM no')
    assert by_key(server, user, key).stdout == b'in\n'  # it is about passwords only
    result = by_password(server, user)
    assert result.returncode == 1 and result.stdout == b'' and result.stderr.endswith(NO_TERMINAL)
    reason = 'root forced' if why == 'forced' else 'password aged'
    logged(server, rf'User {user.name} password has expired \({reason}\)')


@pytest.mark.parametrize('pam', ['yes', 'no'])
def test_expired_password_is_changed_on_a_terminal(machine, users, program, pam):
    user = users.new(shadow=EXPIRED['aged'])
    with_service(machine, PAM_SERVICE)
    with_service(machine, PAM_SERVICE, 'passwd')
    server = machine.sshd(program, f'UsePAM {pam}')
    terminal = Terminal(['sshpass', '-p', PASSWORD, *options_for(
        server, user, '-tt', '-o', 'PubkeyAuthentication=no', '-o',
        'PreferredAuthentications=password')])
    try:
        terminal.see('WARNING: Your password has expired.\r\n'
                     'You must change your password now and log ?in again!')
        for prompt, answer in (('Current password: ', PASSWORD), ('New password: ', 'aNother 1 word'),
                               ('Retype new password: ', 'aNother 1 word')):
            terminal.see(prompt)
            terminal.type(answer + '\r')
        terminal.see('password updated successfully')
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        terminal.close()
    assert by_password(server, user, 'aNother 1 word').stdout == b'in\n'


def test_expired_password_is_changed_in_the_conversation(machine, users, program):
    user = users.new(shadow=EXPIRED['forced'])
    with_service(machine, PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes')
    good, asked = converse(server, user, [PASSWORD, PASSWORD, 'aNother 1 word', 'aNother 1 word'])
    assert good and len(asked) == 4
    assert 'You are required to change your password immediately' in asked[1][1][0][0]
    assert by_password(server, user, 'aNother 1 word').stdout == b'in\n'


def test_expired_password_forwards_nothing(machine, users, program):
    user = users.new(shadow=EXPIRED['aged'])
    with_service(machine, PAM_SERVICE)
    server = machine.sshd(program, 'UsePAM yes')
    result = by_password(server, user, PASSWORD, '-W', f'127.0.0.1:{server.port}', '-o',
                         'ExitOnForwardFailure=yes', timeout=PATIENCE, stdin=subprocess.DEVNULL)
    assert not result.stdout.startswith(b'SSH-2.0')


# The shadow file ---------------------------------------------------------------------------------

@pytest.mark.parametrize('state', ['locked', 'locked twice', 'star', 'expired', 'inactive'])
def test_states_of_accounts(machine, users, program, key, password_hash, state):
    password, shadow, enters, line = {
        'locked': ('!' + password_hash, ORDINARY, False, 'not allowed because account is locked'),
        'locked twice': ('!!', ORDINARY, False, 'not allowed because account is locked'),
        'star': ('*', ORDINARY, True, None),
        'expired': (password_hash, f'{DAY - 27}:0:99999:7::{DAY - 1}:', False, 'Account .* has expired'),
        'inactive': (password_hash, f'{DAY - 100}:0:30:7:5::', True, None)}[state]
    user = users.new(password=password, shadow=shadow)
    server = machine.sshd(program, 'UsePAM no')
    assert by_key(server, user, key).returncode == (0 if enters else 255)
    if line:
        logged(server, line)
        assert by_password(server, user).returncode == 255
        logged(server, f'Failed password for invalid user {user.name} from 127.0.0.1')
    with_service(machine, PAM_SERVICE)
    pam = machine.sshd(program, 'UsePAM yes')
    locked = state.startswith('locked') or state == 'star'
    assert by_key(pam, user, key).returncode == (0 if locked else 255)


def test_warnings(machine, users, program, key):
    user = users.new(shadow=f'{DAY - 27}:0:30:7::{DAY + 4}:')
    server = machine.sshd(program, 'UsePAM no')
    shell = by_key(server, user, key, None, '-tt', input=b'exit\n').stdout
    assert b'Your account will expire in 4 days.\r\n' in shell and b'password' not in shell
    assert by_key(server, user, key).stdout == b'in\n'


@pytest.mark.parametrize('pam', ['yes', 'no'])
def test_nologin(make_machine, program, key, pam):
    machine = make_machine()
    user = machine.add_user('someone', key=key)
    machine.write('etc/nologin', 'Closed for\nrepairs\n')
    with_service(machine, 'account required pam_nologin.so\n' + PAM_SERVICE)
    machine.write('etc/root_keys', public_line(key) + '\n')
    server = machine.sshd(program, f'UsePAM {pam}\nMatch User root\nAuthorizedKeysFile /etc/root_keys')
    result = by_key(server, user, key)
    assert result.returncode == (254 if pam == 'no' else 255) and result.stdout == b''
    assert b'Closed for\nrepairs\n' in result.stderr
    assert by_key(server, 'root', key).stdout == b'in\n'


def test_shells_that_do_not_exist(machine, users, program, key):
    gone, closed = users.new(shell='/no/such/shell'), users.new(shell='/etc/passwd')
    server = machine.sshd(program, 'UsePAM no')
    for user, reason in ((gone, 'does not exist'), (closed, 'is not executable')):
        assert by_key(server, user, key).returncode == 255
        logged(server, f'User {user.name} not allowed because shell {re.escape(user_shell(user, gone))} '
                       f'{reason}')
    nologin = users.new(shell='/usr/sbin/nologin')
    assert by_key(server, nologin, key).returncode == 1


def user_shell(user, gone):
    return '/no/such/shell' if user is gone else '/etc/passwd'


# Who is let in at all ----------------------------------------------------------------------------

POLICIES = [
    ('AllowUsers NAME', True), ('AllowUsers other', False), ('AllowUsers other NAME', True),
    ('AllowUsers N?ME', False), ('AllowUsers pol*', True), ('AllowUsers NAME@127.0.0.1', True),
    ('AllowUsers NAME@127.0.0.0/8', True), ('AllowUsers NAME@10.0.0.0/8', False),
    ('AllowUsers *@127.*', True), ('AllowUsers NAME@!127.0.0.1,*', False), ('AllowUsers !NAME', False),
    ('AllowUsers NAME@10.0.0.1 NAME@127.0.0.1', True),
    ('DenyUsers NAME', False), ('DenyUsers other', True), ('DenyUsers NAME@10.0.0.0/8', True),
    ('DenyUsers NAME@127.0.0.0/8', False), ('DenyUsers NAME\nAllowUsers NAME', False),
    ('AllowGroups NAME', True), ('AllowGroups gNAME', True), ('AllowGroups other', False),
    ('AllowGroups g*', True), ('DenyGroups gNAME', False), ('DenyGroups other', True),
    ('DenyGroups gNAME\nAllowGroups NAME', False), ('AllowUsers NAME\nDenyGroups gNAME', False),
    ('AllowUsers NAME\nAllowGroups other', False), ('AllowGroups !other *', True),
]


def test_allow_and_deny_lists(machine, program, key):
    lines, users = [], []
    for number, (policy, allowed) in enumerate(POLICIES):
        name = f'pol{number}'
        if name not in machine.users:
            machine.add_user(name, key=key, groups=[f'g{name}'])
        lines += [f'Match User {name}', policy.replace('NAME', name)]
        users.append((name, policy, allowed))
    server = machine.sshd(program, 'UsePAM no\n' + '\n'.join(lines))
    for name, policy, allowed in users:
        result = by_key(server, name, key, 'true')
        assert (result.returncode == 0) == allowed, f'{policy}\n{server.log()}'
    for reason in ('not listed in AllowUsers', 'listed in DenyUsers', 'a group is listed in DenyGroups',
                   "none of user's groups are listed in AllowGroups"):
        logged(server, rf'User pol\d+ from 127.0.0.1 not allowed because {reason}')


@pytest.mark.parametrize('value, key_enters, forced_enters, password_enters', [
    ('yes', True, True, True), ('prohibit-password', True, True, False),
    ('without-password', True, True, False), ('forced-commands-only', False, True, False),
    ('no', False, False, False)])
def test_permit_root_login(machine, program, key, place, tmp_path_factory, value, key_enters,
                           forced_enters, password_enters):
    machine.set_shadow('root', hash_password('root word'), ORDINARY)
    forced = make_key(str(tmp_path_factory.mktemp('keys') / 'forced'), ['-t', 'ed25519'])
    machine.write('etc/root_keys', public_line(key) + '\n' +
                  'command="echo forced" ' + public_line(forced) + '\n')
    server = machine.sshd(program, f'UsePAM no\nPermitRootLogin {value}\n'
                                   'AuthorizedKeysFile /etc/root_keys')
    assert (by_key(server, 'root', key).stdout == b'in\n') == key_enters
    assert (by_key(server, 'root', forced).stdout == b'forced\n') == forced_enters
    assert (by_password(server, 'root', 'root word').stdout == b'in\n') == password_enters
    if not key_enters:
        logged(server, r'ROOT LOGIN REFUSED FROM 127.0.0.1 port \d+')


# AuthenticationMethods ---------------------------------------------------------------------------

METHODS = [
    ('publickey,password', ['publickey', 'password']),
    ('password,publickey', ['password', 'publickey']),
    ('publickey,publickey', ['publickey', 'second key']),
    ('publickey,keyboard-interactive:pam', ['publickey', 'keyboard-interactive']),
    ('keyboard-interactive:pam', ['keyboard-interactive']),
    ('keyboard-interactive,password', ['keyboard-interactive', 'password']),
    ('publickey,password publickey,keyboard-interactive', ['publickey', 'keyboard-interactive']),
    ('publickey password', ['password']),
    ('publickey,publickey', ['publickey', 'publickey']),
]


def attempt(transport, user, method, keys):
    """What a method leads to: the methods that are left, or nothing when it is refused."""
    try:
        if method == 'password':
            return transport.auth_password(user.name, PASSWORD, fallback=False)
        if method == 'keyboard-interactive':
            return transport.auth_interactive(user.name, lambda *asked: [PASSWORD for _ in asked[2]])
        return transport.auth_publickey(user.name, keys[method])
    except paramiko.BadAuthenticationType as error:
        return 'not offered', sorted(error.allowed_types)
    except paramiko.AuthenticationException:
        return 'refused'


@pytest.mark.parametrize('lists, steps', METHODS)
def test_authentication_methods(machine, users, key, tmp_path_factory, lists, steps):
    """Step by step, both servers offer the same, and let in at the same point."""
    second = make_key(str(tmp_path_factory.mktemp('keys') / 'second'), ['-t', 'ed25519'])
    user = users.new()
    user.write('.ssh/authorized_keys', public_line(key) + '\n' + public_line(second) + '\n', 0o600)
    keys = {'publickey': paramiko.Ed25519Key.from_private_key_file(key),
            'second key': paramiko.Ed25519Key.from_private_key_file(second)}
    with_service(machine, PAM_SERVICE.replace('pam_unix.so', 'pam_unix.so nodelay', 1))
    seen = {}
    for name, program in SERVERS.items():
        server = machine.sshd(program, f'UsePAM yes\nAuthenticationMethods {lists}')
        transport = connect(server)
        seen[name] = [attempt(transport, user, step, keys) for step in steps]
        seen[name].append(transport.is_authenticated())
        transport.close()
    assert seen['nacre'] == seen['openssh']
    assert seen['nacre'][-1] == (steps != ['publickey', 'publickey'])


@pytest.mark.parametrize('methods, more', [
    ('keyboard-interactive:bsdauth', ''), ('publickey', 'Match user user*\nPubkeyAuthentication no')])
def test_methods_that_cannot_be_had(machine, users, program, key, methods, more):
    server = machine.sshd(program, f'UsePAM yes\nAuthenticationMethods {methods}\n{more}')
    assert by_key(server, users.new(), key).returncode == 255


def test_max_auth_tries(machine, users, program, key):
    user = users.new()
    server = machine.sshd(program, 'UsePAM no\nMaxAuthTries 2')
    transport = connect(server)
    with pytest.raises(paramiko.AuthenticationException):
        transport.auth_password(user.name, 'wrong', fallback=False)
    with pytest.raises(paramiko.SSHException):
        transport.auth_password(user.name, 'wrong', fallback=False)
    until(lambda: not transport.is_active(), 'the end of the connection')
    logged(server, rf'maximum authentication attempts exceeded for {user.name} from 127.0.0.1 port '
                   r'\d+ ssh2 \[preauth\]')


# Time --------------------------------------------------------------------------------------------

PAIRS = 24


def times_of(server, name, try_it):
    transport = connect(server)
    begin = time.monotonic()
    try:
        try_it(transport, name)
    except paramiko.AuthenticationException:
        pass
    finally:
        spent = time.monotonic() - begin
        transport.close()
    return spent


@pytest.mark.parametrize('method, pam', [
    ('password', 'no'), ('password', 'yes'), ('publickey', 'no'), ('publickey', 'yes'),
    ('keyboard-interactive', 'yes')])
def test_unknown_users_take_as_long(machine, users, password_hash, tmp_path_factory, method, pam):
    """Of pairs of attempts side by side, neither kind is nearly always the slower one. (By chance
    alone that happens once in ten thousand runs.)"""
    key = paramiko.Ed25519Key.from_private_key_file(
        make_key(str(tmp_path_factory.mktemp('keys') / 'unknown'), ['-t', 'ed25519']))
    user = users.new()
    with_service(machine, PAM_SERVICE.replace('pam_unix.so', 'pam_unix.so nodelay', 1))
    server = machine.sshd(nacre('sshd'), f'UsePAM {pam}')
    try_it = {'password': lambda transport, name: transport.auth_password(name, 'x', fallback=False),
              'publickey': lambda transport, name: transport.auth_publickey(name, key),
              'keyboard-interactive': lambda transport, name: transport.auth_interactive(
                  name, lambda *asked: ['x' for _ in asked[2]])}[method]
    slower = sum(times_of(server, user.name, try_it) > times_of(server, 'nobody-here', try_it)
                 for _ in range(PAIRS))
    assert 2 < slower < PAIRS - 2
