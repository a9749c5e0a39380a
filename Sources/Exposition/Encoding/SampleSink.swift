internal import DroverCore

/// What families write their samples to; the samples are the same bytes in both formats.
struct SampleSink: ~Copyable {
  var out: ByteWriter
  private let offset: EpochOffset
  private let vmLabels: [VMLabel]
  private var family: [UInt8] = []
  /// Label sets that many samples share, rendered once.
  private var labelSets: ByteWriter
  private var sharedSet = 0..<0
  private var vmSets: [Range<Int>] = []
  private var lineIsOpen = false
  private var lineHasLabels = false

  init(capacity: Int, offset: EpochOffset, vmLabels: [VMLabel] = []) {
    self.vmLabels = vmLabels
    out = ByteWriter(capacity: capacity)
    labelSets = ByteWriter(capacity: 0)
    self.offset = offset
  }

  /// Ends the writing.
  consuming func finish() -> ByteWriter { out }

  /// Everything that follows belongs to this family.
  mutating func begin(_ name: [UInt8]) { family = name }

  /// Forgets what was written, and keeps the room.
  mutating func reset() {
    out.truncate(to: 0)
    labelSets.truncate(to: 0)
    sharedSet = 0..<0
    vmSets = []
  }

  /// Renders the labels of a migration, to be chosen with `share`.
  mutating func labelSet(of identity: MigrationIdentity) -> Range<Int> {
    labelSet(of: identity.vm, identity.id)
  }

  /// The labels of the VMs that are shown, to be chosen with `share`: rendered for the first family that has a series for
  /// each.
  mutating func labelSets(of fleet: Fleet) -> [Range<Int>] {
    guard vmSets.isEmpty else { return vmSets }
    vmSets.reserveCapacity(fleet.shown.count)
    for shown in fleet.shown { vmSets.append(labelSet(of: fleet.snapshot.vms[shown.index].vm)) }
    return vmSets
  }

  private mutating func labelSet(of vm: VMRef, _ migration: MigrationID? = nil) -> Range<Int> {
    let start = labelSets.count
    func add(_ name: StaticString, _ value: String, to set: inout ByteWriter) {
      guard !value.isEmpty else { return }
      if set.count > start { set.append(UInt8(ascii: ",")) }
      set.append(label: name, value)
    }
    add("backend", vm.backend.rawValue, to: &labelSets)
    add(vm.scope.label, vm.scope.name, to: &labelSets)
    add("vm", vm.name, to: &labelSets)
    if let migration { add("migration", migration.description, to: &labelSets) }
    return start..<labelSets.count
  }

  /// Every sample that follows carries this label set.
  @inline(__always)
  mutating func share(_ set: Range<Int>) { sharedSet = set }

  /// Begins a sample whose name is the family's and a suffix.
  mutating func open(suffix: StaticString) {
    open()
    out.append(suffix)
  }

  @inline(__always)
  private mutating func open() {
    out.reserve(family.count + sharedSet.count + 64)
    out.append(family)
    lineIsOpen = true
    lineHasLabels = false
  }

  /// Adds a label to the sample that comes next; an empty value is the same as none, so it is left out.
  mutating func label(_ name: StaticString, _ value: String) {
    guard !value.isEmpty else { return }
    separate()
    out.append(label: name, value)
  }

  /// Adds a label that is rendered already.
  @inline(__always)
  mutating func label(rendered bytes: [UInt8]) {
    separate()
    out.append(bytes)
  }

  /// Adds those labels of a VM that are to be shown.
  mutating func labels(ofVM labels: [String: String]) {
    for label in vmLabels {
      guard let value = labels[label.name], !value.isEmpty else { continue }
      separate()
      out.append(label.rendered)
      out.append("=\"")
      out.append(escaped: value, quotes: true)
      out.append(UInt8(ascii: "\""))
    }
  }

  /// Adds the label of a bucket.
  mutating func label(bound: Double) {
    separate()
    out.append("le=\"")
    out.append(bound: bound)
    out.append(UInt8(ascii: "\""))
  }

  private mutating func separate() {
    writeSharedSet()
    out.append(lineHasLabels ? UInt8(ascii: ",") : UInt8(ascii: "{"))
    lineHasLabels = true
  }

  @inline(__always)
  private mutating func writeSharedSet() {
    if !lineIsOpen { open() }
    guard !lineHasLabels, !sharedSet.isEmpty else { return }
    out.append(UInt8(ascii: "{"))
    out.append(labelSets, sharedSet)
    lineHasLabels = true
  }

  /// Ends the sample with its value.
  mutating func sample(_ value: SampleValue) {
    writeSharedSet()
    if lineHasLabels { out.append(UInt8(ascii: "}")) }
    out.append(UInt8(ascii: " "))
    switch value {
    case .count(let count): out.append(count)
    case .number(let number): out.append(number)
    case .milli(let units): out.append(milli: units)
    case .micro(let units): out.append(micro: units)
    case .moment(let moment): out.append(milli: offset.unixMilliseconds(moment))
    }
    out.append(UInt8(ascii: "\n"))
    lineIsOpen = false
    lineHasLabels = false
  }

  /// Ends the sample with its value; without one nothing may have been opened.
  @inline(__always)
  mutating func sample(_ value: (some SampleConvertible)?) {
    if let value { sample(value.sample) }
  }
}

extension Scope {
  /// The label that holds its name.
  var label: StaticString {
    switch self {
    case .namespace: "namespace"
    case .host: "host"
    }
  }
}

extension ByteWriter {
  /// Appends `name="value"`, escaped.
  mutating func append(label name: StaticString, _ value: String) {
    append(name)
    append("=\"")
    append(escaped: value, quotes: true)
    append(UInt8(ascii: "\""))
  }

  /// Appends text with backslash and line feed escaped, and the double quote where asked for.
  mutating func append(escaped text: String, quotes: Bool) {
    let start = count
    append(text)
    let needsEscape = withUnsafeBytes(start..<count) { bytes in
      bytes.contains {
        $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "\n") || (quotes && $0 == UInt8(ascii: "\""))
      }
    }
    guard needsEscape else { return }
    truncate(to: start)
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): append("\\\\")
      case UInt8(ascii: "\n"): append("\\n")
      case UInt8(ascii: "\"") where quotes: append("\\\"")
      default: append(byte)
      }
    }
  }
}
