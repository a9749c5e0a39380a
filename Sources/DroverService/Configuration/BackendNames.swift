internal import DroverCore

/// Names of back ends, and those that are given where there is none, such as `qemu`, `qemu-2`.
struct BackendNames {
  /// Most bytes that a name may have.
  static let longest = 63

  private var taken: Set<String>

  init(taken: some Sequence<String>) { self.taken = Set(taken) }

  /// The first free name of a family.
  mutating func next(after base: String) -> BackendName {
    var name = base
    var number = 1
    while !taken.insert(name).inserted {
      number += 1
      name = "\(base)-\(number)"
    }
    return BackendName(rawValue: name)
  }

  static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
