"""Tools that sit on SSH: curl (libssh2), git, rsync, tar, and ssh-audit's opinion."""
import os

import pytest

from conftest import BUILD, PASSWORD, make_key, nacre, need, run

PAYLOAD = os.urandom(300_000)


# libssh2 ------------------------------------------------------------------------------------------

def curl(server, key, *words, password=''):
    need('curl')
    version = run(['curl', '-V']).stdout
    if b' scp' not in version or b' sftp' not in version:
        pytest.skip("curl was built without libssh2")
    with_key = ['--key', key, '--pubkey', f'{key}.pub'] if key else []
    return run(['curl', '-s', '-S', '-k', '-u', f'{server.user}:{password}', *with_key, *words])


# libssh2 before 1.11 signs with RSA and SHA-1 only, which this server takes.
@pytest.mark.parametrize('key_type', ['ed25519', 'rsa', 'ecdsa-256', 'ecdsa-384', 'ecdsa-521'])
@pytest.mark.parametrize('scheme', ['sftp', 'scp'])
def test_curl(nacre_sshd, user_keys, workspace, tmp_path, account, scheme, key_type):
    (tmp_path / 'file').write_bytes(PAYLOAD)
    url = f'{scheme}://127.0.0.1:{nacre_sshd.port}{workspace}/file'
    result = curl(nacre_sshd, user_keys[key_type], '-T', str(tmp_path / 'file'), url)
    assert result.returncode == 0, result.stderr
    result = curl(nacre_sshd, user_keys[key_type], url)
    assert result.stdout == PAYLOAD


@pytest.mark.parametrize('scheme', ['sftp', 'scp'])
def test_curl_with_a_password(nacre_sshd, workspace, account, scheme):
    if not account.temporary:
        pytest.skip('only root can give somebody a password')
    with open(os.path.join(workspace, 'file'), 'wb') as file:
        file.write(PAYLOAD)
    url = f'{scheme}://127.0.0.1:{nacre_sshd.port}{workspace}/file'
    assert curl(nacre_sshd, None, url, password=PASSWORD).stdout == PAYLOAD
    assert curl(nacre_sshd, None, url, password='wrong').returncode != 0


def test_curl_lists_a_folder(nacre_sshd, user_keys, workspace):
    open(os.path.join(workspace, 'some file'), 'w').close()
    result = curl(nacre_sshd, user_keys['ed25519'],
                  f'sftp://127.0.0.1:{nacre_sshd.port}{workspace}/')
    assert b'some file' in result.stdout


# git and rsync over our ssh, and to our server ----------------------------------------------------

@pytest.fixture(params=['ours-to-ours', 'ours-to-openssh', 'openssh-to-ours'])
def remote_shell(request):
    """An ssh with its options, as GIT_SSH_COMMAND and rsync -e want it, and its server's port."""
    client, _, server = request.param.partition('-to-')
    fixtures = {'ours': ('nacre_ssh', 'nacre_sshd'), 'openssh': ('openssh_ssh', 'openssh_sshd')}
    client = request.getfixturevalue(fixtures[client][0])
    server = request.getfixturevalue(fixtures[server][1])
    return ' '.join([client.program, *client.options(server), '-p', str(server.port)]), server.port


def test_git_clone_and_push(remote_shell, account, workspace, tmp_path):
    need('git')
    remote_shell, port = remote_shell
    environment = {'PATH': os.environ['PATH'], 'HOME': str(tmp_path), 'GIT_SSH_COMMAND': remote_shell,
                   'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@example', 'GIT_CONFIG_NOSYSTEM': '1',
                   'GIT_COMMITTER_NAME': 'a', 'GIT_COMMITTER_EMAIL': 'a@example'}
    url = f'ssh://{account.name}@127.0.0.1:{port}{workspace}/repository'
    run(['git', 'init', '-q', '--bare', f'{workspace}/repository'], check=True, env=environment)
    for folder, folders, files in os.walk(f'{workspace}/repository'):
        for name in ['', *folders, *files]:
            account.own(os.path.join(folder, name))
    run(['git', 'clone', '-q', url, str(tmp_path / 'one')], check=True, env=environment)
    (tmp_path / 'one' / 'file').write_bytes(PAYLOAD * 10)
    for words in (['add', 'file'], ['commit', '-qm', 'one'], ['push', '-q', 'origin', 'HEAD']):
        run(['git', *words], check=True, env=environment, cwd=tmp_path / 'one')
    run(['git', 'clone', '-q', url, str(tmp_path / 'two')], check=True, env=environment)
    assert (tmp_path / 'two' / 'file').read_bytes() == PAYLOAD * 10


def test_rsync(remote_shell, account, workspace, tmp_path):
    need('rsync')
    remote_shell, _ = remote_shell
    (tmp_path / 'tree' / 'deep').mkdir(parents=True)
    for number in range(50):
        (tmp_path / 'tree' / 'deep' / f'file {number}').write_bytes(PAYLOAD[:number * 5000])
    remote = f'{account.name}@127.0.0.1:{workspace}/tree'
    run(['rsync', '-a', '--no-owner', '--no-group', '-e', remote_shell, f'{tmp_path}/tree/', remote],
        check=True)
    run(['rsync', '-a', '--no-owner', '--no-group', '-e', remote_shell, remote + '/', f'{tmp_path}/back/'],
        check=True)
    assert run(['diff', '-r', f'{tmp_path}/tree', f'{tmp_path}/back']).returncode == 0


def test_tar_both_ways_at_once(nacre_ssh, nacre_sshd):
    payload = PAYLOAD * 100
    assert nacre_ssh.run(nacre_sshd, 'cat', input=payload).stdout == payload


# The examples of the README -----------------------------------------------------------------------

def test_exec_client_example(nacre_sshd, user_keys, tmp_path):
    config = tmp_path / 'config'
    text = (f'Host test\n HostName 127.0.0.1\n Port {nacre_sshd.port}\n User {nacre_sshd.user}\n'
            f' IdentityFile {user_keys["ed25519"]}\n IdentityAgent none\n StrictHostKeyChecking yes\n'
            ' GlobalKnownHostsFile /dev/null\n UserKnownHostsFile ')
    config.write_text(text + nacre_sshd.known_hosts + '\n')
    command = [os.path.join(BUILD, 'examples/exec_client'), str(config), 'test']
    result = run([*command, 'echo out; echo err >&2; exit 7'])
    assert (result.returncode, result.stdout, result.stderr) == (7, b'out\n', b'err\n')
    config.write_text(text + '/dev/null\n')
    result = run([*command, 'true'])
    assert result.returncode == 255
    assert b'Host key verification failed' in result.stderr


def test_two_sessions_example():
    assert run([os.path.join(BUILD, 'examples/two_sessions')]).stdout == b'hello, sessions\n'


# ssh-audit ----------------------------------------------------------------------------------------

def test_ssh_audit_finds_nothing(servers, tmp_path):
    """With the server's defaults there is neither a failure nor a warning."""
    need('ssh-audit')
    key = make_key(str(tmp_path / 'rsa'), ['-t', 'rsa', '-b', '3072'])
    server = servers.sshd(nacre('sshd'), f'HostKey {key}\n', key_types=['ed25519'])
    report = run(['ssh-audit', '-n', '-l', 'warn', '-p', str(server.port), '127.0.0.1']).stdout.decode()
    assert '(gen) banner' in report or '# ' in report, report
    # What is newer than the tool is no finding.
    findings = [line for line in report.splitlines()
                if ('[warn]' in line or '[fail]' in line) and 'unknown algorithm' not in line
                and 'experimental algorithm' not in line]
    assert findings == []
