"""Nacre and OpenSSH: every algorithm that both have, in both directions, and what people do."""
import os
import subprocess

import pytest

from conftest import HOST_KEY_TYPES, common, nacre, openssh, plain, run

PAYLOAD = os.urandom(150_000)


@pytest.fixture(params=['ours-to-openssh', 'openssh-to-ours'])
def pair(request):
    """A client and a server, one of them ours."""
    ours = request.param == 'ours-to-openssh'
    client = request.getfixturevalue('nacre_ssh' if ours else 'openssh_ssh')
    return client, request.getfixturevalue('openssh_sshd' if ours else 'nacre_sshd')


def assert_echo(client, server, *options, key=None, payload=PAYLOAD):
    """Data goes there and back unchanged, and the exit status arrives."""
    result = client.run(server, 'cat; exit 7', *options, key=key, input=payload)
    assert result.returncode == 7, result.stderr.decode(errors='replace') + server.log()[-2000:]
    assert result.stdout == payload


@pytest.mark.parametrize('kex', common('kex'))
def test_key_exchange(pair, kex):
    assert_echo(*pair, '-o', f'KexAlgorithms={kex}')


@pytest.mark.parametrize('cipher', common('cipher'))
def test_cipher(pair, cipher):
    assert_echo(*pair, '-c', cipher)


@pytest.mark.parametrize('cipher', ['aes128-ctr', 'aes256-cbc'])
@pytest.mark.parametrize('mac', common('mac'))
def test_mac(pair, mac, cipher):
    assert_echo(*pair, '-c', cipher, '-m', mac)


@pytest.mark.parametrize('mac', ['umac-64@openssh.com', 'hmac-sha2-256-etm@openssh.com'])
def test_short_blocks(pair, mac):
    assert_echo(*pair, '-c', '3des-cbc', '-m', mac)


@pytest.mark.parametrize('algorithm', plain(common('HostKeyAlgorithms')))
def test_host_key(pair, algorithm):
    assert_echo(*pair, '-o', f'HostKeyAlgorithms={algorithm}')


@pytest.mark.parametrize('key_type', HOST_KEY_TYPES)
def test_user_key(pair, user_keys, key_type):
    assert_echo(*pair, key=user_keys[key_type])


@pytest.mark.parametrize('algorithm', ['rsa-sha2-256', 'rsa-sha2-512', 'ssh-rsa'])
def test_rsa_signature_algorithms(pair, user_keys, algorithm):
    assert_echo(*pair, '-o', f'PubkeyAcceptedAlgorithms={algorithm}', key=user_keys['rsa'])


def test_compression(pair):
    assert_echo(*pair, '-C', payload=b'so compressible ' * 100_000)
    assert_echo(*pair, '-C')


def test_rekey_by_bytes(pair):
    payload = PAYLOAD * 60  # 9 MB in each direction
    assert_echo(*pair, '-o', 'RekeyLimit=1M', payload=payload)


def test_rekey_with_compression(pair):
    assert_echo(*pair, '-C', '-o', 'RekeyLimit=256K', payload=PAYLOAD * 20)


def test_much_data(pair):
    client, server = pair
    result = client.run(server, 'head -c 100000000 /dev/zero | tr "\\0" x')
    assert result.returncode == 0
    assert len(result.stdout) == 100_000_000
    assert result.stdout.count(b'x') == 100_000_000
    result = client.run(server, 'wc -c', input=bytes(100_000_000))
    assert result.stdout.split() == [b'100000000']


@pytest.mark.parametrize('status', [0, 1, 42, 254])
def test_exit_status(pair, status):
    client, server = pair
    assert client.run(server, f'exit {status}').returncode == status


def test_death_by_signal(pair):
    client, server = pair
    assert client.run(server, 'kill -TERM $$').returncode == 255


def test_streams_stay_apart(pair):
    client, server = pair
    result = client.run(server, 'echo out; echo err >&2')
    assert result.stdout == b'out\n'
    assert result.stderr.endswith(b'err\n')


def test_environment(pair):
    client, server = pair
    result = client.run(server, 'echo $NACRE_TEST,$SSH_CONNECTION', '-o', 'SetEnv=NACRE_TEST=wanted')
    assert result.stdout.startswith(b'wanted,127.0.0.1 ')


def test_terminal(pair, account, openssh_sshd):
    client, server = pair
    if server is openssh_sshd and not account.temporary:
        pytest.skip("OpenSSH's sshd gives no terminal unless it runs as root")
    result = client.run(server, 'tty; stty -a; echo $TERM', '-tt', env={**os.environ, 'TERM': 'vt100'})
    assert b'/dev/pts/' in result.stdout
    assert b'vt100' in result.stdout


