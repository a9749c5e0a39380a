import CLibvirt

@testable import LibvirtBackend

/// A value of one of libvirt's types.
enum Typed: Sendable {
  case int(Int32), uint(UInt32), llong(Int64), ullong(UInt64), double(Double), boolean(Bool), text(String)
}

/// A list that libvirt itself has put together, as an event or a call hands it out.
func parameters(_ fields: [(String, Typed)]) -> TypedParameters {
  // Two threads that use GLib for the first time at once may crash in it: the back end begins with the same.
  _ = EventLoop.isRunning
  var first: UnsafeMutablePointer<virTypedParameter>?
  var count: Int32 = 0
  var capacity: Int32 = 0
  for (name, value) in fields {
    switch value {
    case .int(let value): virTypedParamsAddInt(&first, &count, &capacity, name, value)
    case .uint(let value): virTypedParamsAddUInt(&first, &count, &capacity, name, value)
    case .llong(let value): virTypedParamsAddLLong(&first, &count, &capacity, name, value)
    case .ullong(let value): virTypedParamsAddULLong(&first, &count, &capacity, name, value)
    case .double(let value): virTypedParamsAddDouble(&first, &count, &capacity, name, value)
    case .boolean(let value): virTypedParamsAddBoolean(&first, &count, &capacity, name, value ? 1 : 0)
    case .text(let value): virTypedParamsAddString(&first, &count, &capacity, name, value)
    }
  }
  return TypedParameters(owning: first, count: count)
}

extension JobStatistics {
  /// Reads what a daemon might send.
  init(type: Int32 = 2, _ fields: [(String, Typed)]) { self.init(type: type, parameters(fields)) }
}
