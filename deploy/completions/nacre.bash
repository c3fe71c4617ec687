# Completion of bash for Nacre's programs. Each of them is a link to this file in
# bash-completion's folder, which loads it when its command is first completed; `.` loads it at once.

_nacre_keywords="
AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CASignatureAlgorithms
CanonicalDomains CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots
CanonicalizePermittedCNAMEs CertificateFile ChannelTimeout CheckHostIP Ciphers
ClearAllForwardings Compression ConnectTimeout ConnectionAttempts ControlMaster
ControlPath ControlPersist DynamicForward EnableEscapeCommandline EnableSSHKeysign
EscapeChar ExitOnForwardFailure FingerprintHash ForkAfterAuthentication ForwardAgent
ForwardX11 ForwardX11Timeout ForwardX11Trusted GatewayPorts GlobalKnownHostsFile
HashKnownHosts HostKeyAlgorithms HostKeyAlias HostbasedAcceptedAlgorithms
HostbasedAuthentication Hostname IPQoS IdentitiesOnly IdentityAgent IdentityFile
IgnoreUnknown KbdInteractiveAuthentication KbdInteractiveDevices KexAlgorithms
KnownHostsCommand LocalCommand LocalForward LogLevel LogVerbose LoginTrace MACs
NoHostAuthenticationForLocalhost NumberOfPasswordPrompts ObscureKeystrokeTiming
PKCS11Provider PasswordAuthentication PermitLocalCommand PermitRemoteOpen Port
PreferredAuthentications ProxyCommand ProxyJump ProxyUseFdpass PubkeyAcceptedAlgorithms
PubkeyAuthentication RefuseConnection RekeyLimit RememberServers RemoteCommand
RemoteForward RequestTTY RequiredRSASize RevokedHostKeys SecurityKeyProvider SendEnv
ServerAliveCountMax ServerAliveInterval SessionType SetEnv StdinNull
StreamLocalBindMask StreamLocalBindUnlink StrictHostKeyChecking SyslogFacility
TCPKeepAlive Tag Tunnel TunnelDevice UpdateHostKeys User UserKnownHostsFile
VerifyHostKeyDNS VersionAddendum VisualHostKey WarnWeakCrypto XAuthLocation"

