"""ssh-keygen beside OpenSSH's: hundreds of command lines, each run by both in folders that are alike;
status, output and complaints are the same."""
import os
import re
import shlex
import shutil
import subprocess

import pytest

from conftest import SANITIZERS
from test_keygen import OURS, THEIRS, needs_theirs

pytestmark = needs_theirs


def sh(folder, *words, **options):
    return subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, **options)


@pytest.fixture(scope='module')
def template(tmp_path_factory):
    """A folder with keys, certificates, signatures and broken things, made by OpenSSH."""
    folder = tmp_path_factory.mktemp('alike')
    for name in ('ca', 'u'):
        for kind in ('ed25519', 'ecdsa', 'rsa'):
            sh(folder, THEIRS, '-q', '-t', kind, '-b', '2048' if kind == 'rsa' else '256', '-N', '',
               '-f', f'{name}_{kind}', '-C', f'{name} {kind}')
    sh(folder, THEIRS, '-q', '-t', 'ed25519', '-N', 'secret', '-f', 'locked', '-C', 'locked one', '-a', '1')
    for kind in ('rsa', 'ecdsa'):
        for form in ('PEM', 'PKCS8'):
            for passphrase, name in (('', 'open'), ('secret', 'shut')):
                path = f'{name}_{kind}_{form}'
                sh(folder, THEIRS, '-q', '-t', kind, '-b', '2048' if kind == 'rsa' else '256', '-m', form,
                   '-N', passphrase, '-f', path)
                (folder / f'{path}.pub').unlink()
    sh(folder, THEIRS, '-q', '-s', 'ca_ed25519', '-I', 'user id', '-n', 'me@x,other', '-z', '7', 'u_ed25519.pub')
    sh(folder, THEIRS, '-q', '-s', 'ca_rsa', '-I', 'host id', '-h', '-n', 'a.b,c.d', '-V',
       '20200101Z:20400101Z', 'u_ecdsa.pub')
    sh(folder, THEIRS, '-q', '-s', 'ca_ecdsa', '-I', 'x', '-O', 'force-command=ls -l', '-O', 'critical:a@b=c',
       '-O', 'source-address=10.0.0.0/8,::1', '-O', 'extension:flag@x', '-O', 'no-pty', 'u_rsa.pub')
    texts = {name: (folder / name).read_text() for name in os.listdir(folder) if name.endswith('.pub')}
    (folder / 'two').write_text(texts['u_ed25519-cert.pub'] + texts['u_ed25519.pub'] + '# comment\n'
                                + texts['u_rsa-cert.pub'] + 'garbage\n')
    (folder / 'junk').write_text('this is not a key\n')
    (folder / 'empty').write_text('')
    (folder / 'message').write_text('hello\n')
    (folder / 'bare.pub').write_text(' '.join(texts['u_ed25519.pub'].split()[:2]) + '\n')
    for name in ('u_ed25519', 'u_ed25519-cert.pub', 'u_rsa', 'u_ecdsa'):
        sh(folder, THEIRS, '-q', '-Y', 'sign', '-n', 'file', '-f', name, 'message')
        os.rename(folder / 'message.sig', folder / f'{name}.sig')
    sig = (folder / 'u_ed25519.sig').read_text()
    (folder / 'cut.sig').write_text('\n'.join(sig.split('\n')[:3]) + '\n')
    (folder / 'late.sig').write_text('\n' + sig)
    (folder / 'more.sig').write_text(sig + 'more\n')
    sh(folder, THEIRS, '-q', '-k', '-f', 'all.krl', '-z', '5', 'u_rsa.pub', 'u_ed25519-cert.pub', 'u_ecdsa-cert.pub')
    (folder / 'wide').write_bytes((folder / 'u_ed25519').read_bytes())
    (folder / 'wide').chmod(0o644)
    return folder


def outcome(program, words, folder, stdin):
    result = subprocess.run([program, *words], cwd=folder, input=stdin, text=True, timeout=60,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                            errors='surrogateescape',
                            env={'PATH': os.environ['PATH'], 'HOME': str(folder), 'TZ': 'Europe/Berlin',
                                 **SANITIZERS})
    return result.returncode, result.stdout, result.stderr


