"""The most common failures of a login: the first lines are OpenSSH's, word for word, what follows says
the likely cause and what to type next, and is silent with -q. And LoginTrace."""
import os
import re
import socket
import subprocess
import time

import pytest

from conftest import make_key, nacre, need, openssh, openssh_server, run

# A private key whose file does not show its public half.
SECRETIVE = ['-t', 'rsa', '-b', '2048', '-m', 'PEM']
BASE = ['-F', 'none', '-o', 'IdentitiesOnly=yes', '-o', 'GlobalKnownHostsFile=/dev/null', '-o', 'BatchMode=yes']


def said(program, words, environment=None):
    """Status, the lines of OpenSSH's, and the hints."""
    result = run([program, *BASE, *words], env={**os.environ, 'SSH_AUTH_SOCK': '', **(environment or {})})
    lines = result.stderr.decode().splitlines()
    return (result.returncode, [line for line in lines if not line.startswith('hint: ')],
            [line for line in lines if line.startswith('hint: ')])


def same(words, hint, environment=None, exactly=True):
    """Ours fails as OpenSSH's does, and says the hint (a pattern) besides."""
    need('ssh')
    theirs = said(openssh('ssh'), words, environment)
    ours = said(nacre('ssh'), words, environment)
    if exactly:
        assert ours[:2] == theirs[:2]
    assert ours[0] == theirs[0] == 255 and ours[1][0] == theirs[1][0]
    assert re.search(hint, '\n'.join(ours[2])), ours
    assert said(nacre('ssh'), ['-q', *words], environment)[1:] == ([], [])
    return ours[2]


def known(server):
    return ['-o', f'UserKnownHostsFile={server.known_hosts}', '-p', str(server.port), f'{server.user}@127.0.0.1']


def test_name_is_not_resolved():
    same(['no-such-host.invalid'], 'getent hosts no-such-host.invalid')


def test_refused(free_port):
    same(['-p', str(free_port()), '127.0.0.1'], 'nothing listens.*ssh -p PORT 127.0.0.1')


def test_timed_out():
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    # The queue of those who wait is full: nobody else gets an answer.
    waiting = []
    for _ in range(3):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(('127.0.0.1', port))
        waiting.append(one)
    time.sleep(0.1)
    same(['-o', 'ConnectTimeout=1', '-p', str(port), '127.0.0.1'], 'firewall.*ping 127.0.0.1')


def test_permission_denied_tells_about_each_key(openssh_sshd, tmp_path, user_keys):
    stranger = make_key(str(tmp_path / 'stranger'), ['-t', 'ed25519'])
    locked = make_key(str(tmp_path / 'locked'), SECRETIVE, passphrase='secret')
    os.unlink(locked + '.pub')
    open_to_all = make_key(str(tmp_path / 'open'), SECRETIVE)
    os.chmod(open_to_all, 0o644)
    os.unlink(open_to_all + '.pub')
    options = [word for key in (stranger, locked, open_to_all) for word in ('-i', key)]
    hints = '\n'.join(same([*options, '-o', 'PreferredAuthentications=publickey', *known(openssh_sshd)],
                           'ssh-copy-id', exactly=False))
    assert re.search(rf'{stranger} ED25519 SHA256:\S+: the server d', hints)
    assert re.search(rf'{locked}.*: it could not be unlocked', hints)
    assert re.search(rf'{open_to_all}.*: it could not be unlocked', hints)
    assert f'chmod 600 {open_to_all}' in hints


def test_no_key_at_all(openssh_sshd):
    same(['-o', 'IdentityFile=none', '-o', 'PreferredAuthentications=publickey', *known(openssh_sshd)],
         'ssh-keygen && ssh-copy-id')


def test_keys_are_turned_off(openssh_sshd):
    same(['-o', 'PubkeyAuthentication=no', *known(openssh_sshd)], 'PubkeyAuthentication=yes')


def test_algorithm_of_the_key_is_not_allowed(openssh_sshd, user_keys):
    same(['-i', user_keys['rsa'], '-o', 'PubkeyAcceptedAlgorithms=ssh-ed25519', *known(openssh_sshd)],
         'PubkeyAcceptedAlgorithms')