# The files of a configuration: itself and what it includes.
_nacre_config_files() {
	local file=$1 depth=$2 word path
	[[ -r $file && $depth -lt 8 ]] || return
	printf '%s\n' "$file"
	while read -r word; do
		word=${word%\"} word=${word#\"}
		case $word in
		"~/"*) path=$HOME/${word#"~/"} ;;
		/*) path=$word ;;
		*) path=${file%/*}/$word ;;
		esac
		# Wildcards are meant.
		for path in $path; do _nacre_config_files "$path" $((depth + 1)); done
	done < <(awk 'tolower($1) == "include" { for (i = 2; i <= NF; i++) print $i }' "$file")
}

# Names of Host lines, and of known hosts that are not hashed.
_nacre_hosts() {
	local config=${1:-} files=() file names
	if [[ -n $config ]]; then
		mapfile -t files < <(_nacre_config_files "$config" 0)
	else
		mapfile -t files < <(_nacre_config_files ~/.ssh/config 0; _nacre_config_files /etc/ssh/ssh_config 0)
	fi
	((${#files[@]})) && awk '{ sub(/=/, " ") } tolower($1) == "host" {
		for (i = 2; i <= NF; i++) if ($i ~ /^#/) break; else if ($i !~ /[*?!"]/) print $i
	}' "${files[@]}"
	for file in ~/.ssh/known_hosts /etc/ssh/ssh_known_hosts; do
		[[ -r $file ]] && awk '$1 !~ /^[|#@]/ && NF > 2 {
			count = split($1, names, ",")
			for (i = 1; i <= count; i++) {
				gsub(/^\[|\](:[0-9]+)?$/, "", names[i])
				if (names[i] !~ /[*?!]/) print names[i]
			}
		}' "$file"
	done
}

# Puts what begins like the word at the cursor into COMPREPLY; $1 stands before each.
_nacre_take() {
	local before=$1 line
	while read -r line; do
		[[ -n $line && $line == "$cur"* ]] && COMPREPLY+=("$before$line")
	done
}

_nacre_words() {
	printf '%s\n' $1 | _nacre_sorted
}

_nacre_sorted() {
	sort -u
}

_nacre_hosts_with_user() {
	local user=
	if [[ $cur == *@* ]]; then
		user=${cur%%@*}@ cur=${cur#*@}
	fi
	_nacre_take "$user" < <(_nacre_hosts "$config" | _nacre_sorted)
}

_nacre_files() {
	local line
	compopt -o filenames 2>/dev/null
	while read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur")
}

_nacre_keyword() {
	local keyword value=${cur#*=} before=
	if [[ $cur != *=* ]]; then
		compopt -o nospace 2>/dev/null
		while read -r keyword; do
			[[ ${keyword,,} == "${cur,,}"* ]] && COMPREPLY+=("$keyword=")
		done < <(_nacre_words "$_nacre_keywords")
		return
	fi
	keyword=${cur%%=*} cur=$value
	[[ $COMP_WORDBREAKS == *=* ]] || before=$keyword=
	case ${keyword,,} in
	ciphers) _nacre_take "$before" < <(ssh -Q cipher) ;;
	macs) _nacre_take "$before" < <(ssh -Q mac) ;;
	kexalgorithms) _nacre_take "$before" < <(ssh -Q kex) ;;
	hostkeyalgorithms | pubkeyacceptedalgorithms | hostbasedacceptedalgorithms)
		_nacre_take "$before" < <(ssh -Q key-sig) ;;
	stricthostkeychecking) _nacre_take "$before" < <(_nacre_words "yes no ask accept-new off") ;;
	loglevel) _nacre_take "$before" < <(_nacre_words "QUIET FATAL ERROR INFO VERBOSE DEBUG DEBUG2 DEBUG3") ;;
	*) _nacre_take "$before" < <(_nacre_words "yes no ask none") ;;
	esac
}

# The argument of option $1, if there is something to choose from.
_nacre_argument() {
	case $1 in
	-o) _nacre_keyword ;;
	-c) _nacre_take "" < <(ssh -Q cipher) ;;
	-m) _nacre_take "" < <(ssh -Q mac) ;;
	-Q) _nacre_take "" < <(ssh -Q help) ;;
	-J) _nacre_hosts_with_user ;;
	-O) _nacre_take "" < <(_nacre_words "check forward cancel exit stop proxy conninfo channels") ;;
	-l) _nacre_take "" < <(compgen -u) ;;
	-i | -F | -E | -S | -I | -f | -s) _nacre_files ;;
	-t) _nacre_take "" < <(_nacre_words "ed25519 ecdsa rsa ed25519-sk ecdsa-sk mldsa44-ed25519") ;;
	-Y) _nacre_take "" < <(_nacre_words "sign verify check-novalidate find-principals match-principals") ;;
	-B) _nacre_take "" < <(ls /sys/class/net 2>/dev/null) ;;
	esac
}

# What each program knows: its options, and those of them that take an argument.
_nacre_options() {
	case $1 in
	ssh) letters=46AaCfGgKkMNnqsTtVvXxYyBbcDEeFIiJLlmOoPpQRSWw with=BbcDEeFIiJLlmOoPpQRSWw ;;
	scp) letters=346ABCDFJOPRSTXciloqprsv with=DFJPSXcilo ;;
	sftp) letters=146ABCDFJNPRSXabcfhilnopqrstv with=BDFJPRSXbcilos ;;
	ssh-add) letters=CDEHKLNQSTXcdehklqstvx with=EHSTeht ;;
	ssh-agent) letters=DEOPTUVacdkstu with=EOPat ;;
	ssh-keygen) letters=ABCDEFHIKLMNOPQRUVYZabcefghiklmnpqrstuvwyz with=CDEFIMNOPRVWYZabfmnrstwz ;;
	ssh-keyscan) letters=46DHOTcfpqtv with=OTfpt ;;
	esac
}

_nacre() {
	local program=${1##*/} cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local letters= with= config= i
	COMPREPLY=()
	_nacre_options "$program"
	# Readline takes "=" for a word of its own.
	if [[ $cur == = && $COMP_CWORD -ge 3 && ${COMP_WORDS[COMP_CWORD - 2]} == -o ]]; then
		previous=-o cur=${COMP_WORDS[COMP_CWORD - 1]}=
	elif [[ $previous == = && $COMP_CWORD -ge 4 && ${COMP_WORDS[COMP_CWORD - 3]} == -o ]]; then
		previous=-o cur=${COMP_WORDS[COMP_CWORD - 2]}=$cur
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -F ]] && config=${COMP_WORDS[i + 1]}
	done
	if [[ $previous == -? && $with == *"${previous#-}"* ]]; then
		_nacre_argument "$previous"
		return
	fi
	if [[ $cur == -* ]]; then
		_nacre_take "" < <(sed 's/./-&\n/g' <<<"$letters" | _nacre_sorted)
		return
	fi
	case $program in
	ssh | sftp) _nacre_hosts_with_user ;;
	scp)
		compopt -o nospace 2>/dev/null
		_nacre_hosts_with_user
		COMPREPLY=("${COMPREPLY[@]/%/:}")
		_nacre_files
		;;
	ssh-keyscan) _nacre_hosts_with_user ;;
	ssh-agent) _nacre_take "" < <(compgen -c -- "$cur") ;;
	*) _nacre_files ;;
	esac
}

complete -F _nacre ssh scp sftp ssh-add ssh-agent ssh-keygen ssh-keyscan
