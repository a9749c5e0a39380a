internal import DroverCore

extension MigrationFamilies {
  /// The connections of a migration, as the kernel of its source's host sees them.
  static let network: [Family<MigrationView>] = [
    .gauge(
      "drover_migration_connection_last_heard_timestamp_seconds", unit: .seconds, labels: ["connection"],
      by: [.libvirt],
      "When the peer was last heard (Linux tcpi_last_data_recv for control, tcpi_last_ack_recv for data)."
    ) { view, sink in
      sink.connections(of: view) { $0.lastHeard }
    },
    .gauge(
      "drover_migration_connection_unacked_bytes", unit: .bytes, labels: ["connection"], by: [.libvirt],
      "Bytes that were sent over the connection and not acknowledged yet."
    ) { view, sink in
      sink.connections(of: view) { $0.unacked }
    },
    .counter(
      "drover_migration_connection_retransmits_total", labels: ["connection"], by: [.libvirt],
      "Segments that were sent again over the connection (Linux tcpi_total_retrans)."
    ) { view, sink in
      sink.connections(of: view) { $0.retransmits }
    },
    .gauge(
      "drover_migration_network_lost", labels: ["network"], by: [.libvirt, .kubevirt],
      "1 for each network that is lost: management (control connection, node), migration (data); else absent."
    ) { view, sink in
      for loss in view.networkLosses {
        sink.label("network", loss.network.rawValue)
        sink.sample(.one)
      }
    },
  ]
}

extension SampleSink {
  /// A sample for each connection that is seen, and of which the number is told.
  @inline(__always)
  fileprivate mutating func connections(
    of view: MigrationView, value: (ConnectionHealth) -> (some SampleConvertible)?
  ) {
    guard let network = view.network else { return }
    if let control = network.control, let value = value(control) {
      label("connection", "control")
      sample(value)
    }
    if let data = network.data, let value = value(data) {
      label("connection", "data")
      sample(value)
    }
  }
}
