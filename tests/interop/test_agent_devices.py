"""ssh-agent and ssh-add with keys in devices, the record of what keys were used for, and sockets that
a service manager opened."""
import base64
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from conftest import run, until
from desk import OURS, ROOT, THEIRS, Token, desk

both = pytest.mark.parametrize('add_from', [OURS, THEIRS], ids=['our ssh-add', 'their ssh-add'])


@pytest.fixture(scope='module')
def token_place():
    with desk() as made:
        made.token = Token(made)
        for number, (label, kind) in enumerate({'rsa': 'rsa:2048', 'p256': 'EC:prime256v1',
                                                'ed25519': 'EC:edwards25519'}.items(), 1):
            made.token.key(kind, f'{number:02}', label)
        made.askpass('echo 1234\n')
        made.process = made.agent(OURS, '-O', f'audit={made.path("audit")}')
        yield made


@both
def test_token(token_place, add_from):
    place, module = token_place, os.path.realpath(token_place.token.module)
    assert place.run(f'{add_from}/ssh-add', '-s', module) == f'Card added: {module}\n'
    listed = place.run(f'{add_from}/ssh-add', '-L').splitlines()
    assert {line.split()[-1] for line in listed} == {'rsa', 'p256', 'ed25519'}
    for number, line in enumerate(listed):
        with open(place.path(f'card{number}.pub'), 'w') as file:
            file.write(line + '\n')
        place.run(f'{add_from}/ssh-add', '-T', place.path(f'card{number}.pub'))
    assert place.run(f'{add_from}/ssh-add', '-e', module) == f'Card removed: {module}\n'
    place.run(f'{add_from}/ssh-add', '-l', expect=1)
    assert 'agent refused operation' in place.run(f'{add_from}/ssh-add', '-e', module, expect=1)


def test_the_module_is_not_in_the_agent(token_place):
    place = token_place
    place.run(f'{OURS}/ssh-add', '-s', place.token.module)
    children = subprocess.run(['pgrep', '-P', str(place.process.pid)], capture_output=True,
                              text=True).stdout.split()
    assert len(children) == 1
    with open(f'/proc/{place.process.pid}/maps') as maps:
        assert 'softhsm' not in maps.read()
    place.run(f'{OURS}/ssh-add', '-D')
    until(lambda: not os.path.exists(f'/proc/{children[0]}'), 'the end of the process with the module')


def test_the_module_dies(token_place):
    """The agent says no, goes on, and starts another for the next request."""
    place = token_place
    place.run(f'{OURS}/ssh-add', '-s', place.token.module)
    child = subprocess.run(['pgrep', '-P', str(place.process.pid)], capture_output=True, text=True).stdout
    os.kill(int(child), signal.SIGKILL)
    with open(place.path('dead.pub'), 'w') as file:
        file.write(place.run(f'{OURS}/ssh-add', '-L').splitlines()[0] + '\n')
    place.run(f'{OURS}/ssh-add', '-T', place.path('dead.pub'), expect=1)
    assert len(place.run(f'{OURS}/ssh-add', '-l').splitlines()) == 3
    place.run(f'{OURS}/ssh-add', '-D')


def test_wrong_pin_and_paths_that_are_not_allowed(token_place):
    place = token_place
    place.askpass('echo 9999\n')
    assert 'agent refused operation' in place.run(f'{OURS}/ssh-add', '-s', place.token.module, expect=1)
    place.askpass('echo 1234\n')
    os.symlink(place.token.module, place.path('link.so')) if not os.path.exists(place.path('link.so')) else None
    assert 'Card added' in place.run(f'{OURS}/ssh-add', '-s', place.path('link.so'))
    place.run(f'{OURS}/ssh-add', '-D')
    with open(os.path.realpath(place.token.module), 'rb') as module, open(place.path('copy.so'), 'wb') as copy:
        copy.write(module.read())
    assert 'agent refused operation' in place.run(f'{OURS}/ssh-add', '-s', place.path('copy.so'), expect=1)