def test_no_terminal(pair):
    client, server = pair
    assert b'not a tty' in client.run(server, 'tty', '-T').stdout


def test_shell_by_input(pair):
    client, server = pair
    result = client.run(server, None, '-T', input=b'echo one\necho two; exit 3\n')
    assert result.returncode == 3
    assert result.stdout == b'one\ntwo\n'


def test_wrong_key_is_refused(pair, tmp_path):
    client, server = pair
    stranger = str(tmp_path / 'stranger')
    run([openssh('ssh-keygen'), '-q', '-t', 'ed25519', '-N', '', '-f', stranger], check=True)
    result = client.run(server, 'true', key=stranger)
    assert result.returncode == 255
    assert b'Permission denied' in result.stderr


def test_unknown_host_key_is_refused(pair, tmp_path):
    client, server = pair
    empty = tmp_path / 'known_hosts'
    empty.write_text('')
    # The first of two values wins, so the option has to come before ours.
    command = [client.program, '-o', f'UserKnownHostsFile={empty}',
               *client.command(server)[1:], 'true']
    result = run(command)
    assert result.returncode == 255
    assert b'Host key verification failed' in result.stderr


def test_several_keys_are_tried(pair, user_keys, tmp_path):
    client, server = pair
    strangers = []
    for number in range(3):
        path = str(tmp_path / f'stranger{number}')
        run([openssh('ssh-keygen'), '-q', '-t', 'ed25519', '-N', '', '-f', path], check=True)
        strangers += ['-i', path]
    command = [client.program, *strangers, *client.command(server)[1:], 'echo in']
    assert run(command).stdout == b'in\n'


def test_direct_tcpip(pair, servers):
    """-W: a connection through the server to itself shows its identification."""
    client, server = pair
    result = run([*client.command(server, '-W', f'127.0.0.1:{server.port}')], input=b'',
                 timeout=30)
    assert result.stdout.startswith(b'SSH-2.0-')


