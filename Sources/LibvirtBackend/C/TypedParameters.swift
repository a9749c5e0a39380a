internal import CLibvirt

/// A list of typed parameters that libvirt hands out; freed exactly once where it is owned.
struct TypedParameters: ~Copyable {
  private let first: UnsafeMutablePointer<virTypedParameter>?
  private let count: Int32
  private let isOwned: Bool

  /// Takes over what a call returned.
  init(owning first: UnsafeMutablePointer<virTypedParameter>?, count: Int32) {
    self.first = first
    self.count = count
    isOwned = true
  }

  /// Reads what libvirt frees itself: the parameters of an event, or of a record of bulk statistics.
  init(borrowing first: UnsafeMutablePointer<virTypedParameter>?, count: Int32) {
    self.first = first
    self.count = count
    isOwned = false
  }

  deinit { if isOwned { virTypedParamsFree(first, count) } }

  /// An unsigned number, whichever of libvirt's integer types it comes in; nil where it is absent or below 0.
  borrowing func number(_ field: String) -> UInt64? {
    guard let parameter = virTypedParamsGet(first, count, field) else { return nil }
    let value = parameter.pointee.value
    return switch parameter.pointee.type {
    case Int32(bitPattern: VIR_TYPED_PARAM_INT.rawValue): UInt64(exactly: value.i)
    case Int32(bitPattern: VIR_TYPED_PARAM_UINT.rawValue): UInt64(value.ui)
    case Int32(bitPattern: VIR_TYPED_PARAM_LLONG.rawValue): UInt64(exactly: value.l)
    case Int32(bitPattern: VIR_TYPED_PARAM_ULLONG.rawValue): value.ul
    default: nil
    }
  }

  /// A number of milliseconds; nil where it is absent, or longer than any migration.
  borrowing func milliseconds(_ field: String) -> Duration? {
    number(field).flatMap { $0 < 1 << 53 ? .milliseconds(Int64($0)) : nil }
  }

  borrowing func text(_ field: String) -> String? {
    guard let parameter = virTypedParamsGet(first, count, field),
      parameter.pointee.type == Int32(bitPattern: VIR_TYPED_PARAM_STRING.rawValue)
    else { return nil }
    return parameter.pointee.value.s.map { String(cString: $0) }
  }
}