def test_certificates_for_a_token(token_place):
    place = token_place
    place.run(f'{OURS}/ssh-add', '-s', place.token.module)
    line = next(line for line in place.run(f'{OURS}/ssh-add', '-L').splitlines() if line.endswith(' p256'))
    with open(place.path('p256.pub'), 'w') as file:
        file.write(line + '\n')
    place.run(f'{OURS}/ssh-add', '-D')
    place.run(f'{THEIRS}/ssh-keygen', '-q', '-s', place.key('authority', '-t', 'ed25519'), '-I', 'x', '-n', 'x',
              'p256.pub')
    place.run(f'{OURS}/ssh-add', '-C', '-s', place.token.module, 'p256-cert.pub')
    assert '(ECDSA-CERT)' in place.run(f'{OURS}/ssh-add', '-l')
    place.run(f'{OURS}/ssh-add', '-T', 'p256-cert.pub')
    place.run(f'{OURS}/ssh-add', '-D')


@pytest.fixture(scope='module')
def sk_place():
    with desk() as made:
        made.library = made.path('sk.so')
        if run(['cc', '-shared', '-fPIC', f'-I{ROOT}', '-o', made.library,
                f'{ROOT}/tests/interop/sk_authenticator.c', '-lcrypto']).returncode != 0:
            pytest.skip('the authenticator cannot be built here')
        made.environment.update(SK_FOLDER=made.home, SSH_SK_PROVIDER=made.library, SK_PIN='1234')
        made.askpass('echo 1234\n')
        made.key('touched', '-t', 'ed25519-sk')
        made.key('verified', '-t', 'ecdsa-sk', '-O', 'verify-required')
        made.key('resident', '-t', 'ed25519-sk', '-O', 'resident')
        made.key('web', '-t', 'ed25519-sk', '-O', 'application=ssh:web')
        made.process = made.agent(OURS, '-P', f'{made.home}/*')
        yield made


@both
def test_authenticator(sk_place, add_from):
    place = sk_place
    place.run(f'{add_from}/ssh-add', '-q', 'touched', 'verified')
    open(place.path('asked'), 'w').close()
    for name in 'touched', 'verified':
        place.run(f'{add_from}/ssh-add', '-T', f'{name}.pub')
    asked = place.asked()
    assert 'Confirm user presence for key ED25519-SK SHA256:' in asked
    assert 'Enter PIN and confirm user presence for ECDSA-SK key SHA256:' in asked
    place.run(f'{add_from}/ssh-add', '-q', '-D')


@both
def test_resident_keys(sk_place, add_from):
    place = sk_place
    said = place.run(f'{add_from}/ssh-add', '-K')
    assert re.fullmatch(r'Resident identity added: ED25519-SK SHA256:\S+\n', said)
    place.run(f'{add_from}/ssh-add', '-T', 'resident.pub')
    place.run(f'{add_from}/ssh-add', '-q', '-D')


def test_library_that_is_not_allowed(sk_place):
    said = {directory: sk_place.run(f'{directory}/ssh-add', '-S', '/bin/true', 'touched', expect=1)
            for directory in (OURS, THEIRS)}
    assert said[OURS] == said[THEIRS]


def test_others_are_served_while_a_touch_is_waited_for(sk_place):
    place = sk_place
    place.run(f'{OURS}/ssh-add', '-q', 'verified')
    place.askpass('while ! test -e "$HOME/go"; do sleep 0.05; done; echo 1234\n')
    waiting = subprocess.Popen([f'{OURS}/ssh-add', '-T', 'verified.pub'], cwd=place.home, env=place.environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(5):
        assert 'ECDSA-SK' in place.run(f'{OURS}/ssh-add', '-l')
    assert waiting.poll() is None
    open(place.path('go'), 'w').close()
    assert waiting.wait(20) == 0
    place.run(f'{OURS}/ssh-add', '-q', '-D')


# The record -----------------------------------------------------------------------------------------

@pytest.fixture
def place():
    with desk() as made:
        yield made


def test_audit(place):
    place.key('key', '-t', 'ed25519', comment='a "key"')
    process = place.agent(OURS, '-O', f'audit={place.path("audit")}')
    place.run(f'{OURS}/ssh-add', '-q', 'key')
    place.run(f'{THEIRS}/ssh-add', '-T', 'key.pub')
    mode = os.stat(place.path('audit')).st_mode
    assert stat.S_IMODE(mode) == 0o600
    with open(place.path('audit')) as file:
        line, = file.read().splitlines()
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ permitted key=SHA256:\S+ comment="a \\042key\\042" user="" '
                        r'host-key=- host="" process="ssh-add" pid=\d+', line)
    assert process.poll() is None


