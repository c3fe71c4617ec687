"""The build as users meet it: installation, embedding, the README's promises, the demo."""
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from conftest import SANITIZED, SANITIZERS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('NACRE_BUILD', os.path.join(ROOT, 'build')))


def run(command, **options):
    options.setdefault('timeout', 120)
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, **options)


def make(*words):
    """make in the source tree, with the build that is under test; nothing is compiled again."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith('MAKE')}
    return run(['make', '-C', ROOT, '--no-print-directory', f'BUILD={BUILD}', *words], env=environment)


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """An installation below a temporary DESTDIR, PREFIX /opt/nacre."""
    destination = tmp_path_factory.mktemp('destination')
    result = make('install', f'DESTDIR={destination}', 'PREFIX=/opt/nacre')
    assert result.returncode == 0, result.stdout
    return str(destination), str(destination / 'opt/nacre')


def test_installed_programs_run_from_any_prefix(installed):
    _, prefix = installed
    for program in ('bin/ssh', 'sbin/sshd'):
        result = run([f'{prefix}/{program}', '-V'])
        assert result.returncode == 0, result.stdout
        assert 'Nacre' in result.stdout
    linked = run(['ldd', f'{prefix}/bin/ssh']).stdout
    assert f'{prefix}/lib/libnacre.so.0' in os.path.realpath(linked.split('libnacre.so.0 => ')[1].split()[0])


def test_modules_hold_libcrypto_and_nettle_apart(installed):
    """Each loads the one library that it is over; nothing of both is linked at a program's start."""
    _, prefix = installed
    linked = run(['ldd', f'{prefix}/bin/ssh']).stdout + run(['ldd', f'{prefix}/sbin/sshd']).stdout
    assert 'libcrypto.so' not in linked and 'libnettle.so' not in linked
    openssl = run(['ldd', f'{prefix}/lib/libnacre-crypto.so.0']).stdout
    assert 'libcrypto.so' in openssl and 'libnettle.so' not in openssl
    nettle = run(['ldd', f'{prefix}/lib/libnacre-nettle.so.0']).stdout
    assert 'libnettle.so' in nettle and 'libcrypto.so' not in nettle


def test_shared_library_exports_the_public_api_only(installed):
    _, prefix = installed
    symbols = run(['nm', '-D', '--defined-only', f'{prefix}/lib/libnacre.so.0']).stdout.split('\n')
    names = [line.split()[-1] for line in symbols if line]
    assert 'nacre_session_new' in names
    strays = [name for name in names if not name.startswith('nacre_')]
    assert strays == []


def test_every_public_function_is_exported(installed):
    """What a header declares can be linked against."""
    _, prefix = installed
    symbols = run(['nm', '-D', '--defined-only', f'{prefix}/lib/libnacre.so.0']).stdout
    exported = {line.split()[-1] for line in symbols.split('\n') if line}
    declared = set()
    directory = f'{prefix}/include/nacre'
    for name in os.listdir(directory):
        text = re.sub(r'/\*.*?\*/', '', open(f'{directory}/{name}').read(), flags=re.DOTALL)
        text = re.sub(r'^#.*$', '', text, flags=re.MULTILINE)
        text = re.sub(r'^typedef [^{;]*;', '', text, flags=re.MULTILINE)
        text = re.sub(r'^static inline.*?^}$', '', text, flags=re.MULTILINE | re.DOTALL)
        declared |= set(re.findall(r'\b(nacre_\w+)\s*\([^;{]*?\)[^;{]*;', text))
    assert len(declared) > 100
    assert sorted(declared - exported) == []


