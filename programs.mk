# The sources of each program in build/bin, and the libraries that only it needs (libs_NAME).
sources_sftp-server := sshd/sftp_server.c
sources_sshd := $(filter-out sshd/sftp_server.c,$(wildcard sshd/*.c))
# The sanitizers' crypt() is the one that is there from the start, or none.
libs_sshd := $(if $(SANITIZE),-Wl$(comma)--no-as-needed -lcrypt -Wl$(comma)--as-needed)
sources_ssh := $(addprefix ssh/,ssh.c options.c query.c connection.c relayed.c agent_channel.c forward.c forward_local.c forward_remote.c \
    forward_dynamic.c connect_to.c x11.c x11_channel.c tunnel.c idle.c obscure.c command_line.c \
    session.c session_request.c session_escape.c escape.c stream.c \
    mux_client.c mux_control.c mux_master.c mux_session.c mux_forward.c mux_report.c)
sources_ssh-agent := $(addprefix ssh/agent,.c _ask.c _audit.c _provider.c _serve.c _socket.c)
sources_ssh-keyscan := $(wildcard ssh/keyscan*.c)
sources_ssh-add := $(wildcard ssh/add*.c)
sources_ssh-keygen := $(wildcard ssh/keygen*.c)
scp_shared := $(addprefix scp/,connection_options.c link.c location.c message.c meter.c pump.c words.c)
sources_scp := scp/scp.c scp/options.c scp/copy.c scp/legacy.c scp/brace.c $(scp_shared)
sources_sftp := $(wildcard scp/sftp*.c) $(scp_shared)
libs_sftp := $(shell $(PKG_CONFIG) --libs libedit 2>/dev/null || echo -ledit)
# Beside sftp-server: programs that other programs start.
sources_ssh-pkcs11-helper := $(wildcard ssh/pkcs11_*.c) ssh/provider_serve.c
libs_ssh-pkcs11-helper := $(module_libs_crypto) -ldl
sources_ssh-sk-helper := $(wildcard ssh/sk_*.c) ssh/provider_serve.c
libs_ssh-sk-helper := $(shell $(PKG_CONFIG) --libs libfido2 2>/dev/null || echo -lfido2) $(module_libs_crypto) -ldl
# The loader does not look beside a setuid program, so this one has the library in itself.
sources_ssh-keysign := ssh/keysign.c
contains_library := ssh-keysign
