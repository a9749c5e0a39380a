internal import DroverCore

/// Families with series for each migration; every series has its backend, namespace or host, VM and identifier.
enum MigrationFamilies {
  /// All of them, in the order of a scrape.
  static let all = description + waiting + times + copy + downtime + budgets + progress + network
}

/// The forms that families of migrations come in.
extension Family<MigrationView> {
  private static func of(
    _ name: String, _ kind: FamilyKind, unit: FamilyUnit? = nil, extra: [String] = [],
    by fillers: [Filler], stays: Bool, _ help: String,
    emit: @escaping @Sendable (MigrationView, inout SampleSink) -> Void
  ) -> Self {
    Family(
      name, kind, unit: unit, part: .migrations,
      labels: ["backend", "namespace", "host", "vm", "migration"] + extra,
      filledBy: fillers, staysAfterEnd: stays, help, emit: emit)
  }

  /// A number that can go both ways.
  static func gauge(
    _ name: String, unit: FamilyUnit? = nil, by fillers: [Filler] = .all, stays: Bool = false,
    _ help: String,
    value: @escaping @Sendable (MigrationView) -> (some SampleConvertible)?
  ) -> Self {
    of(name, .gauge, unit: unit, by: fillers, stays: stays, help) { view, sink in sink.sample(value(view)) }
  }

  /// A number that can go both ways, with labels of its own.
  static func gauge(
    _ name: String, unit: FamilyUnit? = nil, labels: [String], by fillers: [Filler] = .all, _ help: String,
    emit: @escaping @Sendable (MigrationView, inout SampleSink) -> Void
  ) -> Self {
    of(name, .gauge, unit: unit, extra: labels, by: fillers, stays: false, help, emit: emit)
  }

  /// A number that only grows.
  static func counter(
    _ name: String, unit: FamilyUnit? = nil, by fillers: [Filler] = .all, stays: Bool = false,
    _ help: String,
    value: @escaping @Sendable (MigrationView) -> (some SampleConvertible)?
  ) -> Self {
    of(name, .counter, unit: unit, by: fillers, stays: stays, help) { view, sink in sink.sample(value(view)) }
  }

  /// A number that only grows, with labels of its own.
  static func counter(
    _ name: String, unit: FamilyUnit? = nil, labels: [String], by fillers: [Filler] = .all, _ help: String,
    emit: @escaping @Sendable (MigrationView, inout SampleSink) -> Void
  ) -> Self {
    of(name, .counter, unit: unit, extra: labels, by: fillers, stays: false, help, emit: emit)
  }

  /// A fact whose value is always 1.
  static func info(
    _ name: String, labels: [String], _ help: String,
    emit: @escaping @Sendable (MigrationView, inout SampleSink) -> Void
  ) -> Self {
    of(name, .info, extra: labels, by: .all, stays: true, help, emit: emit)
  }

  /// One series for each state, 1 for the one that holds.
  static func states<State: CaseIterable & RawRepresentable<String> & Sendable>(
    _ name: String, label: String, stays: Bool, _ help: String,
    state: @escaping @Sendable (MigrationView) -> State
  ) -> Self {
    let states = State.allCases.map { (state: $0.rawValue, label: Array("\(label)=\"\($0.rawValue)\"".utf8)) }
    return of(name, .stateSet, extra: [label], by: .all, stays: stays, help) { view, sink in
      let current = state(view).rawValue
      for (state, label) in states {
        sink.label(rendered: label)
        sink.sample(state == current ? .one : .zero)
      }
    }
  }
}
