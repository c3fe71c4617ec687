"""authorized_keys: every option, the files and commands that it comes from, and who may write to
them. What OpenSSH's sshd does and logs is asked of ours, too."""
import os
import shutil
import tempfile
import time

import pytest

from conftest import IS_ROOT, PASSWORD, PATIENCE, Client, need, run
from key_server import SERVERS, KeyServer


@pytest.fixture(scope='module', params=list(SERVERS))
def server(request, servers):
    need('sshd')
    made = KeyServer(servers, SERVERS[request.param], 'UseDNS yes\nPermitUserEnvironment A*,B',
                     second='AuthorizedKeysFile none')
    made.name = request.param
    made.key('user')
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh(request):
    if 'server' in request.fixturenames:
        request.getfixturevalue('server').forget()


def lines(server, *options):
    server.write('authorized', ''.join(f'{text} {server.public("user")}\n' for text in options))
    return server.key('user')


OPTIONS = {
    'none': ([''], 'in'),
    'address': (['from="127.0.0.1"'], 'in'),
    'network': (['from="192.0.2.0/24,127.0.0.0/8"'], 'in'),
    'negated': (['from="127.0.0.0/8,!127.0.0.1"'], None),
    'other-network': (['from="192.0.2.0/24"'], None),
    'bad-network': (['from="192.0.2.1/24"'], None),
    'name': (['from="local*"'], 'in'),
    'other-name': (['from="*.example.com"'], None),
    'command': (['command="echo \\"forced\\"; echo $SSH_ORIGINAL_COMMAND"'], 'forced\necho in'),
    'expired': (['expiry-time="20100101"'], None),
    'expires-later': (['expiry-time="20400101"'], 'in'),
    'expired-in-utc': (['expiry-time="201001011200Z"'], None),
    'unknown': (['frobnicate'], None),
    'unknown-value': (['frobnicate="1"'], None),
    'second-line': (['expiry-time="20100101"', 'command="echo two"'], 'two'),
    'behind-a-bad-line': (['frobnicate', 'command="echo two"'], 'two'),
    'first-line': (['command="echo one"', 'command="echo two"'], 'one'),
    'authority': (['cert-authority'], None),
    'tunnel': (['tunnel="0"'], 'in'),
    'bad-tunnel': (['tunnel="x"'], None),
    'permissions': (['permitopen="host:80",permitlisten="8080"'], 'in'),
    'bad-permission': (['permitopen="host"'], None),
    'security-keys': (['verify-required,no-touch-required'], 'in'),
    'case': (['NO-PTY,Command="echo forced"'], 'forced'),
}


@pytest.mark.parametrize('case', OPTIONS)
def test_option(server, case):
    options, output = OPTIONS[case]
    assert server.login(lines(server, *options)) == output


def test_lines_of_the_log(server):
    key = lines(server, 'from="192.0.2.1"', '')
    assert server.login(key) == 'in'
    host = r'localhost\S*'
    server.see('FOLDER/authorized:1: Authentication tried for USER with correct key but not from a '
               rf'permitted host \(host={host}, ip=127\.0\.0\.1, required=192\.0\.2\.1\)\.')
    server.see('Refused by key options')
    server.see('Accepted key ED25519 HASH found at FOLDER/authorized:2')
    server.see(r'Accepted publickey for USER from 127\.0\.0\.1 port \d+ ssh2: ED25519 HASH')
    assert server.login(key, second=True) is None
    server.see(r'Failed publickey for USER from 127\.0\.0\.1 port \d+ ssh2: ED25519 HASH')


def test_terminals(server):
    for options, allowed in (('no-pty', False), ('restrict', False), ('restrict,pty', True), ('', True)):
        output = server.login(lines(server, options), '-tt', command='tty') or ''
        assert ('/dev/' in output) == allowed, options


def test_environment(server):
    key = lines(server, 'environment="A1=x y",environment="A1=later",environment="B=",environment="C=1",'
                        'environment="A2=\\"q\\""')
    output = server.login(key, command='env').splitlines()
    assert 'A1=x y' in output and 'B=' in output and 'A2="q"' in output
    assert not any(line.startswith('C=') for line in output)


def test_long_and_odd_files(server):
    key = lines(server, '')
    line = server.public('user')
    server.write('authorized', f'# {"x" * 9000}\n\n\t\r\nssh-ed25519 AAAA\nssh-rsa\n{"y" * 100000}\n  {line} c')
    assert server.login(key) == 'in'
    server.write('authorized', b'\0\xff\n' + line.encode() + b'\r\n')
    assert server.login(key) == 'in'