def plain(text):
    """Without what differs from run to run, and without the summary of options behind a complaint."""
    text = re.sub(r'usage: ssh-keygen.*', 'USAGE', text, flags=re.S)
    return re.sub(r'Generated at \S+', 'Generated', text)


def unread(text):
    """Without what OpenSSH does not tell when it fails, unless it has a terminal."""
    return re.sub(r'Revoking from.*\n', '', plain(text))


def both(template, tmp_path, parts, stdin='', normal=plain):
    results = []
    for program, name in ((OURS, 'ours'), (THEIRS, 'theirs')):
        folder = tmp_path / name
        shutil.copytree(template, folder)
        runs = []
        for command in parts:
            status, output, errors = outcome(program, shlex.split(command), folder, stdin)
            runs.append((command, status, normal(output), normal(errors).replace('\r', '')))
        results.append(runs + [sorted(os.listdir(folder))])
        shutil.rmtree(folder)
    for ours, theirs in zip(*results):
        assert ours == theirs


CERTIFICATES = '''
-s ca_ed25519 u_ed25519.pub
-s ca_ed25519 -I id
-I id u_rsa.pub
-q -s ca_ed25519 -I id u_ed25519.pub ; -L -f u_ed25519-cert.pub
-s ca_ed25519 -I id u_rsa.pub u_ecdsa.pub ; -L -f u_rsa-cert.pub ; -L -f u_ecdsa-cert.pub
-s ca_rsa -I id u_rsa.pub ; -L -f u_rsa-cert.pub
-s ca_rsa -I id -t rsa-sha2-256 u_rsa.pub ; -L -f u_rsa-cert.pub
-s ca_rsa -I id -t ssh-rsa u_rsa.pub ; -L -f u_rsa-cert.pub
-s ca_ecdsa -I id -h -n a.b,c.d -z 10 -V 20200101Z:20300101Z u_rsa.pub u_ecdsa.pub ; -L -f u_rsa-cert.pub
-s ca_ecdsa -I id -n "a b,é" -z +10 u_rsa.pub u_ecdsa.pub u_ed25519.pub ; -L -f u_ed25519-cert.pub
-s ca_rsa -I id -t ed25519 u_rsa.pub
-s ca_rsa -I id -t bogus u_rsa.pub
-s ca_ed25519 -I id -t rsa-sha2-256 u_rsa.pub
-s absent -I id u_rsa.pub
-s ca_rsa -I id absent.pub
-s ca_rsa -I id u_rsa.pub absent.pub u_ecdsa.pub
-s ca_rsa -I id junk
-s ca_rsa -I id empty
-s ca_rsa -I id u_ecdsa
-s ca_rsa -I id two
-s ca_rsa -I id u_rsa-cert.pub
-s ca_rsa.pub -I id u_rsa.pub
-s locked -P secret -I id bare.pub ; -L -f bare-cert.pub
-s locked -P wrong -I id bare.pub
-s locked -I id bare.pub
-s ca_rsa -I "" u_rsa.pub
-s ca_rsa -I id u_rsa.pub -V always:forever
-s ca_rsa -I x -Z other u_rsa.pub
-s ca_rsa -I x -b 0 u_rsa.pub
-s ca_rsa -I x -l u_rsa.pub
-s ca_rsa -I x -L -f u_rsa-cert.pub
-Us ca_rsa.pub -I x u_rsa.pub
-Us absent -I x u_rsa.pub
-q -s ca_rsa -I x u_rsa.pub
-s ca_rsa -I x -z 18446744073709551615 u_rsa.pub
-s ca_rsa -I x -z 18446744073709551616 u_rsa.pub
-s ca_rsa -I x -z -1 u_rsa.pub
-s ca_rsa -I x -z 0x10 u_rsa.pub
-s ca_rsa -I x -z + u_rsa.pub
-s ca_rsa -I x -z +0 u_rsa.pub
-s ca_rsa -I x -z "10 " u_rsa.pub
-s ca_rsa -I x -n a,b,,c u_rsa.pub
-s ca_rsa -I x -n , u_rsa.pub
-s ca_rsa -I x -n "" u_rsa.pub
-L -f u_ed25519-cert.pub
-L -f u_rsa-cert.pub
-L -f u_ecdsa-cert.pub
-L -E md5 -f u_ecdsa-cert.pub
-L -f u_ed25519.pub
-L -f absent
-L -f two
-L -f junk
-L -f empty
-L -f u_rsa
-L -l -f u_rsa-cert.pub
-L -f u_rsa-cert.pub more
'''