def test_subsystem(pair):
    """SFTP version 3 is agreed over "-s sftp"."""
    client, server = pair
    hello = b'\x00\x00\x00\x05\x01\x00\x00\x00\x03'
    with subprocess.Popen([*client.command(server, '-s'), 'sftp'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdin.write(hello)
        process.stdin.flush()
        assert process.stdout.read(9)[4:] == b'\x02\x00\x00\x00\x03'
        process.stdin.close()
        process.wait(30)


@pytest.fixture
def tree(workspace, account):
    """A folder with files of several sizes."""
    source = os.path.join(workspace, 'source')
    os.makedirs(os.path.join(source, 'deep', 'er'))
    for name, size in (('empty', 0), ('small', 100), ('deep/big', 3_000_000),
                       ('deep/er/with space', 40_000)):
        with open(os.path.join(source, name), 'wb') as file:
            file.write(os.urandom(size))
    for folder, _, files in os.walk(source):
        account.own(folder)
        for name in files:
            account.own(os.path.join(folder, name))
    return source


def assert_same_tree(first, second):
    assert run(['diff', '-r', first, second]).returncode == 0


def copy(program, client, server, *words):
    options = [*client.options(server), '-P', str(server.port)]
    return run([program, *options, *words])


@pytest.mark.parametrize('protocol', ['-s', '-O'])
def test_openssh_scp_with_our_server(openssh_ssh, nacre_sshd, account, tree, workspace, tmp_path,
                                     protocol):
    remote = f'{account.name}@127.0.0.1:{workspace}/there{protocol}'
    result = copy('/usr/bin/scp', openssh_ssh, nacre_sshd, protocol, '-r', tree, remote)
    assert result.returncode == 0, result.stderr
    assert_same_tree(tree, f'{workspace}/there{protocol}')
    result = copy('/usr/bin/scp', openssh_ssh, nacre_sshd, protocol, '-r', remote,
                  str(tmp_path / 'back'))
    assert result.returncode == 0, result.stderr
    assert_same_tree(tree, str(tmp_path / 'back'))


@pytest.mark.parametrize('protocol', ['-s', '-O'])
def test_our_scp_with_openssh_server(nacre_ssh, openssh_sshd, account, tree, workspace, tmp_path,
                                     protocol):
    remote = f'{account.name}@127.0.0.1:{workspace}/there{protocol}'
    result = copy(nacre('scp'), nacre_ssh, openssh_sshd, protocol, '-r', tree, remote)
    assert result.returncode == 0, result.stderr
    assert_same_tree(tree, f'{workspace}/there{protocol}')
    result = copy(nacre('scp'), nacre_ssh, openssh_sshd, protocol, '-r', remote,
                  str(tmp_path / 'back'))
    assert result.returncode == 0, result.stderr
    assert_same_tree(tree, str(tmp_path / 'back'))


def test_openssh_scp_over_our_ssh(nacre_ssh, openssh_sshd, account, tree, workspace):
    """-S: OpenSSH's scp runs our ssh."""
    remote = f'{account.name}@127.0.0.1:{workspace}/there'
    result = copy('/usr/bin/scp', nacre_ssh, openssh_sshd, '-S', nacre('ssh'), '-r', tree, remote)
    assert result.returncode == 0, result.stderr
    assert_same_tree(tree, f'{workspace}/there')


def test_openssh_sftp_with_our_server(openssh_ssh, nacre_sshd, tree, workspace, tmp_path):
    batch = tmp_path / 'batch'
    batch.write_text(f'put -r {tree} {workspace}/there\nls -l {workspace}/there\n'
                     f'get -r {workspace}/there {tmp_path}/back\nrename {workspace}/there/small '
                     f'{workspace}/there/renamed\nrm {workspace}/there/renamed\n')
    options = [*openssh_ssh.options(nacre_sshd), '-P', str(nacre_sshd.port)]
    result = run(['/usr/bin/sftp', *options, '-b', str(batch),
                  f'{nacre_sshd.user}@127.0.0.1'])
    assert result.returncode == 0, result.stderr
    assert_same_tree(tree, str(tmp_path / 'back'))
    assert not os.path.exists(f'{workspace}/there/renamed')


def test_openssh_tools_read_our_keys(tmp_path):
    path = str(tmp_path / 'key')
    for key_type in ('ed25519', 'rsa', 'ecdsa'):
        run([nacre('ssh-keygen'), '-q', '-t', key_type, '-N', 'secret words', '-f', f'{path}-{key_type}'],
            check=True)
        theirs = run([openssh('ssh-keygen'), '-y', '-P', 'secret words', '-f', f'{path}-{key_type}'],
                     check=True)
        with open(f'{path}-{key_type}.pub', 'rb') as file:
            assert theirs.stdout.split()[:2] == file.read().split()[:2]
        ours = run([nacre('ssh-keygen'), '-l', '-f', f'{path}-{key_type}.pub'], check=True).stdout
        assert ours == run([openssh('ssh-keygen'), '-l', '-f', f'{path}-{key_type}.pub']).stdout


class Agent:
    def __init__(self, program, folder):
        self.path = os.path.join(folder, 'agent')
        self.process = subprocess.Popen([program, '-D', '-a', self.path], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        # It says so once it listens; the socket is there a little earlier.
        assert self.process.stdout.readline().startswith(b'SSH_AUTH_SOCK=')
        self.environment = {**os.environ, 'SSH_AUTH_SOCK': self.path}

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(params=['ours', 'openssh'])
def agent(request, tmp_path):
    made = Agent(nacre('ssh-agent') if request.param == 'ours' else openssh('ssh-agent'),
                 str(tmp_path))
    yield made
    made.stop()


@pytest.mark.parametrize('adder', ['ours', 'openssh'])
def test_agents_mix(agent, adder, user_keys, nacre_ssh, openssh_ssh, nacre_sshd, openssh_sshd):
    """Keys of every type, added by one's ssh-add to the other's agent, log in and are forwarded."""
    program = nacre('ssh-add') if adder == 'ours' else openssh('ssh-add')
    run([program, *user_keys.values()], check=True, env=agent.environment)
    lists = [run([tool, '-l'], check=True, env=agent.environment).stdout
             for tool in (nacre('ssh-add'), openssh('ssh-add'))]
    assert lists[0] == lists[1]
    assert len(lists[0].splitlines()) == len(user_keys)
    for client, server in ((nacre_ssh, openssh_sshd), (openssh_ssh, nacre_sshd)):
        options = ['-F', 'none', '-A', '-o', f'UserKnownHostsFile={server.known_hosts}',
                   '-o', 'GlobalKnownHostsFile=/dev/null', '-o', 'BatchMode=yes',
                   '-o', 'IdentityFile=none', '-p', str(server.port), f'{server.user}@127.0.0.1']
        for tool in (nacre('ssh-add'), openssh('ssh-add')):
            result = run([client.program, *options, f'{tool} -l'], env=agent.environment)
            assert result.stdout == lists[0], result.stderr