@pytest.mark.parametrize('program', SERVERS)
def test_names_of_peers(program, servers):
    need('sshd')
    user = servers.account.name
    server = KeyServer(servers, SERVERS[program], f'UseDNS yes\nAllowUsers {user}@local*',
                       second=f'Match Host localhost*\nForceCommand echo matched\nDenyUsers {user}@*.example.com')
    key = server.key('user')
    server.write('authorized', server.public('user'))
    assert server.login(key) == 'matched'
    server.close()
    server = KeyServer(servers, SERVERS[program], f'UseDNS no\nAllowUsers {user}@local*')
    server.write('authorized', server.public('user'))
    assert server.login(server.key('user')) is None
    server.see(r'User USER from 127\.0\.0\.1 not allowed because not listed in AllowUsers')
    server.close()


# Files -------------------------------------------------------------------------------------------

@pytest.mark.parametrize('program', SERVERS)
def test_names_of_files(program, servers):
    need('sshd')
    files = 'FOLDER/%u.keys FOLDER/%U FOLDER/a%%b %h/nacre.keys %u.nacre'
    server = KeyServer(servers, SERVERS[program], options=[f'AuthorizedKeysFile={files}'])
    account = server.account
    key = server.key('user')
    names = [server.path(f'{account.name}.keys'), server.path(str(account.uid)), server.path('a%b'),
             os.path.join(account.home, 'nacre.keys'),
             os.path.join(account.home, f'{account.name}.nacre')]
    for name in names:
        assert server.login(key) is None
        with open(name, 'w') as file:
            file.write(server.public('user'))
        try:
            assert server.login(key) == 'in'
        finally:
            os.unlink(name)
    server.close()


@pytest.mark.skipif(not IS_ROOT, reason='files of other users')
@pytest.mark.parametrize('program', SERVERS)
def test_strict_modes(program, servers, workspace):
    need('sshd')
    account = servers.account
    os.chmod(workspace, 0o700)
    inner = os.path.join(workspace, 'inner')
    os.mkdir(inner, 0o755)
    path = os.path.join(inner, 'keys')
    server = KeyServer(servers, SERVERS[program],
                       options=['StrictModes=yes', f'AuthorizedKeysFile={path}'])
    key = server.key('user')
    with open(path, 'w') as file:
        file.write(server.public('user'))
    os.chmod(path, 0o600)
    # Only its owner reads it, and the server reads with the rights of the user.
    assert server.login(key) is None
    account.own(path)
    account.own(inner)
    # The way to it leads through a folder that everybody may write to.
    assert server.login(key) is None
    server.see('Authentication refused: bad ownership or modes for directory /tmp')
    server.close()
    home = os.path.join(account.home, 'strict')
    os.mkdir(home, 0o700)
    account.own(home)
    shutil.copy(path, os.path.join(home, 'keys'))
    path = account.own(os.path.join(home, 'keys'))
    os.chmod(path, 0o600)
    server = KeyServer(servers, SERVERS[program],
                       options=['StrictModes=yes', 'AuthorizedKeysFile=strict/keys'])
    try:
        with open(path, 'w') as file:
            file.write(server.public('user'))
        key = server.path('user')
        assert server.login(key) == 'in'
        for place, mode, what in ((path, 0o602, 'file'), (home, 0o707, 'directory'), (account.home, 0o777, 'directory')):
            before = os.stat(place).st_mode & 0o777
            os.chmod(place, mode)
            assert server.login(key) is None
            server.see(f'Authentication refused: bad ownership or modes for {what} {place}')
            os.chmod(place, before)
        # A group that nobody else is in does no harm.
        if program == 'nacre':
            os.chmod(path, 0o660)
            assert server.login(key) == 'in'
            os.chown(path, account.uid, 65534)
            assert server.login(key) is None
        os.chown(path, 65534, 65534)
        os.chmod(path, 0o644)
        assert server.login(key) is None
        server.see(f'Authentication refused: bad ownership or modes for file {path}')
        os.unlink(path)
        os.mkfifo(path, 0o600)
        account.own(path)
        assert server.login(key) is None
    finally:
        shutil.rmtree(home)
        server.close()


# Commands ----------------------------------------------------------------------------------------