OPTIONS = '''
-O clear
-O clear -O permit-pty
-O no-pty -O no-x11-forwarding -O no-agent-forwarding -O no-port-forwarding -O no-user-rc
-O no-X11-forwarding -O NO-PTY
-O clear -O permit-x11-forwarding -O permit-agent-forwarding -O permit-port-forwarding -O permit-user-rc
-O force-command=ls -O source-address=10.0.0.0/8,::1/128 -O verify-required -O no-touch-required
-O force-command=ls -O force-command=id
-O source-address=10.0.0.1 -O source-address=1.1.1.1
-O source-address=10.0.0.0/33
-O source-address=10.0.0.1/8
-O source-address=foo
-O source-address=1.2.3.4,
-O source-address=,1.2.3.4
-O source-address=1.2.3.4/
-O source-address=1.2.3.4/8x
-O source-address=1.2.3.4/-1
-O source-address=
-O force-command=
-O critical:foo@bar -O extension:x@y=abc -O extension:a@b -O critical:a@b=z
-O extension:x@y=
-O foo
-O foo=bar
-O critical:force-command=ls
-O force-command
-O permit-pty=1
-h -O clear
-h -O force-command=ls
-h -O permit-pty
-h -O critical:foo@bar
-O clear -O no-touch-required -O extension:zz@a -O extension:no-aa
-O CLEAR -O PERMIT-PTY -O FORCE-COMMAND=x
-O Critical:foo -O EXTENSION:foo
'''

VALIDITIES = '''always:forever forever forever:always always always:always 20100101:20110101 20100101Z:20110101Z
201001011230:20110101123000 0x1:0x2000000000 0x10 20110101:20100101 20100101 bad 0x 0xzz 0xzz:forever 0x:forever
2010010112:forever 20101301:forever +1x +1x:+1d +1d:+1x + -1d -1d: :+1d +1d:-1d -1d:-2d -0:+0 20100101123000z:forever
20240229:20240301 20230229:20500101 0x0:0x0 0x1:0xffffffffffffffff 19690101:20300101 1:2 202001010000Z:0xffffffff
ALWAYS:FOREVER -1d:+1d:x -1d:bad'''.split()

LISTS = '''
-k
-k -f new
-k -f new u_rsa.pub ; -Q -l -f new
-k -f new -z 7 -C hello u_rsa.pub u_ed25519.pub u_rsa-cert.pub u_ed25519-cert.pub ; -Q -lf new u_rsa.pub u_ecdsa.pub
-k -q -f new u_rsa.pub
-k -f new -z +5 u_rsa.pub ; -Q -lf new
-k -f new -z abc u_rsa.pub
-k -u -f all.krl ca_rsa.pub ; -Q -lf all.krl
-k -u -z 3 -f all.krl ca_rsa.pub ; -Q -lf all.krl
-k -u -f absent.krl ca_rsa.pub
-k -u -f junk ca_rsa.pub
-k -f new absent
-k -f new -s absent u_rsa.pub
-k -f nodir/new u_rsa.pub
-k -f new ca_rsa
-k -f new two
-k -f new junk
-k -f new empty
-k -Q -f all.krl u_ecdsa.pub
-Q
-Q -f all.krl
-Q -f all.krl u_rsa.pub u_ed25519.pub u_ed25519-cert.pub u_ecdsa-cert.pub ca_rsa.pub bare.pub
-Q -q -f all.krl u_rsa.pub ca_rsa.pub
-Q -f all.krl ca_rsa.pub
-Q -lf all.krl
-Q -f all.krl absent
-Q -f absent u_rsa.pub
-Q -f u_rsa.pub u_rsa.pub
-Q -l -f empty
'''