def test_no_signature_without_its_record(place):
    place.key('key', '-t', 'ed25519')
    os.mkfifo(place.path('pipe'))
    refused = subprocess.run([f'{OURS}/ssh-agent', '-D', '-a', place.path('x.sock'), '-O',
                              f'audit={place.path("pipe")}'], env=place.environment, capture_output=True, text=True,
                             timeout=20)
    assert refused.returncode == 255 and 'audit file' in refused.stderr
    if not os.path.exists('/dev/full'):
        return
    # A file that takes nothing more: its size is bounded to what it has.
    process = subprocess.Popen(
        ['sh', '-c', f'ulimit -f 0; exec {OURS}/ssh-agent -D -a {place.path("agent.sock")} '
         f'-O audit={place.path("audit")}'], env=place.environment, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
    place.agents.append(process)
    process.stdout.readline()
    place.environment['SSH_AUTH_SOCK'] = place.path('agent.sock')
    place.run(f'{OURS}/ssh-add', '-q', 'key')
    assert 'agent refused operation' in place.run(f'{THEIRS}/ssh-add', '-T', 'key.pub', expect=1)


def test_last_use_is_shown(place):
    place.key('key', '-t', 'ed25519')
    place.key('idle', '-t', 'ed25519')
    place.agent(OURS)
    place.run(f'{OURS}/ssh-add', '-q', 'key', 'idle')
    place.run(f'{THEIRS}/ssh-add', '-T', 'key.pub')
    shown = place.run(f'{OURS}/ssh-add', '-l', '-v')
    assert re.search(r'test key \(ED25519\)\n\tlast used \d{4}-\d\d-\d\d \d\d:\d\d:\d\d by ssh-add '
                     r'\(process \d+\), 1 time\n', shown)
    assert '\tnever used\n' in shown
    assert 'used' not in place.run(f'{OURS}/ssh-add', '-l')


def test_socket_of_a_service_manager(place):
    place.key('key', '-t', 'ed25519')
    path = place.path('activated.sock')
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(5)
    number = listener.fileno()
    start = (f'import os; os.dup2({number}, 3); '
             'os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid())); '
             f'os.execv("{OURS}/ssh-agent", ["ssh-agent", "-D"])')
    process = subprocess.Popen([sys.executable, '-c', start], env=place.environment, pass_fds=[number],
                               stdout=subprocess.PIPE, text=True)
    listener.close()
    place.agents.append(process)
    assert process.stdout.readline().startswith(f'SSH_AUTH_SOCK={path};')
    place.environment['SSH_AUTH_SOCK'] = path
    place.run(f'{OURS}/ssh-add', '-q', 'key')
    place.run(f'{THEIRS}/ssh-add', '-T', 'key.pub')
    process.terminate()
    process.wait(10)
    assert os.path.exists(path)


def test_private_keys_are_shielded(place):
    """What lies in the agent's memory between signatures is not the key; root reads it for us."""
    if os.getuid() != 0:
        pytest.skip('reading the memory of the agent takes root')
    place.key('key', '-t', 'ed25519')
    process = place.agent(OURS)
    place.run(f'{OURS}/ssh-add', '-q', 'key')
    place.run(f'{THEIRS}/ssh-add', '-T', 'key.pub')
    with open(place.path('key')) as file:
        text = ''.join(file.read().splitlines()[1:-1])
    content = base64.b64decode(text)
    public = base64.b64decode(place.public('key').split()[1])[-32:]
    place_of = content.rindex(b'\0\0\0\x40') + 4
    seed = content[place_of:place_of + 32]
    assert content[place_of + 32:place_of + 64] == public
    time.sleep(0.1)
    found_public = False
    with open(f'/proc/{process.pid}/maps') as maps, open(f'/proc/{process.pid}/mem', 'rb') as memory:
        for line in maps:
            start, end = (int(word, 16) for word in line.split()[0].split('-'))
            if 'rw' not in line.split()[1] or '[v' in line:
                continue
            memory.seek(start)
            try:
                data = memory.read(end - start)
            except OSError:
                continue
            assert seed not in data
            found_public |= public in data
    assert found_public