@pytest.fixture
def safe_folder():
    """A folder that only root can change, with all above it."""
    if not IS_ROOT:
        pytest.skip('programs of root')
    folder = tempfile.mkdtemp(prefix='nacre-test-', dir='/var/lib')
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


def script(folder, text, name='command'):
    path = os.path.join(folder, name)
    with open(path, 'w') as file:
        file.write('#!/bin/sh\n' + text)
    os.chmod(path, 0o755)
    return path


@pytest.mark.parametrize('program', SERVERS)
def test_command_tells_keys(program, servers, safe_folder, workspace):
    need('sshd')
    notes = os.path.join(workspace, 'notes')
    path = script(safe_folder, f'''(echo "$@"; id -un; echo "$USER $LOGNAME $HOME $PATH"; pwd; cat; ls /proc/$$/fd) >{notes}
cat {safe_folder}/keys
''')
    user = servers.account.name
    server = KeyServer(servers, SERVERS[program], options=[
        f'AuthorizedKeysCommand={path} %u %h %U "%t x" %k %f %%', f'AuthorizedKeysCommandUser={user}'])
    key = server.key('user')
    with open(os.path.join(safe_folder, 'keys'), 'w') as file:
        file.write(f'no-pty,command="echo from command" {server.public("user")}\n')
    assert server.login(key) == 'from command'
    server.see('Accepted key ED25519 HASH found at .*')
    with open(notes) as file:
        told = file.read().splitlines()
    kind, blob = server.public('user').split()
    fingerprint = run(['ssh-keygen', '-lf', key + '.pub']).stdout.decode().split()[1]
    account = servers.account
    assert told[0] == f'{user} {account.home} {account.uid} {kind} x {blob} {fingerprint} %'
    assert told[1:3] == [user, f'{user} {user} {account.home} {told[2].split()[3]}']
    # Nothing is left open but what a program of the shell has, and there is nothing to read.
    assert {int(number) for number in told[4:]} <= {0, 1, 2, 10, 255}, told
    # What it does not tell is looked for in the files.
    with open(os.path.join(safe_folder, 'keys'), 'w') as file:
        file.write('')
    server.write('authorized', server.public('user'))
    assert server.login(key) == 'in'
    server.close()


UNSAFE = {
    'status': ('cat FOLDER/keys; exit 3', None, r'AuthorizedKeysCommand \S+ .*failed, status 3'),
    'signal': ('cat FOLDER/keys; kill -9 $$', None, r'AuthorizedKeysCommand \S+ .*exited on signal 9'),
    'group': ('cat FOLDER/keys', lambda path: (os.chown(path, 0, 65534), os.chmod(path, 0o775)),
              r'Unsafe AuthorizedKeysCommand "\S+": bad ownership or modes for file \S+'),
    'owner': ('cat FOLDER/keys', lambda path: os.chown(path, 65534, 0),
              r'Unsafe AuthorizedKeysCommand "\S+": bad ownership or modes for file \S+'),
    'folder': ('cat FOLDER/keys', lambda path: os.chmod(os.path.dirname(path), 0o777),
               r'Unsafe AuthorizedKeysCommand "\S+": bad ownership or modes for directory \S+'),
    'missing': ('', os.unlink, r'Could not stat AuthorizedKeysCommand "\S+": No such file or directory'),
}


@pytest.mark.parametrize('program', SERVERS)
@pytest.mark.parametrize('case', UNSAFE)
def test_command_that_is_not_believed(program, case, servers, safe_folder):
    need('sshd')
    text, spoil, line = UNSAFE[case]
    path = script(safe_folder, text.replace('FOLDER', safe_folder))
    server = KeyServer(servers, SERVERS[program], options=[
        f'AuthorizedKeysCommand={path}', f'AuthorizedKeysCommandUser={servers.account.name}'])
    with open(os.path.join(safe_folder, 'keys'), 'w') as file:
        file.write(server.public('user'))
    if spoil:
        spoil(path)
    assert server.login(server.path('user')) is None
    server.see('(error: )?' + line)
    server.close()


@pytest.mark.parametrize('text, reason', [
    ('exec cat /dev/zero', 'writes too much'), ('sleep 1000 & cat FOLDER/keys; wait', 'the connection has ended'),
    ('exec >&-; sleep 1000', 'the connection has ended')])