# Lines of a specification, and the options that go with it.
SPECIFICATIONS = [
    ('serial: 1\nserial: 5-10\nserial:0x20\nid: foo\n', '-s ca_rsa.pub'),
    ('serial: 1\n', ''), ('id: 1\n', ''), ('serial: 1\nid: x\n', '-s none'), ('serial: 1\n', '-s none -s ca_rsa.pub'),
    ('serial: 0\n', '-s ca_rsa.pub'), ('serial: 5-1\n', '-s ca_rsa.pub'), ('serial: 5-\n', '-s ca_rsa.pub'),
    ('serial: -\n', '-s ca_rsa.pub'), ('serial: x\n', '-s ca_rsa.pub'), ('serial: 1x\n', '-s ca_rsa.pub'),
    ('serial: 18446744073709551616\n', '-s ca_rsa.pub'), ('serial: 18446744073709551615\n', '-s ca_rsa.pub'),
    ('serial: 010\n# c\n\n\tserial:9 # foo\nserial: 100-0x80', '-s ca_rsa.pub'), ('serial : 7\n', '-s ca_rsa.pub'),
    ('id:\n', '-s ca_rsa.pub'), ('id: a b\nid: a b\nid: c', '-s ca_rsa.pub'),
    ('key: {u_rsa}sha1: {ca_rsa}sha256: {u_ecdsa}hash: SHA256:ck4IL63eSFfD7xlhBf8IIWQlGnCAwTa0pU5RmyKwO3U\n', ''),
    ('KEY: {u_rsa-cert}sha1: {u_ed25519-cert}sha256: {u_ed25519-cert}{u_ed25519-cert}{u_ecdsa-cert}', ''),
    ('hash: SHA256:abc\n', ''), ('hash: MD5:abc\n', ''), ('hash: \n', ''),
    ('hash: SHA256:ck4IL63eSFfD7xlhBf8IIWQlGnCAwTa0pU5RmyKwO3U=\n', ''),
    ('hash: SHA256:ck4IL63eSFfD7xlhBf8IIWQlGnCAwTa0pU5RmyKwO3U comment\n', ''),
    ('hash: SHA256:ck4IL63eSFfD7xlhBf8IIWQlGnCAwTa0pU5RmyKwO3U # comment\n', ''),
    ('string: foo\n', ''), ('garbage\n', ''), ('key: garbage\n', ''), ('ssh-rsa AAAA\n', ''),
    ('{u_rsa}  {ca_rsa}nonsense here\n', ''), ('', ''),
]

SIGNATURES = '''
-Y other
-Y sign
-Y sign -f u_rsa
-Y sign -n file message
-Y sign -f u_rsa -n "" message
-Y sign -f u_ed25519 -n file message
-q -Y sign -f u_ed25519 -n file message
-Y sign -f u_ed25519.pub -n file -O hashalg=sha256 message
-Y sign -f u_ed25519-cert.pub -n file message
-Y sign -f u_rsa -n file
-Y sign -f u_rsa -n file -
-Y sign -f u_rsa -n file message ; -Y sign -f u_rsa -n file message
-Y sign -f absent -n file message
-Y sign -f u_rsa -n file absent
-Y sign -f u_rsa -n file message absent junk
-Y sign -f locked -n file message
-Y sign -P wrong -f locked -n file message
-Y sign -P secret -f locked -n file message
-Y sign -U -f u_rsa.pub -n file message
-Y sign -f bare.pub -n file message
-Y sign -f u_rsa -n file -O foo=bar message
-Y sign -f u_rsa -n file -O print-pubkey message
-Y sign -f u_rsa -n file -O verify-time=20200101 message
-Y check-novalidate
-Y check-novalidate -n file
-Y check-novalidate -s u_ed25519.sig
-Y check-novalidate -n file -s u_ed25519.sig
-Y check-novalidate -n file -s u_rsa.sig
-Y check-novalidate -n file -s u_ecdsa.sig
-Y check-novalidate -n file -s u_ed25519-cert.pub.sig
-Y check-novalidate -n other -s u_ed25519.sig
-Y check-novalidate -n file -s absent
-Y check-novalidate -q -n file -s u_ed25519.sig
-Y check-novalidate -O print-pubkey -n file -s u_ed25519.sig
-Y check-novalidate -O hashalg=sha256 -n file -s u_ed25519.sig
-Y check-novalidate -O verify-time=20200101 -n file -s u_ed25519.sig
-Y check-novalidate -n file -s u_ed25519.sig -I me more
-Y check-novalidate -n file -s more.sig
-Y check-novalidate -n file -s u_ed25519.sig -r u_ed25519.pub
-Y verify
-Y verify -n file
-Y verify -n file -f allowed
-Y verify -n file -f allowed -s u_ed25519.sig
-Y verify -n file -f absent -s u_ed25519.sig -I me
-Y find-principals
-Y find-principals -s u_ed25519.sig
-Y find-principals -s absent -f junk
-Y match-principals
-Y match-principals -I me
-Y match-principals -f junk
-Y match-principals -f absent -I me
'''

