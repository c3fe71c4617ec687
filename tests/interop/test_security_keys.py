"""Security keys: the test signs as an authenticator would, with plain keys, and says of the user what
it likes. Our sshd must believe and refuse what OpenSSH's does."""
import base64
import hashlib
import struct

import pytest

from conftest import need
from key_server import SERVERS, KeyServer

paramiko = pytest.importorskip('paramiko')
ec = pytest.importorskip('cryptography.hazmat.primitives.asymmetric.ec')
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ed25519, utils  # noqa: E402

APPLICATION = b'ssh:'
PRESENT, VERIFIED, ATTESTED, EXTENSIONS = 0x01, 0x04, 0x40, 0x80


def string(data):
    return struct.pack('>I', len(data)) + data


def mpint(number):
    return string(number.to_bytes(number.bit_length() // 8 + 1, 'big'))


class SecurityKey(paramiko.PKey):
    """What paramiko asks a key for, answered by an authenticator made of a plain key."""

    public_blob = None

    def __init__(self, name, flags=PRESENT, counter=1):
        super().__init__()
        self.name, self.flags, self.counter = name, flags, counter
        self.extensions, self.origin, self.challenge = b'', b'https://example.com', None
        self.wrong_application, self.client_data = None, None

    def get_name(self):
        return self.name

    def can_sign(self):
        return True

    def line(self):
        return f'{self.key_name} {base64.b64encode(self.asbytes()).decode()}'

    def signed_text(self, data, extensions=b''):
        application = self.wrong_application or APPLICATION
        return (hashlib.sha256(application).digest() + bytes([self.flags]) +
                struct.pack('>I', self.counter) + extensions + hashlib.sha256(data).digest())

    def tail(self):
        return bytes([self.flags]) + struct.pack('>I', self.counter)


class Ed25519Key(SecurityKey):
    key_name = 'sk-ssh-ed25519@openssh.com'

    def __init__(self, **more):
        super().__init__(self.key_name, **more)
        self.secret = ed25519.Ed25519PrivateKey.generate()

    def asbytes(self):
        point = self.secret.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return string(self.key_name.encode()) + string(point) + string(APPLICATION)

    def sign_ssh_data(self, data, algorithm=None):
        signature = self.secret.sign(self.signed_text(bytes(data)))
        return paramiko.Message(string(self.key_name.encode()) + string(signature) + self.tail())


class EcdsaKey(SecurityKey):
    key_name = 'sk-ecdsa-sha2-nistp256@openssh.com'

    def __init__(self, **more):
        super().__init__(self.key_name, **more)
        self.secret = ec.generate_private_key(ec.SECP256R1())

    def asbytes(self):
        point = self.secret.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return string(self.key_name.encode()) + string(b'nistp256') + string(point) + string(APPLICATION)

    def ecdsa(self, text):
        r, s = utils.decode_dss_signature(self.secret.sign(text, ec.ECDSA(hashes.SHA256())))
        return string(mpint(r) + mpint(s))

    def sign_ssh_data(self, data, algorithm=None):
        signature = self.ecdsa(self.signed_text(bytes(data)))
        return paramiko.Message(string(self.key_name.encode()) + signature + self.tail())


class BrowserKey(EcdsaKey):
    def __init__(self, **more):
        super().__init__(**more)
        self.name = 'webauthn-sk-ecdsa-sha2-nistp256@openssh.com'

    def sign_ssh_data(self, data, algorithm=None):
        challenge = base64.urlsafe_b64encode(self.challenge or bytes(data)).rstrip(b'=')
        client_data = (b'{"type":"webauthn.get","challenge":"' + challenge + b'","origin":"' +
                       self.origin + b'","crossOrigin":false}')
        client_data = self.client_data or client_data
        signature = self.ecdsa(self.signed_text(client_data, self.extensions))
        return paramiko.Message(string(self.name.encode()) + signature + self.tail() +
                                string(self.origin) + string(client_data) + string(self.extensions))


KINDS = {'ed25519': Ed25519Key, 'ecdsa': EcdsaKey, 'webauthn': BrowserKey}


@pytest.fixture(scope='module', params=list(SERVERS))
def server(request, servers):
    need('sshd')
    made = KeyServer(servers, SERVERS[request.param],
                     'PubkeyAcceptedAlgorithms +webauthn-sk-ecdsa-sha2-nistp256@openssh.com',
                     second='PubkeyAuthOptions verify-required')
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh(server):
    server.forget()


def login(server, key, options='', second=False):
    server.write('authorized', f'{options} {key.line()}\n')
    port = server.second_port if second else server.server.port
    transport = paramiko.Transport(('127.0.0.1', port))
    try:
        transport.start_client(timeout=30)
        transport.auth_publickey(server.user, key)
        return True
    except paramiko.AuthenticationException:
        return False
    finally:
        transport.close()


REJECTED = r'(error: )?public key .*%s.* signature for USER from 127\.0\.0\.1 port \d+ rejected: %s requirement not met ?'
TOUCH = 'user presence \\(authenticator touch\\)'
VERIFICATION = 'user verification'


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('flags, options, second, missing', [
    (PRESENT, '', False, None),
    (PRESENT | VERIFIED, '', False, None),
    (0, '', False, TOUCH),
    (VERIFIED, '', False, TOUCH),
    (0, 'no-touch-required', False, None),
    (PRESENT, 'verify-required', False, VERIFICATION),
    (PRESENT | VERIFIED, 'verify-required', False, None),
    (VERIFIED, 'verify-required,no-touch-required', False, None),
    (PRESENT, '', True, VERIFICATION),
    (PRESENT | VERIFIED, '', True, None)])
def test_what_a_signature_says_of_its_user(server, kind, flags, options, second, missing):
    key = KINDS[kind](flags=flags)
    assert login(server, key, options, second) == (missing is None)
    label = 'ED25519-SK' if kind == 'ed25519' else 'ECDSA-SK'
    if missing is None:
        server.see(rf'Accepted publickey for USER from 127\.0\.0\.1 port \d+ ssh2: {label} HASH')
    else:
        server.see(REJECTED % (label, missing))


def test_touch_cannot_be_waived_where_it_is_required(servers):
    server = KeyServer(servers, SERVERS['nacre'], 'PubkeyAuthOptions touch-required')
    assert not login(server, Ed25519Key(flags=0), 'no-touch-required')
    assert login(server, Ed25519Key(), 'no-touch-required')
    server.close()


@pytest.mark.parametrize('kind', KINDS)
def test_another_application_or_counter(server, kind):
    key = KINDS[kind](counter=0xffffffff)
    assert login(server, key)
    key.wrong_application = b'https://example.com'
    assert not login(server, key)


def test_what_a_browser_signs(server):
    key = BrowserKey()
    key.challenge = b'something else'
    assert not login(server, key)
    key = BrowserKey(flags=PRESENT | EXTENSIONS)
    key.extensions = b'\xa1\x63abc\xf5'
    assert login(server, key)
    key.flags = PRESENT
    assert not login(server, key)
    key = BrowserKey(flags=PRESENT | ATTESTED)
    assert not login(server, key)
    key = BrowserKey(flags=PRESENT | EXTENSIONS)
    assert not login(server, key)


@pytest.mark.parametrize('text', [
    b'', b'{', b'{"type":"webauthn.create","challenge":"x","origin":"https://example.com"}',
    b' {"type":"webauthn.get"}', b'\0' * 3000])
def test_other_texts_of_a_browser(server, text):
    key = BrowserKey()
    key.client_data = text
    if text:
        assert not login(server, key)
    key.client_data = None
    key.origin = b'https://example.com","x":"'
    assert not login(server, key)


def test_browsers_signatures_are_off_by_default(servers):
    server = KeyServer(servers, SERVERS['nacre'])
    assert not login(server, BrowserKey())
    server.see('userauth_pubkey: signature algorithm webauthn-sk-ecdsa-sha2-nistp256@openssh.com '
               'not in PubkeyAcceptedAlgorithms')
    server.close()