def test_command_that_never_ends(text, reason, servers, safe_folder):
    user = servers.account.name
    path = script(safe_folder, f'echo $$ >{safe_folder}/pid\n' + text.replace('FOLDER', safe_folder))
    os.chmod(script(safe_folder, '', 'pid'), 0o666)
    server = KeyServer(servers, SERVERS['nacre'], options=[
        f'AuthorizedKeysCommand={path}', f'AuthorizedKeysCommandUser={user}', 'LoginGraceTime=2'])
    with open(os.path.join(safe_folder, 'keys'), 'w') as file:
        file.write(server.public('user'))
    begin = time.monotonic()
    result = run([*Client('/usr/bin/ssh', server.path('user')).command(server.server), 'echo in'])
    assert result.returncode == 255 and time.monotonic() - begin < 20
    server.see(f'AuthorizedKeysCommand {path}: {reason}')
    with open(os.path.join(safe_folder, 'pid')) as file:
        pid = file.read().strip()
    end = time.monotonic() + PATIENCE
    while os.path.exists(f'/proc/{pid}'):
        assert time.monotonic() < end
        time.sleep(0.05)
    server.close()


def test_command_gets_the_name_alone_without_arguments(servers, safe_folder):
    path = script(safe_folder, f'[ $# = 1 ] && echo "command=\\"echo $1\\" $(cat {safe_folder}/keys)"')
    server = KeyServer(servers, SERVERS['nacre'], options=[
        f'AuthorizedKeysCommand={path}', f'AuthorizedKeysCommandUser={servers.account.name}'])
    with open(os.path.join(safe_folder, 'keys'), 'w') as file:
        file.write(server.public('user'))
    assert server.login(server.path('user')) == servers.account.name
    server.close()


@pytest.mark.parametrize('program', SERVERS)
def test_command_tells_principals(program, servers, safe_folder):
    need('sshd')
    path = script(safe_folder, f'echo "$@" >{safe_folder}/notes; echo "# roles"; echo "command=\\"echo role\\" admin"')
    os.chmod(script(safe_folder, '', 'notes'), 0o666)
    server = KeyServer(servers, SERVERS[program], options=[
        f'AuthorizedPrincipalsCommand={path} %u %i %s %T %F %K %t %f %k %U %h %%',
        f'AuthorizedPrincipalsCommandUser={servers.account.name}'])
    server.write('authorities', server.public('authority'))
    good = server.certificate('good', '-z', '77', principals='admin')
    assert server.login(good) == 'role'
    with open(os.path.join(safe_folder, 'notes')) as file:
        told = file.read().split()

    def fingerprint(name):
        return run(['ssh-keygen', '-lf', server.path(name) + '.pub']).stdout.decode().split()[1]
    with open(good + '-cert.pub') as file:
        kind, blob = file.read().split()[:2]
    assert told == [server.user, 'someone', '77', 'ssh-ed25519', fingerprint('authority'),
                    server.public('authority').split()[1], kind, fingerprint('good'), blob,
                    str(servers.account.uid), servers.account.home, '%']
    assert server.login(server.certificate('bad', principals='USER')) is None
    server.see('Certificate does not contain an authorized principal')
    server.close()


# ExposeAuthInfo ----------------------------------------------------------------------------------

@pytest.mark.parametrize('program', SERVERS)
def test_session_is_told_how_it_came_in(program, servers):
    need('sshd', 'sshpass')
    server = KeyServer(servers, SERVERS[program], 'ExposeAuthInfo yes',
                       second='AuthenticationMethods publickey,password')
    key = server.key('user')
    server.write('authorized', server.public('user'))
    output = server.login(key, command='cat $SSH_USER_AUTH; stat -c "%a %U" $SSH_USER_AUTH; echo $SSH_USER_AUTH')
    line, owner, path = output.splitlines()
    assert line == 'publickey ' + server.public('user') and owner == f'600 {server.user}'
    end = time.monotonic() + PATIENCE
    while os.path.exists(path):
        assert time.monotonic() < end
        time.sleep(0.02)
    if IS_ROOT:
        words = [{'BatchMode=yes': 'BatchMode=no', str(server.server.port): str(server.second_port)}.get(word, word)
                 for word in Client('/usr/bin/ssh', key).command(server.server)]
        result = run(['sshpass', '-p', PASSWORD, *words, 'cat $SSH_USER_AUTH'])
        assert result.stdout.decode().splitlines() == ['publickey ' + server.public('user'), 'password']
    server.close()
