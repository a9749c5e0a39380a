#pragma once
// As in CLinux no _GNU_SOURCE: fd_set must look the same in all modules.
#include <microhttpd.h>

/// What a daemon is started with; `context` is handed to every callback.
struct drover_mhd_settings {
  int listener;
  /// Not 0: connections speak TLS, and `notify` gives each session its credentials.
  int tls;
  unsigned int threads;
  unsigned int connections;
  unsigned int connections_per_address;
  unsigned int idle_seconds;
  size_t connection_memory;
  void *context;
  MHD_LogCallback log;
  MHD_AcceptPolicyCallback accept;
  MHD_AccessHandlerCallback handle;
  MHD_RequestCompletedCallback completed;
  MHD_NotifyConnectionCallback notify;
  void *(*target)(void *context, const char *uri, struct MHD_Connection *connection);
  size_t (*unescape)(void *context, struct MHD_Connection *connection, char *text);
};

/// What libmicrohttpd wants before it starts with TLS; a session that has no credentials of its own ends here.
static inline int drover_no_certificate(void) { return -1; }

/// MHD_start_daemon is variadic, which Swift cannot call.
static inline struct MHD_Daemon *drover_mhd_start(const struct drover_mhd_settings *s) {
  struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, 0}};
  struct MHD_OptionItem tls[] = {
      {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)drover_no_certificate}, {MHD_OPTION_END, 0, 0}};
  return MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
          (s->tls ? MHD_USE_TLS : 0), 0,
      s->accept, s->context, s->handle, s->context,
      MHD_OPTION_EXTERNAL_LOGGER, s->log, s->context,
      MHD_OPTION_LISTEN_SOCKET, s->listener,
      MHD_OPTION_THREAD_POOL_SIZE, s->threads,
      MHD_OPTION_CONNECTION_LIMIT, s->connections,
      MHD_OPTION_PER_IP_CONNECTION_LIMIT, s->connections_per_address,
      MHD_OPTION_CONNECTION_TIMEOUT, s->idle_seconds,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, s->connection_memory,
      MHD_OPTION_NOTIFY_COMPLETED, s->completed, s->context,
      MHD_OPTION_NOTIFY_CONNECTION, s->notify, s->context,
      MHD_OPTION_URI_LOG_CALLBACK, s->target, s->context,
      MHD_OPTION_UNESCAPE_CALLBACK, s->unescape, s->context,
      MHD_OPTION_ARRAY, s->tls ? tls : plain,
      MHD_OPTION_END);
}

/// MHD_get_connection_info is variadic, which Swift cannot call. -1 when there is none.
static inline int drover_mhd_socket(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info ? info->connect_fd : -1;
}

static inline const struct sockaddr *drover_mhd_client(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return info ? info->client_addr : NULL;
}

/// The connection's gnutls_session_t; NULL where it speaks no TLS.
static inline void *drover_mhd_tls_session(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  return info ? info->tls_session : NULL;
}

/// What `notify` left for the connection.
static inline void *drover_mhd_socket_context(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}