def test_uninstall_leaves_nothing(tmp_path):
    words = (f'DESTDIR={tmp_path}', 'PREFIX=/usr')
    assert make('install', *words).returncode == 0
    assert make('uninstall', *words).returncode == 0
    left = [os.path.join(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
    assert left == []


@pytest.mark.skipif(SANITIZED, reason='an embedding program would need the sanitizers, too')
def test_examples_build_against_the_installation(installed, tmp_path):
    """As an embedder does it: pkg-config and one source file."""
    destination, prefix = installed
    environment = dict(os.environ, PKG_CONFIG_PATH=f'{prefix}/lib/pkgconfig', PKG_CONFIG_SYSROOT_DIR=destination)
    flags = run(['pkg-config', '--cflags', '--libs', 'nacre'], env=environment).stdout.split()
    examples = sorted(os.listdir(os.path.join(ROOT, 'examples')))
    assert examples
    for example in examples:
        result = run(['cc', '-Wall', '-Wextra', '-Werror', '-o', str(tmp_path / 'example'),
                      os.path.join(ROOT, 'examples', example), *flags])
        assert result.returncode == 0, result.stdout


def test_headers_stand_alone_and_are_c_plus_plus(installed, tmp_path):
    _, prefix = installed
    for name in sorted(os.listdir(f'{prefix}/include/nacre')):
        source = tmp_path / 'header.c'
        source.write_text(f'#include <nacre/{name}>\n')
        command = ['cc', '-fsyntax-only', '-Wall', '-Wextra', '-Werror', f'-I{prefix}/include', str(source)]
        result = run(command)
        assert result.returncode == 0, result.stdout


def test_readme_shows_the_examples_as_they_are():
    readme = open(os.path.join(ROOT, 'README.md')).read()
    blocks = re.findall(r'```c\n(.*?)```', readme, flags=re.DOTALL)
    assert blocks
    sources = [open(os.path.join(ROOT, 'examples', name)).read()
               for name in os.listdir(os.path.join(ROOT, 'examples'))]
    for block in blocks:
        assert any(block in source for source in sources), block


def test_manual_pages_exist_and_are_well_formed():
    programs = os.listdir(f'{BUILD}/bin')
    for program in programs:
        pages = [f'{ROOT}/man/{program}.{section}' for section in '18']
        page = [path for path in pages if os.path.exists(path)]
        assert page, f'{program} has no manual page'
        if shutil.which('mandoc'):
            result = run(['mandoc', '-T', 'lint', '-W', 'error', page[0]])
            assert result.returncode == 0, result.stdout


@pytest.fixture
def workplace():
    """A temporary directory that every user reaches, in place of /tmp."""
    path = tempfile.mkdtemp(prefix='nacre-workplace-')
    os.chmod(path, 0o777)
    yield path
    shutil.rmtree(path)


def demo(workplace, user):
    environment = {'PATH': '/usr/local/bin:/usr/bin:/bin', 'TMPDIR': workplace, 'HOME': '/nonexistent', **SANITIZERS}
    process = subprocess.Popen(['bash', f'{ROOT}/tests/demo.sh', BUILD], env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               cwd=ROOT, user=user.pw_uid, group=user.pw_gid, extra_groups=[],
                               start_new_session=True)
    return process


def readable_by(user):
    """Whether the build can be reached by that user (a checkout below /root cannot)."""
    return subprocess.run(['test', '-x', f'{BUILD}/bin/ssh'], user=user.pw_uid, group=user.pw_gid,
                          extra_groups=[]).returncode == 0


@pytest.mark.parametrize('who', ['root', 'ordinary'])
def test_demo_runs_and_leaves_nothing(workplace, account, who):
    if who == 'root' and os.geteuid() != 0:
        pytest.skip('needs root')
    user = pwd.getpwuid(0) if who == 'root' else pwd.getpwnam(account.name)
    if not readable_by(user):
        pytest.skip('the build folder cannot be reached by an ordinary user')
    process = demo(workplace, user)
    try:
        output, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        pytest.fail('the demo hangs:\n' + process.communicate()[0])
    assert process.returncode == 0, output
    assert 'the same, byte for byte' in output
    assert 'by way of the first' in output
    assert os.listdir(workplace) == []


def test_demo_cleans_up_when_interrupted(workplace):
    user = pwd.getpwuid(os.geteuid())
    process = demo(workplace, user)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if any('first.log' in names for _, _, names in os.walk(workplace)):
            break
        time.sleep(0.02)
    else:
        pytest.fail('the demo never started a server')
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert os.listdir(workplace) == []
    left = run(['ps', '-o', 'stat=,pid=,args=', '-g', str(process.pid)]).stdout.splitlines()
    assert [line for line in left if not line.startswith('Z')] == []