# Allowed signers: {k} the key that signed, {c} its authority.
ALLOWED = '''
me@x {k}
*@x,!you@x {k} comment
*@x,!me@x {k}
# c|you@x {k}|me@x {k}
you@x {k}
me@x namespaces="foo,file" {k}
me@x namespaces="foo,fi*" {k}
me@x namespaces="foo" {k}
me@x namespaces="" {k}
me@x namespaces=foo {k}
me@x NAMESPACES="file" {k}
me@x cert-authority {k}
me@x cert-authority {c}
*@x cert-authority {c}
* cert-authority {c}
other cert-authority {c}
none cert-authority {c}
me@x {c}
me@x cert-authority,namespaces="foo" {c}
me@x cert-authority,valid-before="20200101" {c}
me@x valid-before="20190101",valid-after="20180101" {k}
me@x valid-before="20200101" {k}|you {k}
me@x valid-after="20200101",valid-before="20190101" {k}
me@x valid-after="20200101",valid-after="20190101" {k}
me@x valid-after="bad" {k}
me@x foo {k}
me@x namespaces="a",namespaces="b" {k}
me@x namespaces="a {k}
me@x
me@x foo bar
me@x ssh-ed25519 AAAA
me@x ssh-foo AAAA
garbage|me@x {k}
garbage here|me@x {k}
me@x namespaces="file", {k}
me@x cert-authority,namespaces="file" {k}
"me@x" {k}
"me@x,foo bar" {k}
"me@x {k}
"me@x"x {k}
me@x namespaces="x\\"y" {k}
me@x namespaces="x"foo {k}
me@x cert-authority="x" {k}
me@x|"x|me@x {k}
,, {k}
'''

KEYS = '''
-l -f u_rsa
-l -f u_rsa-cert.pub
-lv -f u_ecdsa
-vvv -l -f u_ecdsa
-l -E md5 -f u_ed25519
-l -f two
-l -f open_rsa_PEM
-l -f shut_rsa_PEM
-l -f shut_ecdsa_PKCS8
-B -f u_rsa
-B -f u_rsa-cert.pub
-B -f u_ed25519.pub
-B -f locked
-B -l -f u_ecdsa
-B -f absent
-B -f junk
-l -y -f u_rsa
-p -c -f u_rsa
-p -y -f u_rsa -N x
-e -i -f u_rsa
-F foo -R bar -f absent
-A -l -f absent
-r host -f u_rsa.pub
-r host -f u_ecdsa
-r host -g -f u_ed25519.pub
-r host -f absent
-y -f u_rsa
-y -f u_rsa.pub
-y -f u_ed25519-cert.pub
-y -f locked -P secret
-y -f locked -P wrong
-y -f wide
-y -f junk
-y -f absent
-y -f open_rsa_PEM
-y -f open_ecdsa_PKCS8
-y -f shut_rsa_PEM -P secret
-y -f shut_rsa_PEM -P wrong
-y -f shut_rsa_PEM
-y -f shut_ecdsa_PKCS8 -P secret
-y -f shut_ecdsa_PKCS8 -P wrong
-y -f shut_rsa_PKCS8 -P secret
-p -f wide -N x
-p -f locked -P secret -N "" ; -y -f locked
-p -f locked -P wrong -N ""
-p -f u_rsa -N new -m PEM ; -y -P new -f u_rsa
-p -f u_rsa -N "" -m PKCS8 ; -y -f u_rsa
-p -f open_rsa_PEM -N new ; -y -P new -f open_rsa_PEM
-p -f shut_ecdsa_PKCS8 -P secret -N "" -m PEM ; -y -f shut_ecdsa_PKCS8
-p -f shut_ecdsa_PKCS8 -P secret -N "" ; -y -f shut_ecdsa_PKCS8
-p -f junk -N x
-p -f u_rsa.pub -N x
-c -f u_ed25519 -C "new one" ; -l -f u_ed25519
-c -f locked -P secret -C new ; -l -f locked.pub
-c -f locked -P wrong -C new
-c -f open_rsa_PEM -C new
-c -f wide -C x
-c -f u_ecdsa -C "" ; -c -f u_ecdsa -C x
-e -f u_ed25519
-e -f u_ed25519-cert.pub
-e -f u_ed25519 -m PEM
-e -f u_rsa -m PKCS8
-e -f u_rsa -m PEM
-e -f u_rsa-cert.pub -m PEM
-e -f u_rsa-cert.pub -m PKCS8
-e -f u_ecdsa -m PKCS8
-e -f u_ecdsa.pub -m PEM
-e -f u_ecdsa-cert.pub -m PEM
-e -f locked
-e -f shut_rsa_PEM -P secret
-e -f open_ecdsa_PEM -m PKCS8
-e -f absent
-e -f junk
-e -f empty
-i -f u_rsa
-i -m PEM -f u_rsa
-i -m PKCS8 -f u_rsa
-i -m PEM -f junk
-i -m PKCS8 -f junk
-i -f absent
-b
-z
-T foo
-!
-l -f u_rsa more
-o -l -f u_rsa
-F
-t rsa -b 512 -f new
-t rsa -b 20000 -f new
-t ecdsa -b 300 -f new
-t other -f new
-t ed25519 -N x -f nodir/new
'''


