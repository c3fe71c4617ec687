# Completion of fish for Nacre's programs: hosts are those that fish itself finds in the configuration
# and in known hosts.

function __nacre_keywords
	string split -n ' ' "AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CASignatureAlgorithms CanonicalDomains CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots CanonicalizePermittedCNAMEs CertificateFile ChannelTimeout CheckHostIP Ciphers ClearAllForwardings Compression ConnectTimeout ConnectionAttempts ControlMaster ControlPath ControlPersist DynamicForward EnableEscapeCommandline EnableSSHKeysign EscapeChar ExitOnForwardFailure FingerprintHash ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout ForwardX11Trusted GatewayPorts GlobalKnownHostsFile HashKnownHosts HostKeyAlgorithms HostKeyAlias HostbasedAcceptedAlgorithms HostbasedAuthentication Hostname IPQoS IdentitiesOnly IdentityAgent IdentityFile IgnoreUnknown KbdInteractiveAuthentication KbdInteractiveDevices KexAlgorithms KnownHostsCommand LocalCommand LocalForward LogLevel LogVerbose LoginTrace MACs NoHostAuthenticationForLocalhost NumberOfPasswordPrompts ObscureKeystrokeTiming PKCS11Provider PasswordAuthentication PermitLocalCommand PermitRemoteOpen Port PreferredAuthentications ProxyCommand ProxyJump ProxyUseFdpass PubkeyAcceptedAlgorithms PubkeyAuthentication RefuseConnection RekeyLimit RememberServers RemoteCommand RemoteForward RequestTTY RequiredRSASize RevokedHostKeys SecurityKeyProvider SendEnv ServerAliveCountMax ServerAliveInterval SessionType SetEnv StdinNull StreamLocalBindMask StreamLocalBindUnlink StrictHostKeyChecking SyslogFacility TCPKeepAlive Tag Tunnel TunnelDevice UpdateHostKeys User UserKnownHostsFile VerifyHostKeyDNS VersionAddendum VisualHostKey WarnWeakCrypto XAuthLocation"
end

function __nacre_settings
	for keyword in (__nacre_keywords)
		echo $keyword=
	end
	for value in yes no ask accept-new
		echo StrictHostKeyChecking=$value
	end
end

function __nacre_flags
	set -l command $argv[1]
	for letter in (string split '' $argv[2])
		complete -c $command -s $letter
	end
end

__nacre_flags ssh 46AaCfGgKkMNnqsTtVvXxYy
__nacre_flags scp 346ABCOpRrqsTv
__nacre_flags sftp 146AaCfNpqrv
__nacre_flags ssh-add CcDdKkLlNqvXx
__nacre_flags ssh-agent cDdksTUuV
__nacre_flags ssh-keygen ABceHhiKkLlpQqUuvy
__nacre_flags ssh-keyscan 46cDHqv

for command in ssh sftp ssh-keyscan
	complete -c $command -f -a '(__fish_print_hostnames)'
end
complete -c scp -a '(__fish_print_hostnames):'
for command in ssh scp sftp
	complete -c $command -s o -x -a '(__nacre_settings)' -d setting
	complete -c $command -s J -x -a '(__fish_print_hostnames)' -d 'jump hosts'
	complete -c $command -s c -x -a '(ssh -Q cipher)' -d ciphers
	complete -c $command -s i -r -d identity
	complete -c $command -s F -r -d configuration
end
complete -c ssh -s m -x -a '(ssh -Q mac)'
complete -c ssh -s Q -x -a '(ssh -Q help)'
complete -c ssh -s O -x -a 'check forward cancel exit stop proxy conninfo channels'
complete -c ssh -s l -x -a '(__fish_complete_users)'
for letter in B b D e L P p R W w
	complete -c ssh -s $letter -x
end
for letter in E I S
	complete -c ssh -s $letter -r
end
complete -c ssh-keygen -s t -x -a 'ed25519 ecdsa rsa ed25519-sk ecdsa-sk mldsa44-ed25519'
complete -c ssh-keygen -s Y -x -a 'sign verify check-novalidate find-principals match-principals'
complete -c ssh-keygen -s f -r
complete -c ssh-keygen -s s -r
complete -c ssh-keygen -s R -x -a '(__fish_print_hostnames)'
complete -c ssh-keygen -s F -x -a '(__fish_print_hostnames)'
complete -c ssh-add -s t -x
complete -c ssh-add -s E -x -a 'md5 sha256'
complete -c ssh-agent -s a -r
complete -c ssh-agent -s t -x
complete -c ssh-keyscan -s t -x -a 'rsa ecdsa ed25519'
complete -c ssh-keyscan -s p -x
complete -c ssh-keyscan -s T -x
