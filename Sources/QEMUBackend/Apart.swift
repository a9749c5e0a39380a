/// Keeps a value that is mostly absent outside its owner, so that an idle socket stays small.
@propertyWrapper
struct Apart<Value: Sendable>: Sendable {
  private indirect enum Storage: Sendable {
    case none
    case some(Value)
  }

  private var storage: Storage

  var wrappedValue: Value? {
    get { if case .some(let value) = storage { value } else { nil } }
    set { storage = newValue.map { .some($0) } ?? .none }
  }

  init(wrappedValue: Value?) {
    storage = wrappedValue.map { .some($0) } ?? .none
  }
}

extension Apart: Equatable where Value: Equatable {
  static func == (a: Apart, b: Apart) -> Bool { a.wrappedValue == b.wrappedValue }
}

extension Apart: Hashable where Value: Hashable {
  func hash(into hasher: inout Hasher) { hasher.combine(wrappedValue) }
}
