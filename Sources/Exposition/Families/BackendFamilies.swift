internal import DroverCore

extension FleetFamilies {
  /// The back ends' own health.
  static let backends: [Family<Fleet>] = [
    each(
      "drover_backend_info", .info, labels: ["type", "endpoint", "version"],
      "What a back end is, where it looks, and the version it found there."
    ) { backend, sink in
      sink.label(backend.descriptor.name)
      sink.label("type", backend.descriptor.type)
      sink.label("endpoint", backend.descriptor.endpoint)
      sink.label("version", backend.version)
      sink.sample(.one)
    },
    each(
      "drover_backend_up", .gauge,
      "Whether everything that the back end watches answered at the last attempt; 0 before the first."
    ) { backend, sink in
      sink.label(backend.descriptor.name)
      sink.sample(backend.isUp)
    },
    each(
      "drover_backend_last_success_timestamp_seconds", .gauge, unit: .seconds,
      "The oldest last good answer of everything that the back end watches."
    ) { backend, sink in
      guard let moment = backend.lastSuccess else { return }
      sink.label(backend.descriptor.name)
      sink.sample(moment)
    },
    each(
      "drover_backend_errors_total", .counter, labels: ["kind"], "Errors of the back end by kind."
    ) { backend, sink in
      for error in backend.errors {
        sink.label(backend.descriptor.name)
        sink.label("kind", error.kind)
        sink.sample(error.count)
      }
    },
    each(
      "drover_collect_duration_seconds", .gauge, unit: .seconds,
      "How long the back end's last collection took."
    ) { backend, sink in
      guard let duration = backend.collectDuration else { return }
      sink.label(backend.descriptor.name)
      sink.sample(duration)
    },
    each(
      "drover_kubernetes_requests_total", .counter, labels: ["verb", "resource", "code"], by: [.kubevirt],
      "Requests to the API server by what was asked and answered: the HTTP status, or the error that came instead."
    ) { backend, sink in
      for request in backend.requests {
        sink.label(backend.descriptor.name)
        sink.label("verb", request.verb)
        sink.label("resource", request.resource)
        sink.label("code", request.code)
        sink.sample(request.count)
      }
    },
  ]

  private static func each(
    _ name: String, _ kind: FamilyKind, unit: FamilyUnit? = nil, labels: [String] = [],
    by fillers: [Filler] = .all, _ help: String,
    emit: @escaping @Sendable (BackendView, inout SampleSink) -> Void
  ) -> Family<Fleet> {
    Family(
      name, kind, unit: unit, part: .exporter, labels: ["backend"] + labels, filledBy: fillers, help
    ) { fleet, sink in
      for backend in fleet.snapshot.backends { emit(backend, &sink) }
    }
  }
}