def test_agent_cannot_be_reached(openssh_sshd, tmp_path):
    same(['-o', 'IdentityFile=none', '-o', 'PreferredAuthentications=publickey', *known(openssh_sshd)],
         r'the agent at \S+/none cannot be reached.*ssh-agent', {'SSH_AUTH_SOCK': str(tmp_path / 'none')})


@pytest.mark.parametrize('keyword, server, client', [
    ('Ciphers', 'aes256-ctr', 'aes128-ctr'), ('KexAlgorithms', 'diffie-hellman-group14-sha1', 'curve25519-sha256'),
    ('MACs', 'hmac-sha1', 'hmac-sha2-256'), ('HostKeyAlgorithms', 'ssh-ed25519', 'rsa-sha2-512')])
def test_no_common_algorithm_names_both_lists(servers, keyword, server, client):
    made = servers.sshd(openssh_server(), f'{keyword} {server}\nCiphers aes256-ctr,aes128-ctr')
    more = ['-o', 'Ciphers=aes128-ctr'] if keyword == 'MACs' else []
    hints = same(['-o', f'{keyword}={client}', *more, *known(made)], f'{keyword}=\\+{server} ')
    assert f'we offer: {client}' in '\n'.join(hints)
    made.stop()


def test_closed_before_the_login(free_port):
    for _ in range(2):
        port = free_port()
        code = ('import socket\ns=socket.socket();s.setsockopt(1,2,1)\n'
                f's.bind(("127.0.0.1",{port}));s.listen()\nprint("up",flush=True)\n'
                'while True:\n c,_=s.accept();c.recv(20);c.shutdown(1);c.recv(99999);c.close()\n')
        with subprocess.Popen(['python3', '-c', code], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            try:
                same(['-p', str(port), '127.0.0.1'], 'MaxStartups.*PerSourcePenalties')
            finally:
                process.kill()


def test_wrong_passphrase(openssh_sshd, tmp_path):
    locked = make_key(str(tmp_path / 'locked'), SECRETIVE, passphrase='secret')
    os.unlink(locked + '.pub')
    askpass = tmp_path / 'askpass'
    askpass.write_text('#!/bin/sh\necho wrong\n')
    askpass.chmod(0o755)
    environment = {'SSH_ASKPASS': str(askpass), 'SSH_ASKPASS_REQUIRE': 'force', 'DISPLAY': ':0'}
    words = ['-o', 'BatchMode=no', '-i', locked, '-o', 'PreferredAuthentications=publickey']
    result = run([nacre('ssh'), *words, *BASE, *known(openssh_sshd)], env={**os.environ, **environment})
    assert b'incorrect passphrase' in result.stderr and b'ssh-keygen -y -f' in result.stderr


# LoginTrace -----------------------------------------------------------------------------------------

ROW = re.compile(r' *([\d.]+) +([\d.]+) +([\d.]+) +(\d+)  (.+)')


@pytest.mark.parametrize('fixture', ['openssh_sshd', 'nacre_sshd'])
def test_trace(nacre_ssh, request, fixture):
    server = request.getfixturevalue(fixture)
    result = nacre_ssh.run(server, 'echo out', '-o', 'LoginTrace=yes')
    assert result.stdout == b'out\n'
    lines = result.stderr.decode().splitlines()
    assert lines[0] == 'Login to 127.0.0.1, in milliseconds:'
    rows = [ROW.fullmatch(line).groups() for line in lines[2:-1]]
    stages = [row[4] for row in rows]
    for stage in ('resolve the name', 'connect to 127.0.0.1', 'key exchange', 'host key',
                  'authentication publickey', 'session'):
        assert stage in stages, stages
    begins = [float(row[0]) for row in rows]
    assert begins == sorted(begins)
    total = re.fullmatch(r' *([\d.]+) +(\d+)  all; .*', lines[-1]).groups()
    assert abs(sum(float(row[1]) for row in rows) - float(total[0])) < 2
    assert sum(int(row[3]) for row in rows) == int(total[1]) and 3 <= int(total[1]) <= 8
    assert nacre_ssh.run(server, 'true').stderr == b''


def test_trace_of_a_login_that_fails(nacre_ssh, openssh_sshd, tmp_path):
    stranger = make_key(str(tmp_path / 'stranger'), ['-t', 'ed25519'])
    result = nacre_ssh.run(openssh_sshd, 'true', '-o', 'LoginTrace=yes', key=stranger)
    assert result.returncode == 255 and b'authentication publickey' in result.stderr