def commands(text):
    """Each line holds commands; they run in one folder one after another, as both see the same."""
    return [line.split(' ; ') for line in text.strip().split('\n')]


@pytest.mark.parametrize('text,count', [(text, number) for text in ('CERTIFICATES', 'LISTS', 'SIGNATURES', 'KEYS')
                                        for number in range(4)])
def test_command_lines(template, tmp_path, text, count):
    """A quarter of a list, so that processors share it."""
    parts = [command for line in commands(globals()[text])[count::4] for command in line]
    both(template, tmp_path, parts, stdin='hello\n', normal=unread)


def test_options_of_certificates(template, tmp_path):
    both(template, tmp_path, [command for line in OPTIONS.strip().split('\n') for command in (
        f'-s ca_ed25519 -I id {line} u_ed25519.pub', '-L -f u_ed25519-cert.pub')])


def test_validity_of_certificates(template, tmp_path):
    both(template, tmp_path, [f'-s ca_ed25519 -I id -V "{validity}" u_ed25519.pub' for validity in VALIDITIES])


def test_specifications_of_revocation_lists(template, tmp_path):
    keys = {name[:-4]: (template / name).read_text() for name in os.listdir(template) if name.endswith('.pub')}
    shutil.copytree(template, tmp_path / 'made')
    parts = []
    for number, (text, options) in enumerate(SPECIFICATIONS):
        (tmp_path / f'made/s{number}').write_text(re.sub(r'\{([^}]+)\}', lambda match: keys[match[1]], text))
        parts += [f'-k -f n{number} {options} s{number}', f'-Q -l -f n{number} u_rsa.pub u_ed25519-cert.pub']
    both(tmp_path / 'made', tmp_path, parts, normal=unread)


@pytest.mark.parametrize('signature', ['u_ed25519.sig', 'u_ed25519-cert.pub.sig'])
def test_allowed_signers(template, tmp_path, signature):
    words = {name: ' '.join((template / f'{name}_ed25519.pub').read_text().split()[:2]) for name in ('u', 'ca')}
    shutil.copytree(template, tmp_path / 'made')
    parts = []
    for number, line in enumerate(ALLOWED.strip().split('\n')):
        text = line.replace('{k}', words['u']).replace('{c}', words['ca']).replace('|', '\n') + '\n'
        (tmp_path / f'made/a{number}').write_text(text)
        parts += [f'-Y verify -f a{number} -n file -I me@x -s {signature} -O verify-time=20180601',
                  f'-Y find-principals -s {signature} -f a{number} -O verify-time=20180601',
                  f'-Y match-principals -f a{number} -I me@x']
    verify = f'-Y verify -f a0 -n file -I me@x -s {signature}'
    parts += [verify, f'{verify} -r ca_ed25519.pub', f'{verify} -r u_ed25519.pub', f'{verify} -r all.krl']
    both(tmp_path / 'made', tmp_path, parts, stdin='hello\n')
